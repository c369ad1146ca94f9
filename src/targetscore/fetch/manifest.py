"""What was brought: the record that the workflow stores and later stages read."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from targetscore.errors import ContractError, Problem

PINNED = "pinned"
UNKNOWN = "unknown until first fetch"
SIMULATED = "simulated"
ELSEWHERE = "none: read where it is, in the release of its publisher"


def folder_checksum(files: Iterable[tuple[str, str]]) -> str:
    r"""Return the checksum of a folder.

    It is the SHA-256 of the lines ``<sha256>  <relative path>``, one per regular file, sorted
    by their bytes, each ended by a line feed. Hidden files and folders (leading dot) do not
    count. On a shell, inside the folder: ``find -L . -type f -not -path '*/.*' -printf '%P\0'
    | xargs -0 sha256sum | LC_ALL=C sort | sha256sum``.

    Parameters
    ----------
    files
        Relative path (``/`` between folders) and SHA-256 of each file.
    """
    lines = sorted(f"{sha256}  {path}\n" for path, sha256 in files)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


@dataclass(frozen=True)
class FetchedFile:
    """One file that was brought and hashed.

    Attributes
    ----------
    path
        Where it is; can be opened as it stands.
    url
        Where it is from, as the registry writes it: ``${NAME}`` is not expanded, so that a
        secret in the environment never reaches a result.
    n_bytes
        Size in bytes.
    sha256
        SHA-256, 64 lower-case hex digits.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    path: str
    url: str
    n_bytes: int
    sha256: str


@dataclass(frozen=True)
class Resolved:
    """One published version of a dataset of CELLxGENE Discover.

    Attributes
    ----------
    dataset, version
        Ids of the dataset and of its version.
    url
        Address of the H5AD of this version; it never holds another one.
    title
        As published.
    n_bytes, n_cells
        Size of the H5AD and number of cells as published; None if not stated.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    dataset: str
    version: str
    url: str
    title: str = ""
    n_bytes: int | None = None
    n_cells: int | None = None


@dataclass(frozen=True)
class Fetched:
    """One atlas that is there.

    Attributes
    ----------
    atlas, version
        As in the registry; of a dataset that was resolved its version id.
    location
        What ingest reads: a file, a folder (several files, a local folder, an unpacked
        archive), the URI of a store that is read where it is, or the ``simulate:`` URL itself.
    files
        What was brought, in the order of the registry row; for an archive the archive itself,
        for a local folder each of its files. Empty if nothing was brought.
    checksum
        ``pinned`` if the registry declares every checksum, ``simulated`` or ``none: …`` if there
        is no file, else ``unknown until first fetch``.
    resolved
        What datasets of CELLxGENE Discover were resolved to, one per dataset.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    atlas: str
    version: str
    location: str
    files: tuple[FetchedFile, ...]
    checksum: str
    resolved: tuple[Resolved, ...] = ()

    @property
    def sha256(self) -> str:
        """The checksum of the file, of the folder, or of several files; empty if there is none."""
        if not self.files:
            return ""
        first = Path(self.files[0].path)
        in_folder = first.is_relative_to(self.location) and first != Path(self.location)
        if len(self.files) == 1 and not in_folder:
            return self.files[0].sha256
        names = (Path(os.path.relpath(f.path, self.location)).as_posix() for f in self.files)
        return folder_checksum(zip(names, (f.sha256 for f in self.files), strict=True))


_FETCHED = TypeAdapter(Fetched)


def to_manifest(fetched: Fetched) -> dict[str, Any]:
    """Return the record as plain values for JSON; it holds no time and no host name."""
    return {
        **asdict(fetched),
        "files": [asdict(file) for file in fetched.files],
        "resolved": [asdict(known) for known in fetched.resolved],
    }


def from_manifest(manifest: Mapping[str, Any]) -> Fetched:
    """Rebuild the record from what :func:`to_manifest` gave.

    Raises
    ------
    ContractError
        With every key that is missing, unknown or of the wrong type.
    """
    try:
        return _FETCHED.validate_python(manifest)
    except ValidationError as error:
        raise ContractError(
            [
                Problem(
                    "fetch manifest",
                    ".".join(str(step) for step in fault["loc"]),
                    fault["msg"],
                    "delete the manifest and run again",
                )
                for fault in error.errors()
            ]
        ) from error
