"""From healthy groups and gaps to toxicity classes and the safety score (C4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

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


def _worst(healthy: Healthy, gene: int, members: NDArray[np.bool_]) -> int | None:
    """Return the group with the largest harm of those that count.

    If harm is equal, because it is saturated: the worse verdict, the stricter tier, more cells.
    """
    use = members & healthy.counting[:, gene]
    if not use.any():
        return None
    harm = healthy.harm[:, gene]

    def order(i: int) -> tuple[int, int, int, int]:
        verdict = WORST_FIRST.index(str(healthy.verdict[i, gene]))
        return verdict, healthy.groups[i].tier, -int(healthy.n_cells[i, gene]), i

    return min(np.nonzero(use & (harm == harm[use].max()))[0].tolist(), key=order)


def toxicity_rows(
    healthy: Healthy, gene: int, gaps: Sequence[Gap], verdict: Sequence[str]
) -> pd.DataFrame:
    """Return one row per toxicity class, columns of ``score/toxicity`` without the antigen.

    The verdict is the worst of the groups that count, as stated beside the literature; of the
    tolerated ones where a class has no others. ``gap_penalty`` is NA where rows are not assessed
    and nothing is known of them. The last row is the proxy of cytokine release.
    """
    rows: list[dict[str, Any]] = []
    nothing = np.zeros(len(healthy.groups), dtype=bool)
    for name in sorted(healthy.classes.keys() | {g.row.toxicity_class for g in gaps}):
        of_class = healthy.classes.get(name, nothing)
        members = np.nonzero(of_class)[0].tolist()
        said = [i for i in members if not healthy.groups[i].tolerated] or members
        own = [g for g in gaps if g.row.toxicity_class == name]
        costs = [g.penalty for g in own if g.penalty is not None]
        worst = _worst(healthy, gene, of_class)
        harm = None if worst is None else float(healthy.harm[worst, gene])
        dearest = max(own, key=lambda g: g.penalty or 0.0, default=None)
        rows.append(
            {
                "toxicity_class": name,
                "verdict": worst_verdict(verdict[i] for i in said),
                "n_groups_assessed": int(healthy.assessed[members, gene].sum()),
                "n_groups_not_assessed": sum(not g.measured for g in own),
                "harm": harm,
                "gap_penalty": max(costs) if costs else None if own else 0.0,
                "factor": float(class_factor([] if harm is None else [harm], costs)),
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
    worst = _worst(healthy, gene, np.ones(len(healthy.groups), dtype=bool))
    if worst is None:
        return Safety(None, None, None, None, None)

    bounds = np.stack([healthy.harm, healthy.harm_high, healthy.harm_low], axis=-1)[:, gene]
    score, lower, upper = class_safety(healthy, gene, gaps, bounds).tolist()
    assessed = float(class_safety(healthy, gene, [], healthy.harm[:, gene]))
    return Safety(score, assessed, lower, upper, worst)


def class_safety(healthy: Healthy, gene: int, gaps: Sequence[Gap], harms: Floats) -> Floats:
    """Multiply what each toxicity class leaves of the safety of one antigen (C4).

    Parameters
    ----------
    healthy, gene
        Which groups count: those with a harm that are not tolerated.
    gaps
        Tier rows that too little assesses.
    harms
        Harm of every group, shape ``(n_groups, ...)``.

    Returns
    -------
    numpy.ndarray
        0–1 and 1 best, shape ``(...)``.
    """
    costs: dict[str, list[float]] = {}
    for gap in gaps:
        if gap.penalty is not None:
            costs.setdefault(gap.row.toxicity_class, []).append(gap.penalty)
    use = np.nonzero(healthy.counting[:, gene])[0]
    use = use[np.argsort(healthy.class_number[use], kind="stable")]
    numbers = healthy.class_number[use]
    starts = np.nonzero(np.diff(numbers, prepend=-1))[0]
    worst = np.maximum.reduceat(harms[use], starts, axis=0) if use.size else harms[:0]
    names = list(healthy.classes)
    of_class = {names[n]: own for n, own in zip(numbers[starts].tolist(), worst, strict=True)}
    nothing = harms[:0]
    return safety(
        class_factor(of_class[name][None] if name in of_class else nothing, costs.get(name, []))
        for name in sorted(of_class.keys() | costs.keys())
    )
