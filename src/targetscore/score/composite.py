"""One number from the parts, the ranking, and how much evidence is behind it (C7)."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

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
    parts = [specificity, coverage, safety, surface]
    if shedding is None or any(p is None or pd.isna(p) for p in (*parts, shedding)):
        return None
    values = [*(float(p) for p in parts if p is not None), 1 - 0.5 * shedding / 100]
    exponents = (
        weights.specificity,
        weights.coverage,
        weights.safety,
        weights.surface,
        weights.shedding,
    )
    score = 1.0
    for value, exponent in zip(values, exponents, strict=True):
        score *= max(value, floor) ** exponent
    return score


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
