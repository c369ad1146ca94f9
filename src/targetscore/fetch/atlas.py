"""The stage itself: bring every file of an atlas, or say everything that hinders it."""

from __future__ import annotations

import io
from pathlib import Path

from targetscore.config import AtlasRow
from targetscore.errors import FetchError, Problem, RegistryError, plain, raise_all
from targetscore.fetch.cellxgene import pinned, recorded
from targetscore.fetch.download import download
from targetscore.fetch.local import folder_files, hash_file, inspect_local
from targetscore.fetch.manifest import (
    ELSEWHERE,
    PINNED,
    SIMULATED,
    UNKNOWN,
    Fetched,
    FetchedFile,
    Resolved,
)
from targetscore.fetch.patience import Patience
from targetscore.fetch.sources import Source, dataset_ids, elsewhere, simulated, sources, store_of
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
    unpacked into ``folder``. A dataset of CELLxGENE Discover is resolved to its newest version
    once, which is then kept. A TileDB-SOMA store on a server is left and read there.

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
    store = store_of(row, registry_file)
    if store is not None and store.remote:
        return Fetched(row.atlas, row.version, store.uri, (), ELSEWHERE)
    plan = sources(row, registry_file)
    place = Path(folder)
    brought, problems = _inspect(plan, progress)
    raise_all(FetchError, problems)
    datasets: dict[Source, Resolved] = {}
    for n, source in enumerate(plan):
        if dataset_ids(source.url):
            source, known = pinned(source, place, progress, patience)
            plan[n], datasets[source] = source, known
        if source.local is None:
            brought[source] = [download(source, place, progress, patience)]
            _refuse_other_size(source, brought[source][0], datasets.get(source))
        if source.archive:
            unpack(source, place, brought[source][0].sha256)
    single = plan[0].location(place)
    resolved = tuple(datasets.values()) or _pinned_before(row, plan, place)
    return Fetched(
        row.atlas,
        " ".join(known.version for known in datasets.values()) or row.version,
        str(single if len(plan) == 1 else single.parent),
        tuple(file for source in plan for file in brought[source]),
        PINNED if all(source.sha256 for source in plan) else UNKNOWN,
        resolved,
    )


def _refuse_other_size(source: Source, file: FetchedFile, known: Resolved | None) -> None:
    """Compare sizes: nothing else is said of a file that is not pinned yet."""
    stated = known.n_bytes if known else None
    if stated is None or stated == file.n_bytes:
        return
    wrong = f"has {file.n_bytes:,} bytes, CELLxGENE Discover states {stated:,}"
    remedy = f"delete '{plain(file.path)}' and run again; if it stays so, ask CELLxGENE Discover"
    raise source.error(wrong, remedy)


def _pinned_before(row: AtlasRow, plan: list[Source], place: Path) -> tuple[Resolved, ...]:
    """Return what is known of the datasets that a registry row was pinned to."""
    known = []
    for dataset, version, source in zip(
        row.dataset.split(), row.version.split(), plan, strict=False
    ):
        before = recorded(dataset, place)
        same = before is not None and before.url == source.url
        known.append(before if before and same else Resolved(dataset, version, source.url))
    return tuple(known)


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
    if simulated(row) or elsewhere(row, registry_file):
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
    if simulated(row) or elsewhere(row, registry_file):
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


def checksum_status(row: AtlasRow, registry_file: str) -> str:
    """Return in words whether a row's files are pinned; a release of a store is in its URL.

    Raises
    ------
    RegistryError
        If a variable in the URL of a store is not set.
    """
    if simulated(row):
        return SIMULATED
    if elsewhere(row, registry_file):
        return "release pinned, read where it is"
    pinned = bool(row.sha256) and "-" not in row.sha256.split()
    return f"checksum {PINNED if pinned else UNKNOWN}"


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
        be read, or have another checksum than the row declares. Empty for an atlas that is
        simulated or read where it is.
    """
    if simulated(row):
        return []
    try:
        if elsewhere(row, registry_file):
            return []
        plan = sources(row, registry_file)
    except RegistryError as error:
        return error.problems
    return _inspect(plan, Progress(io.StringIO()))[1]
