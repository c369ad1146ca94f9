"""Shedding risk: what frees the antigen from the cell and how much is found (C5)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

STATIC_MAX = {"mechanism": 35.0, "soluble": 35.0, "topology": 15.0, "isoform": 5.0}
SHEDDASE_MAX = 10.0
MECHANISM = {"direct_disease": 35.0, "direct_other": 28.0, "family": 12.0, "none_reported": 3.0}
SOLUBLE = {"high": 35.0, "moderate": 22.0, "minority": 14.0, "baseline": 7.0, "absent": 0.0}
ISOFORM = {"isoform": 5.0, "ev": 2.0, "none": 0.0}
ANCHOR = {"gpi": 12.0, "multi_pass": 1.0, "not_membrane": 0.0}
ECTODOMAIN_POINTS = ((100, 15.0), (300, 10.0), (float("inf"), 9.0))
STALK = 3.0
UNKNOWN_MID, UNKNOWN_MID_MULTI_PASS, UNKNOWN_HIGH_MULTI_PASS = 0.25, 0.03, 0.10
MIN_COMPLETENESS, MAX_WIDTH = 0.35, 30.0
GRADES = ((20.0, "minimal"), (40.0, "low"), (60.0, "moderate"), (80.0, "high"))


@dataclass(frozen=True)
class Points:
    """Points of one item: if the unknown were harmless, as used, if it were harmful."""

    low: float
    mid: float
    high: float
    most: float
    known: bool


@dataclass(frozen=True)
class Shedding:
    """Shedding score 0–100 (100 worst), its range, what is known of it, and its grade."""

    low: float
    mid: float
    high: float
    completeness: float
    grade: str


def _known(points: float, most: float) -> Points:
    return Points(points, points, points, most, True)


def _unknown(most: float, multi_pass: bool) -> Points:
    if multi_pass:
        return Points(
            0.0, UNKNOWN_MID_MULTI_PASS * most, UNKNOWN_HIGH_MULTI_PASS * most, most, False
        )
    return Points(0.0, UNKNOWN_MID * most, most, most, False)


def _topology(value: str, ectodomain: float) -> Points:
    anchor, _, stalk = value.partition(";")
    most = STATIC_MAX["topology"]
    extra = STALK if stalk == "stalk" else 0.0
    if anchor in ANCHOR:
        return _known(min(most, ANCHOR[anchor] + extra), most)
    if anchor != "single_pass":
        return _unknown(most, False)
    if not np.isnan(ectodomain):
        points = next(p for longest, p in ECTODOMAIN_POINTS if ectodomain <= longest)
        return _known(min(most, points + extra), most)
    low, high = (min(most, f(p for _, p in ECTODOMAIN_POINTS) + extra) for f in (min, max))
    return Points(low, low + UNKNOWN_MID * (high - low), high, most, False)


def static_points(values: Mapping[str, str], ectodomain: float) -> dict[str, Points]:
    """Return the points of the four curated items, 90 in all.

    Parameters
    ----------
    values
        Curated value of ``mechanism``, ``soluble``, ``topology`` and ``isoform``; an item
        that is missing or ``unknown`` is an interval.
    ectodomain
        Extracellular residues; NaN if unknown. A short ectodomain raises the risk
        (Laurent 2015, doi:10.1038/ncomms8333).

    Returns
    -------
    dict of str to Points
        A multi-pass receptor cannot be freed by one cut: a mechanism that is not reported
        gives 0 instead of 3, and an unknown mechanism or soluble form weighs 3 % of its
        maximum (10 % at most) instead of 25 % (100 %).
    """
    topology = values.get("topology", "")
    multi = topology.partition(";")[0] == "multi_pass"
    tables = {"mechanism": dict(MECHANISM), "soluble": SOLUBLE, "isoform": ISOFORM}
    if multi:
        tables["mechanism"]["none_reported"] = 0.0
    points = {}
    for item, most in STATIC_MAX.items():
        if item == "topology":
            points[item] = _topology(topology, ectodomain)
        elif values.get(item, "") in tables[item]:
            points[item] = _known(tables[item][values[item]], most)
        else:
            points[item] = _unknown(most, multi and item != "isoform")
    return points


def shedding_score(points: Iterable[Points]) -> Shedding:
    """Scale points to 0–100 and grade them.

    Parameters
    ----------
    points
        All items that apply; the scale is the sum of what they can give.

    Returns
    -------
    Shedding
        Grades end at 20, 40, 60 and 80; ``_uncertain`` is added where the range is wider than
        30, and below a completeness of 0.35 the grade is ``insufficient_evidence``.
    """
    items = list(points)
    most = sum(p.most for p in items)
    low, mid, high = (
        100 * sum(getattr(p, side) for p in items) / most for side in ("low", "mid", "high")
    )
    completeness = sum(p.most for p in items if p.known) / most
    grade = next((name for end, name in GRADES if mid < end), "very_high")
    if high - low > MAX_WIDTH:
        grade += "_uncertain"
    if completeness < MIN_COMPLETENESS:
        grade = "insufficient_evidence"
    return Shedding(low, mid, high, completeness, grade)


@dataclass(frozen=True)
class Enzyme:
    """A named sheddase of an antigen.

    Attributes
    ----------
    pathway
        Members of one pathway are combined by ``rule``.
    every_member
        Whether the pathway needs all its members (a complex) or any.
    percentile
        Share of measured genes with a lower level (0–1); None if it was not measured.
    """

    pathway: str
    every_member: bool
    percentile: float | None


def sheddase_points(enzymes: Sequence[Enzyme]) -> Points:
    """Return the points of the expressed sheddases, 0–10.

    A complex is as active as its scarcest member, alternatives as their most abundant one,
    and pathways add no more than the strongest. An enzyme that was not measured is an
    interval: 0, a quarter, all.

    Parameters
    ----------
    enzymes
        Named enzymes of one antigen, at least one.
    """
    pathways: dict[str, list[Enzyme]] = {}
    for enzyme in enzymes:
        pathways.setdefault(enzyme.pathway, []).append(enzyme)
    sides = []
    for unknown in (0.0, UNKNOWN_MID, 1.0):
        per_pathway = []
        for members in pathways.values():
            levels = [unknown if m.percentile is None else m.percentile for m in members]
            per_pathway.append(min(levels) if members[0].every_member else max(levels))
        sides.append(SHEDDASE_MAX * max(per_pathway))
    low, mid, high = sides
    return Points(low, mid, high, SHEDDASE_MAX, low == high)


def percentiles(levels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the share of genes with a strictly lower level, per gene.

    Parameters
    ----------
    levels
        Mean CPM of every measured gene, shape ``(n_genes,)``.
    """
    return np.searchsorted(np.sort(levels), levels, side="left") / max(levels.size, 1)
