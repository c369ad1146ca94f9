"""The columns of ``score/components`` that come from one part of the score each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from targetscore.score.contrast import TIERS, Contrast
from targetscore.score.coverage import residual_cells
from targetscore.score.evidence import Gap
from targetscore.score.healthy import Healthy
from targetscore.score.toxicity import Safety
from targetscore.score.tumour import Reach


def contrast_columns(c: Contrast) -> dict[str, Any]:
    """Return what specificity is made of."""
    return {
        "log_fold_change": c.log_fold_change,
        "log_fold_change_group": c.group,
        "log_fold_change_counterpart": c.counterpart,
        **{f"log_fold_change_tier{t}": v for t, v in zip(TIERS, c.per_tier, strict=True)},
        "detection_gap": c.detection_gap,
        "detection_gap_thinned": c.detection_gap_thinned,
        "auc_min": c.auc_min,
        "tau": c.tau,
        "tau_argmax": c.argmax,
        **{f"specificity_s{i}": part for i, part in enumerate(c.parts, 1)},
    }


def reach_columns(r: Reach | None, burden: float) -> dict[str, Any]:
    """Return what coverage is made of, and what a burden of cells leaves behind (C3)."""
    left = None if r is None else 1 - r.posterior.median
    return {
        "n_patients": r.n_patients if r else 0,
        "n_identifiable": r.n_identifiable if r else 0,
        "fraction_expressing": r.posterior.median if r else None,
        "fraction_expressing_lower": r.posterior.lower if r else None,
        "fraction_expressing_upper": r.posterior.upper if r else None,
        "share_patients_above_half": r.share_half if r else None,
        "fraction_p10": r.p10 if r else None,
        "tumour_median_cpm": r.median_cpm if r else None,
        "fraction_expressing_dispersed": r.sensitivity[0] if r else None,
        "fraction_expressing_even": r.sensitivity[1] if r else None,
        "heterogeneity": r.posterior.heterogeneity if r else None,
        "residual_fraction": left,
        "residual_fraction_lower": 1 - r.posterior.upper if r else None,
        "residual_fraction_upper": 1 - r.posterior.lower if r else None,
        "log10_residual_cells": None if left is None else residual_cells(left, burden),
        "log10_on_target_cells": None if left is None else residual_cells(1 - left, burden),
        "n_patients_escaping": len(r.escaping) if r else None,
        "patients_escaping": "; ".join(r.escaping) or None if r else None,
        "n_patients_escape_untold": len(r.untold) if r else None,
        "patients_escape_untold": "; ".join(r.untold) or None if r else None,
    }


def worst_columns(
    healthy: Healthy, column: int, s: Safety, stated: Sequence[str], gaps: Sequence[Gap]
) -> dict[str, Any]:
    """Name what costs most safety: the worst measured group, or a gap that costs more."""
    if s.worst is None:
        return dict.fromkeys(("worst_cell_type", "worst_tissue", "worst_tier", "worst_verdict"))
    place = s.worst
    dearest = max(gaps, key=lambda g: g.penalty or 0.0, default=None)
    if dearest is not None and (dearest.penalty or 0.0) > healthy.harm[place, column]:
        if not dearest.measured:
            row = dearest.row
            return {
                "worst_cell_type": row.cell_type or row.label,
                "worst_tissue": row.tissue or None,
                "worst_tier": row.tier,
                "worst_verdict": "not_assessed" if row.by_rna else "not_assessable_by_RNA",
            }
        place = _behind(healthy, column, dearest)
    group = healthy.groups[place]
    return {
        "worst_cell_type": group.cell_type,
        "worst_tissue": group.tissue,
        "worst_tier": group.tier,
        "worst_verdict": stated[place],
    }


def _behind(healthy: Healthy, column: int, gap: Gap) -> int:
    """Return the group with most cells of those that measure a row, its own type first."""
    measuring = [
        i
        for i, group in enumerate(healthy.groups)
        if healthy.assessed[i, column] and gap.row.label in group.credited
    ]
    return max(
        measuring,
        key=lambda i: (
            healthy.groups[i].label == gap.row.label,
            healthy.n_cells[i, column],
            -i,
        ),
    )
