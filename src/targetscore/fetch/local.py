"""Files and folders on this machine: listed, hashed, used where they are."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from targetscore.errors import FetchError, Problem, plain, raise_all
from targetscore.fetch.manifest import FetchedFile, folder_checksum
from targetscore.fetch.sources import Source
from targetscore.progress import Progress

CHUNK = 1 << 20
NEW_VERSION = (
    "compare with the publisher's checksum; if the publisher replaced the file, give the row "
    "the new version and sha256"
)


def hash_file(path: Path, progress: Progress) -> tuple[str, int]:
    """Return the SHA-256 of a file and its size in bytes, with bounded memory.

    Raises
    ------
    OSError
        If the file cannot be read.
    """
    hasher = hashlib.sha256()
    n_bytes = 0
    with path.open("rb") as stream:
        progress.start(f"checking {path.name}", os.fstat(stream.fileno()).st_size)
        while chunk := stream.read(CHUNK):
            hasher.update(chunk)
            n_bytes += len(chunk)
            progress.advance(len(chunk))
    progress.finish()
    return hasher.hexdigest(), n_bytes


def folder_files(folder: Path, source: Source) -> list[str]:
    """List the regular files of a folder, without hidden ones, as sorted relative paths.

    A link to a file counts as the file it leads to.

    Raises
    ------
    FetchError
        With everything in it that cannot be listed: links to folders, broken links, special
        files, names that are not printable text, folders that cannot be read.
    """
    files: list[str] = []
    problems: list[Problem] = []

    def unreadable(error: OSError) -> None:
        problems.append(source.problem(f"cannot be read ({plain(error)})", "check permissions"))

    for place, folders, names in os.walk(folder, onerror=unreadable):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        linked = [name for name in folders if Path(place, name).is_symlink()]
        for name in sorted(n for n in names if not n.startswith(".")) + linked:
            path = Path(place, name)
            shown = path.relative_to(folder).as_posix()
            if not shown.isprintable():
                wrong = f"the file name {plain(ascii(shown))} is not printable text"
                problems.append(source.problem(wrong, "rename the file"))
            elif not path.is_file():
                wrong = f"'{plain(shown)}' is a link to a folder, a broken link or a special file"
                problems.append(source.problem(wrong, "replace it by what it stands for"))
            else:
                files.append(shown)
    raise_all(FetchError, problems)
    return sorted(files)


def inspect_local(source: Source, progress: Progress) -> list[FetchedFile]:
    """Hash a local file, or each file of a local folder, and compare with the checksum.

    Raises
    ------
    FetchError
        If there is nothing, it is empty, cannot be read, or has another checksum.
    """
    path = source.path(Path())
    shown = plain(path)
    try:
        if path.is_dir():
            relative = folder_files(path, source)
            places = [path / name for name in relative]
        elif path.is_file():
            relative, places = [], [path]
        else:
            remedy = "check the path; a relative path starts in the folder of the run"
            raise source.error(f"there is no file or folder '{shown}'", remedy)
        hashed = [(place, *hash_file(place, progress)) for place in places]
    except OSError as error:
        raise source.error(f"cannot be read ({plain(error)})", "check permissions") from error
    files = [FetchedFile(str(p), source.written, n, sha256) for p, sha256, n in hashed]
    if sum(file.n_bytes for file in files) == 0:
        raise source.error(f"'{shown}' is empty", "bring it again, or correct the path")
    found = (
        folder_checksum((r, f.sha256) for r, f in zip(relative, files, strict=True))
        if path.is_dir()
        else files[0].sha256
    )
    if source.sha256 and found != source.sha256:
        raise source.error(
            f"'{shown}' has another checksum than the registry: expected sha256 "
            f"{source.sha256}, found {found}",
            NEW_VERSION,
        )
    return files
