"""What free RNA of the same sample could show in cells that do not express a gene (C1)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binom

from targetscore.contracts import SAMPLE_KEY
from targetscore.libraries import bin_centres
from targetscore.score.load import Profiles, sum_cells

Floats = NDArray[np.float64]
AMBIENT_QUANTILE = 0.975
SAMPLE = ("atlas", *SAMPLE_KEY)


def ambient_cells(sizes: ArrayLike, weights: ArrayLike, rate: ArrayLike) -> Floats:
    """Return how many cells would show a gene by free RNA alone.

    A cell of library ``s`` holds ``mu = rate · s`` ambient UMI of the gene and shows it with
    probability ``1 − exp(−mu)``; ``rate = rho · CPM_sample / 1e6`` (C1).

    Parameters
    ----------
    sizes, weights
        Library sizes in UMI and cells of each size, shape ``(n_bins,)``.
    rate
        UMI of free RNA at most per UMI of a library, of each gene, shape ``(n_genes,)``.

    Returns
    -------
    numpy.ndarray
        Expected number of cells that show the gene, shape ``(n_genes,)``.
    """
    mu = np.outer(np.asarray(sizes, dtype=np.float64), np.asarray(rate, dtype=np.float64))
    return np.asarray(weights, dtype=np.float64) @ -np.expm1(-mu)


def ambient_explains(detected: ArrayLike, cells: ArrayLike, expected: ArrayLike) -> NDArray:
    """Tell where cells show a gene no more often than free RNA may make them.

    Parameters
    ----------
    detected, cells, expected
        Cells with a count, all cells, and cells that free RNA alone is expected to show.

    Returns
    -------
    numpy.ndarray
        Whether ``0 < detected ≤`` the 97.5 % point of ``Binomial(cells, expected / cells)``.
        False where nothing was detected: there is nothing to explain.
    """
    k, n = np.asarray(detected, dtype=np.float64), np.asarray(cells, dtype=np.float64)
    share = np.divide(expected, n, out=np.zeros(n.shape), where=n > 0)
    return (k > 0) & (k <= binom.ppf(AMBIENT_QUANTILE, n, np.clip(share, 0.0, 1.0)))


def ambient_expected(
    profiles: Profiles, groups: pd.DataFrame, genes: Sequence[str], fraction: float
) -> Floats:
    """Return how many cells of each group free RNA of its sample may show.

    Where droplets without a cell measured it, its share and profile are theirs. Elsewhere the
    share is ``fraction`` and ``CPM_sample`` is what the other cell types add to the sample: a
    lineage that does not express a gene adds nothing to it, and must not be explained by its
    own expression. Plates have no common soup: outside droplets nothing is explained, and an
    unknown assay gets no benefit of the doubt.

    Parameters
    ----------
    profiles
        What was read.
    groups
        Rows of ``profiles.groups``.
    genes
        Ensembl ids.
    fraction
        Largest share of a cell's UMI that is ambient (0–1); 0 explains nothing anywhere.

    Returns
    -------
    numpy.ndarray
        Expected cells, shape ``(n_rows, n_genes)``; 0 where the gene was not measured.
    """
    expected = np.zeros((len(groups), len(genes)))
    if not fraction:
        return expected
    here = profiles.groups[profiles.groups["atlas"].isin(groups["atlas"].unique())]
    everyone = sum_cells(profiles, here, SAMPLE, genes)
    own = sum_cells(profiles, here, (*SAMPLE, "cell_type_id"), genes)
    sample = _places(everyone.units, SAMPLE)
    lineage = _places(own.units, (*SAMPLE, "cell_type_id"))
    library = everyone.units["library_counts"].to_numpy(np.float64)
    for i, row in enumerate(groups.to_dict("records")):
        key = tuple(row[k] for k in SAMPLE)
        whole = sample[key]
        if row["assay_class"] != "droplet" or not library[whole]:
            continue
        seen = profiles.free_rna.get(key)
        if seen is None:
            self = lineage[(*key, row["cell_type_id"])]
            others = everyone.counts[whole] - own.counts[self]
            rate = fraction * others / library[whole]
        else:
            rate = np.array([seen.get(gene, 0.0) for gene in genes])
        sizes = bin_centres(row["library_bin"])
        expected[i] = ambient_cells(sizes, row["library_cells"], rate)
    return expected


def _places(units: pd.DataFrame, keys: Sequence[str]) -> dict[tuple[object, ...], int]:
    rows = units[list(keys)].itertuples(index=False, name=None)
    return {key: i for i, key in enumerate(rows)}
