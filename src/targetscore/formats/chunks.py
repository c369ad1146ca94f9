"""Read one-dimensional HDF5 datasets from several threads, inflating outside the library."""

from __future__ import annotations

import os
import weakref
from importlib import import_module
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from targetscore.errors import MatrixError

zlib: Any
try:
    zlib = import_module("isal.isal_zlib")
except ImportError:  # no build of it for this processor
    zlib = import_module("zlib")

__all__ = ["Vector", "damaged"]

_DEFLATE, _SHUFFLE = h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE


def damaged(file: object, place: str, why: object) -> MatrixError:
    """Return the error for a matrix whose stored bytes cannot be what they should be."""
    return MatrixError.one(
        file, place, f"the matrix cannot be read ({why})", "delete the file and fetch it again"
    )


class Vector:
    """A one-dimensional dataset of numbers, read in slices by any thread.

    HDF5 inflates chunk by chunk under one lock, with zlib. Here the stored bytes of
    gzip-compressed (or plain) chunks are read past it and inflated by ISA-L, three times as
    fast on one core and on all cores at once. Any other filter or layout goes through h5py.

    Parameters
    ----------
    dataset
        The dataset; its file stays open as long as this is used.
    file
        Path of the file.

    Raises
    ------
    MatrixError
        If the dataset is compressed in a way that cannot be read here.
    """

    def __init__(self, dataset: h5py.Dataset, file: str) -> None:
        self.size, self.dtype = int(dataset.shape[0]), dataset.dtype
        self._dataset, self._file, self._place = dataset, file, str(dataset.name).lstrip("/")
        self._filters = _filters(dataset)
        _need_filters(self._filters, file, self._place)
        self._stored = _stored_chunks(dataset) if self._is_direct() else None
        self._descriptor = os.open(file, os.O_RDONLY)
        weakref.finalize(self, os.close, self._descriptor)

    def _is_direct(self) -> bool:
        native = self.dtype.kind in "iuf" and self.dtype.isnative
        plain_file = self._dataset.file.userblock_size == 0
        known = self._filters in ([], [_DEFLATE], [_SHUFFLE, _DEFLATE])
        return native and plain_file and known and self._dataset.chunks is not None

    def stored_bytes(self, start: int, stop: int) -> int:
        """Return how many bytes of the file hold a slice, to within a chunk."""
        share = self._dataset.id.get_storage_size() / max(self.size, 1)
        return round((stop - start) * share)

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Return a slice.

        Parameters
        ----------
        start, stop
            The slice, ``0 <= start <= stop <= size``.

        Raises
        ------
        MatrixError
            If a stored chunk is cut short, is missing, or does not inflate to its length.
        """
        if self._stored is None:
            try:
                return self._dataset[start:stop]
            except (OSError, RuntimeError) as error:
                raise damaged(self._file, self._place, error) from error
        length = self._dataset.chunks[0]
        out = np.empty(stop - start, dtype=self.dtype)
        for number in range(start // length, -(-stop // length)):
            values = self._chunk(self._stored, number)
            first = number * length
            low, high = max(start, first), min(stop, first + length)
            out[low - start : high - start] = values[low - first : high - first]
        return out

    def _chunk(self, stored: NDArray[np.int64], number: int) -> NDArray[Any]:
        # A chunk is inflated by whoever needs it; two neighbouring slices both inflate the one
        # they share, which is cheaper than handing it from thread to thread.
        address, size, skipped = (int(v) for v in stored[number])
        n_bytes = self._dataset.chunks[0] * self.dtype.itemsize
        what = f"{self._place}, values from {number * self._dataset.chunks[0]:,}"
        if size == 0:
            raise damaged(self._file, what, "a piece of it was never written")
        raw = os.pread(self._descriptor, size, address)
        if len(raw) != size:
            raise damaged(self._file, what, "the file ends inside a piece of it")
        applied = [f for i, f in enumerate(self._filters) if not skipped >> i & 1]
        if _DEFLATE in applied:
            raw = self._inflate(raw, n_bytes, what)
        if len(raw) != n_bytes:
            wrong = f"a piece holds {len(raw):,} bytes instead of {n_bytes:,}"
            raise damaged(self._file, what, wrong)
        if _SHUFFLE in applied:
            planes = np.frombuffer(raw, np.uint8).reshape(self.dtype.itemsize, -1)
            return np.ascontiguousarray(planes.T).view(self.dtype).ravel()
        return np.frombuffer(raw, self.dtype)

    def _inflate(self, raw: bytes, n_bytes: int, what: str) -> bytes:
        try:
            return zlib.decompress(raw, bufsize=n_bytes)
        except zlib.error as error:
            raise damaged(self._file, what, error) from error


def _filters(dataset: h5py.Dataset) -> list[int]:
    created = dataset.id.get_create_plist()
    return [int(created.get_filter(i)[0]) for i in range(created.get_nfilters())]


def _need_filters(filters: list[int], file: str, place: str) -> None:
    """Load further decompressors where HDF5 has none, and refuse what none of them knows."""
    if all(h5py.h5z.filter_avail(number) for number in filters):
        return
    import hdf5plugin  # noqa: F401

    unknown = [number for number in filters if not h5py.h5z.filter_avail(number)]
    if unknown:
        wrong = f"is compressed with HDF5 filters that cannot be read here: {unknown}"
        remedy = "write it again with gzip: anndata.read_h5ad(file).write_h5ad(new, 'gzip')"
        raise MatrixError.one(file, place, wrong, remedy)


def _stored_chunks(dataset: h5py.Dataset) -> NDArray[np.int64]:
    """Return address, size and skipped filters of each chunk; size 0 where none was written."""
    length = dataset.chunks[0]
    table = np.zeros((-(-dataset.shape[0] // length), 3), dtype=np.int64)

    def note(chunk: Any) -> None:
        row = (chunk.byte_offset, chunk.size, chunk.filter_mask)
        table[chunk.chunk_offset[0] // length] = row

    dataset.id.chunk_iter(note)
    return table
