"""HDF5 files with sparse matrices: opened, checked, and read in row blocks."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from targetscore.errors import AtlasError
from targetscore.formats.base import RowBlock, row_ranges
from targetscore.formats.chunks import Stored, damaged
from targetscore.formats.turn import turned_rows

__all__ = [
    "check_sparse",
    "open_hdf5",
    "row_lengths",
    "sparse_columns",
    "sparse_rows",
    "sparse_sample",
    "three_ranges",
]

_FEW = 200_000


def open_hdf5(location: str, kind: str) -> h5py.File:
    """Open an HDF5 file for reading, with all decompressors there are.

    Parameters
    ----------
    location
        The file.
    kind
        What it should be, for messages: ``an h5ad file``.

    Raises
    ------
    AtlasError
        If it is not an HDF5 file, or cut short.
    """
    import hdf5plugin  # noqa: F401

    if Path(location).is_dir():
        remedy = "name the file, or correct the format"
        raise AtlasError.one(location, "", f"is a folder, not {kind}", remedy)
    try:
        return h5py.File(location, "r")
    except (OSError, RuntimeError) as error:
        size = Path(location).stat().st_size if Path(location).is_file() else 0
        raise AtlasError.one(
            location,
            "",
            f"cannot be opened as {kind} of {size:,} bytes ({error})",
            "it is probably truncated or not HDF5; delete it and fetch it again",
        ) from error


def _place(matrix: h5py.Group, name: str = "") -> str:
    return f"{matrix.name}/{name}".strip("/")


def check_sparse(matrix: h5py.Group, n_major: int, location: str) -> tuple[Stored, Stored]:
    """Check the parts of a sparse matrix against each other, without reading values.

    Parameters
    ----------
    matrix
        Group with ``indptr``, ``indices`` and ``data``.
    n_major
        Rows of a matrix in row order, columns of one in column order.
    location
        The file.

    Returns
    -------
    indices, data
        Where the minor indices and the values are read from.

    Raises
    ------
    MatrixError
        If a part is missing, or they do not fit together.
    """
    for name in ("indptr", "indices", "data"):
        if not isinstance(matrix.get(name), h5py.Dataset):
            raise damaged(location, _place(matrix), f"it has no {name}")
    indptr, indices, data = (Stored(matrix[n], location) for n in ("indptr", "indices", "data"))
    for part in (indptr, indices):
        if part.dtype.kind not in "iu":
            raise damaged(location, part.place, f"it holds {part.dtype}, not whole numbers")
    if indptr.size != n_major + 1:
        wrong = f"{indptr.size:,} pointers for a matrix of {n_major:,}"
        raise damaged(location, indptr.place, wrong)
    if indices.size != data.size:
        wrong = f"{indices.size:,} indices for {data.size:,} values"
        raise damaged(location, indices.place, wrong)
    return indices, data


def _pointer(
    matrix: h5py.Group, n_values: int, start: int, stop: int, location: str
) -> NDArray[np.int64]:
    """Return where rows (or columns) begin among the values, shape ``(stop - start + 1,)``."""
    stored = Stored(matrix["indptr"], location)
    pointer = stored.read(start, stop + 1).astype(np.int64)
    if pointer[0] < 0 or pointer[-1] > n_values or (np.diff(pointer) < 0).any():
        wrong = "it does not ascend from 0 to the number of values"
        raise damaged(location, stored.place, wrong)
    end = n_values if stop == stored.size - 1 else pointer[-1]
    if (start == 0 and pointer[0] > 0) or pointer[-1] != end:
        wrong = f"it leaves out some of the {n_values:,} values"
        raise damaged(location, stored.place, wrong)
    return pointer


def row_lengths(
    matrix: h5py.Group, n_rows: int, location: str, start: int, stop: int
) -> NDArray[np.int64]:
    """Return the stored values of each row, shape ``(stop - start,)``.

    Parameters
    ----------
    matrix, n_rows, location, start, stop
        As in :func:`sparse_rows`.
    """
    _, data = check_sparse(matrix, n_rows, location)
    return np.diff(_pointer(matrix, data.size, start, stop, location))


def sparse_rows(
    matrix: h5py.Group, n_rows: int, location: str, start: int, stop: int
) -> Iterator[RowBlock]:
    """Yield rows of a group with ``indptr``, ``indices`` and ``data`` in row order (CSR).

    Parameters
    ----------
    matrix
        The group; its file is closed when the last block that reads from it is gone.
    n_rows
        Rows of the whole matrix.
    location
        The file.
    start, stop
        Rows wanted.

    Raises
    ------
    MatrixError
        If the parts do not fit together.
    """
    indices, data = check_sparse(matrix, n_rows, location)
    pointer = _pointer(matrix, data.size, start, stop, location)
    for low, high in row_ranges(pointer):
        a, b = int(pointer[low]), int(pointer[high])
        n_bytes = indices.stored_bytes(a, b) + data.stored_bytes(a, b)
        load = partial(_load, indices, data, a, b)
        yield RowBlock(start + low, pointer[low : high + 1] - a, n_bytes, load)


def _load(indices: Stored, data: Stored, a: int, b: int) -> tuple[NDArray[Any], NDArray[Any]]:
    return indices.read(a, b), data.read(a, b)


def sparse_columns(
    matrix: h5py.Group, shape: tuple[int, int], location: str, start: int, stop: int
) -> Iterator[RowBlock]:
    """Yield rows of a group with ``indptr``, ``indices`` and ``data`` in column order (CSC).

    Parameters
    ----------
    matrix
        The group.
    shape
        Rows and columns of the matrix.
    location, start, stop
        As in :func:`sparse_rows`.

    Raises
    ------
    MatrixError
        If the parts do not fit together.
    """
    indices, data = check_sparse(matrix, shape[1], location)
    indptr = _pointer(matrix, data.size, 0, shape[1], location)
    yield from turned_rows(indptr, indices.read, data.read, shape, start, stop)


def sparse_sample(matrix: h5py.Group, n_major: int, location: str) -> list[NDArray[Any]]:
    """Return the first, middle and last few values of a sparse matrix.

    Parameters
    ----------
    matrix, n_major, location
        As in :func:`check_sparse`.

    Raises
    ------
    MatrixError
        If the parts do not fit together, or the values cannot be read.
    """
    _, data = check_sparse(matrix, n_major, location)
    return [data.read(a, b) for a, b in three_ranges(data.size, _FEW)]


def three_ranges(n: int, few: int) -> list[tuple[int, int]]:
    """Return the first, middle and last few of ``n`` things as ranges, fewer if they overlap."""
    return [(a, min(a + few, n)) for a in sorted({0, n // 2, max(n - few, 0)})]
