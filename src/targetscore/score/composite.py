"""One number from the parts, the ranking, and how much evidence is behind it (C7)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from targetscore.config.models import CompositeWeights
from targetscore.contracts import GRADES


def composite_score(
    specificity: float | None,
    coverage: float | None,
    safety: float | None,
    surface: float | None,
    shedding: float | None,
    weights: CompositeWeights,
    floor: float,
) -> float | None:
    """Return the weighted geometric mean of the parts.

    Parameters
    ----------
    specificity, coverage, safety, surface
        0–1, 1 best.
    shedding
        0–100, 100 worst; enters as ``1 − shedding / 200``.
    weights
        Exponents.
    floor
        No part counts less.

    Returns
    -------
    float or None
        0–1, 1 best; None if a part is missing.
    """
    parts = [specificity, coverage, safety, surface, shedding]
    if any(pd.isna(p) for p in parts):
        return None
    values = composite_parts(*(float(p) for p in parts if p is not None))
    return float(weighted_mean(values, exponents(weights), floor))


def composite_parts(
    specificity: ArrayLike,
    coverage: ArrayLike,
    safety: ArrayLike,
    surface: ArrayLike,
    shedding: ArrayLike,
) -> NDArray[np.float64]:
    """Return the five parts as they enter the composite, 0–1 and 1 best.

    Parameters
    ----------
    specificity, coverage, safety, surface, shedding
        As for ``composite_score``, of shapes that broadcast to ``(...)``; NaN where missing.

    Returns
    -------
    numpy.ndarray
        Shape ``(..., 5)``, in this order.
    """
    unshed = 1 - 0.5 * np.asarray(shedding, dtype=np.float64) / 100
    return np.stack(np.broadcast_arrays(specificity, coverage, safety, surface, unshed), axis=-1)


def exponents(weights: CompositeWeights) -> NDArray[np.float64]:
    """Return the weights in the order of ``composite_parts``, shape ``(5,)``."""
    return np.array(
        [
            weights.specificity,
            weights.coverage,
            weights.safety,
            weights.surface,
            weights.shedding,
        ]
    )


def weighted_mean(parts: ArrayLike, weights: ArrayLike, floor: float) -> NDArray[np.float64]:
    """Return the weighted geometric mean of the parts (C7).

    Parameters
    ----------
    parts
        0–1, shape ``(..., 5)``; NaN where missing.
    weights
        Exponents, shape ``(5,)`` or one that broadcasts with ``parts``.
    floor
        No part counts less.

    Returns
    -------
    numpy.ndarray
        0–1 of shape ``(...)``, NaN where a part is missing.
    """
    powers = np.maximum(np.asarray(parts, dtype=np.float64), floor) ** np.asarray(weights)
    return np.asarray(powers.prod(axis=-1))


def ranks(antigens: Sequence[str], scores: Sequence[float | None]) -> list[int | None]:
    """Return ranks from 1, highest score first; ties by antigen name; None without a score."""
    ranked = sorted(
        (-s, a, i) for i, (a, s) in enumerate(zip(antigens, scores, strict=True)) if s is not None
    )
    result: list[int | None] = [None] * len(antigens)
    for rank, (_, _, i) in enumerate(ranked, 1):
        result[i] = rank
    return result


def evidence_grade(
    share_assessed: float, n_patients: int, n_healthy_donors: int, everywhere: bool
) -> str:
    """Grade the evidence behind a score.

    Parameters
    ----------
    share_assessed
        Share of tier 1–2 tier rows, those RNA cannot show left out, that healthy cells of
        this run assess (0–1).
    n_patients, n_healthy_donors
        Patients and healthy donors that count.
    everywhere
        Whether every atlas of the indication measures the gene; if not, one grade lower.

    Returns
    -------
    str
        A: 90 % of rows, 5 patients, 5 donors. B: 60 %, 5 patients, 3 donors. D: fewer than
        3 patients or donors. C: the rest. A design choice of this project.
    """
    if n_patients < 3 or n_healthy_donors < 3:
        grade = "D"
    elif share_assessed >= 0.9 and n_patients >= 5 and n_healthy_donors >= 5:
        grade = "A"
    elif share_assessed >= 0.6 and n_patients >= 5:
        grade = "B"
    else:
        grade = "C"
    return grade if everywhere else GRADES[min(GRADES.index(grade) + 1, len(GRADES) - 1)]
