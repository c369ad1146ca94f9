"""Who is diseased: malignancy calls, lineages and healthy donors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from targetscore import ontology
from targetscore.config import AtlasRow
from targetscore.errors import AtlasError, Problem, listed, near_matches, plain, raise_all
from targetscore.ingest.clones import CloneCalls
from targetscore.ingest.columns import by_value

MALIGNANT = frozenset({"malignant", "tumour", "tumor", "neoplastic", "true", "1", "yes"})
NOT_MALIGNANT = frozenset(
    {"normal", "non-malignant", "nonmalignant", "healthy", "false", "0", "no"}
)
UNCLEAR = frozenset({"unclear", "uncertain", "unknown", "undetermined", "ambiguous"})

ClonesOf = Callable[[NDArray[np.bool_]], CloneCalls]
"""Calls the clones among some rows of an atlas; see :func:`~.clones.call_clones`."""


@dataclass(frozen=True)
class Populations:
    """Who the cells of an atlas are.

    Attributes
    ----------
    population
        Population of each cell; ``malignancy_unclear`` where nobody can say.
    method
        ``annotation``, ``light_chain``, ``lineage``, ``unseparated`` (patients, but no calls)
        or ``none`` (no patients).
    reason
        Why a cell is unclear, where the method says so; else empty text.
    clones
        One summary per patient of the method ``light_chain``.
    notes
        Calls that contradict other labels, in words.
    """

    population: pd.Series
    method: str
    reason: pd.Series
    clones: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def lineage_terms(row: AtlasRow, registry: str) -> list[str]:
    """Return the Cell Ontology ids of the lineage a registry row names.

    Raises
    ------
    AtlasError
        If a name is not in the ontology; near matches are offered.
    """
    terms, problems = [], []
    for name in (n.strip() for n in row.lineage.split(";") if n.strip()):
        term = ontology.find(name, "CL")
        if term is None:
            near = listed(ontology.suggest(name, "CL")) or "none"
            problems.append(
                Problem(
                    registry,
                    f"{row.atlas}, column lineage",
                    f"'{plain(name)}' is no Cell Ontology term",
                    f"names that look alike: {near}",
                )
            )
        else:
            terms.append(term)
    raise_all(AtlasError, problems)
    return terms


def populations(
    row: AtlasRow,
    labels: pd.DataFrame,
    table: pd.DataFrame,
    healthy: pd.Series,
    location: str,
    registry: str,
    clones_of: ClonesOf | None = None,
) -> Populations:
    """Return each cell's population.

    Parameters
    ----------
    row
        Registry row; ``malignancy`` names a column, ``=lineage`` or ``=light_chain``.
    labels, table
        The cells' labels, and all columns of the atlas.
    healthy
        Cells of healthy donors.
    location, registry
        The atlas and the registry file, for messages.
    clones_of
        Calls clones from light chains. Without it (a look at the labels alone) the whole
        lineage of a patient counts as diseased under ``=light_chain``.

    Raises
    ------
    AtlasError
        If patients are there but nothing can say which of their cells are diseased.
    """
    lineage = lineage_terms(row, registry)
    types = labels["cell_type_id"]
    called = by_value(types, lambda t: ontology.is_a(t, [ontology.MALIGNANT_CELL])).astype(bool)
    in_lineage = by_value(types, lambda t: ontology.is_a(t, lineage)).astype(bool) | called
    population = pd.Series("microenvironment", index=labels.index, dtype=object)
    population[healthy] = "healthy"
    no_reason = pd.Series("", index=labels.index, dtype=object)
    patients = ~healthy
    if not patients.any():
        return Populations(population, "none", no_reason)
    if not row.malignancy and not lineage:
        raise AtlasError.one(
            registry,
            f"{row.atlas}, column malignancy",
            "patients' cells are there, but nothing says which are diseased",
            "name the column with malignant/normal calls, or write =lineage or =light_chain and "
            "the cell types of the disease in the column lineage",
        )
    if row.malignancy in ("", "=lineage") or (row.malignancy == "=light_chain" and not clones_of):
        population[patients & in_lineage] = "diseased"
        return Populations(population, row.malignancy[1:] or "unseparated", no_reason)
    if clones_of and row.malignancy == "=light_chain":
        found = clones_of((patients & in_lineage).to_numpy())
        calls, method = found.call, "light_chain"
        reason, clones = found.reason, found.patients
        notes = []
    else:
        calls, method = _annotated(row, table, patients, location, registry), "annotation"
        reason, clones = no_reason, []
        notes = _contradictions(calls.isin(MALIGNANT), healthy, in_lineage if lineage else None)
    malignant = patients & calls.isin(MALIGNANT)
    normal = patients & calls.isin(NOT_MALIGNANT) & ~called
    population[malignant] = "diseased"
    population[normal & in_lineage] = "normal_counterpart"
    unclear = patients & ~malignant & ~normal & (in_lineage | calls.isin(UNCLEAR))
    population[unclear] = "malignancy_unclear"
    return Populations(population, method, reason, clones, notes)


def _contradictions(
    malignant: pd.Series, healthy: pd.Series, in_lineage: pd.Series | None
) -> list[str]:
    """Say which malignant calls contradict the disease of the donor or the lineage."""
    notes = []
    if n := int((malignant & healthy).sum()):
        notes.append(
            f"{n:,} cells called malignant are of donors whose disease is normal: they count as "
            "healthy cells"
        )
    if in_lineage is not None and (n := int((malignant & ~healthy & ~in_lineage).sum())):
        notes.append(
            f"{n:,} cells called malignant are of cell types outside the lineage of the registry "
            "row: they count as diseased"
        )
    return notes


def _annotated(
    row: AtlasRow, table: pd.DataFrame, patients: pd.Series, location: str, registry: str
) -> pd.Series:
    """Return the calls of the column a registry row names, folded."""
    if row.malignancy not in table.columns:
        near = near_matches(row.malignancy, table.columns)
        hint = f"did you mean '{near[0]}'? " if near else ""
        raise AtlasError.one(
            registry,
            f"{row.atlas}, column malignancy",
            f"the atlas has no column '{plain(row.malignancy)}'",
            f"{hint}its columns are: {listed(table.columns, 20)}",
        )
    values = table[row.malignancy].astype(object)
    calls = values.where(values.notna(), "").astype(str).str.strip().str.casefold()
    odd = sorted(set(calls[patients]) - MALIGNANT - NOT_MALIGNANT - UNCLEAR - {"", "nan"})
    if odd:
        raise AtlasError.one(
            location,
            row.malignancy,
            f"calls that are not understood: {listed(odd)}",
            "write malignant, normal or unclear (a cell_labels table can replace the column)",
        )
    return calls
