"""Turn a matrix stored gene by gene (CSC) into blocks of rows, in bounded memory.

The entries are sorted into bands of rows in one temporary file, whose places are known in
advance because the entries per row were counted first.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from targetscore.errors import StorageError
from targetscore.formats import base

__all__ = ["turned_rows"]

Slice = Callable[[int, int], NDArray[Any]]


def turned_rows(
    indptr: NDArray[np.int64],
    indices: Slice,
    values: Slice,
    shape: tuple[int, int],
    start: int,
    stop: int,
) -> Iterator[base.RowBlock]:
    """Yield rows of a CSC matrix in order.

    Parameters
    ----------
    indptr
        Column pointer, shape ``(n_columns + 1,)``.
    indices, values
        Give row numbers, or counts as stored, of a slice of the entries.
    shape
        Rows and columns of the matrix.
    start, stop
        Rows wanted.

    Raises
    ------
    ValueError
        If a row number is out of range.
    StorageError
        If there is no room for the temporary file, about 10 bytes per entry.
    """
    lengths = _row_lengths(int(indptr[-1]), indices, shape[0])[start:stop]
    bands = list(base.row_ranges(np.concatenate([[0], np.cumsum(lengths)])))
    dtype = np.dtype(
        [
            ("row", np.min_scalar_type(shape[0])),
            ("column", np.min_scalar_type(shape[1])),
            ("value", values(0, 0).dtype),
        ]
    )
    sizes = np.array([lengths[a:b].sum() for a, b in bands], dtype=np.int64)
    begins = np.concatenate([[0], np.cumsum(sizes)]) * dtype.itemsize
    band_of_row = np.repeat(np.arange(len(bands)), [b - a for a, b in bands])
    _need_room(int(begins[-1]))
    with tempfile.TemporaryFile() as file:
        cursors = begins[:-1].copy()
        for a, b in _slices(int(indptr[-1])):
            entries = np.empty(b - a, dtype=dtype)
            entries["row"] = indices(a, b)
            entries["column"] = _columns(indptr, a, b)
            entries["value"] = values(a, b)
            entries = entries[(entries["row"] >= start) & (entries["row"] < stop)]
            with _room():
                _scatter(file, entries, band_of_row[entries["row"] - start], cursors)
        for (low, high), begin, size in zip(bands, begins, sizes, strict=False):
            with _room():
                file.seek(int(begin))
                entries = np.frombuffer(file.read(int(size) * dtype.itemsize), dtype=dtype)
            # In a band the columns ascend, as they were read; a stable sort leaves them so.
            order = np.argsort(entries["row"], kind="stable")
            pointer = np.concatenate([[0], np.cumsum(lengths[low:high])])
            loaded = (entries["column"][order].astype(np.int32), entries["value"][order])
            yield base.RowBlock(start + low, pointer, 0, partial(base.given, loaded))


def _slices(n_values: int) -> Iterator[tuple[int, int]]:
    for a in range(0, n_values, base.BLOCK_VALUES):
        yield a, min(a + base.BLOCK_VALUES, n_values)


def _row_lengths(n_values: int, indices: Slice, n_rows: int) -> NDArray[np.int64]:
    lengths = np.zeros(n_rows, dtype=np.int64)
    for a, b in _slices(n_values):
        rows = indices(a, b).astype(np.int64)
        if len(rows) and (int(rows.min()) < 0 or int(rows.max()) >= n_rows):
            raise ValueError("a row index is out of range")
        lengths += np.bincount(rows, minlength=n_rows)
    return lengths


def _columns(indptr: NDArray[np.int64], a: int, b: int) -> NDArray[np.int64]:
    """Return the column of the entries from ``a`` to ``b``; a column may be cut by either."""
    low = int(np.searchsorted(indptr, a, side="right")) - 1
    high = int(np.searchsorted(indptr, b, side="left"))
    edges = np.clip(indptr[low : high + 1], a, b)
    return np.repeat(np.arange(low, high), edges[1:] - edges[:-1])


def _scatter(
    file: IO[bytes],
    entries: NDArray[np.void],
    band: NDArray[np.int64],
    cursors: NDArray[np.int64],
) -> None:
    order = np.argsort(band, kind="stable")
    entries, band = entries[order], band[order]
    edges = np.flatnonzero(np.diff(band, prepend=-1, append=-1))
    for a, b in pairwise(edges):
        raw = entries[a:b].tobytes()
        file.seek(int(cursors[band[a]]))
        file.write(raw)
        cursors[band[a]] += len(raw)


def _no_room(why: str) -> StorageError:
    wrong = f"a matrix stored gene by gene cannot be turned into rows here ({why})"
    remedy = "make room there, or name another folder in the environment variable TMPDIR"
    return StorageError.one(tempfile.gettempdir(), "", wrong, remedy)


def _need_room(n_bytes: int) -> None:
    free = shutil.disk_usage(tempfile.gettempdir()).free
    if free < n_bytes:
        raise _no_room(f"{n_bytes / 1e9:,.1f} GB are needed, {free / 1e9:,.1f} GB are free")


@contextmanager
def _room() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _no_room(str(error)) from error
