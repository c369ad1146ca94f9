"""Evidence of one antigen: every healthy group, and the tier rows nobody looked at (C4)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from targetscore.config import Scoring
from targetscore.contracts import EVIDENCE
from targetscore.score.bystanders import Bystanders
from targetscore.score.curated import Literature
from targetscore.score.healthy import Healthy
from targetscore.score.safety import gap_penalty
from targetscore.score.tiers import Tier, TierRow

_NAN = float("nan")
_MISSING = {c.name: _NAN for c in EVIDENCE.columns if c.kind == "float"}


def rows_assessed(healthy: Healthy, gene: int) -> frozenset[str]:
    """Return the labels of the tier rows that some healthy group assesses for a gene."""
    said = healthy.assessed[:, gene]
    return _credited(healthy, said)


def rows_settled(healthy: Healthy, gene: int, scoring: Scoring) -> frozenset[str]:
    """Return the labels of the tier rows that enough cells of enough donors assess.

    Fewer are evidence, but cannot outweigh a strong report of expression: a group that could
    never be ``clear`` must not make an antigen look better than one nobody looked at.
    """
    enough = (healthy.n_cells[:, gene] >= scoring.min_cells_clear) & (
        healthy.n_donors[:, gene] >= scoring.min_donors_clear
    )
    return _credited(healthy, healthy.assessed[:, gene] & enough)


def _credited(healthy: Healthy, use: NDArray[np.bool_]) -> frozenset[str]:
    labels, own = healthy.credits
    return frozenset(labels[own[use].any(axis=0)].tolist())


def stated_verdicts(healthy: Healthy, gene: int, literature: Mapping[str, Literature]) -> list[str]:
    """Return the verdict of each group as it is stated beside the literature.

    A group whose own cell type is strongly reported to carry the antigen is at best
    ``possible``: low RNA is missed in shallow data, and ``clear`` would contradict a report.
    """

    def reported(label: str | None) -> bool:
        known = literature.get(label) if label else None
        return known is not None and known.strength == "strong"

    return [
        "possible" if verdict == "clear" and reported(group.label) else str(verdict)
        for group, verdict in zip(healthy.groups, healthy.verdict[:, gene], strict=True)
    ]


def row_ids(rows: Sequence[TierRow]) -> dict[str, tuple[str, str]]:
    """Return tissue id and cell type id under which each unassessed tier row is listed.

    Where two rows are about the same cell type and tissue, or a row has no cell type id, its
    label takes the place of the id, so that each row keeps its own line.
    """
    tissue = {r.label: r.tissue_id or f"label:{r.tissue or 'any tissue'}" for r in rows}
    times = Counter((tissue[r.label], r.cell_type_id) for r in rows)
    return {
        r.label: (
            tissue[r.label],
            r.cell_type_id
            if r.cell_type_id and times[tissue[r.label], r.cell_type_id] == 1
            else f"label:{r.label}",
        )
        for r in rows
    }


@dataclass(frozen=True)
class Gap:
    """A tier row that too little or nothing assesses for an antigen, and what that costs.

    Attributes
    ----------
    row
        The tier row.
    literature
        What is reported of it.
    penalty
        Share of safety lost; None if nothing is known of it.
    measured
        Whether there are cells, but too few to outweigh a strong report.
    """

    row: TierRow
    literature: Literature | None
    penalty: float | None
    measured: bool


def gaps_of(
    rows: Sequence[TierRow],
    assessed: frozenset[str],
    settled: frozenset[str],
    literature: Mapping[str, Literature],
    tiers: Mapping[int, Tier],
) -> list[Gap]:
    """Return the tier rows that nothing assesses, and those whose cells are too few.

    A tolerated row costs nothing. Too few cells or donors count as a gap only where the
    literature reports expression strongly.
    """
    gaps = []
    for row in rows:
        known = literature.get(row.label)
        weak = row.label not in settled and known is not None and known.strength == "strong"
        if row.label not in assessed or weak:
            cost = gap_penalty(tiers[row.tier].weight, known.strength if known else None)
            paid = 0.0 if row.tolerated else cost
            gaps.append(Gap(row, known, paid, row.label in assessed))
    return gaps


def evidence_rows(
    healthy: Healthy,
    gene: int,
    gaps: Sequence[Gap],
    ids: Mapping[str, tuple[str, str]],
    literature: Mapping[str, Literature],
    bystanders: Bystanders,
) -> pd.DataFrame:
    """Return the evidence of one antigen: every healthy group, then every gap.

    Missing figures are NA. The columns are those of the contract ``score/evidence`` without
    the antigen.
    """
    groups = healthy.groups
    known = [literature.get(g.label) if g.label else None for g in groups]
    costs = {g.row.label: g.penalty or 0.0 for g in gaps if g.measured}
    paid = [costs.get(g.label or "", 0.0) for g in groups]
    cells = healthy.n_cells[:, gene].tolist()
    detected = healthy.n_detected[:, gene].tolist()
    measured: dict[str, list[Any]] = {
        "tissue_id": [g.tissue_id for g in groups],
        "tissue": [g.tissue for g in groups],
        "cell_type_id": [g.cell_type_id for g in groups],
        "cell_type": [g.cell_type for g in groups],
        "suspension": [g.suspension for g in groups],
        "assay_class": [g.assay_class for g in groups],
        "tier_label": [g.label for g in groups],
        "tier": [g.tier for g in groups],
        "toxicity_class": [g.toxicity_class for g in groups],
        "tolerated": [g.tolerated for g in groups],
        "n_donors": healthy.n_donors[:, gene].tolist(),
        "n_cells": cells,
        "n_detected": [d if n else None for d, n in zip(detected, cells, strict=True)],
        "fraction_observed": healthy.observed[:, gene].tolist(),
        "fraction_expressing": healthy.median[:, gene].tolist(),
        "fraction_expressing_lower": healthy.lower[:, gene].tolist(),
        "fraction_expressing_upper": healthy.upper[:, gene].tolist(),
        "mean_cpm": healthy.mean_cpm[:, gene].tolist(),
        "median_cpm": healthy.median_cpm[:, gene].tolist(),
        "q75_log2_cpm": healthy.q75[:, gene].tolist(),
        "harm": healthy.harm[:, gene].tolist(),
        "verdict": stated_verdicts(healthy, gene, literature),
        "literature": [k.strength if k else None for k in known],
        "literature_source": [k.source if k else None for k in known],
        "gap_penalty": np.where(healthy.assessed[:, gene], paid, np.nan).tolist(),
        "ambient_explainable": [
            bool(a) if n else None for a, n in zip(healthy.ambient[:, gene], cells, strict=True)
        ],
        **_beside(healthy, gene, bystanders),
        "atlases": healthy.shown.atlases[:, gene].tolist(),
    }
    lines = [_gap_line(gap, *ids[gap.row.label]) for gap in gaps if not gap.measured]
    return pd.DataFrame(
        {
            name: [*values, *(line.get(name, _MISSING.get(name)) for line in lines)]
            for name, values in measured.items()
        }
    )


def _beside(healthy: Healthy, gene: int, around: Bystanders) -> dict[str, list[Any]]:
    """Return what the same cells of patients show; None where there are none (C9)."""
    keys = [(g.tissue_id, g.cell_type_id, g.suspension, g.assay_class) for g in healthy.groups]
    places = [around.place.get(key) for key in keys]

    def column(values: NDArray[Any]) -> list[Any]:
        return [None if p is None else values[p, gene].item() for p in places]

    found = around.posteriors
    return {
        "patients_n_donors": column(found.n_donors),
        "patients_n_cells": column(found.n_cells),
        "patients_fraction_expressing": column(found.median),
        "patients_fraction_expressing_upper": column(found.upper),
        "patients_mean_cpm": column(around.mean_cpm),
    }


def _gap_line(gap: Gap, tissue_id: str, cell_type_id: str) -> dict[str, Any]:
    row, known = gap.row, gap.literature
    return {
        "tissue_id": tissue_id,
        "tissue": row.tissue or "any tissue",
        "cell_type_id": cell_type_id,
        "cell_type": row.cell_type or row.label,
        "suspension": "none",
        "assay_class": "none",
        "tier_label": row.label,
        "tier": row.tier,
        "toxicity_class": row.toxicity_class,
        "tolerated": row.tolerated,
        "n_donors": 0,
        "n_cells": 0,
        "verdict": "not_assessed" if row.by_rna else "not_assessable_by_RNA",
        "literature": known.strength if known else None,
        "literature_source": known.source if known else None,
        "gap_penalty": _NAN if gap.penalty is None else gap.penalty,
    }
