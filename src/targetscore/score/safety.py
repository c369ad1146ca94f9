"""Harm to healthy cells, what may be said of it, and what is left of safety (C4)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

LITERATURE_STRENGTH = {"strong": 1.0, "contested": 0.2}
ASSESSED_VERDICTS = ("clear", "no_signal_insufficient", "possible", "concern")
WORST_FIRST = (
    "concern",
    "possible",
    "no_signal_insufficient",
    "clear",
    "not_assessable_by_RNA",
    "not_measured",
    "not_assessed",
)


def harm(
    fraction: ArrayLike,
    cpm: ArrayLike,
    saturation_fraction: ArrayLike,
    saturation_cpm: ArrayLike,
    weight: ArrayLike,
) -> NDArray[np.float64]:
    """Return how bad on-target killing of healthy groups would be.

    ``weight · min(1, max(fraction / saturation_fraction, cpm / saturation_cpm))``; the CPM
    term sees low, diffuse expression that detection hides. Not scaled by the tumour level.

    Parameters
    ----------
    fraction
        Expressing fraction, 0–1.
    cpm
        Mean counts per million over donors; where NaN the fraction alone decides.
    saturation_fraction, saturation_cpm, weight
        Of the group's tier.

    Returns
    -------
    numpy.ndarray
        0 none … the tier's weight; NaN where the fraction is.
    """
    level = np.divide(cpm, saturation_cpm, dtype=np.float64)
    share = np.divide(fraction, saturation_fraction, dtype=np.float64)
    # fmax would ignore a missing fraction: a group without one must stay without harm
    worse = np.where(np.isnan(level), share, np.maximum(share, level))
    return np.asarray(weight) * np.minimum(1.0, worse)


def verdicts(
    *,
    measured: ArrayLike,
    by_rna: ArrayLike,
    n_cells: ArrayLike,
    n_donors: ArrayLike,
    observed: ArrayLike,
    median: ArrayLike,
    upper: ArrayLike,
    alert: ArrayLike,
    min_cells_assessed: int,
    min_cells_clear: int,
    min_donors_clear: int,
) -> NDArray[np.object_]:
    """Say what may be said of healthy groups; "no signal" never means absence of risk.

    Parameters
    ----------
    measured
        Whether any atlas of the group measures the gene.
    by_rna
        Whether RNA can show what these cells carry.
    n_cells, n_donors
        Cells, and donors with enough of them to count.
    observed, median, upper
        Observed fraction, posterior median and 97.5 % point, 0–1.
    alert
        Alert fraction of the tier.
    min_cells_assessed, min_cells_clear, min_donors_clear
        Fewest cells to say anything, and fewest cells and donors for ``clear``.

    Returns
    -------
    numpy.ndarray
        Verdicts as the contract ``score/evidence`` lists them. With too few cells or donors
        a group is ``possible`` if the observed fraction reaches the alert and
        ``no_signal_insufficient`` otherwise, never ``clear``.
    """
    enough = (np.asarray(n_cells) >= min_cells_clear) & (np.asarray(n_donors) >= min_donors_clear)
    above = np.asarray(upper) > alert
    conditions = [
        ~np.asarray(measured, dtype=bool),
        ~np.asarray(by_rna, dtype=bool),
        np.asarray(n_cells) < min_cells_assessed,
        np.asarray(median) >= alert,
        enough & ~above,
        enough & above,
        np.asarray(observed) >= alert,
    ]
    names = (
        "not_measured",
        "not_assessable_by_RNA",
        "not_assessed",
        "concern",
        "clear",
        "possible",
        "possible",
    )
    choices = [np.asarray(name, dtype=object) for name in names]
    shaped = np.broadcast_arrays(*conditions)
    return np.select(shaped, choices, np.asarray("no_signal_insufficient", dtype=object))


def worst_verdict(found: Iterable[str]) -> str:
    """Return the worst of some verdicts; ``not_assessed`` if there is none."""
    return min(found, key=WORST_FIRST.index, default="not_assessed")


def gap_penalty(weight: float, literature: str | None) -> float | None:
    """Return the share of safety lost because a tier row was not assessed.

    Parameters
    ----------
    weight
        Weight of the row's tier.
    literature
        ``strong`` counts as assessed and saturated, ``contested`` as a fifth of that; None is
        no curated report.

    Returns
    -------
    float or None
        0–1; None if nothing is known, which leaves the score but is no comfort.
    """
    return None if literature is None else weight * LITERATURE_STRENGTH[literature]


def class_factor(harms: ArrayLike, gaps: Sequence[float]) -> NDArray[np.float64]:
    """Return what one toxicity class leaves of the safety score, 0–1.

    ``1 − max(largest harm, largest gap penalty)``: the row that nobody assessed counts as if
    it had been assessed and found at its penalty, so that removing a tissue never helps.

    Parameters
    ----------
    harms
        Harm of the groups of the class, shape ``(n_groups, ...)``; there may be none.
    gaps
        Penalties of its tier rows that were not assessed.

    Returns
    -------
    numpy.ndarray
        Shape ``(...)``.
    """
    worst = np.asarray(harms, dtype=np.float64).max(axis=0, initial=0.0)
    return np.asarray(1.0 - np.maximum(worst, max(gaps, default=0.0)))


def safety(factors: Iterable[ArrayLike]) -> NDArray[np.float64]:
    """Multiply the factors of the toxicity classes, of one shape, 0–1 and 1 best."""
    left = np.ones(())
    for factor in factors:
        left = left * np.asarray(factor, dtype=np.float64)
    return left
