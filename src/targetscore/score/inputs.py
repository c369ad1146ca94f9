"""What a score is made from, read once, and the evidence built from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from targetscore.config import Indication, Levels, Scoring
from targetscore.genes import Gene, GeneTable, resolve_panel
from targetscore.knowledge import Knowledge
from targetscore.score.cohorts import companions, healthy_groups, lineages, patient_groups
from targetscore.score.curated import Curated, Percentile, blinded, curated_of
from targetscore.score.donors import healthy_donors
from targetscore.score.healthy import Healthy, summarise
from targetscore.score.levels import References, credit, read_references
from targetscore.score.load import (
    AtlasProfile,
    Profiles,
    choose_profiles,
    mean_levels,
    read_profiles,
    read_symbols,
)
from targetscore.score.parts import World
from targetscore.score.shedding import percentiles
from targetscore.score.tiers import Tier, TierRow, thresholds, tier_rows
from targetscore.score.tumour import Tumour, tumour_evidence


@dataclass(frozen=True)
class Inputs:
    """Everything the score of an indication is computed from.

    Attributes
    ----------
    indication, knowledge, scoring
        As given to the stage; the knowledge blinded where the scoring says so.
    profiles
        Sums of its atlases.
    panel, curated
        Antigens to score, the columns of all evidence, and what is known of each of them.
    tiers
        Thresholds of each tier.
    selection
        As in :class:`targetscore.score.parts.World`.
    unseparated
        Atlases in which nothing separates diseased cells from their normal counterpart.
    references
        Levels of the aggregated references.
    """

    indication: Indication
    knowledge: Knowledge
    scoring: Scoring
    profiles: Profiles
    panel: Sequence[Gene]
    curated: Sequence[Curated]
    tiers: Mapping[int, Tier]
    selection: Mapping[str, str]
    unseparated: frozenset[str]
    references: References


def read_inputs(
    indication: Indication,
    atlases: Mapping[str, AtlasProfile],
    knowledge: Knowledge,
    genes: GeneTable,
    scoring: Scoring,
    references: Mapping[str, str] | None = None,
    levels: Levels = Levels(),  # noqa: B008 (immutable)
) -> Inputs:
    """Read what the score needs of the profiles.

    Parameters and errors are those of :func:`targetscore.score.score_indication`.
    """
    file = f"indication '{indication.title}'"
    knowledge = blinded(knowledge) if scoring.blinded else knowledge
    chosen = choose_profiles(indication, atlases)
    symbol_ids, measured = read_symbols(chosen)
    panel = _named(resolve_panel(indication, genes, file), symbol_ids)
    read = read_profiles(chosen, measured, [g.gene_id for g in panel])
    patients = patient_groups(read.groups, indication, lineages(indication).diseased)
    percentile = _percentile_of(
        chosen, read, patients, knowledge, panel, symbol_ids | genes.approved
    )
    return Inputs(
        indication,
        knowledge,
        scoring,
        read,
        panel,
        [curated_of(knowledge, gene.symbol, percentile) for gene in panel],
        thresholds(knowledge),
        _selection(indication, genes, file),
        frozenset(p.atlas for p in chosen if p.unseparated),
        read_references(references or {}, [g.gene_id for g in panel], levels),
    )


def world_of(inputs: Inputs) -> World:
    """Build the evidence all antigens of an indication share."""
    indication, rows = inputs.indication, _rows_of(inputs)
    return World(
        indication=indication,
        curated=inputs.curated,
        scoring=inputs.scoring,
        measured=inputs.profiles.measured,
        lineages=lineages(indication),
        rows=rows,
        tiers=inputs.tiers,
        tumour=tumour_of(inputs),
        healthy=healthy_of(inputs),
        selection=inputs.selection,
        unseparated=not inputs.unseparated.isdisjoint(indication.diseased.atlases),
        levels=credit(inputs.references, rows),
    )


def tumour_of(inputs: Inputs) -> Tumour:
    """Build the patients' evidence."""
    read, indication = inputs.profiles, inputs.indication
    patients = patient_groups(read.groups, indication, lineages(indication).diseased)
    return tumour_evidence(read, patients, [g.gene_id for g in inputs.panel], inputs.scoring)


def healthy_of(inputs: Inputs) -> Healthy:
    """Build the healthy evidence."""
    read, indication = inputs.profiles, inputs.indication
    donors = healthy_donors(
        read,
        healthy_groups(read.groups, indication),
        [g.gene_id for g in inputs.panel],
        _rows_of(inputs),
        lineages(indication).tolerated,
        inputs.scoring.ambient_fraction,
    )
    return summarise(donors, inputs.tiers, inputs.scoring)


def _rows_of(inputs: Inputs) -> list[TierRow]:
    indication = inputs.indication
    tolerated = lineages(indication).tolerated
    return tier_rows(inputs.knowledge, tolerated, indication.hsct_rescue, indication.disease.id)


def _named(panel: Sequence[Gene], symbol_ids: Mapping[str, str]) -> list[Gene]:
    """Give a gene known by its Ensembl id only the symbol an atlas has for it."""
    symbols: dict[str, str] = {}
    for symbol, gene_id in sorted(symbol_ids.items()):
        symbols.setdefault(gene_id, symbol)
    return [
        Gene(g.gene_id, symbols.get(g.gene_id, g.symbol), g.resolution)
        if g.symbol == g.gene_id
        else g
        for g in panel
    ]


def _percentile_of(
    profiles: Sequence[AtlasProfile],
    read: Profiles,
    patients: pd.DataFrame,
    knowledge: Knowledge,
    panel: Sequence[Gene],
    symbol_ids: Mapping[str, str],
) -> Percentile:
    """Return what gives the expression percentile of a sheddase in a compartment.

    The whole expression table is read only if a sheddase of the panel is named.
    """
    named = knowledge.sheddases["symbol"].isin([g.symbol for g in panel]).any()
    tables = _percentile_tables(profiles, read, patients) if named else {}

    def percentile(enzyme: str, compartment: str) -> float | None:
        gene_id = symbol_ids.get(enzyme)
        return tables.get(compartment, {}).get(gene_id) if gene_id else None

    return percentile


def _percentile_tables(
    profiles: Sequence[AtlasProfile], read: Profiles, patients: pd.DataFrame
) -> dict[str, dict[str, float]]:
    around = companions(read.groups, patients, "microenvironment")
    tables = {}
    for compartment, groups in (
        ("tumour", patients),
        ("tumour_and_microenvironment", pd.concat([patients, around])),
    ):
        levels = mean_levels(profiles, groups)
        ranked = percentiles(levels.to_numpy())
        tables[compartment] = dict(zip(levels.index, ranked.tolist(), strict=True))
    return tables


def _selection(indication: Indication, genes: GeneTable, file: str) -> dict[str, str]:
    """Return the reason per gene whose coverage the selection of cells makes unusable."""
    context = indication.candidates.context
    found: dict[str, list[str]] = {}
    for entry in indication.diseased.selection:
        gene = genes.resolve(entry.antigen, file, "diseased.selection", context)
        found.setdefault(gene.gene_id, []).append(entry.reason)
    return {gene: "; ".join(reasons) for gene, reasons in found.items()}
