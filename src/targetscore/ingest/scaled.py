"""Whole numbers that are no counts: scaled to a common depth, then rounded (C0)."""

from __future__ import annotations

from itertools import islice

import numpy as np
from numpy.typing import NDArray

from targetscore.errors import MatrixError
from targetscore.formats import OpenAtlas

Integers = NDArray[np.int64]

ROWS = 500
"""Rows looked at."""

MIN_ROWS = 20
"""With fewer rows that hold counts nothing is said."""

MIN_GENES = 50
"""A cell in which so many genes were seen has a gene with a single count, if it was counted."""

MOST = 0.5
SAME = 0.02
"""Sums that differ by so little, from the 5 to the 95 % quantile, were made the same. Sums of
less than 1 / SAME are not asked: most droplets without a cell hold the same one or two UMI."""

_REMEDY = (
    "get the raw UMI counts from the publisher, or name their layer in the registry column "
    "'counts'; dividing back is not a way out"
)


def refuse_scaled(atlas: OpenAtlas) -> None:
    """Look at the first rows of a matrix of whole numbers.

    Raises
    ------
    MatrixError
        If they were multiplied, or scaled to a common depth and rounded.
    """
    wrong = None
    for block in islice(atlas.rows(0, min(ROWS, atlas.shape[0])), 1):
        values = np.asarray(block.load()[1]).astype(np.float64, copy=False)
        wrong = scaled(values, block.indptr)
    if wrong:
        raise MatrixError.one(atlas.location, atlas.counts, wrong, _REMEDY)


def scaled(values: NDArray[np.float64], indptr: Integers) -> str | None:
    """Say what is wrong with whole numbers; None if they may be counts.

    Parameters
    ----------
    values
        Values row by row, ``(n_values,)``.
    indptr
        Where each row begins, ``(n_rows + 1,)``.
    """
    row = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    row, values = row[values > 0], values[values > 0]
    n_genes = np.bincount(row, minlength=len(indptr) - 1)
    sums = np.bincount(row, values, minlength=len(indptr) - 1)[n_genes > 0]
    if len(sums) < MIN_ROWS:
        return None
    low, middle, high = np.quantile(sums, (0.05, 0.5, 0.95))
    if high - low < SAME * middle and SAME * middle >= 1:
        return (
            f"the cells have nearly the same sum ({low:,.0f} to {high:,.0f} in 90 % of "
            f"{len(sums):,} cells): they were scaled to a common depth, raw counts are needed"
        )
    least = np.full(len(n_genes), np.inf)
    np.minimum.at(least, row, values)
    asked = n_genes >= MIN_GENES
    if asked.sum() < MIN_ROWS or (least[asked] > 1).mean() <= MOST:
        return None
    shared = int(np.gcd.reduce(values.astype(np.int64)))
    how = (
        f"all values are multiples of {shared}"
        if shared > 1
        else f"the smallest value of a cell is {np.median(least[asked]):,.0f}, not 1"
    )
    return f"{how}: they were multiplied or scaled, raw UMI counts are needed"
