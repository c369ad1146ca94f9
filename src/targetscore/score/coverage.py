"""How many patients, and how much of each, an antigen reaches (C3)."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

HALF = 0.5


def share_above_half(fractions: ArrayLike) -> float:
    """Return the share of patients in whom at least half of the diseased cells express."""
    return float((np.asarray(fractions, dtype=np.float64) >= HALF).mean())


def tenth_percentile(fractions: ArrayLike) -> float:
    """Return the 10th percentile of the patients' fractions (linear interpolation)."""
    return float(np.quantile(np.asarray(fractions, dtype=np.float64), 0.1))


def residual_cells(residual: float, burden: float) -> float | None:
    """Return log10 of the diseased cells that do not carry the antigen (C3).

    Parameters
    ----------
    residual
        Antigen-negative fraction ``R = 1 − f``, 0–1.
    burden
        Diseased cells of a patient.

    Returns
    -------
    float or None
        ``log10(burden · R)``; None if no cell is left.
    """
    return math.log10(burden * residual) if residual > 0 else None


def coverage_score(fraction: float, share_half: float, p10: float) -> float:
    """Return ``0.5 f + 0.3 share + 0.2 p10``, 0–1, 1 best.

    Parameters
    ----------
    fraction
        Median of the posterior of the mean fraction over patients.
    share_half
        Share of patients with at least half of their cells positive.
    p10
        10th percentile of the patients' fractions.
    """
    return 0.5 * fraction + 0.3 * share_half + 0.2 * p10
