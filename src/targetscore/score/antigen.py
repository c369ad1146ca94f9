"""Everything about one antigen put together: status, reasons, notes, parts (C7, C9)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from targetscore.config import Indication, Scoring
from targetscore.genes import Gene
from targetscore.knowledge import Knowledge
from targetscore.score.cohorts import Lineages
from targetscore.score.columns import contrast_columns, reach_columns, worst_columns
from targetscore.score.composite import composite_score, evidence_grade
from targetscore.score.contrast import VITAL_TIER, Contrast, contrast
from targetscore.score.curated import shedding_rows, surface_of
from targetscore.score.evidence import (
    Gap,
    evidence_rows,
    gaps_of,
    literature_of,
    row_ids,
    rows_assessed,
    rows_settled,
    stated_verdicts,
)
from targetscore.score.grade import blind_organs, lowered_grade
from targetscore.score.healthy import Healthy
from targetscore.score.load import atlases_of
from targetscore.score.tiers import Tier, TierRow
from targetscore.score.toxicity import Safety, safety_of, toxicity_rows
from targetscore.score.tumour import Reach, Tumour, coverage_rows, reach

FEW_PATIENTS = 3


@dataclass(frozen=True)
class World:
    """What all antigens of an indication share.

    Attributes
    ----------
    indication, knowledge, scoring
        As given to the stage.
    measured
        Genes each atlas measures.
    lineages
        Cell types the indication names.
    rows, tiers
        Tissue tiers as they apply, thresholds of each tier.
    tumour, healthy
        Evidence of all panel genes.
    percentiles
        Expression percentile (0–1) by compartment and gene id.
    symbol_ids
        Gene id by symbol, for the sheddases.
    selection
        Reason by gene id whose coverage is unusable.
    unseparated
        Whether nothing separates diseased cells from their normal counterpart.
    """

    indication: Indication
    knowledge: Knowledge
    scoring: Scoring
    measured: Mapping[str, frozenset[str]]
    lineages: Lineages
    rows: list[TierRow]
    tiers: Mapping[int, Tier]
    tumour: Tumour
    healthy: Healthy
    percentiles: Mapping[str, Mapping[str, float]]
    symbol_ids: Mapping[str, str]
    selection: Mapping[str, str]
    unseparated: bool

    def percentile(self, enzyme: str, compartment: str) -> float | None:
        """Return the expression percentile of a sheddase; None if it was not measured."""
        gene_id = self.symbol_ids.get(enzyme)
        return self.percentiles.get(compartment, {}).get(gene_id) if gene_id else None


@dataclass(frozen=True)
class AntigenScore:
    """The rows one antigen adds to each table of the score, and the gaps behind its safety."""

    gene: Gene
    gaps: Sequence[Gap]
    evidence: pd.DataFrame
    toxicity: pd.DataFrame
    coverage: pd.DataFrame
    shedding: pd.DataFrame
    components: dict[str, Any]


def score_antigen(world: World, gene: Gene, column: int) -> AntigenScore:
    """Score one antigen.

    Parameters
    ----------
    world
        What all antigens share.
    gene
        The antigen.
    column
        Its column in the evidence arrays.
    """
    literature = literature_of(world.knowledge, gene.symbol)
    assessed = rows_assessed(world.healthy, column)
    settled = rows_settled(world.healthy, column, world.scoring)
    gaps = gaps_of(world.rows, assessed, settled, literature, world.tiers)
    stated = stated_verdicts(world.healthy, column, literature)
    shedding_table, shedding = shedding_rows(world.knowledge, gene.symbol, world.percentile)
    summary = reach(world.tumour, column, world.scoring.escape_fraction)
    safety = safety_of(world.healthy, column, gaps)
    counterpart = frozenset() if world.unseparated else world.lineages.counterpart
    against = contrast(world.tumour, summary, world.healthy, column, counterpart, world.scoring)
    surface = surface_of(world.knowledge, gene.symbol)
    coverage = None if summary is None or gene.gene_id in world.selection else summary.score
    missing = _missing(world, gene, summary, against, safety, surface, shedding is None)
    status, reason = _status(world, gene, surface, missing)
    composite = composite_score(
        against.score,
        coverage,
        safety.score,
        surface,
        shedding.mid if shedding else None,
        world.scoring.composite_weights,
        world.scoring.part_floor,
    )
    n_donors = _healthy_donors(world.healthy, column)
    components = {
        "gene_id": gene.gene_id,
        "antigen": gene.symbol,
        "display": _display(world.knowledge, gene.symbol),
        "status": status,
        "reason": reason,
        "specificity_score": against.score,
        "coverage_score": coverage,
        "safety_score": safety.score,
        "surface_confidence": surface,
        "shedding_score": shedding.mid if shedding else None,
        "composite_score": composite if status == "ranked" else None,
        "shedding_low": shedding.low if shedding else None,
        "shedding_high": shedding.high if shedding else None,
        "shedding_completeness": shedding.completeness if shedding else None,
        "shedding_grade": shedding.grade if shedding else "not_applicable",
        "evidence_grade": _grade(world, gene, assessed, gaps, summary, n_donors),
        "n_healthy_donors": n_donors,
        "n_gaps": sum(not g.measured for g in gaps),
        "notes": "; ".join(_notes(world, gene, summary, gaps)) or None,
        **contrast_columns(against),
        **reach_columns(summary, world.scoring.burden),
        **worst_columns(world.healthy, column, safety, stated, gaps),
        "safety_assessed": safety.assessed,
        "safety_lower": safety.lower,
        "safety_upper": safety.upper,
    }
    return AntigenScore(
        gene,
        gaps,
        evidence_rows(
            world.healthy,
            column,
            gaps,
            row_ids(world.rows),
            literature,
            world.tumour.bystanders,
        ),
        toxicity_rows(world.healthy, column, gaps, stated),
        coverage_rows(world.tumour, column),
        shedding_table,
        components,
    )


def _display(knowledge: Knowledge, symbol: str) -> str:
    rows = knowledge.antigens.loc[knowledge.antigens["symbol"] == symbol, "display"]
    return str(rows.iloc[0]) if len(rows) and rows.iloc[0] else symbol


def _healthy_donors(healthy: Healthy, column: int) -> int:
    donors = set()
    for i, use in enumerate(healthy.assessed[:, column]):
        if use:
            cpm = healthy.donor_cpm[i][:, column]
            donors |= {d for d, v in zip(healthy.donors[i], cpm, strict=True) if v == v}
    return len(donors)


def _grade(
    world: World,
    gene: Gene,
    assessed: frozenset[str],
    gaps: Sequence[Gap],
    summary: Reach | None,
    n_donors: int,
) -> str | None:
    have = [gene.gene_id in world.measured[a] for a in atlases_of(world.indication)]
    if not any(have):
        return None
    vital = [r for r in world.rows if r.tier <= VITAL_TIER and r.by_rna]
    share = len(assessed.intersection(r.label for r in vital)) / len(vital) if vital else 0.0
    grade = evidence_grade(share, summary.n_patients if summary else 0, n_donors, all(have))
    reported = any(
        g.literature and g.literature.strength == "strong" and not g.row.tolerated
        for g in gaps
        if not g.measured
    )
    return lowered_grade(grade, blind_organs(world.rows, assessed), reported)


def _measured_in(world: World, gene: Gene, atlases: Sequence[str]) -> bool:
    return any(gene.gene_id in world.measured[a] for a in atlases)


def _missing(
    world: World,
    gene: Gene,
    summary: Reach | None,
    against: Contrast,
    safety: Safety,
    surface: float | None,
    not_in_membrane: bool,
) -> list[str]:
    """List why parts of the score are missing; a part never goes missing without a reason."""
    in_patients = _measured_in(world, gene, world.indication.diseased.atlases)
    in_healthy = _measured_in(world, gene, world.indication.healthy.atlases)
    reasons = []
    if not in_patients:
        reasons.append("not measured in the diseased atlases")
    elif summary is None:
        fewest = world.scoring.min_cells_patient
        reasons.append(f"no patient with at least {fewest} diseased cells")
    if gene.gene_id in world.selection:
        reasons.append(f"selection_bias: {world.selection[gene.gene_id]}")
    if not in_healthy:
        reasons.append("not measured in the healthy atlases")
    else:
        if against.score is None and summary is not None:
            reasons.append(f"specificity: {against.missing}")
        if safety.score is None:
            reasons.append("safety: no healthy group that counts was assessed")
    if surface is None:
        reasons.append("surface evidence unknown")
    if not_in_membrane:
        reasons.append("shedding does not apply: not a membrane protein")
    return reasons


def _status(
    world: World, gene: Gene, surface: float | None, missing: Sequence[str]
) -> tuple[str, str | None]:
    rows = world.knowledge.antigens
    rows = rows[(rows["symbol"] == gene.symbol) & (rows["rna_scorable"] == "no")]
    if len(rows):
        return "not_scorable", rows["not_scorable_reason"].iloc[0] or "RNA does not show it"
    if not _measured_in(world, gene, atlases_of(world.indication)):
        return "not_measured", "no atlas of this indication measures the gene"
    least = world.scoring.min_surface_confidence
    if surface is not None and surface < least:
        return "not_surface", f"surface confidence {surface:.2f} is below {least:g}"
    return ("incomplete", "; ".join(missing)) if missing else ("ranked", None)


def _notes(world: World, gene: Gene, summary: Reach | None, gaps: Sequence[Gap]) -> list[str]:
    notes = []
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
