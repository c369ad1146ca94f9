"""Undo the filters of HDF5 chunks outside the library, which would hold all threads up.

HDF5 also never compares how much a chunk inflates to with how much it should: a short one is
filled up with whatever was in memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

zlib: Any
try:
    zlib = import_module("isal.isal_zlib")
except ImportError:  # no build of it for this processor
    zlib = import_module("zlib")

__all__ = ["KNOWN", "undone"]

_DEFLATE, _SHUFFLE = h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE
_FLETCHER32, _LZF, _ZSTD = h5py.h5z.FILTER_FLETCHER32, h5py.h5z.FILTER_LZF, 32015
_CHECKSUM = 4
_MOST_INFLATED = 1032  # bytes that one byte can inflate to (RFC 1951: 258 bytes in 2 bits)
_BOUNDED = 1 << 27

KNOWN = frozenset({_DEFLATE, _SHUFFLE, _FLETCHER32, _LZF, _ZSTD})
"""Filters that can be undone here."""

Bytes = bytes | NDArray[np.uint8]


def undone(stored: bytes, filters: Sequence[int], n_bytes: int, itemsize: int) -> Bytes:
    """Return the bytes of a chunk as they were before filters were applied.

    Parameters
    ----------
    stored
        The chunk as the file holds it.
    filters
        Filters applied to it, in this order, all :data:`KNOWN`.
    n_bytes
        Bytes it must be.
    itemsize
        Bytes of one value.

    Raises
    ------
    ValueError
        If it is damaged, or does not hold as many bytes as it must.
    """
    raw: Bytes = stored
    expected = n_bytes + _CHECKSUM * list(filters).count(_FLETCHER32)
    for number in reversed(filters):
        if number == _FLETCHER32:
            raw, expected = _checked(raw), expected - _CHECKSUM
        elif number == _DEFLATE:
            raw = _inflated(raw, expected)
        elif number == _ZSTD:
            raw = _from_zstd(raw, expected)
        elif number == _LZF:
            raw = _from_lzf(raw, expected)
        else:
            raw = _joined(raw, itemsize)
    return _sized(raw, n_bytes)


def _sized(raw: Bytes, n_bytes: int) -> Bytes:
    if len(raw) != n_bytes:
        much = f"more than {n_bytes:,}" if len(raw) > n_bytes else f"{len(raw):,}"
        raise ValueError(f"a piece of it holds {much} bytes instead of {n_bytes:,}")
    return raw


def _inflated(raw: Bytes, n_bytes: int) -> bytes:
    try:
        if len(raw) * _MOST_INFLATED <= _BOUNDED:
            return zlib.decompress(raw, bufsize=n_bytes)
        # Slower by 4 %; stops one byte after the end, however much a lying piece inflates to.
        stream = zlib.decompressobj()
        values = stream.decompress(raw, n_bytes + 1)
    except zlib.error as error:
        raise ValueError(str(error)) from error
    if not stream.eof and len(values) <= n_bytes:
        raise ValueError("incomplete or truncated stream")
    return values


def _from_zstd(raw: Bytes, n_bytes: int) -> bytes:
    try:
        return pa.Codec("zstd").decompress(raw, n_bytes, asbytes=True)
    except OSError as error:
        raise ValueError(f"{error}, {n_bytes:,} bytes expected") from error


def _from_lzf(raw: Bytes, n_bytes: int) -> Bytes:
    from targetscore.formats.lzf import decompress

    values = np.empty(n_bytes, dtype=np.uint8)
    length = decompress(np.frombuffer(raw, np.uint8), values)
    if length < 0:
        raise ValueError(f"a piece of it is damaged or holds more than {n_bytes:,} bytes")
    return values[:length]


def _joined(raw: Bytes, itemsize: int) -> Bytes:
    """Undo the shuffle filter, which stores first bytes, second bytes, … of all values."""
    if len(raw) % itemsize:
        raise ValueError(f"a piece of it holds {len(raw):,} bytes, no multiple of {itemsize}")
    planes = np.frombuffer(raw, np.uint8).reshape(itemsize, -1)
    values = np.empty((planes.shape[1], itemsize), dtype=np.uint8)
    for i, plane in enumerate(planes):  # one by one, six times as fast as a transposed copy
        values[:, i] = plane
    return values.ravel()


def _checked(raw: Bytes) -> Bytes:
    """Remove the Fletcher checksum at the end after comparing it."""
    values, stored = np.frombuffer(raw, np.uint8)[:-_CHECKSUM], bytes(raw[-_CHECKSUM:])
    if int.from_bytes(stored, "little") != fletcher32(values):
        raise ValueError("a piece of it does not have its checksum")
    return values


def fletcher32(values: NDArray[np.uint8]) -> int:
    """Return the Fletcher checksum of bytes, as HDF5 computes it (RFC 1146, 16-bit words).

    Parameters
    ----------
    values
        Shape ``(n_bytes,)``; an odd last byte is the upper half of a word.
    """
    even = values if len(values) % 2 == 0 else np.append(values, np.uint8(0))
    words = even.view(">u2").astype(np.uint64)
    first, second = 0, 0
    for start in range(0, len(words), 1 << 20):  # short enough that no sum passes 64 bits
        part = words[start : start + (1 << 20)]
        second += first * len(part)
        second += int((part * np.arange(len(part), 0, -1, dtype=np.uint64)).sum())
        first += int(part.sum())
    return _folded(second) << 16 | _folded(first)


def _folded(total: int) -> int:
    """Return a sum modulo 65,535, where a sum that is not 0 never becomes 0."""
    return (total - 1) % 0xFFFF + 1 if total else 0
