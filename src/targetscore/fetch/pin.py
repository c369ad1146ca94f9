"""Write what was found at the first fetch into the registry, so that it holds from then on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from targetscore.config import AtlasRow, load_registry, set_fields
from targetscore.errors import (
    Problem,
    RegistryError,
    TargetscoreError,
    listed,
    near_matches,
    plain,
    raise_all,
)
from targetscore.fetch.cellxgene import resolve
from targetscore.fetch.manifest import Fetched, Resolved, folder_checksum, from_manifest
from targetscore.fetch.patience import Patience
from targetscore.fetch.sources import Source, dataset_ids, elsewhere, simulated, sources
from targetscore.io import read_json, write_text
from targetscore.progress import Progress

NOT_FETCHED = "not fetched yet"
OTHER_URL = "fetched from another url than the row names now; fetch it again"


@dataclass(frozen=True)
class Pinning:
    """What pinning did.

    Attributes
    ----------
    text
        Every field that was changed, old and new, and why nothing was changed elsewhere.
    problems
        Rows that could not be pinned; the others were.
    """

    text: str
    problems: tuple[Problem, ...]


def pin_registries(
    paths: Sequence[str],
    atlases: Sequence[str],
    newest: bool,
    manifests: str = "results/fetch",
    patience: Patience = Patience(tries=3),  # noqa: B008 (immutable)
) -> Pinning:
    """Pin rows of registries to what was fetched, or to the newest published version.

    Parameters
    ----------
    paths
        Registries as the run reads them; a row is changed where it counts, in the last one.
    atlases
        Rows to pin; empty: all.
    newest
        Ask CELLxGENE Discover for the newest version of each dataset, without a download. A row
        that was fetched in another version loses its checksum.
    manifests
        Folder in which each fetched atlas has ``<atlas>/manifest.json``.
    patience
        How long CELLxGENE Discover is waited for.

    Raises
    ------
    RegistryError
        If a registry cannot be read or an atlas has no row; nothing is changed then. If one
        cannot be written.
    """
    rows = load_registry(paths)
    unknown = sorted(set(atlases) - set(rows))
    raise_all(RegistryError, [_unknown(name, rows, paths) for name in unknown])
    texts = {path: Path(path).read_bytes().decode("utf-8") for path in paths}
    home = {name: path for path in paths for name in load_registry([path])}
    lines: list[str] = []
    nothing: dict[str, list[str]] = {}
    problems: list[Problem] = []
    changed: set[str] = set()
    for name in sorted(set(atlases) or rows):
        row, path = rows[name], home[name]
        try:
            fetched = _fetched(Path(manifests, name, "manifest.json"))
            found = _changes(row, path, fetched, newest, patience)
        except TargetscoreError as error:
            problems += error.problems
            continue
        if isinstance(found, str):
            nothing.setdefault(found, []).append(name)
            continue
        texts[path] = set_fields(texts[path], name, found, path)
        changed.add(path)
        lines += [f"{path}: {name}", *_diff(row, found)]
    for path in sorted(changed):
        try:
            write_text(texts[path], Path(path).resolve())  # a link stays one
        except OSError as error:
            wrong = f"cannot be written ({plain(error)})"
            raise RegistryError.one(path, "", wrong, "check permissions") from error
    lines += [f"{reason}: {listed(names, 60)}" for reason, names in sorted(nothing.items())]
    return Pinning("\n".join(lines), tuple(problems))


def _unknown(name: str, rows: Iterable[str], paths: Sequence[str]) -> Problem:
    near = near_matches(name, rows)
    hint = f"did you mean {listed(near)}?" if near else "look the name up in the registry"
    return Problem(", ".join(paths), plain(name), "there is no atlas of this name", hint)


def _fetched(manifest: Path) -> Fetched | None:
    return from_manifest(read_json(manifest)) if manifest.is_file() else None


def _diff(row: AtlasRow, changes: Mapping[str, str]) -> list[str]:
    width = max(map(len, changes))
    return [
        f"  {sign} {column:<{width}}  {plain(value)}"
        for column, new in changes.items()
        for sign, value in (("-", getattr(row, column)), ("+", new))
        if value
    ]


def _changes(
    row: AtlasRow, path: str, fetched: Fetched | None, newest: bool, patience: Patience
) -> dict[str, str] | str:
    """Return the fields of a row that change, or why none does."""
    if simulated(row):
        return "simulated, there is no file"
    if elsewhere(row, path):
        return "read where it is, in the release that its url names"
    plan = sources(row, path)
    asked = _datasets(row, plan) if newest else []
    if asked:
        known = [resolve(source, Progress(), patience) for source in asked]
    else:
        known = list(fetched.resolved) if fetched and _has_datasets(plan) else []
    named = _named(plan, known, row)
    sums = _checksums(named, fetched) if fetched else None
    wanted = _of_datasets(named, known)
    if sums is not None:
        wanted |= {"sha256": " ".join(sums)}
        if all(s.local is None for s in named) and fetched:
            wanted |= {"n_bytes": str(sum(file.n_bytes for file in fetched.files))}
    elif wanted.get("url", row.url) != row.url:
        wanted |= {"sha256": ""}
    elif not known:
        return OTHER_URL if fetched else NOT_FETCHED
    changes = {c: new for c, new in wanted.items() if new != getattr(row, c)}
    settled = "checksum pinned already" if row.sha256 else f"version pinned already, {NOT_FETCHED}"
    return changes or settled


def _has_datasets(plan: Sequence[Source]) -> bool:
    return any(dataset_ids(source.url) for source in plan)


def _datasets(row: AtlasRow, plan: Sequence[Source]) -> list[Source]:
    """Return the datasets a row is of, in its url or pinned before; none if it is of none."""
    if all(dataset_ids(source.url) for source in plan):
        return list(plan)
    pinned = row.dataset.split()
    if len(pinned) != len(plan):
        return []
    urls = [f"cellxgene:{dataset}" for dataset in pinned]
    return [replace(s, url=u, written=u) for s, u in zip(plan, urls, strict=True)]


def _named(plan: Sequence[Source], known: Sequence[Resolved], row: AtlasRow) -> list[Source]:
    """Return the sources of a row with every dataset replaced by the file it stands for."""
    by_dataset = {k.dataset: k for k in known}
    pinned = row.dataset.split() if len(row.dataset.split()) == len(plan) else [""] * len(plan)
    named = []
    for source, before in zip(plan, pinned, strict=True):
        found = by_dataset.get((dataset_ids(source.url) or (before, ""))[0])
        named.append(replace(source, url=found.url, written=found.url) if found else source)
    return named


def _of_datasets(named: Sequence[Source], known: Sequence[Resolved]) -> dict[str, str]:
    """Return the fields that tell which version of its datasets a row is pinned to."""
    if not known:
        return {}
    fields = {
        "url": " ".join(source.written for source in named),
        "version": " ".join(k.version for k in known),
        "dataset": " ".join(k.dataset for k in known),
    }
    cells, sizes = [k.n_cells for k in known], [k.n_bytes for k in known]
    if None not in cells:
        fields["n_cells"] = str(sum(filter(None, cells)))
    if None not in sizes:
        fields["n_bytes"] = str(sum(filter(None, sizes)))
    return fields


def _checksums(named: Sequence[Source], fetched: Fetched) -> list[str] | None:
    """Return the checksum per URL as fetch compares it; None if other URLs were fetched."""
    sums = []
    for source in named:
        own = [file for file in fetched.files if file.url == source.written]
        if not own:
            return None
        if source.local is not None and source.local.is_dir():
            names = (Path(f.path).relative_to(source.local).as_posix() for f in own)
            sums.append(folder_checksum(zip(names, (f.sha256 for f in own), strict=True)))
        else:
            sums.append(own[0].sha256)
    return sums
