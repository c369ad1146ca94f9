"""How far the diseased cells stand out from vital healthy cells (C2)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from targetscore.config.models import SpecificityWeights

PSEUDOCOUNT_CPM = 10.0


def log2_cpm(cpm: ArrayLike) -> NDArray[np.float64]:
    """Return log2(CPM + 10) (C1)."""
    return np.log2(np.asarray(cpm, dtype=np.float64) + PSEUDOCOUNT_CPM)


def pair_auc(tumour: ArrayLike, healthy: ArrayLike) -> NDArray[np.float64]:
    """Return how often a patient is above a healthy donor, over all pairs.

    Parameters
    ----------
    tumour
        CPM per patient, shape ``(n_patients, ...)``; NaN is left out.
    healthy
        CPM per donor, shape ``(n_donors, ...)``; NaN is left out.

    Returns
    -------
    numpy.ndarray
        0–1 of shape ``(...)``, ties count half; NaN where there is no pair.
    """
    t = np.asarray(tumour, dtype=np.float64)[:, None]
    h = np.asarray(healthy, dtype=np.float64)[None]
    pairs = (np.isfinite(t) & np.isfinite(h)).sum(axis=(0, 1))
    wins = (t > h).sum(axis=(0, 1)) + 0.5 * (t == h).sum(axis=(0, 1))
    return np.divide(wins, pairs, out=np.full(pairs.shape, np.nan), where=pairs > 0)


def group_aucs(tumour: ArrayLike, healthy: ArrayLike, group: ArrayLike) -> NDArray[np.float64]:
    """Return :func:`pair_auc` of patients and the healthy donors of each group.

    Parameters
    ----------
    tumour
        CPM per patient, shape ``(n_patients,)``; NaN is left out.
    healthy, group
        CPM per donor of a group, NaN is left out, and the number of the group, from 0, each
        of shape ``(n_units,)``.

    Returns
    -------
    numpy.ndarray
        0–1, shape ``(n_groups,)``; NaN where there is no pair.
    """
    t, h = np.asarray(tumour, dtype=np.float64), np.asarray(healthy, dtype=np.float64)
    t = t[np.isfinite(t), None]
    wins = (t > h).sum(axis=0) + 0.5 * (t == h).sum(axis=0)
    pairs = np.bincount(np.asarray(group), len(t) * np.isfinite(h))
    won = np.bincount(np.asarray(group), wins)
    return np.divide(won, pairs, out=np.full(pairs.shape, np.nan), where=pairs > 0)


def tau(levels: Sequence[float]) -> float | None:
    """Return the tissue specificity index.

    ``sum(1 − x/x_max) / (n − 1)`` (Yanai 2005, doi:10.1093/bioinformatics/bti042).

    Parameters
    ----------
    levels
        Level per cell type, at least 0.

    Returns
    -------
    float or None
        0 everywhere alike … 1 in one only; None if undefined (all zero, or fewer than two).
    """
    x = np.asarray(levels, dtype=np.float64)
    if x.size < 2 or x.max() <= 0:
        return None
    return float((1 - x / x.max()).sum() / (x.size - 1))


def tau_level(cpm: ArrayLike) -> NDArray[np.float64]:
    """Return the level used for tau: log2((CPM + 10) / 10), 0 where there is no expression."""
    return log2_cpm(cpm) - np.log2(PSEUDOCOUNT_CPM)


def specificity_parts(
    log_fold_change: float, detection_gap: float, auc_min: float, tau_signed: float
) -> tuple[float, float, float, float]:
    """Return s1–s4, each 0–1 and 1 best.

    Parameters
    ----------
    log_fold_change
        log2, tumour against the worst tier 1–2 group.
    detection_gap
        Lower bound of the tumour's fraction minus the largest healthy upper bound.
    auc_min
        Smallest AUC over groups.
    tau_signed
        tau if the tumour or its tolerated lineage is highest, else 0.
    """

    def clip(value: float) -> float:
        return float(min(1.0, max(0.0, value)))

    return (
        clip(0.5 + log_fold_change / 6),
        clip(detection_gap),
        clip(2 * (auc_min - 0.5)),
        clip(tau_signed),
    )


def specificity_score(parts: Sequence[float], weights: SpecificityWeights) -> float:
    """Return the weighted sum of s1–s4, 0–1, 1 best."""
    w = (weights.log_fold_change, weights.detection_gap, weights.auc, weights.tau)
    return float(np.dot(parts, w))
