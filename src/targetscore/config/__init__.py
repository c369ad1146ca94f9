"""The configuration of a run: models, reading, and checks that need no atlas."""

from targetscore.config.load import (
    Run,
    expand,
    indication_path,
    load_config,
    load_indication,
    load_indications,
    load_registry,
    load_run,
)
from targetscore.config.models import AtlasRow, Indication, RunConfig, Scoring
from targetscore.config.read import read_tsv, read_yaml
from targetscore.config.shards import shards_of

__all__ = [
    "AtlasRow",
    "Indication",
    "Run",
    "RunConfig",
    "Scoring",
    "expand",
    "indication_path",
    "load_config",
    "load_indication",
    "load_indications",
    "load_registry",
    "load_run",
    "read_tsv",
    "read_yaml",
    "shards_of",
]
