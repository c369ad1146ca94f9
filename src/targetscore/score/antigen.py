"""The rows one antigen adds to the tables of the score, with its grade and its notes (C7, C9)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from targetscore.genes import Gene
from targetscore.score.columns import contrast_columns, reach_columns, worst_columns
from targetscore.score.composite import evidence_grade
from targetscore.score.contrast import VITAL_TIER
from targetscore.score.evidence import Gap, evidence_rows, row_ids, stated_verdicts
from targetscore.score.grade import blind_organs, lowered_grade
from targetscore.score.healthy import Healthy
from targetscore.score.levels import level_note, with_levels, worst_level
from targetscore.score.load import atlases_of
from targetscore.score.parts import Parts, World, parts_of
from targetscore.score.toxicity import toxicity_rows
from targetscore.score.tumour import Reach, coverage_rows

FEW_PATIENTS = 3


@dataclass(frozen=True)
class AntigenScore:
    """The rows one antigen adds to each table of the score, and the gaps behind its safety."""

    gene: Gene
    gaps: Sequence[Gap]
    evidence: pd.DataFrame
    toxicity: pd.DataFrame
    coverage: pd.DataFrame
    shedding: pd.DataFrame
    levels: pd.DataFrame
    components: dict[str, Any]


def score_antigen(world: World, gene: Gene, column: int) -> AntigenScore:
    """Score one antigen; parameters as for ``parts_of``."""
    parts = parts_of(world, gene, column)
    curated, safety, gaps, levels = parts.curated, parts.safety, parts.gaps, parts.levels
    literature, shedding = curated.literature, curated.shedding
    stated = stated_verdicts(world.healthy, column, literature)
    n_donors = healthy_donors_seen(world.healthy, column)
    components = {
        "gene_id": gene.gene_id,
        "antigen": gene.symbol,
        "display": curated.display,
        "status": parts.status,
        "reason": parts.reason,
        "specificity_score": parts.against.score,
        "coverage_score": parts.coverage,
        "safety_score": safety.score,
        "surface_confidence": curated.surface,
        "shedding_score": shedding.mid if shedding else None,
        "composite_score": parts.composite,
        "shedding_low": shedding.low if shedding else None,
        "shedding_high": shedding.high if shedding else None,
        "shedding_completeness": shedding.completeness if shedding else None,
        "shedding_grade": shedding.grade if shedding else "not_applicable",
        "evidence_grade": _grade(world, gene, parts, n_donors),
        "n_healthy_donors": n_donors,
        "n_gaps": sum(not g.measured for g in gaps),
        "notes": "; ".join([*_notes(world, gene, parts.reach, gaps), *level_note(levels)]) or None,
        **contrast_columns(parts.against),
        **reach_columns(parts.reach, world.scoring.burden),
        **worst_columns(world.healthy, column, safety, stated, gaps),
        **worst_level(world.healthy, column, safety, gaps, levels),
        "safety_assessed": safety.assessed,
        "safety_lower": safety.lower,
        "safety_upper": safety.upper,
    }
    return AntigenScore(
        gene,
        [*gaps, *levels.gaps],
        evidence_rows(
            world.healthy,
            column,
            gaps,
            row_ids(world.rows),
            literature,
            world.tumour.bystanders,
        ),
        with_levels(toxicity_rows(world.healthy, column, gaps, stated), levels),
        coverage_rows(world.tumour, column),
        pd.DataFrame(curated.shedding_items),
        levels.table,
        components,
    )


def healthy_donors_seen(healthy: Healthy, column: int) -> int:
    """Count the healthy donors whose cells say anything about a gene."""
    _, person = healthy.shown.people
    seen = healthy.assessed[healthy.shown.group_of, column] & np.isfinite(healthy.cpm[:, column])
    return len(np.unique(person[seen]))


def _grade(world: World, gene: Gene, parts: Parts, n_donors: int) -> str | None:
    have = [gene.gene_id in world.measured[a] for a in atlases_of(world.indication)]
    if not any(have):
        return None
    vital = [r for r in world.rows if r.tier <= VITAL_TIER and r.by_rna]
    share = len(parts.assessed.intersection(r.label for r in vital)) / len(vital) if vital else 0.0
    n_patients = parts.reach.n_patients if parts.reach else 0
    grade = evidence_grade(share, n_patients, n_donors, all(have))
    reported = any(
        g.literature and g.literature.strength == "strong" and not g.row.tolerated
        for g in parts.gaps
        if not g.measured
    )
    return lowered_grade(grade, blind_organs(world.rows, parts.assessed), reported)


def _notes(world: World, gene: Gene, summary: Reach | None, gaps: Sequence[Gap]) -> list[str]:
    notes = []
    if world.scoring.blinded:
        notes.append("blinded: neither approved binders nor reports of healthy cells count")
    without = [a for a in atlases_of(world.indication) if gene.gene_id not in world.measured[a]]
    if without:
        notes.append(f"not measured in {', '.join(without)}")
    if summary is not None:
        if not summary.expressed:
            notes.append("not expressed")
        if summary.n_patients < FEW_PATIENTS:
            notes.append(f"fewer than {FEW_PATIENTS} patients")
        if summary.dominant is not None:
            notes.append(f"patient {summary.dominant} holds more than half of the diseased cells")
    if world.unseparated:
        notes.append("diseased cells are not separated from their normal counterpart")
    if world.tumour.left_out:
        notes.append(
            f"{world.tumour.left_out:,} diseased cells of another preparation are not pooled"
        )
    if gene.gene_id in world.selection:
        notes.append(f"fractions are of selected cells ({world.selection[gene.gene_id]})")
    for measured, said in (
        (False, "not assessed although literature reports it"),
        (True, "too few cells or donors to outweigh the literature"),
    ):
        positive = [
            f"{g.row.label} ({g.literature.strength})"
            for g in gaps
            if g.literature and g.penalty and g.measured == measured
        ]
        if positive:
            notes.append(f"{said}: {', '.join(positive)}")
    return notes
