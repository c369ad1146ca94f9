"""Read HDF5 datasets of numbers from several threads, inflating outside the library."""

from __future__ import annotations

import math
import os
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from targetscore.errors import MatrixError, plain
from targetscore.formats import filters
from targetscore.formats.base import BROKEN

__all__ = ["Stored", "damaged", "reading"]

_REWRITE = "write it again as one gzip file: anndata.read_h5ad(file).write_h5ad(new, 'gzip')"


def damaged(file: object, place: str, why: object) -> MatrixError:
    """Return the error for a matrix whose stored bytes cannot be what they should be."""
    wrong = f"the matrix cannot be read ({plain(why)})"
    return MatrixError.one(file, place, wrong, "delete the file and fetch it again")


@contextmanager
def reading(file: object, place: str) -> Iterator[None]:
    """Turn what libraries raise while a matrix is read into a :class:`MatrixError`."""
    try:
        yield
    except BROKEN as error:
        raise damaged(file, place, f"{type(error).__name__}: {error}") from error


class Stored:
    """Numbers in an HDF5 file, read row by row (or value by value) by any thread.

    HDF5 inflates chunk by chunk under one lock, with zlib. Here the stored bytes of chunks are
    read past it and inflated by ISA-L, three times as fast on one core and on all cores at
    once; filters that are not :data:`filters.KNOWN` and other layouts go through h5py.

    Parameters
    ----------
    dataset
        The dataset; its file stays open as long as this is used.
    file
        Path of the file.
    n_dimensions
        Dimensions it must have, 1 or 2.

    Raises
    ------
    MatrixError
        If the dataset has other dimensions, is not whole, or is compressed in a way that
        cannot be read here.
    """

    def __init__(self, dataset: h5py.Dataset, file: str, n_dimensions: int = 1) -> None:
        self._dataset, self._file, self.place = dataset, file, str(dataset.name).lstrip("/")
        if dataset.ndim != n_dimensions:
            wrong = f"it has {dataset.ndim} dimensions instead of {n_dimensions}"
            raise damaged(file, self.place, wrong)
        _need_whole(dataset, file, self.place)
        self.shape, self.dtype = dataset.shape, dataset.dtype.newbyteorder("=")
        self._chunk_shape, self._filters = dataset.chunks, _filters(dataset)
        self._chunks = _chunk_table(dataset) if self._is_direct() else None
        self._descriptor = os.open(file, os.O_RDONLY)
        weakref.finalize(self, os.close, self._descriptor)
        self._file_size = os.fstat(self._descriptor).st_size

    @property
    def size(self) -> int:
        """Rows, or values if there is one dimension."""
        return int(self.shape[0])

    @property
    def rows_per_chunk(self) -> int:
        """Rows (or values) that are stored together, 1 if each can be read on its own."""
        return int(self._chunk_shape[0]) if self._chunk_shape else 1

    @property
    def columns_per_chunk(self) -> int:
        """Columns that are stored together, 1 if each can be read on its own."""
        return int(self._chunk_shape[1]) if self._chunk_shape else 1

    def _is_direct(self) -> bool:
        # Whether addresses count from the user block depends on the version of HDF5.
        addressed = self._chunk_shape is not None and self._dataset.file.userblock_size == 0
        plain_numbers = (
            self.dtype.kind in "iuf"
            and h5py.h5t.py_create(self._dataset.dtype) == self._dataset.id.get_type()
        )
        return addressed and plain_numbers and filters.KNOWN.issuperset(self._filters)

    def stored_bytes(self, start: int, stop: int) -> int:
        """Return how many bytes of the file hold some rows, to within a chunk."""
        share = self._dataset.id.get_storage_size() / max(self.size, 1)
        return round((stop - start) * share)

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Return some rows, shape ``(stop - start, …)``.

        Parameters
        ----------
        start, stop
            The rows, ``0 <= start <= stop <= size``.

        Raises
        ------
        MatrixError
            If a stored chunk is cut short, or does not inflate to its length.
        """
        return self._window((start, stop), *((0, n) for n in self.shape[1:]))

    def read_columns(self, start: int, stop: int) -> NDArray[Any]:
        """Return some columns of two-dimensional numbers, shape ``(n_rows, stop - start)``.

        Parameters
        ----------
        start, stop
            The columns, ``0 <= start <= stop <= shape[1]``.

        Raises
        ------
        MatrixError
            As in :meth:`read`.
        """
        return self._window((0, self.size), (start, stop))

    def _window(self, *ranges: tuple[int, int]) -> NDArray[Any]:
        """Return what lies between two places along each dimension."""
        if self._chunks is None:
            with reading(self._file, self.place):
                window = self._dataset[tuple(slice(a, b) for a, b in ranges)]
                return window.astype(self.dtype, copy=False)
        out = np.empty([b - a for a, b in ranges], dtype=self.dtype)
        if not out.size:
            return out
        widths = self._chunk_shape
        grid = [range(a // w, -(-b // w)) for (a, b), w in zip(ranges, widths, strict=True)]
        for number in product(*grid):
            values = self._chunk(self._chunks[number], number[0] * widths[0])
            to, taken = [], []
            for i, w, (a, b) in zip(number, widths, ranges, strict=True):
                low, high = max(a, i * w), min(b, (i + 1) * w)
                to.append(slice(low - a, high - a))
                taken.append(slice(low - i * w, high - i * w))
            out[tuple(to)] = values[tuple(taken)]
        return out

    def _chunk(self, stored: NDArray[np.int64], first: int) -> NDArray[Any]:
        # A chunk is inflated by whoever needs it; two neighbouring slices both inflate the one
        # they share, which is cheaper than handing it from thread to thread.
        address, size, skipped = (int(v) for v in stored)
        n_bytes = math.prod(self._chunk_shape) * self.dtype.itemsize
        applied = [f for i, f in enumerate(self._filters) if not skipped >> i & 1]
        try:
            if address + size > self._file_size:
                raise ValueError("the file ends inside a piece of it")
            raw = os.pread(self._descriptor, size, address)
            values = filters.undone(raw, applied, n_bytes, self.dtype.itemsize)
        except (OSError, OverflowError, ValueError) as error:
            what = "values" if len(self.shape) == 1 else "rows"
            raise damaged(self._file, f"{self.place}, {what} from {first:,}", error) from error
        return np.frombuffer(values, self._dataset.dtype).reshape(self._chunk_shape)


def _filters(dataset: h5py.Dataset) -> list[int]:
    created = dataset.id.get_create_plist()
    return [int(created.get_filter(i)[0]) for i in range(created.get_nfilters())]


def _need_whole(dataset: h5py.Dataset, file: str, place: str) -> None:
    """Raise unless all values were written, into this file, and can be read.

    HDF5 gives zeros for what was never written, and for other files that are not there.
    """
    own = os.path.samefile(dataset.file.filename, file)
    if dataset.is_virtual or dataset.external or not own:
        wrong = "its values are kept in other files, which no checksum covers"
        raise MatrixError.one(file, place, wrong, _REWRITE)
    unknown = [number for number in _filters(dataset) if not h5py.h5z.filter_avail(number)]
    if unknown:
        wrong = f"is compressed with HDF5 filters that cannot be read here: {unknown}"
        raise MatrixError.one(file, place, wrong, _REWRITE)
    if dataset.chunks is None:
        written = dataset.id.get_space_status() == h5py.h5d.SPACE_STATUS_ALLOCATED
        whole = written or dataset.size == 0
    else:
        whole = dataset.id.get_num_chunks() == math.prod(_grid(dataset))
    if not whole:
        raise damaged(file, place, "a piece of it was never written")


def _grid(dataset: h5py.Dataset) -> list[int]:
    return [-(-n // c) for n, c in zip(dataset.shape, dataset.chunks, strict=True)]


def _chunk_table(dataset: h5py.Dataset) -> NDArray[np.int64]:
    """Return address, size and skipped filters of each chunk, shape ``(…, 3)``."""
    table = np.zeros((*_grid(dataset), 3), dtype=np.int64)
    found: list[Any] = []
    dataset.id.chunk_iter(found.append)
    if found:
        place = np.array([chunk.chunk_offset for chunk in found]) // dataset.chunks
        facts = [(chunk.byte_offset, chunk.size, chunk.filter_mask) for chunk in found]
        table[tuple(place.T)] = facts
    return table
