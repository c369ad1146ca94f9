"""The configuration of a run: models, reading, and checks that need no atlas."""

from targetscore.config.edit import set_fields
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
from targetscore.config.models import AtlasRow, Indication, Ingesting, Levels, RunConfig, Scoring
from targetscore.config.read import read_tsv, read_yaml
from targetscore.config.shards import shards_of
from targetscore.config.stores import Store, is_store, parse_store

__all__ = [
    "AtlasRow",
    "Indication",
    "Ingesting",
    "Levels",
    "Run",
    "RunConfig",
    "Scoring",
    "Store",
    "expand",
    "indication_path",
    "is_store",
    "load_config",
    "load_indication",
    "load_indications",
    "load_registry",
    "load_run",
    "parse_store",
    "read_tsv",
    "read_yaml",
    "set_fields",
    "shards_of",
]
