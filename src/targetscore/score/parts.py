"""What the composite of one antigen is made of, and why there may be none (C7, C9)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from targetscore.config import Indication, Scoring
from targetscore.genes import Gene
from targetscore.score.cohorts import Lineages
from targetscore.score.composite import composite_score
from targetscore.score.contrast import Contrast, contrast
from targetscore.score.curated import Curated
from targetscore.score.evidence import Gap, gaps_of, rows_assessed, rows_settled
from targetscore.score.healthy import Healthy
from targetscore.score.levels import Credited, LevelEvidence, level_evidence
from targetscore.score.load import atlases_of
from targetscore.score.tiers import Tier, TierRow
from targetscore.score.toxicity import Safety, safety_of
from targetscore.score.tumour import Reach, Tumour, reach


@dataclass(frozen=True)
class World:
    """What all antigens of an indication share.

    Attributes
    ----------
    indication, scoring
        As given to the stage.
    curated
        What is known of each antigen, in the order of the evidence's columns.
    measured
        Genes each atlas measures.
    lineages
        Cell types the indication names.
    rows, tiers
        Tissue tiers as they apply, thresholds of each tier.
    tumour, healthy
        Evidence of all panel genes.
    selection
        Reason by gene id whose coverage is unusable.
    unseparated
        Whether nothing separates diseased cells from their normal counterpart.
    levels
        Levels of aggregated references; none if the indication names none.
    """

    indication: Indication
    curated: Sequence[Curated]
    scoring: Scoring
    measured: Mapping[str, frozenset[str]]
    lineages: Lineages
    rows: list[TierRow]
    tiers: Mapping[int, Tier]
    tumour: Tumour
    healthy: Healthy
    selection: Mapping[str, str]
    unseparated: bool
    levels: Credited

    def measures(self, gene: Gene, atlases: Sequence[str]) -> bool:
        """Tell whether any of some atlases measures a gene."""
        return any(gene.gene_id in self.measured[a] for a in atlases)


@dataclass(frozen=True)
class Parts:
    """The parts of one antigen and what they were made of; None where one is missing.

    Attributes
    ----------
    curated
        What is known of the antigen.
    assessed
        Labels of the tier rows that healthy cells assess.
    gaps
        Tier rows that too little assesses.
    levels
        What aggregated references say of it.
    reach, against, safety
        Coverage, specificity and safety with what they are made of.
    coverage
        Coverage score; None also where cells were selected by the antigen.
    status, reason
        As the contract ``score/components`` lists them.
    composite
        0–1, 1 best; None unless the status is ``ranked``.
    """

    curated: Curated
    assessed: frozenset[str]
    gaps: Sequence[Gap]
    levels: LevelEvidence
    reach: Reach | None
    against: Contrast
    safety: Safety
    coverage: float | None
    status: str
    reason: str | None
    composite: float | None


def parts_of(world: World, gene: Gene, column: int) -> Parts:
    """Compute the parts of one antigen and its composite.

    Parameters
    ----------
    world
        What all antigens share.
    gene
        The antigen.
    column
        Its column in the evidence arrays.
    """
    curated, healthy, scoring = world.curated[column], world.healthy, world.scoring
    assessed = rows_assessed(healthy, column)
    settled = rows_settled(healthy, column, scoring)
    gaps = gaps_of(world.rows, assessed, settled, curated.literature, world.tiers)
    summary = reach(world.tumour, column, scoring.escape_fraction)
    levels = level_evidence(world.levels, gene, settled, world.tiers)
    safety = safety_of(healthy, column, [*gaps, *levels.gaps])
    counterpart = frozenset() if world.unseparated else world.lineages.counterpart
    against = contrast(world.tumour, summary, healthy, column, counterpart, scoring)
    coverage = None if summary is None or gene.gene_id in world.selection else summary.score
    missing = _missing(world, gene, summary, against, safety, curated)
    status, reason = _status(world, gene, curated, missing)
    composite = composite_score(
        against.score,
        coverage,
        safety.score,
        curated.surface,
        curated.shedding.mid if curated.shedding else None,
        scoring.composite_weights,
        scoring.part_floor,
    )
    return Parts(
        curated,
        assessed,
        gaps,
        levels,
        summary,
        against,
        safety,
        coverage,
        status,
        reason,
        composite if status == "ranked" else None,
    )


def _missing(
    world: World,
    gene: Gene,
    summary: Reach | None,
    against: Contrast,
    safety: Safety,
    curated: Curated,
) -> list[str]:
    """List why parts of the score are missing; a part never goes missing without a reason."""
    in_patients = world.measures(gene, world.indication.diseased.atlases)
    in_healthy = world.measures(gene, world.indication.healthy.atlases)
    reasons = []
    if not in_patients:
        reasons.append("not measured in the diseased atlases")
    elif summary is None:
        fewest = world.scoring.min_cells_patient
        reasons.append(f"no patient with at least {fewest} diseased cells that hold any UMI")
    if gene.gene_id in world.selection:
        reasons.append(f"selection_bias: {world.selection[gene.gene_id]}")
    if not in_healthy:
        reasons.append("not measured in the healthy atlases")
    else:
        if against.score is None and summary is not None:
            reasons.append(f"specificity: {against.missing}")
        if safety.score is None:
            reasons.append("safety: no healthy group that counts was assessed")
    if curated.surface is None:
        reasons.append("surface evidence unknown")
    if curated.shedding is None:
        reasons.append("shedding does not apply: not a membrane protein")
    return reasons


def _status(
    world: World, gene: Gene, curated: Curated, missing: Sequence[str]
) -> tuple[str, str | None]:
    if curated.not_scorable is not None:
        return "not_scorable", curated.not_scorable
    if not world.measures(gene, atlases_of(world.indication)):
        return "not_measured", "no atlas of this indication measures the gene"
    surface, least = curated.surface, world.scoring.min_surface_confidence
    if surface is not None and surface < least:
        return "not_surface", f"surface confidence {surface:.2f} is below {least:g}"
    return ("incomplete", "; ".join(missing)) if missing else ("ranked", None)
