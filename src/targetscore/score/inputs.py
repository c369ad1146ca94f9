"""What a score is made from, read once, and the evidence built from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from targetscore.config import Indication, Scoring
from targetscore.genes import Gene, GeneTable, resolve_panel
from targetscore.knowledge import Knowledge
from targetscore.score.antigen import World
from targetscore.score.cohorts import companions, healthy_groups, lineages, patient_groups
from targetscore.score.healthy import healthy_evidence
from targetscore.score.load import (
    AtlasProfile,
    Profiles,
    choose_profiles,
    mean_levels,
    read_profiles,
    read_symbols,
)
from targetscore.score.shedding import percentiles
from targetscore.score.tiers import Tier, thresholds, tier_rows
from targetscore.score.tumour import tumour_evidence


@dataclass(frozen=True)
class Inputs:
    """Everything the score of an indication is computed from.

    Attributes
    ----------
    indication, knowledge, scoring
        As given to the stage.
    profiles
        Sums of its atlases.
    panel
        Antigens to score, the columns of all evidence.
    tiers
        Thresholds of each tier.
    percentiles, symbol_ids, selection
        As in :class:`targetscore.score.antigen.World`.
    unseparated
        Atlases in which nothing separates diseased cells from their normal counterpart.
    """

    indication: Indication
    knowledge: Knowledge
    scoring: Scoring
    profiles: Profiles
    panel: Sequence[Gene]
    tiers: Mapping[int, Tier]
    percentiles: Mapping[str, Mapping[str, float]]
    symbol_ids: Mapping[str, str]
    selection: Mapping[str, str]
    unseparated: frozenset[str]


def read_inputs(
    indication: Indication,
    atlases: Mapping[str, AtlasProfile],
    knowledge: Knowledge,
    genes: GeneTable,
    scoring: Scoring,
) -> Inputs:
    """Read what the score needs of the profiles.

    Parameters and errors are those of :func:`targetscore.score.score_indication`.
    """
    file = f"indication '{indication.title}'"
    chosen = choose_profiles(indication, atlases)
    symbol_ids, measured = read_symbols(chosen)
    panel = _named(resolve_panel(indication, genes, file), symbol_ids)
    read = read_profiles(chosen, measured, [g.gene_id for g in panel])
    patients = patient_groups(read.groups, indication, lineages(indication).diseased)
    own_enzymes = knowledge.sheddases["symbol"].isin([g.symbol for g in panel])
    return Inputs(
        indication,
        knowledge,
        scoring,
        read,
        panel,
        thresholds(knowledge),
        _percentile_tables(chosen, read, patients) if own_enzymes.any() else {},
        symbol_ids | genes.approved,
        _selection(indication, genes, file),
        frozenset(p.atlas for p in chosen if p.unseparated),
    )


def world_of(inputs: Inputs) -> World:
    """Build the evidence all antigens of an indication share."""
    indication, scoring, read = inputs.indication, inputs.scoring, inputs.profiles
    genes = [g.gene_id for g in inputs.panel]
    named = lineages(indication)
    rows = tier_rows(
        inputs.knowledge, named.tolerated, indication.hsct_rescue, indication.disease.id
    )
    patients = patient_groups(read.groups, indication, named.diseased)
    healthy = healthy_groups(read.groups, indication)
    return World(
        indication=indication,
        knowledge=inputs.knowledge,
        scoring=scoring,
        measured=read.measured,
        lineages=named,
        rows=rows,
        tiers=inputs.tiers,
        tumour=tumour_evidence(read, patients, genes, scoring),
        healthy=healthy_evidence(
            read, healthy, genes, rows, inputs.tiers, named.tolerated, scoring
        ),
        percentiles=inputs.percentiles,
        symbol_ids=inputs.symbol_ids,
        selection=inputs.selection,
        unseparated=not inputs.unseparated.isdisjoint(indication.diseased.atlases),
    )


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
