"""Libraries: their kind, and the histogram by which a profile remembers their sizes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

BINS_PER_OCTAVE = 16

_FULL_LENGTH = ("smart-seq", "smart seq", "smartseq", "smart", "fluidigm c1", "full-length")
_DROPLET = (
    "10x",
    "drop-seq",
    "seq-well",
    "indrop",
    "cite-seq",
    "bd rhapsody",
    "microwell",
    "sci-",
    "parse",
    "mars-seq",
    "cel-seq",
    "simulated droplet",
)


def assay_class(assay: str) -> str:
    """Return ``full_length``, ``droplet`` or ``unknown`` for the name of an assay."""
    name = assay.casefold()
    if any(word in name for word in _FULL_LENGTH):
        return "full_length"
    return "droplet" if any(word in name for word in _DROPLET) else "unknown"


def library_bins(sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the bin of each library size.

    Parameters
    ----------
    sizes
        Masked library sizes in UMI, shape ``(n_cells,)``, each at least 1.

    Returns
    -------
    numpy.ndarray
        ``floor(16 log2 size)``; a bin is 4.4 % wide.
    """
    return np.floor(BINS_PER_OCTAVE * np.log2(sizes)).astype(np.int64)


def bin_centres(bins: Sequence[int] | NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the geometric centre of each bin, in UMI."""
    return np.exp2((np.asarray(bins, dtype=np.float64) + 0.5) / BINS_PER_OCTAVE)
