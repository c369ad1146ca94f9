"""From healthy groups and gaps to toxicity classes and the safety score (C4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from targetscore import ontology
from targetscore.score.evidence import Gap
from targetscore.score.healthy import Floats, Healthy
from targetscore.score.safety import WORST_FIRST, class_factor, safety, worst_verdict

CYTOKINE_RELEASE = "cytokine_release_proxy"
_AMPLIFIERS = ("CL:0000766", "CL:0000115")  # myeloid leukocyte, endothelial cell


@dataclass(frozen=True)
class Safety:
    """Safety of one antigen, 0–1 and 1 best; None where no healthy group was assessed.

    Attributes
    ----------
    score
        With the penalty of literature-positive gaps.
    assessed
        Without it.
    lower, upper
        With every healthy fraction at its upper, or its lower, bound.
    worst
        Position of the non-tolerated group with the largest harm.
    """

    score: float | None
    assessed: float | None
    lower: float | None
    upper: float | None
    worst: int | None


def _classes(healthy: Healthy, gaps: Sequence[Gap]) -> list[str]:
    return sorted({g.toxicity_class for g in healthy.groups} | {g.row.toxicity_class for g in gaps})


def _worst(healthy: Healthy, gene: int, members: Sequence[int]) -> int | None:
    """Return the group with the largest harm.

    If harm is equal, because it is saturated: the worse verdict, the stricter tier, more cells.
    """
    harm = healthy.harm[:, gene]
    counted = [i for i in members if not healthy.groups[i].tolerated and np.isfinite(harm[i])]

    def order(i: int) -> tuple[float, int, int, int, int]:
        verdict = WORST_FIRST.index(str(healthy.verdict[i, gene]))
        return -harm[i], verdict, healthy.groups[i].tier, -int(healthy.n_cells[i, gene]), i

    return min(counted, key=order, default=None)


def _gap_costs(gaps: Sequence[Gap]) -> list[float]:
    return [g.penalty for g in gaps if g.penalty is not None]


def toxicity_rows(
    healthy: Healthy, gene: int, gaps: Sequence[Gap], verdict: Sequence[str]
) -> pd.DataFrame:
    """Return one row per toxicity class, columns of ``score/toxicity`` without the antigen.

    The verdict is the worst of the groups that count, as stated beside the literature; of the
    tolerated ones where a class has no others. ``gap_penalty`` is NA where rows are not assessed
    and nothing is known of them. The last row is the proxy of cytokine release.
    """
    rows: list[dict[str, Any]] = []
    for name in _classes(healthy, gaps):
        members = [i for i, g in enumerate(healthy.groups) if g.toxicity_class == name]
        counted = [i for i in members if not healthy.groups[i].tolerated]
        own = [g for g in gaps if g.row.toxicity_class == name]
        costs = _gap_costs(own)
        worst = _worst(healthy, gene, members)
        harm = None if worst is None else float(healthy.harm[worst, gene])
        dearest = max(own, key=lambda g: g.penalty or 0.0, default=None)
        rows.append(
            {
                "toxicity_class": name,
                "verdict": worst_verdict(verdict[i] for i in counted or members),
                "n_groups_assessed": int(healthy.assessed[members, gene].sum()),
                "n_groups_not_assessed": sum(not g.measured for g in own),
                "harm": harm,
                "gap_penalty": max(costs) if costs else None if own else 0.0,
                "factor": class_factor([] if harm is None else [harm], costs),
                "worst_cell_type": None if worst is None else healthy.groups[worst].cell_type,
                "worst_tissue": None if worst is None else healthy.groups[worst].tissue,
                "gap_label": dearest.row.label if dearest and dearest.penalty else None,
            }
        )
    rows.append(_cytokine_release(healthy, gene, gaps, verdict))
    return pd.DataFrame(rows).astype({"harm": "float64", "gap_penalty": "float64"})


def _cytokine_release(
    healthy: Healthy, gene: int, gaps: Sequence[Gap], verdict: Sequence[str]
) -> dict[str, Any]:
    """Return the myeloid and endothelial cells on target, which amplify cytokine release (A3).

    A proxy: cytokines, dose and tumour growth are not in an atlas. It enters no score, as its
    cells count in their own classes; the burden of diseased cells on target stands in
    ``score/components``.
    """
    members = [
        i for i, g in enumerate(healthy.groups) if ontology.is_a(g.cell_type_id, _AMPLIFIERS)
    ]
    seen = [i for i in members if healthy.assessed[i, gene]]
    worst = max(seen, key=lambda i: (healthy.median[i, gene], -i), default=None)
    rows = [g.row for g in gaps if not g.measured and g.row.cell_type_id]
    return {
        "toxicity_class": CYTOKINE_RELEASE,
        "verdict": worst_verdict(verdict[i] for i in members),
        "n_groups_assessed": len(seen),
        "n_groups_not_assessed": sum(ontology.is_a(r.cell_type_id, _AMPLIFIERS) for r in rows),
        "harm": None,
        "gap_penalty": None,
        "factor": 1.0,
        "worst_cell_type": None if worst is None else healthy.groups[worst].cell_type,
        "worst_tissue": None if worst is None else healthy.groups[worst].tissue,
        "gap_label": None,
    }


def safety_of(healthy: Healthy, gene: int, gaps: Sequence[Gap]) -> Safety:
    """Multiply the classes to the safety of one antigen.

    Missing is never safe: without any assessed, non-tolerated group there is no score.
    """
    worst = _worst(healthy, gene, range(len(healthy.groups)))
    if worst is None:
        return Safety(None, None, None, None, None)

    def product(harms: Floats, with_gaps: bool) -> float:
        factors = []
        for name in _classes(healthy, gaps):
            own = [
                float(h)
                for h, g in zip(harms[:, gene], healthy.groups, strict=True)
                if g.toxicity_class == name and not g.tolerated and np.isfinite(h)
            ]
            costs = _gap_costs([g for g in gaps if g.row.toxicity_class == name])
            factors.append(class_factor(own, costs if with_gaps else []))
        return safety(factors)

    return Safety(
        product(healthy.harm, True),
        product(healthy.harm, False),
        product(healthy.harm_high, True),
        product(healthy.harm_low, True),
        worst,
    )
