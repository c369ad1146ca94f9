"""A tar archive, unpacked beside other files as if it had always been a folder.

Archives in it (GEO ships one per sample) are unpacked too, each into a folder of its name.
"""

from __future__ import annotations

import lzma
import os
import shutil
import tarfile
import zlib
from pathlib import Path

from targetscore.errors import FetchError, plain
from targetscore.fetch.part import CHUNK, beside, disk_error
from targetscore.fetch.sources import Source, archive_stem, is_archive
from targetscore.io import write_text

MOST_GROWTH = 200
"""Bytes that an archive may unpack to per byte of its own; count matrices reach about 20."""

SLACK = 1 << 26
"""Bytes that any archive may unpack to."""

_CUT_SHORT = (EOFError, zlib.error, lzma.LZMAError)
"""What decompressors raise, beside an OSError without a number."""


class _Refused(tarfile.FilterError):
    """A member that is not unpacked."""


class _Allowed:
    """Which members are unpacked, and how many bytes in all.

    Parameters
    ----------
    n_bytes
        Bytes that all members together may hold.
    """

    def __init__(self, n_bytes: int) -> None:
        self._n_bytes, self._left = n_bytes, n_bytes

    def __call__(self, member: tarfile.TarInfo, path: str) -> tarfile.TarInfo | None:
        # Links are how archives have escaped from the data filter; no atlas needs them.
        if member.issym() or member.islnk():
            raise _Refused(f"'{member.name}' is a link")
        self._left -= member.size
        if self._left < 0:
            raise _Refused(f"it unpacks to more than {self._n_bytes:,} bytes")
        return tarfile.data_filter(member, path)


def unpack(source: Source, folder: Path, sha256: str) -> None:
    """Unpack a verified archive into ``source.location(folder)``, whole or not at all.

    The checksum of the archive is kept in ``<stem>.unpacked``; with the same archive nothing
    is done.

    Parameters
    ----------
    source
        The archive.
    folder
        Where to unpack.
    sha256
        Checksum the archive was found to have.

    Raises
    ------
    FetchError
        If it, or an archive in it, is not a tar archive, is damaged or empty, unpacks to
        :data:`MOST_GROWTH` times its size, or holds links, special files or members that lead
        out of the folder; nothing is left then.
    """
    target = source.location(folder)
    marker = beside(target, ".unpacked")
    if target.is_dir() and marker.is_file() and marker.read_bytes().strip() == sha256.encode():
        return
    growing = target.with_name(f".{target.name}.unpacking")
    try:
        shutil.rmtree(growing, ignore_errors=True)
        growing.mkdir(parents=True)
        archive = source.path(folder)
        allowed = _Allowed(MOST_GROWTH * archive.stat().st_size + SLACK)
        _extract(archive, growing, allowed)
        _unpack_inner(source, growing, allowed)
        if not any(path.is_file() for path in growing.rglob("*")):
            raise source.error("the archive holds no file", "look it up at its publisher")
        marker.unlink(missing_ok=True)
        if target.exists():
            shutil.rmtree(target)
        os.replace(growing, target)
        write_text(f"{sha256}\n", marker)
    except tarfile.FilterError as error:
        wrong = f"the archive is refused: {plain(error)}"
        remedy = (
            "look at it with 'tar -tvf'; if you trust it, unpack it by hand and give the folder"
        )
        raise source.error(wrong, remedy) from error
    except (tarfile.TarError, *_CUT_SHORT, ValueError) as error:
        raise _damaged(source, error) from error
    except OSError as error:
        # Decompressors raise an OSError too, without the number a system call would give.
        if error.errno is None:
            raise _damaged(source, error) from error
        raise disk_error(error, source, folder, _unpacked_size(source.path(folder))) from error
    finally:
        shutil.rmtree(growing, ignore_errors=True)


def _extract(path: Path, target: Path, allowed: _Allowed) -> None:
    with tarfile.open(path) as archive:
        archive.extractall(target, filter=allowed)
        # gzip compares its CRC only at the very end, behind the last member.
        while archive.fileobj is not None and archive.fileobj.read(CHUNK):
            pass


def _unpack_inner(source: Source, growing: Path, allowed: _Allowed) -> None:
    inner = sorted(p for p in growing.rglob("*") if p.is_file() and is_archive(p.name))
    for path in inner:
        target = path.with_name(archive_stem(path.name))
        shown = plain(path.relative_to(growing).as_posix())
        if target.exists() or not target.name:
            wrong = f"the archive holds '{shown}' and something of that name already"
            raise source.error(wrong, "unpack it by hand and give the folder")
        try:
            _extract(path, target, allowed)
        except (tarfile.ReadError, *_CUT_SHORT) as error:
            raise _damaged(source, f"'{shown}' in it: {error}") from error
        path.unlink()


def _damaged(source: Source, error: object) -> FetchError:
    wrong = f"cannot be unpacked, it is damaged or no tar archive ({plain(error)})"
    return source.error(wrong, "delete it and run again, or look it up at its publisher")


def _unpacked_size(path: Path) -> int | None:
    try:
        with tarfile.open(path) as archive:
            return sum(member.size for member in archive)
    except (tarfile.TarError, OSError, *_CUT_SHORT, ValueError):
        return None
