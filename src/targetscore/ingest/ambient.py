"""How much of a gene ambient RNA can explain: read off the barcodes without a cell (C1, F4).

Droplets share the RNA of cells that burst, so a cell shows some counts of genes it does not
make. Expected at most, in a cell of library size s: ``mu = rho * CPM / 1e6 * s``, where CPM is
that of the barcodes without a cell and rho is their size against that of cells.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

SHARE_UPPER = 0.05
"""Share of a cell's UMI that is ambient, at most, where nothing measures it (C1)."""

EMPTY_UMI = 100
"""A barcode with at most so many UMI holds no cell (doi:10.1186/s13059-019-1662-y)."""

MIN_EMPTY = 200
MIN_EMPTY_UMI = 5_000
_PRESSED = 0.9
_UPPER = 0.975


@dataclass(frozen=True)
class SampleAmbient:
    """The ambient RNA of one sample.

    Attributes
    ----------
    n_empty
        Barcodes taken as empty.
    share
        rho: share of a cell's library that is ambient, at most, 0–1; NaN if not measured.
    rate
        Ambient UMI expected at most per UMI of the library (masked genes left out of the
        library, not of the rate), ``(n_genes,)``; None if not measured.
    """

    n_empty: int
    share: float
    rate: Floats | None


def ambient_rate(counts: Integers | Floats, library: float, share: float = SHARE_UPPER) -> Floats:
    """Return ambient UMI per UMI of library, at most: ``share * counts / library`` (C1).

    Parameters
    ----------
    counts
        Counts of each gene summed over the profile's barcodes, ``(n_genes,)``.
    library
        Sum of their library sizes, masked genes left out, in UMI; above 0.
    share
        rho, 0–1.
    """
    return share * np.asarray(counts, dtype=np.float64) / library


class AmbientSums:
    """Adds up the barcodes without a cell of every sample, block by block.

    Barcodes that are not cells and hold 1 to :data:`EMPTY_UMI` UMI are taken as empty.

    Parameters
    ----------
    samples
        Number of the sample of each matrix row, from 0; negative: of no sample; ``(n_rows,)``.
    is_cell
        Whether a row is a cell that is used, ``(n_rows,)``.
    masked
        Genes left out of the library size, ``(n_genes,)``.
    """

    def __init__(
        self, samples: Integers, is_cell: NDArray[np.bool_], masked: NDArray[np.bool_]
    ) -> None:
        self._samples, self._is_cell = samples, is_cell
        self._counted = (~masked).astype(np.int64)
        self._library = np.zeros(len(samples), dtype=np.int64)
        self._empty = np.zeros(len(samples), dtype=bool)
        self._possible = np.unique(samples[~is_cell & (samples >= 0)])
        self._sums = np.zeros((len(self._possible), len(masked)), dtype=np.int64)

    def add(self, first: int, counts: sp.csr_matrix) -> None:
        """Add some consecutive rows of the matrix, each row once."""
        rows = slice(first, first + counts.shape[0])
        total = np.asarray(counts.sum(axis=1)).ravel()
        self._library[rows] = counts @ self._counted
        here = self._samples[rows]
        empty = ~self._is_cell[rows] & (total >= 1) & (total <= EMPTY_UMI) & (here >= 0)
        self._empty[rows] = empty
        chosen = np.flatnonzero(empty)
        place = np.searchsorted(self._possible, here[chosen])
        by_sample = sp.csr_matrix(
            (np.ones(len(chosen), dtype=np.int64), (place, chosen)),
            shape=(len(self._possible), counts.shape[0]),
        )
        found = (by_sample @ counts).tocoo()
        self._sums[found.row, found.col] += found.data

    def measured(self, n_samples: int) -> list[SampleAmbient]:
        """Return what the empty barcodes of each sample say, in order of sample number.

        A sample is measured if it has cells, and :data:`MIN_EMPTY` empty barcodes with
        :data:`MIN_EMPTY_UMI` UMI: they give the profile, and rho is their 97.5 % library size
        over the median library of the cells. If that size lies within a tenth of the cut,
        droplets hold more than the cut lets us see, and rho is not taken below the default.

        Parameters
        ----------
        n_samples
            How many samples there are.
        """
        found = [SampleAmbient(0, float("nan"), None) for _ in range(n_samples)]
        filled = self._library > 0
        for place, sample in enumerate(self._possible):
            own = filled & (self._samples == sample)
            cells = self._library[own & self._is_cell]
            empties = self._library[own & self._empty]
            found[sample] = _measure(cells, empties, self._sums[place])
        return found


def _measure(cells: Integers, empties: Integers, counts: Integers) -> SampleAmbient:
    n_empty, total = len(empties), int(counts.sum())
    if not len(cells) or n_empty < MIN_EMPTY or total < MIN_EMPTY_UMI:
        return SampleAmbient(n_empty, float("nan"), None)
    size = float(np.quantile(empties, _UPPER))
    share = min(size / float(np.median(cells)), 1.0)
    if size >= _PRESSED * EMPTY_UMI * empties.sum() / total:
        share = max(share, SHARE_UPPER)
    return SampleAmbient(n_empty, share, ambient_rate(counts, float(empties.sum()), share))
