"""Arithmetic of two antigens on the same cells (C3); reading cells is not done here."""

from __future__ import annotations

from dataclasses import dataclass
from math import log2

import numpy as np
from numpy.typing import ArrayLike

MARGIN_PSEUDO_FRACTION = 0.005


@dataclass(frozen=True)
class OrCoverage:
    """What a product against either of two antigens reaches; all fractions 0–1.

    Attributes
    ----------
    first, second, either
        Share of cells with one, the other, at least one.
    independent
        ``either`` if the two had nothing to do with each other. Dropout makes antigens look
        complementary: a gain near the independent one is no evidence that they are.
    gain
        ``either`` minus the better single antigen.
    residual
        Share of cells with neither.
    correlation
        phi, −1–1; None where one antigen is on all cells or on none.
    """

    first: float
    second: float
    either: float
    independent: float
    gain: float
    residual: float
    correlation: float | None


def or_coverage(first: ArrayLike, second: ArrayLike) -> OrCoverage:
    """Combine two antigens cell by cell.

    The same arithmetic in healthy cells gives the union of the toxicities, never their mean.

    Parameters
    ----------
    first, second
        Detection in the same cells, 0 or 1, or the probability of it at 2,000 UMI (thinned
        detection, C1), shape ``(n_cells,)`` with at least one cell. Probabilities are combined
        as independent given the cell: ``1 − (1 − a)(1 − b)``.
    """
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    f, g = float(a.mean()), float(b.mean())
    either = float((1 - (1 - a) * (1 - b)).mean())
    spread = f * (1 - f) * g * (1 - g)
    return OrCoverage(
        f,
        g,
        either,
        1 - (1 - f) * (1 - g),
        either - max(f, g),
        1 - either,
        (float((a * b).mean()) - f * g) / spread**0.5 if spread > 0 else None,
    )


def safety_margin(
    tumour_lower: float, healthy_upper: float, pseudo: float = MARGIN_PSEUDO_FRACTION
) -> float:
    """Return how far apart the bounds of tumour and healthy cells are.

    Parameters
    ----------
    tumour_lower, healthy_upper
        Lower bound in the tumour and upper bound in healthy cells, 0–1.
    pseudo
        Added to both, so that a bound of 0 is no infinite margin.

    Returns
    -------
    float
        ``log2((tumour + pseudo) / (healthy + pseudo))``; above 0 the tumour has more.
    """
    return log2((tumour_lower + pseudo) / (healthy_upper + pseudo))
