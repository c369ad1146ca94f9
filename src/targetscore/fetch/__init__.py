"""Stage fetch: bring an atlas as its publisher ships it; resumed, verified, never edited."""

from targetscore.fetch.atlas import (
    checksum_status,
    describe_local,
    fetch_atlas,
    local_files,
    local_location,
    verify_local,
)
from targetscore.fetch.manifest import (
    Fetched,
    FetchedFile,
    Resolved,
    from_manifest,
    to_manifest,
)
from targetscore.fetch.patience import Patience
from targetscore.fetch.pin import pin_registries
from targetscore.fetch.sources import local_path
from targetscore.progress import Progress

__all__ = [
    "Fetched",
    "FetchedFile",
    "Patience",
    "Progress",
    "Resolved",
    "checksum_status",
    "describe_local",
    "fetch_atlas",
    "from_manifest",
    "local_files",
    "local_location",
    "local_path",
    "pin_registries",
    "to_manifest",
    "verify_local",
]
