"""The part of a file that has arrived: kept, hashed and described, so that it can go on."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from targetscore.errors import ContractError, FetchError, plain
from targetscore.fetch.sources import Source
from targetscore.io import read_json, write_json
from targetscore.progress import Progress

CHUNK = 1 << 20


def beside(path: Path, suffix: str) -> Path:
    """Return the path of a file's companion."""
    return path.with_name(path.name + suffix)


def disk_error(error: OSError, source: Source, place: Path, needed: int | None) -> FetchError:
    """Build the error that a file could not be written.

    Parameters
    ----------
    error
        What the system said.
    source
        What is being brought.
    place
        Folder it is written to.
    needed
        Bytes still to be written, None if unknown.
    """
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return source.error(f"cannot be written ({plain(error)})", "check folder and permissions")
    there = next(p for p in (place, *place.absolute().parents) if p.is_dir())
    free = shutil.disk_usage(there).free
    more = "an unknown number of" if needed is None else f"{needed:,}"
    wrong = f"the disk or quota is full: {more} bytes are needed, {free:,} are free"
    return source.error(wrong, "free the space and run again; it goes on where it stopped")


class Part:
    """``<name>.part`` and ``<name>.part.json``, which says what it is a part of.

    Parameters
    ----------
    source
        What is being brought.
    target
        Final path of the file.
    progress
        Told while a part of an earlier run is hashed.
    """

    def __init__(self, source: Source, target: Path, progress: Progress) -> None:
        self.source = source
        self.path = beside(target, ".part")
        self._state = beside(target, ".part.json")
        self._forget()
        self._load(progress)

    def _forget(self) -> None:
        self.size = 0
        self.total: int | None = None
        self.etag = ""
        self.modified = ""
        self._hasher = hashlib.sha256()

    def _load(self, progress: Progress) -> None:
        """Take up what an earlier run left, if it is known what it is."""
        try:
            state: Any = read_json(self._state)
            size = self.path.stat().st_size
        except (OSError, ContractError):
            return
        if not isinstance(state, dict) or state.get("url") != self.source.written:
            return
        total = state.get("total")
        with self.path.open("rb") as stream:
            progress.start(f"checking {self.path.name}", size)
            while chunk := stream.read(CHUNK):
                self._hasher.update(chunk)
                self.size += len(chunk)
                progress.advance(len(chunk))
        self.total = total if isinstance(total, int) else None
        self.etag = str(state.get("etag", ""))
        self.modified = str(state.get("last_modified", ""))

    @property
    def complete(self) -> bool:
        """Whether every byte is there."""
        return self.total is not None and 0 < self.size == self.total

    @property
    def sha256(self) -> str:
        """SHA-256 of what is there."""
        return self._hasher.hexdigest()

    @property
    def validator(self) -> str:
        """What If-Range may hold: a strong ETag, else the date, else nothing (RFC 9110 13.1.5)."""
        strong = self.etag and not self.etag.startswith("W/")
        value = self.etag if strong else self.modified
        return value if value.isascii() and value.isprintable() else ""

    def resume_headers(self) -> dict[str, str]:
        """Return the headers that ask for the rest; none if only a new start is sound."""
        if not self.size or not self.validator:
            return {}
        return {"Range": f"bytes={self.size}-", "If-Range": self.validator}

    def begin(self, total: int | None, etag: str, modified: str) -> None:
        """Start anew with a file of which the server says size and version."""
        self._forget()
        self.total, self.etag, self.modified = total, etag, modified
        state = {
            "url": self.source.written,
            "total": total,
            "etag": etag,
            "last_modified": modified,
        }
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.write_bytes(b"")
            write_json(state, self._state)
        except OSError as error:
            raise disk_error(error, self.source, self.path.parent, total) from error

    def append(self, pieces: Iterable[bytes], progress: Progress) -> None:
        """Write and hash pieces as they arrive.

        Raises
        ------
        FetchError
            If the disk is full or cannot be written; what has arrived is kept.
        """
        try:
            with self.path.open("ab") as stream:
                for piece in pieces:
                    stream.write(piece)
                    self._hasher.update(piece)
                    self.size += len(piece)
                    progress.advance(len(piece))
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            written = self.path.stat().st_size
            needed = None if self.total is None else self.total - written
            raise disk_error(error, self.source, self.path.parent, needed) from error

    def discard(self) -> None:
        """Throw away what has arrived."""
        self._forget()
        self.path.unlink(missing_ok=True)
        self._state.unlink(missing_ok=True)

    def keep_as(self, path: Path) -> None:
        """Give the file another name; it is a part no more."""
        try:
            os.replace(self.path, path)
            self._state.unlink(missing_ok=True)
        except OSError as error:
            raise disk_error(error, self.source, path.parent, 0) from error
