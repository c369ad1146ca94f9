"""LZF, the fast compression of h5py: no kept library undoes it outside HDF5."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["decompress"]

_LITERAL, _LONG = 32, 7


@njit(cache=True, nogil=True)
def decompress(stored: NDArray[np.uint8], values: NDArray[np.uint8]) -> int:
    """Decompress into an array.

    A byte below 32 is followed by one more literal bytes than it says; any other holds the
    length (3 bits, 7: more in the next byte) and, with the byte after, the distance of an
    earlier piece to repeat.

    Parameters
    ----------
    stored
        The compressed bytes.
    values
        Filled from its start.

    Returns
    -------
    int
        Bytes that were filled; -1 if the input is cut short or nonsense, or has no room.
    """
    i, filled = 0, 0
    while i < len(stored):
        control = int(stored[i])
        i += 1
        if control < _LITERAL:
            n, source = control + 1, -1
            if i + n > len(stored):
                return -1
        else:
            n = control >> 5
            n_more = 2 if n == _LONG else 1
            if i + n_more > len(stored):
                return -1
            if n == _LONG:
                n += int(stored[i])
                i += 1
            n += 2
            source = filled - ((control & 31) << 8) - int(stored[i]) - 1
            i += 1
            if source < 0:
                return -1
        if filled + n > len(values):
            return -1
        for k in range(n):
            values[filled + k] = stored[i + k] if source < 0 else values[source + k]
        if source < 0:
            i += n
        filled += n
    return filled
