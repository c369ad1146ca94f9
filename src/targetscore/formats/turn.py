"""Turn a matrix stored gene by gene (CSC) into blocks of rows, in bounded memory.

The entries are sorted into bands of rows in one temporary file, whose places are known in
advance because the entries per row were counted first.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from targetscore.formats.base import BLOCK_VALUES, RowBlock, given, row_ranges

__all__ = ["turned_rows"]

Slice = Callable[[int, int], NDArray[Any]]


def turned_rows(
    indptr: NDArray[np.int64],
    indices: Slice,
    values: Slice,
    shape: tuple[int, int],
    start: int,
    stop: int,
) -> Iterator[RowBlock]:
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
    """
    lengths = _row_lengths(int(indptr[-1]), indices, shape[0])[start:stop]
    bands = list(row_ranges(np.concatenate([[0], np.cumsum(lengths)])))
    dtype = np.dtype([("row", np.int64), ("column", np.int64), ("value", values(0, 0).dtype)])
    sizes = np.array([lengths[a:b].sum() for a, b in bands], dtype=np.int64)
    begins = np.concatenate([[0], np.cumsum(sizes)]) * dtype.itemsize
    band_of_row = np.repeat(np.arange(len(bands)), [b - a for a, b in bands])
    with tempfile.TemporaryFile() as file:
        cursors = begins[:-1].copy()
        for low, high in row_ranges(indptr):
            a, b = int(indptr[low]), int(indptr[high])
            entries = np.empty(b - a, dtype=dtype)
            entries["row"] = indices(a, b)
            entries["column"] = np.repeat(np.arange(low, high), np.diff(indptr[low : high + 1]))
            entries["value"] = values(a, b)
            entries = entries[(entries["row"] >= start) & (entries["row"] < stop)]
            entries["row"] -= start
            _scatter(file.fileno(), entries, band_of_row[entries["row"]], cursors)
        for (low, high), begin, end in zip(bands, begins[:-1], begins[1:], strict=True):
            raw = os.pread(file.fileno(), int(end - begin), int(begin))
            entries = np.frombuffer(raw, dtype=dtype)
            order = np.lexsort((entries["column"], entries["row"]))
            pointer = np.concatenate([[0], np.cumsum(lengths[low:high])])
            loaded = (entries["column"][order], entries["value"][order])
            yield RowBlock(start + low, pointer, 0, partial(given, loaded))


def _row_lengths(n_values: int, indices: Slice, n_rows: int) -> NDArray[np.int64]:
    lengths = np.zeros(n_rows, dtype=np.int64)
    for a in range(0, n_values, BLOCK_VALUES):
        rows = indices(a, min(a + BLOCK_VALUES, n_values)).astype(np.int64)
        if len(rows) and (int(rows.min()) < 0 or int(rows.max()) >= n_rows):
            raise ValueError("a row index is out of range")
        lengths += np.bincount(rows, minlength=n_rows)
    return lengths


def _scatter(
    descriptor: int, entries: NDArray[np.void], band: NDArray[np.int64], cursors: NDArray[np.int64]
) -> None:
    order = np.argsort(band, kind="stable")
    entries, band = entries[order], band[order]
    edges = np.flatnonzero(np.diff(band, prepend=-1, append=-1))
    for a, b in pairwise(edges):
        raw = entries[a:b].tobytes()
        os.pwrite(descriptor, raw, int(cursors[band[a]]))
        cursors[band[a]] += len(raw)
