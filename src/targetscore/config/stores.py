"""TileDB-SOMA stores: URLs such as ``soma:/folder?tissue=blood`` and ``census:2025-11-08?…``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl

__all__ = ["Store", "is_store", "parse_store"]

_RELEASES = "2025-11-08, 2025-01-30, 2024-07-01, 2023-12-15"
_CENSUS = "s3://cellxgene-census-public-us-west-2/cell-census/{release}/soma/"


@dataclass(frozen=True)
class Store:
    """A store and the cells of it that are wanted.

    Attributes
    ----------
    uri
        Folder, or URI such as ``s3://bucket/key``.
    release
        Release of the CELLxGENE Census, empty for another store.
    filters
        Column of the cell table and the values one of which a cell must have; a cell must
        pass all of them.
    """

    uri: str
    release: str
    filters: tuple[tuple[str, tuple[str, ...]], ...]

    @property
    def remote(self) -> bool:
        """Whether it is read where it is, over a network."""
        return "://" in self.uri


def is_store(url: str) -> bool:
    """Tell whether a URL names a TileDB-SOMA store."""
    return url.strip().startswith(("soma:", "census:"))


def parse_store(url: str) -> Store:
    """Read the URL of a store.

    Parameters
    ----------
    url
        ``soma:<folder or URI>`` or ``census:<release>``, then, after ``?``, columns of the
        cell table with the wanted values, percent-encoded: ``tissue=bone+marrow&tissue=blood``.

    Raises
    ------
    ValueError
        If it cannot be used; the message says why.
    """
    place, _, query = url.strip().partition("?")
    scheme, _, uri = place.partition(":")
    if scheme not in ("soma", "census") or not uri:
        raise ValueError("a TileDB-SOMA store is soma:<folder or s3:// URI> or census:<release>")
    if re.search(r"\s", url.strip()):
        raise ValueError("one store per row; write a space in a value as +")
    release = uri if scheme == "census" else ""
    if release and not re.fullmatch(r"\d{4}-\d\d-\d\d", release):
        raise ValueError(
            f"'{release}' is no pinned release of the Census, which changes under that name; "
            f"write its date, for example one kept for long: {_RELEASES}"
        )
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
    except ValueError as error:
        raise ValueError(f"the filter '{query}' is not column=value&column=value") from error
    wanted: dict[str, list[str]] = {}
    for column, value in pairs:
        if not re.fullmatch(r"[A-Za-z_]\w*", column) or not value:
            raise ValueError(f"the filter '{column}={value}' names no column or no value")
        wanted.setdefault(column, []).append(value)
    filters = tuple((column, tuple(values)) for column, values in sorted(wanted.items()))
    return Store(_CENSUS.format(release=release) if release else uri, release, filters)
