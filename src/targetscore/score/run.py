"""Score every antigen of an indication: the one function other parts of the program call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from targetscore.config import Indication, Levels, Scoring
from targetscore.contracts import (
    COMPONENTS,
    COVERAGE,
    EVIDENCE,
    LEVELS,
    OUTRANKS,
    RANKING,
    ROBUSTNESS,
    SHEDDING,
    TOXICITY,
    Contract,
)
from targetscore.genes import GeneTable
from targetscore.knowledge import Knowledge
from targetscore.score.antigen import AntigenScore, score_antigen
from targetscore.score.composite import ranks
from targetscore.score.inputs import read_inputs, world_of
from targetscore.score.load import AtlasProfile
from targetscore.score.robustness import robustness
from targetscore.score.uncertainty import Uncertainty, uncertainty


@dataclass(frozen=True)
class ScoreTables:
    """The score of one indication, one table per contract ``score/*``."""

    evidence: pd.DataFrame
    toxicity: pd.DataFrame
    coverage: pd.DataFrame
    shedding: pd.DataFrame
    components: pd.DataFrame
    ranking: pd.DataFrame
    robustness: pd.DataFrame
    outranks: pd.DataFrame
    levels: pd.DataFrame


_DTYPES: dict[str, tuple[Any, Any]] = {
    "float": ("float64", "float64"),
    "int": ("int64", "Int64"),
    "bool": ("bool", "boolean"),
}


def score_indication(
    indication: Indication,
    atlases: Mapping[str, AtlasProfile],
    knowledge: Knowledge,
    genes: GeneTable,
    scoring: Scoring,
    references: Mapping[str, str] | None = None,
    levels: Levels = Levels(),  # noqa: B008 (immutable)
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
    references
        Files of the aggregated references by name (contract ``ingest/levels``); None: there are
        none.
    levels
        What their levels count for.

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
    inputs = read_inputs(indication, atlases, knowledge, genes, scoring, references, levels)
    world = world_of(inputs)
    scores = [score_antigen(world, gene, column) for column, gene in enumerate(inputs.panel)]
    simulated = any(atlases[atlas].simulated for atlas in indication.atlases)
    return _tables(
        scores,
        "SIMULATED" if simulated else "measured",
        uncertainty(world, scores),
        robustness(inputs, world, scores),
    )


def _tables(
    scores: Sequence[AntigenScore], data: str, spread: Uncertainty, scenarios: pd.DataFrame
) -> ScoreTables:
    components = _typed(pd.DataFrame([s.components for s in scores]), COMPONENTS)
    composites = [None if pd.isna(c) else float(c) for c in components["composite_score"]]
    order = ranks(components["antigen"].tolist(), composites)
    ranking = components.assign(rank=pd.array(order, dtype="Int64"), data=data).join(
        spread.columns, on="gene_id"
    )
    return ScoreTables(
        _together([(s, s.evidence) for s in scores], EVIDENCE),
        _together([(s, s.toxicity) for s in scores], TOXICITY),
        _together([(s, s.coverage) for s in scores], COVERAGE),
        _together([(s, s.shedding) for s in scores], SHEDDING),
        components,
        _typed(ranking, RANKING),
        _typed(scenarios, ROBUSTNESS),
        _typed(spread.outranks, OUTRANKS),
        _together([(s, s.levels) for s in scores], LEVELS),
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
