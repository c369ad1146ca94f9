"""Datasets of CELLxGENE Discover: an id becomes one version of one file, and stays it."""

from __future__ import annotations

import json
import os
import time
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from targetscore.errors import ContractError, FetchError, plain
from targetscore.fetch.connection import Final, Retry, request
from targetscore.fetch.manifest import Resolved
from targetscore.fetch.part import disk_error
from targetscore.fetch.patience import Patience
from targetscore.fetch.sources import Source, dataset_ids, file_name, remote_problems, scheme_of
from targetscore.io import read_json, write_json
from targetscore.progress import Progress

API = "https://api.cellxgene.cziscience.com/curation/v1"
API_VARIABLE = "TARGETSCORE_CELLXGENE_API"
LONGEST_ANSWER = 64 << 20
BY_HAND = (
    "look the dataset up in CELLxGENE Discover and write the address of its H5AD, or the path of "
    "a file downloaded from there, as url"
)
_GONE = (404, 410)


class _Asset(BaseModel):
    filetype: str
    url: str
    filesize: int | None = None


class _Version(BaseModel):
    dataset_id: str
    dataset_version_id: str
    title: str | None = None
    cell_count: int | None = None
    published_at: str | None = None
    assets: list[_Asset] = []


_VERSIONS = TypeAdapter(list[_Version])
_RESOLVED = TypeAdapter(Resolved)


def api() -> str:
    """Return the address of the curation API; ``TARGETSCORE_CELLXGENE_API`` names another."""
    return (os.environ.get(API_VARIABLE) or API).rstrip("/")


def at(source: Source, resolved: Resolved) -> Source:
    """Return the file that a dataset was resolved to, as if the row had named it."""
    name = file_name(resolved.url)
    return replace(source, written=resolved.url, url=resolved.url, name=name)


def pinned(
    source: Source, folder: Path, progress: Progress, patience: Patience
) -> tuple[Source, Resolved]:
    """Resolve a dataset once; afterwards the version that was found then is used.

    What was found is kept in ``<dataset>.cellxgene.json`` beside the file, so that neither an
    interrupted download nor a later run can meet another version, and no request is made.

    Raises
    ------
    FetchError
        If the dataset cannot be resolved; the message says how to do without.
    """
    dataset, version = dataset_ids(source.url) or ("", "")
    known = recorded(dataset, folder)
    if known and (version in ("", known.version)) and not remote_problems(at(source, known)):
        return at(source, known), known
    known = resolve(source, progress, patience)
    try:
        write_json(asdict(known), _record(dataset, folder))
    except OSError as error:
        raise disk_error(error, source, folder, None) from error
    cells = "" if known.n_cells is None else f", {known.n_cells:,} cells"
    progress.say(f"{known.title or known.dataset}: version {known.version}{cells}")
    return at(source, known), known


def _record(dataset: str, folder: Path) -> Path:
    return folder / f"{dataset}.cellxgene.json"


def recorded(dataset: str, folder: Path) -> Resolved | None:
    """Return what a dataset was resolved to when it was fetched to a folder, None if it was not."""
    try:
        known = _RESOLVED.validate_python(read_json(_record(dataset, folder)))
    except (OSError, ContractError, ValidationError):
        return None
    return known if known.dataset == dataset else None


def resolve(source: Source, progress: Progress, patience: Patience) -> Resolved:
    """Ask the curation API for the version asked for, or the newest one.

    Parameters
    ----------
    source
        A dataset, ``cellxgene:<dataset>[@<version>]``.
    progress
        Told about tries that failed.
    patience
        How long the API is waited for.

    Raises
    ------
    FetchError
        If the id is unknown, the version has no H5AD, the answer cannot be understood, or the
        API does not answer.
    """
    dataset, version = dataset_ids(source.url) or ("", "")
    path = f"dataset_versions/{version}" if version else f"datasets/{dataset}/versions"
    text = _ask(source, f"{api()}/{path}", progress, patience)
    found = _versions(source, text)
    if any(v.dataset_id.lower() != dataset for v in found):
        raise _not_understood(source, "it is about another dataset")
    if version and [v.dataset_version_id.lower() for v in found] != [version]:
        raise _not_understood(source, "it is about another version")
    # The newest stands first; the dates decide where each version has its own.
    dated = all(v.published_at for v in found)
    newest = max(found, key=lambda v: v.published_at or "") if dated else found[0]
    return _resolved(source, dataset, newest)


def _resolved(source: Source, dataset: str, version: _Version) -> Resolved:
    title = plain(version.title or "")
    files = [a for a in version.assets if a.filetype.upper() == "H5AD"]
    if not files:
        kinds = ", ".join(sorted({plain(a.filetype, 20) for a in version.assets})) or "nothing"
        wrong = f"dataset '{title}' has no H5AD in CELLxGENE Discover, only {kinds}"
        raise source.error(wrong, "convert another format yourself and write its path as url")
    size, cells = files[0].filesize, version.cell_count
    known = Resolved(
        dataset,
        version.dataset_version_id.lower(),
        files[0].url,
        title,
        size if size is not None and size > 0 else None,
        cells if cells is not None and cells >= 0 else None,
    )
    # Nothing may come from a place that is less trusted than the one that named it.
    allowed = ("https",) if api().startswith("https:") else ("http", "https")
    if scheme_of(known.url) not in allowed or remote_problems(at(source, known)):
        raise _not_understood(source, f"'{plain(known.url, 80)}' is no address of a file")
    return known


def _versions(source: Source, text: bytes) -> list[_Version]:
    """Read the list of versions, bare or under ``datasets``, or a single one."""
    try:
        value: Any = json.loads(text)
        if isinstance(value, dict):
            value = value.get("datasets", [value])
        found = _VERSIONS.validate_python(value)
    except (ValueError, RecursionError) as error:
        first = str(error).partition("\n")[0]
        raise _not_understood(source, plain(first, 80)) from error
    if not found:
        raise _unknown(source)
    return found


def _not_understood(source: Source, why: str) -> FetchError:
    wrong = f"the answer of CELLxGENE Discover cannot be understood ({why})"
    return source.error(wrong, BY_HAND)


def _unknown(source: Source) -> FetchError:
    wrong = "CELLxGENE Discover knows no published dataset or version with this id"
    remedy = "copy the id from the dataset's page; a collection has an id of its own"
    return source.error(wrong, remedy)


def _ask(source: Source, url: str, progress: Progress, patience: Patience) -> bytes:
    """Return the body of the answer, trying as often as patience allows."""
    failed = 0
    while True:
        try:
            with closing(request(url, {"Accept": "application/json"}, patience.timeout)) as answer:
                pieces: list[bytes] = []
                for piece in answer.body():
                    pieces.append(piece)
                    if sum(map(len, pieces)) > LONGEST_ANSWER:
                        raise _not_understood(source, "it does not end")
                return b"".join(pieces)
        except Final as error:
            if error.status in _GONE:
                raise _unknown(source) from error
            wrong = f"CELLxGENE Discover cannot be asked: {error.wrong}"
            raise source.error(wrong, BY_HAND) from error
        except Retry as retry:
            failed += 1
            if failed >= patience.tries:
                wrong = f"CELLxGENE Discover does not answer: {retry}, {failed} times in a row"
                remedy = f"check network and proxy settings and try later; or {BY_HAND}"
                raise source.error(wrong, remedy) from retry
            wait = patience.wait(failed, retry.wait)
            progress.say(f"CELLxGENE Discover: {retry}; next try in {wait:.0f} s")
        time.sleep(wait)
