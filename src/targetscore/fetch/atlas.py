"""The stage itself: bring every file of an atlas, or say everything that hinders it."""

from __future__ import annotations

import io
from pathlib import Path

from targetscore.config import AtlasRow
from targetscore.errors import FetchError, Problem, RegistryError, raise_all
from targetscore.fetch.download import Patience, download
from targetscore.fetch.local import folder_files, hash_file, inspect_local
from targetscore.fetch.manifest import PINNED, SIMULATED, UNKNOWN, Fetched, FetchedFile
from targetscore.fetch.sources import Source, simulated, sources
from targetscore.fetch.unpack import unpack
from targetscore.progress import Progress


def fetch_atlas(
    row: AtlasRow,
    registry_file: str,
    folder: str,
    progress: Progress,
    patience: Patience = Patience(),  # noqa: B008 (immutable)
) -> Fetched:
    """Bring an atlas as its publisher ships it.

    Local files and folders are used where they are. Downloads are kept in ``folder``; what is
    there already is not asked for again, so that a run without a network works. Archives are
    unpacked into ``folder``.

    Parameters
    ----------
    row
        The atlas's row of the registry.
    registry_file
        Name of the registry for messages.
    folder
        Folder of this atlas alone.
    progress
        Told about every byte.
    patience
        How long a server is waited for.

    Raises
    ------
    RegistryError
        If a URL of the row cannot be used.
    FetchError
        If a file cannot be brought, is empty, or is not the promised one.
    """
    if simulated(row):
        return Fetched(row.atlas, row.version, row.url.strip(), (), SIMULATED)
    plan = sources(row, registry_file)
    place = Path(folder)
    brought, problems = _inspect(plan, progress)
    raise_all(FetchError, problems)
    for source in plan:
        if source.local is None:
            brought[source] = [download(source, place, progress, patience)]
        if source.archive:
            unpack(source, place, brought[source][0].sha256)
    single = plan[0].location(place)
    return Fetched(
        row.atlas,
        row.version,
        str(single if len(plan) == 1 else single.parent),
        tuple(file for source in plan for file in brought[source]),
        PINNED if all(source.sha256 for source in plan) else UNKNOWN,
    )


def _inspect(
    plan: list[Source], progress: Progress
) -> tuple[dict[Source, list[FetchedFile]], list[Problem]]:
    """Hash all local sources, and gather what is wrong with any."""
    found: dict[Source, list[FetchedFile]] = {}
    problems: list[Problem] = []
    for source in plan:
        if source.local is not None:
            try:
                found[source] = inspect_local(source, progress)
            except FetchError as error:
                problems += error.problems
    return found, problems


def local_files(row: AtlasRow, registry_file: str) -> list[str]:
    """Return the files on this machine that an atlas is made of, sorted; none that are not.

    Raises
    ------
    RegistryError
        If a URL of the row cannot be used.
    """
    if simulated(row):
        return []
    files: list[str] = []
    for source in sources(row, registry_file):
        if source.local is not None and source.local.is_dir():
            names = folder_files(source.local, source)
            files += [str(source.local / name) for name in names]
        elif source.local is not None and source.local.is_file():
            files.append(str(source.local))
    return sorted(files)


def local_location(row: AtlasRow, registry_file: str) -> str | None:
    """Return the file or folder to read if nothing must be brought or unpacked, else None.

    Raises
    ------
    RegistryError
        If a URL of the row cannot be used.
    """
    if simulated(row):
        return None
    plan = sources(row, registry_file)
    if any(s.local is None or s.archive or not s.local.exists() for s in plan):
        return None
    place = plan[0].path(Path())
    return str(place if len(plan) == 1 else place.parent)


def describe_local(row: AtlasRow, path: str) -> Fetched:
    """Describe a file that the workflow made itself, such as a simulated atlas."""
    sha256, n_bytes = hash_file(Path(path), Progress(io.StringIO()))
    file = FetchedFile(path, row.url, n_bytes, sha256)
    return Fetched(row.atlas, row.version, path, (file,), SIMULATED)


def verify_local(row: AtlasRow, registry_file: str) -> list[Problem]:
    """Check before any job what can be checked without a network.

    Parameters
    ----------
    row
        The atlas's row of the registry.
    registry_file
        Name of the registry for messages.

    Returns
    -------
    list of Problem
        URLs that cannot be used; local files and folders that do not exist, are empty, cannot
        be read, or have another checksum than the row declares. Empty for a simulated atlas.
    """
    if simulated(row):
        return []
    try:
        plan = sources(row, registry_file)
    except RegistryError as error:
        return error.problems
    return _inspect(plan, Progress(io.StringIO()))[1]
