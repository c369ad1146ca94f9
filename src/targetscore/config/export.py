"""Write the JSON schemas of the configuration: ``python -m targetscore.config.export``."""

from __future__ import annotations

from pydantic import BaseModel

from targetscore.config.models import Indication, RunConfig
from targetscore.io import write_json

SCHEMAS: dict[str, type[BaseModel]] = {"config": RunConfig, "indication": Indication}

if __name__ == "__main__":
    for name, model in SCHEMAS.items():
        write_json(model.model_json_schema(), f"workflow/schemas/{name}.schema.json")
