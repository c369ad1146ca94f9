"""Score every antigen of an indication: the one function other parts of the program call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from targetscore.config import Indication, Scoring
from targetscore.contracts import (
    COMPONENTS,
    COVERAGE,
    EVIDENCE,
    RANKING,
    SHEDDING,
    TOXICITY,
    Contract,
)
from targetscore.genes import Gene, GeneTable, resolve_panel
from targetscore.knowledge import Knowledge
from targetscore.score.antigen import AntigenScore, World, score_antigen
from targetscore.score.cohorts import companions, healthy_groups, lineages, patient_groups
from targetscore.score.composite import ranks
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
from targetscore.score.tiers import thresholds, tier_rows
from targetscore.score.tumour import tumour_evidence


@dataclass(frozen=True)
class ScoreTables:
    """The score of one indication, one table per contract ``score/*``."""

    evidence: pd.DataFrame
    toxicity: pd.DataFrame
    coverage: pd.DataFrame
    shedding: pd.DataFrame
    components: pd.DataFrame
    ranking: pd.DataFrame


_DTYPES: dict[str, tuple[Any, Any]] = {
    "float": ("float64", "float64"),
    "int": ("int64", "Int64"),
    "bool": ("bool", "boolean"),
}


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


def score_indication(
    indication: Indication,
    atlases: Mapping[str, AtlasProfile],
    knowledge: Knowledge,
    genes: GeneTable,
    scoring: Scoring,
) -> ScoreTables:
    """Score the panel of an indication from the profiles of its atlases.

    Patients are (atlas, donor) with diseased cells in the diseased atlases; healthy evidence
    is the population ``healthy`` of the healthy atlases. A healthy group is a cell type in a
    tissue, apart by suspension and assay class and pooled over atlases, with donors apart.

    Parameters
    ----------
    indication
        What to score.
    atlases
        Profiles by atlas name; those the indication does not name are not read.
    knowledge
        Curated tables.
    genes
        Names of genes.
    scoring
        Parameters.

    Returns
    -------
    ScoreTables
        Tables that satisfy their contracts, in the order of their keys.

    Raises
    ------
    ConfigError
        If an atlas has no profile, or a cell type is not in the Cell Ontology.
    GeneError
        If a panel name is unknown or ambiguous, or two mean one gene.
    """
    file = f"indication '{indication.title}'"
    chosen = choose_profiles(indication, atlases)
    symbol_ids, measured = read_symbols(chosen)
    panel = _named(resolve_panel(indication, genes, file), symbol_ids)
    ids = [g.gene_id for g in panel]
    named = lineages(indication)
    read = read_profiles(chosen, measured, ids)
    patients = patient_groups(read.groups, indication, named.diseased)
    rows = tier_rows(knowledge, named.tolerated, indication.hsct_rescue)
    limits = thresholds(knowledge)
    own_enzymes = knowledge.sheddases["symbol"].isin([g.symbol for g in panel])
    world = World(
        indication=indication,
        knowledge=knowledge,
        scoring=scoring,
        measured=measured,
        lineages=named,
        rows=rows,
        tiers=limits,
        tumour=tumour_evidence(read, patients, ids, scoring),
        healthy=healthy_evidence(
            read,
            healthy_groups(read.groups, indication),
            ids,
            rows,
            limits,
            named.tolerated,
            scoring,
        ),
        percentiles=_percentile_tables(chosen, read, patients) if own_enzymes.any() else {},
        symbol_ids=symbol_ids | genes.approved,
        selection=_selection(indication, genes, file),
        unseparated=any(p.unseparated for p in chosen if p.atlas in indication.diseased.atlases),
    )
    scores = [score_antigen(world, gene, column) for column, gene in enumerate(panel)]
    simulated = any(profile.simulated for profile in chosen)
    return _tables(scores, "SIMULATED" if simulated else "measured")


def _selection(indication: Indication, genes: GeneTable, file: str) -> dict[str, str]:
    """Return the reason per gene whose coverage the selection of cells makes unusable."""
    context = indication.candidates.context
    found: dict[str, list[str]] = {}
    for entry in indication.diseased.selection:
        gene = genes.resolve(entry.antigen, file, "diseased.selection", context)
        found.setdefault(gene.gene_id, []).append(entry.reason)
    return {gene: "; ".join(reasons) for gene, reasons in found.items()}


def _tables(scores: Sequence[AntigenScore], data: str) -> ScoreTables:
    components = _typed(pd.DataFrame([s.components for s in scores]), COMPONENTS)
    composites = [None if pd.isna(c) else float(c) for c in components["composite_score"]]
    order = ranks(components["antigen"].tolist(), composites)
    ranking = components.assign(rank=pd.array(order, dtype="Int64"), data=data)
    return ScoreTables(
        _together([(s, s.evidence) for s in scores], EVIDENCE),
        _together([(s, s.toxicity) for s in scores], TOXICITY),
        _together([(s, s.coverage) for s in scores], COVERAGE),
        _together([(s, s.shedding) for s in scores], SHEDDING),
        components,
        _typed(ranking, RANKING),
    )


def _together(
    parts: Sequence[tuple[AntigenScore, pd.DataFrame]], contract: Contract
) -> pd.DataFrame:
    tables = [
        table.astype(object).assign(gene_id=score.gene.gene_id, antigen=score.gene.symbol)
        for score, table in parts
        if len(table)
    ]
    return _typed(pd.concat(tables, ignore_index=True), contract) if tables else contract.empty()


def _typed(table: pd.DataFrame, contract: Contract) -> pd.DataFrame:
    """Give a table the columns, types and order of its contract, and check it."""
    typed = table[contract.names].copy()
    for column in contract.columns:
        values = typed[column.name]
        if column.kind in _DTYPES:
            plain_type, nullable_type = _DTYPES[column.kind]
            typed[column.name] = values.astype(nullable_type if column.nullable else plain_type)
        else:
            typed[column.name] = values.astype(object).where(values.notna(), None)
    typed = typed.sort_values(
        list(contract.sort or contract.key), kind="stable", na_position="last"
    )
    typed = typed.reset_index(drop=True)
    contract.check(typed, contract.name)
    return typed
