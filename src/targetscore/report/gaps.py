"""What was not assessed, each row of the toxicity list once; and what the verdict says of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from targetscore.report.text import GAPS
from targetscore.report.views import Antigen, Group, Row, groups

HALF = 0.5
"""An antigen reaches a patient with this share of the cells (specification C3)."""


def is_gap_row(row: Row) -> bool:
    """Tell a tier row that nothing assesses from a group that was measured, but too thinly."""
    return row["suspension"] == "none"


def measured_tissues(evidence: Sequence[Row]) -> list[str]:
    """Return the tissues in which at least one healthy cell type was assessed, by name."""
    return sorted({r["tissue"] for r in evidence if r["verdict"] not in GAPS})


def gaps(evidence: Sequence[Row], shown: Sequence[Antigen]) -> dict[str, Any]:
    """List the tier rows not assessed: with a report of expression first, then all by tissue.

    Parameters
    ----------
    evidence
        Evidence rows of the antigens shown.
    shown
        The antigens.

    Returns
    -------
    dict
        ``reported`` rows; ``tissues`` with their tier rows and the groups too thin to assess
        them; ``thin`` groups of which no tier row is a gap; ``fewest`` and ``most`` tier rows
        per antigen.
    """
    position = {a.gene_id: i for i, a in enumerate(shown)}
    rows = [r for r in evidence if is_gap_row(r)]
    reported = sorted(
        (r for r in rows if r["literature"]),
        key=lambda r: (
            r["literature"] != "strong",
            r["tier"],
            position[r["gene_id"]],
            r["tissue"],
            r["cell_type"],
        ),
    )
    listed = {r["tier_label"] for r in rows}
    seen = groups([r for r in evidence if not is_gap_row(r) and r["verdict"] in GAPS])
    thin = sorted(seen, key=lambda g: (g.first["tissue"], g.order))
    by_tissue: dict[str, list[dict[str, Any]]] = {}
    for group in groups(rows):
        which = [a for a in shown if a.gene_id in group.cells]
        label = group.first["tier_label"]
        by_tissue.setdefault(group.first["tissue"], []).append(
            {
                "group": group,
                "reasons": sorted({r["verdict"] for r in group.cells.values()}),
                "thin": [_thin(g) for g in thin if label and g.first["tier_label"] == label],
                "only": [] if len(which) == len(shown) else [a.short for a in which],
            }
        )
    tissues: list[dict[str, Any]] = [
        {"tissue": name, "rows": sorted(found, key=lambda r: r["group"].order)}
        for name, found in by_tissue.items()
    ]
    tissues.sort(key=lambda t: (t["rows"][0]["group"].first["tier"], t["tissue"]))
    counts = [sum(r["gene_id"] == a.gene_id for r in rows) for a in shown]
    return {
        "reported": reported,
        "tissues": tissues,
        "thin": [_thin(g) for g in thin if g.first["tier_label"] not in listed],
        "fewest": min(counts, default=0),
        "most": max(counts, default=0),
    }


def _thin(group: Group) -> dict[str, Any]:
    rows = group.cells.values()
    return {
        "cell_type": group.first["cell_type"],
        "tissue": group.first["tissue"],
        "n_cells": max(r["n_cells"] for r in rows),
        "n_donors": max(r["n_donors"] for r in rows),
        "reasons": sorted({r["verdict"] for r in rows}),
    }


def behind_worst(part: Row, evidence: Sequence[Row]) -> Row | None:
    """Return the evidence row that an antigen's worst healthy cell type was taken from.

    Parameters
    ----------
    part
        Row of the ranking.
    evidence
        Evidence rows of this antigen.

    Returns
    -------
    Mapping or None
        Of several rows with the name, the one in its tissue that costs most; None if the worst
        is a tier row that only finer groups assess, too few to outweigh the literature.
    """
    tissue = part["worst_tissue"] or "any tissue"
    found = [
        r
        for r in evidence
        if part["worst_cell_type"] in (r["cell_type"], r["tier_label"])
        and (r["verdict"] in GAPS) == (part["worst_verdict"] in GAPS)
    ]
    return max(
        found,
        key=lambda r: (
            r["tissue"] == tissue,
            r["verdict"] == part["worst_verdict"],
            max(r["harm"] or 0.0, r["gap_penalty"] or 0.0),
            r["n_cells"],
        ),
        default=None,
    )


def summary(ranked: Sequence[Row], evidence: Sequence[Row]) -> dict[str, Any]:
    """Gather what the verdict says beside the scores.

    Parameters
    ----------
    ranked
        Ranked rows of the ranking, best first.
    evidence
        Evidence rows of the antigens shown.

    Returns
    -------
    dict
        ``reaching``: antigens on at least half of the diseased cells in at least half of the
        patients; ``undecided``: how many others would be, if every patient with a lower bound
        were; ``followers``: the first two of ``reaching`` after the best; ``worst``: per gene the
        evidence row behind the worst healthy cell type.
    """
    reaching = [r for r in ranked if (r["share_patients_above_half"] or 0.0) >= HALF]
    short = [r for r in ranked if (r["share_patients_above_half"] or 0.0) < HALF]
    own: dict[str, list[Row]] = {}
    for row in evidence:
        own.setdefault(row["gene_id"], []).append(row)
    return {
        "reaching": reaching,
        "undecided": sum(_at_most(r) >= HALF for r in short),
        "followers": [r for r in reaching if r["rank"] != ranked[0]["rank"]][:2],
        "worst": {r["gene_id"]: behind_worst(r, own.get(r["gene_id"], [])) for r in ranked},
    }


def _at_most(row: Row) -> float:
    """Return the share of patients above half if every lower bound were above it, 0–1."""
    n_bounds = row["n_patients"] - row["n_identifiable"]
    return (row["share_patients_above_half"] or 0.0) + n_bounds / max(1, row["n_patients"])
