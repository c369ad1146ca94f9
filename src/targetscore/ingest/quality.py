"""Cells that are no evidence: hardly any RNA, or mostly that of mitochondria (C0).

Limits are those practitioners start from (doi:10.15252/msb.20188746,
doi:10.1038/s41576-023-00586-w); published atlases are filtered already, so few cells fail.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from targetscore.config.models import Quality

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]

MIN_MITOCHONDRIAL = 7
"""Mitochondrial genes an atlas must measure, of the 13 that make protein: with fewer their share
says little."""

MADS = 5.0
"""What lies so many median absolute deviations above the median of its sample is reported
(doi:10.1038/s41576-023-00586-w)."""

MIN_SAMPLE = 50
"""A sample with fewer cells has no outliers to report."""

REASONS = ("no_counts", "too_few_genes", "too_few_counts", "mitochondrial_rna")
"""Why a cell is left out, in the order in which they are looked at."""


@dataclass(frozen=True)
class Filters:
    """The filters of an atlas.

    Attributes
    ----------
    min_genes, min_counts
        Fewest genes and UMI of a cell; 0 and 1 where they do not apply.
    max_share, max_share_nuclei
        Largest mitochondrial share of a cell and of a nucleus, 0–1; 1 where it does not apply
        (see :meth:`limits`).
    mitochondrial
        Which genes count as mitochondrial, ``(n_genes,)``; all False if too few are measured.
    words
        What became of each filter, for people.
    """

    min_genes: int
    min_counts: int
    max_share: float
    max_share_nuclei: float
    mitochondrial: NDArray[np.bool_]
    words: dict[str, str]

    def failed(
        self, counts: Integers, genes: Integers, share: Floats, limit: Floats
    ) -> NDArray[np.int8]:
        """Return the place in :data:`REASONS` of each cell, -1 for cells that pass.

        Parameters
        ----------
        counts, genes, share, limit
            UMI, genes seen, mitochondrial share (NaN if unknown) and its limit, each
            ``(n_cells,)``.
        """
        wrong = (counts < 1, genes < self.min_genes, counts < self.min_counts, share > limit)
        return np.select(wrong, range(len(REASONS)), -1).astype(np.int8)

    def limits(self, share: Floats, nucleus: NDArray[np.bool_], types: Integers) -> Floats:
        """Return the largest mitochondrial share of each cell.

        Heart muscle and kidney tubules live on mitochondria: a limit that suits blood would
        leave nothing of them (doi:10.1093/bioinformatics/btaa751). So where the median of a
        type is above half of the limit, its cells are held against that median plus
        :data:`MADS` deviations, if that is higher. Nuclei hold none: their limit stays.

        Parameters
        ----------
        share, nucleus
            Mitochondrial share, and whether it is a nucleus, ``(n_cells,)``.
        types
            Number of the tissue and type of each cell, ``(n_cells,)``.
        """
        middle, spread = _spread(pd.Series(share), types)
        rich = middle > self.max_share / 2
        own = np.where(rich, middle + MADS * spread, 0.0)
        return np.where(nucleus, self.max_share_nuclei, np.maximum(self.max_share, own))


def filters_of(genes: pd.DataFrame, limits: Quality) -> Filters:
    """Say which limits apply to an atlas that measures some genes.

    Parameters
    ----------
    genes
        Contract ``ingest/genes``.
    limits
        As configured.
    """
    n_genes = int(genes["gene_id"].nunique())
    mitochondrial = genes["symbol"].astype(str).str.match(r"(?i)^MT[-.]").to_numpy(bool)
    n_mitochondrial = int(genes.loc[mitochondrial, "gene_id"].nunique())
    panel = n_genes < limits.panel_genes
    words = {
        "no_counts": "a cell without any count is left out",
        "too_few_genes": _minimum(limits.min_genes, "genes", panel, n_genes),
        "too_few_counts": _minimum(limits.min_counts, "UMI", panel, n_genes),
    }
    shares = (limits.max_mitochondrial, limits.max_mitochondrial_nuclei)
    if n_mitochondrial < MIN_MITOCHONDRIAL:
        measured = f"only {n_mitochondrial} of 13" if n_mitochondrial else "no"
        words["mitochondrial_rna"] = f"not applied: {measured} mitochondrial genes measured"
        shares, mitochondrial = (1.0, 1.0), np.zeros(len(genes), dtype=bool)
    else:
        words["mitochondrial_rna"] = (
            f"at most {shares[0]:.0%}, more for cell types rich in mitochondria; nuclei at most "
            f"{shares[1]:.0%}"
        )
    return Filters(
        min_genes=0 if panel else limits.min_genes,
        min_counts=1 if panel else max(limits.min_counts, 1),
        max_share=shares[0],
        max_share_nuclei=shares[1],
        mitochondrial=mitochondrial,
        words=words,
    )


def _minimum(least: int, what: str, panel: bool, n_genes: int) -> str:
    if panel:
        return f"not applied: targeted panel of {n_genes:,} genes"
    return f"at least {least:,} {what}" if least else "switched off"


class CellSums:
    """Adds up counts, genes and mitochondrial counts of every row of a matrix, block by block.

    Parameters
    ----------
    n_rows
        Rows of the matrix.
    mitochondrial
        Mitochondrial genes, ``(n_genes,)``.
    """

    def __init__(self, n_rows: int, mitochondrial: NDArray[np.bool_]) -> None:
        self._columns = mitochondrial.astype(np.int64)
        self._known = bool(mitochondrial.any())
        self.counts = np.zeros(n_rows, dtype=np.int64)
        self.genes = np.zeros(n_rows, dtype=np.int64)
        self.mitochondrial = np.zeros(n_rows, dtype=np.int64)

    def add(self, first: int, counts: sp.csr_matrix) -> None:
        """Add some consecutive rows, each row once."""
        rows = slice(first, first + counts.shape[0])
        self.counts[rows] = np.asarray(counts.sum(axis=1)).ravel()
        self.genes[rows] = np.asarray((counts > 0).sum(axis=1)).ravel()
        if self._known:
            self.mitochondrial[rows] = counts @ self._columns

    def share(self, rows: Integers | slice) -> Floats:
        """Return the mitochondrial share of some rows, 0–1; NaN if unknown or without counts."""
        total = self.counts[rows]
        known = (total > 0) & self._known
        out = np.full(total.shape, np.nan)
        return np.divide(self.mitochondrial[rows], total, out=out, where=known)


def details(
    failed: NDArray[np.int8],
    counts: Integers,
    genes: Integers,
    share: Floats,
    limit: Floats,
    filters: Filters,
) -> list[str]:
    """Return the value that each cell failed by, and the limit; arrays as in ``Filters``."""
    return [
        (
            "0 UMI",
            f"{g} genes, at least {filters.min_genes} needed",
            f"{n} UMI, at least {filters.min_counts} needed",
            f"{s:.1%} mitochondrial, at most {most:.0%}",
        )[code]
        for code, n, g, s, most in zip(failed, counts, genes, share, limit, strict=True)
    ]


def _spread(values: pd.Series, groups: Integers) -> tuple[pd.Series, pd.Series]:
    """Return median, and median absolute deviation as a standard deviation, of each one's group."""
    middle = values.groupby(groups).transform("median")
    return middle, 1.4826 * (values - middle).abs().groupby(groups).transform("median")


def outliers(samples: Integers, counts: Integers, genes: Integers, share: Floats) -> pd.Series:
    """Name what lies far above the median of the sample; NA where nothing does.

    Parameters
    ----------
    samples
        Sample of each cell, ``(n_cells,)``.
    counts, genes, share
        As in ``Filters``; counts and genes are compared as logarithms.
    """
    found = pd.Series("", index=range(len(samples)), dtype=object)
    for name, values in (
        ("counts", np.log1p(counts)),
        ("genes", np.log1p(genes)),
        ("mitochondrial", share),
    ):
        middle, spread = _spread(pd.Series(values), samples)
        high = (values > middle + MADS * spread) & (spread > 0)
        found[high & (found.groupby(samples).transform("size") >= MIN_SAMPLE)] += f"; {name}"
    return found.str.removeprefix("; ").where(found != "", pd.NA)
