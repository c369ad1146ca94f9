"""Formats of atlases: one adapter each, the module of that name, imported when it is needed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from targetscore.config.models import AtlasRow
from targetscore.errors import AtlasError, plain
from targetscore.formats.base import (
    BLOCK_VALUES,
    BROKEN,
    Names,
    OpenAtlas,
    RowBlock,
    RowLengths,
    as_counts,
    check_columns,
)

__all__ = [
    "BLOCK_VALUES",
    "OpenAtlas",
    "RowBlock",
    "as_counts",
    "check_columns",
    "open_atlas",
]


@contextmanager
def _named(row: AtlasRow, location: str) -> Iterator[None]:
    """Turn what a library says of a broken file into an error that names the file."""
    try:
        yield
    except BROKEN as error:
        wrong = f"cannot be read as {row.format} ({type(error).__name__}: {plain(error)})"
        remedy = "its structure is not that of the format: fetch it again, or write it again"
        raise AtlasError.one(location, "", wrong, remedy) from error


def open_atlas(row: AtlasRow, location: str) -> OpenAtlas:
    """Open an atlas with the adapter of its format.

    Raises
    ------
    AtlasError
        If the atlas, or later one of its blocks, cannot be read.
    """
    with _named(row, location):
        adapter = import_module(f"{__name__}.{row.format}")
        atlas: OpenAtlas = getattr(adapter, f"open_{row.format}")(row, location)

    def rows(start: int, stop: int) -> Iterator[RowBlock]:
        with _named(row, location):
            for block in atlas.rows(start, stop):
                yield replace(block, load=partial(load, block))

    def load(block: RowBlock) -> tuple[NDArray[Any], NDArray[Any]]:
        with _named(row, location):
            return block.load()

    def peek() -> None:
        with _named(row, location):
            atlas.peek()

    def read_names() -> Names:
        with _named(row, location):
            return atlas.read_names()

    def lengths(of: RowLengths, start: int, stop: int) -> NDArray[np.int64]:
        with _named(row, location):
            return of(start, stop)

    known = atlas.row_lengths
    return replace(
        atlas,
        rows=rows,
        peek=peek,
        read_names=read_names,
        row_lengths=partial(lengths, known) if known else None,
    )
