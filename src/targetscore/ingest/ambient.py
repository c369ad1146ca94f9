"""How much of a gene ambient RNA can explain: a bound per sample (C1, F4).

Droplets share the RNA of cells that burst, so a cell shows some counts of genes it does not
make. Expected at most, in a cell of library size s: ``mu = rho * CPM / 1e6 * s``. Where the
matrix still holds barcodes without a cell, CPM is that of those barcodes and rho is their
size against that of cells; else CPM is that of the sample's cells and rho the upper default.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from targetscore.errors import ContractError

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
    """The ambient bound of one sample.

    Attributes
    ----------
    sample
        Number of the sample, from 0.
    source
        ``empty_droplets``, ``sample_profile``, or ``none`` (no cell with a library).
    share
        rho: share of a cell's library that is ambient, at most, 0–1; NaN without a source.
    n_cells, n_empty
        Cells of the sample, and barcodes taken as empty.
    rate
        Ambient UMI expected at most per UMI of the library (masked genes left out of the
        library, not of the rate), ``(n_genes,)``; NaN without a source.
    """

    sample: int
    source: str
    share: float
    n_cells: int
    n_empty: int
    rate: Floats


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


def detection_bound(mean: Floats, cells: Floats | None = None) -> int:
    """Return how many cells ambient RNA alone lets a gene be detected in: the 97.5 % bound.

    A cell shows the gene with probability ``1 - exp(-mean)``. The number of such cells is
    bounded by the binomial of the average probability, which spreads wider than the true sum
    of unequal chances (Hoeffding 1956, doi:10.1214/aoms/1177728178).

    Parameters
    ----------
    mean
        Ambient UMI of the gene expected at most in a cell (``rate * library size``; for
        detection thinned to N UMI, ``rate * min(library size, N)``), ``(n,)``.
    cells
        How many cells each entry stands for, ``(n,)``; one each if not given.
    """
    from scipy.stats import binom  # slow to import, and only the bound needs it

    weights = np.ones(len(mean)) if cells is None else np.asarray(cells, dtype=np.float64)
    n = weights.sum()
    if n == 0:
        return 0
    chance = float(weights @ -np.expm1(-np.asarray(mean, dtype=np.float64)) / n)
    return int(binom.ppf(_UPPER, round(n), min(chance, 1.0)))


def ambient_explainable(n_detected: float, mean: Floats, cells: Floats | None = None) -> bool:
    """Tell whether ambient RNA alone can explain that a gene was detected (C1).

    Only a group in which something was detected has anything to explain; with nothing
    detected the answer is False. To be asked of lineages that do not express the gene.

    Parameters
    ----------
    n_detected
        Cells in which the gene was detected; thinned detection may be fractional.
    mean, cells
        As for :func:`detection_bound`.
    """
    return 0 < n_detected <= detection_bound(mean, cells)


def measure_ambient(
    blocks: Iterable[tuple[int, sp.csr_matrix]],
    samples: Integers,
    is_cell: NDArray[np.bool_],
    masked: NDArray[np.bool_],
) -> list[SampleAmbient]:
    """Measure the ambient bound of every sample in one pass over the matrix.

    Barcodes that are not cells and hold 1 to :data:`EMPTY_UMI` UMI are taken as empty. They
    give the profile if a sample has :data:`MIN_EMPTY` of them with :data:`MIN_EMPTY_UMI` UMI;
    rho is then their 97.5 % library size over the median library of the sample's cells. If
    that size lies within a tenth of the cut, droplets hold more than the cut lets us see, and
    rho is not taken below the default.

    Parameters
    ----------
    blocks
        ``(first row, counts)`` of the atlas.
    samples
        Number of the sample of each matrix row, from 0; negative: of no sample; ``(n_rows,)``.
    is_cell
        Whether a row is a cell that is used, ``(n_rows,)``.
    masked
        Genes left out of the library size, ``(n_genes,)``.

    Returns
    -------
    list of SampleAmbient
        In order of sample number.

    Raises
    ------
    ContractError
        If the labels and the matrix have different numbers of rows.
    """
    n_samples = int(samples.max(initial=-1)) + 1
    library = np.zeros(len(samples), dtype=np.int64)
    empty = np.zeros(len(samples), dtype=bool)
    in_cells = np.zeros((n_samples, len(masked)), dtype=np.int64)
    in_empty = np.zeros((n_samples, len(masked)), dtype=np.int64)
    end = 0
    for first, counts in blocks:
        end = first + counts.shape[0]
        rows = slice(first, end)
        if end > len(samples):
            break
        total = np.asarray(counts.sum(axis=1)).ravel()
        library[rows] = counts @ (~masked).astype(np.int64)
        here = samples[rows]
        empty[rows] = ~is_cell[rows] & (total >= 1) & (total <= EMPTY_UMI) & (here >= 0)
        _add(in_cells, counts, here, is_cell[rows] & (here >= 0))
        _add(in_empty, counts, here, empty[rows])
    if end != len(samples):
        wrong = f"{len(samples):,} labels for another number of rows"
        raise ContractError.one("ambient", "rows", wrong, "delete the stage's files and run again")
    of_cells, of_empty = is_cell & (library > 0), empty & (library > 0)
    return [
        _sample(
            s,
            library[of_cells & (samples == s)],
            library[of_empty & (samples == s)],
            in_cells[s],
            in_empty[s],
        )
        for s in range(n_samples)
    ]


def _add(
    sums: Integers, counts: sp.csr_matrix, samples: Integers, chosen: NDArray[np.bool_]
) -> None:
    """Add the chosen rows to the sums of their samples."""
    rows = np.flatnonzero(chosen)
    present = np.unique(samples[rows])
    which = np.searchsorted(present, samples[rows])
    by_sample = sp.csr_matrix(
        (np.ones(len(rows), dtype=np.int64), (which, rows)), shape=(len(present), counts.shape[0])
    )
    sums[present] += (by_sample @ counts).toarray()


def _sample(
    sample: int, cells: Integers, empties: Integers, in_cells: Integers, in_empty: Integers
) -> SampleAmbient:
    n_cells, n_empty = len(cells), len(empties)
    if n_cells and n_empty >= MIN_EMPTY and in_empty.sum() >= MIN_EMPTY_UMI:
        size = float(np.quantile(empties, _UPPER))
        share = min(size / float(np.median(cells)), 1.0)
        if size >= _PRESSED * EMPTY_UMI * empties.sum() / in_empty.sum():
            share = max(share, SHARE_UPPER)
        rate = ambient_rate(in_empty, float(empties.sum()), share)
        return SampleAmbient(sample, "empty_droplets", share, n_cells, n_empty, rate)
    if n_cells:
        rate = ambient_rate(in_cells, float(cells.sum()))
        return SampleAmbient(sample, "sample_profile", SHARE_UPPER, n_cells, n_empty, rate)
    nothing = np.full(len(in_cells), np.nan)
    return SampleAmbient(sample, "none", float("nan"), 0, n_empty, nothing)
