"""Evidence grades that missing organs and missing reported cells lower (C4, C7)."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from targetscore.contracts import GRADES
from targetscore.score.tiers import TierRow

ORGAN_TIER = 1


def blind_organs(rows: Sequence[TierRow], assessed: Collection[str]) -> float:
    """Return the share of vital organs of which no cell was looked at.

    Parameters
    ----------
    rows
        The tissue tiers; an organ is a toxicity class with tier 1 rows that RNA can show and
        that are not tolerated.
    assessed
        Labels of the rows that some healthy group assesses.

    Returns
    -------
    float
        0 every organ has an assessed tier 1 row … 1 none has.
    """
    seen: dict[str, bool] = {}
    for row in rows:
        if row.tier == ORGAN_TIER and row.by_rna and not row.tolerated:
            seen[row.toxicity_class] = seen.get(row.toxicity_class, False) or row.label in assessed
    return sum(not s for s in seen.values()) / len(seen) if seen else 0.0


def lowered_grade(grade: str, blind: float, reported: bool) -> str:
    """Lower an evidence grade for what nobody looked at; less evidence never raises it.

    Parameters
    ----------
    grade
        Grade by rows, patients and donors.
    blind
        Share of vital organs without an assessed cell (0–1).
    reported
        Whether cells strongly reported to carry the antigen were not looked at.

    Returns
    -------
    str
        At most B if an organ is missing and at most C if more than half are; one grade lower
        if reported cells are missing. A design choice of this project.
    """
    ceiling = 0 if blind == 0 else 1 if blind <= 0.5 else 2
    place = max(GRADES.index(grade), ceiling) + reported
    return GRADES[min(place, len(GRADES) - 1)]
