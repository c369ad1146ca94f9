"""Stage fetch: bring an atlas as its publisher ships it; resumed, verified, never edited."""

from targetscore.fetch.atlas import (
    describe_local,
    fetch_atlas,
    local_files,
    local_location,
    verify_local,
)
from targetscore.fetch.download import Patience
from targetscore.fetch.manifest import Fetched, FetchedFile, from_manifest, to_manifest
from targetscore.fetch.sources import local_path
from targetscore.progress import Progress

__all__ = [
    "Fetched",
    "FetchedFile",
    "Patience",
    "Progress",
    "describe_local",
    "fetch_atlas",
    "from_manifest",
    "local_files",
    "local_location",
    "local_path",
    "to_manifest",
    "verify_local",
]
