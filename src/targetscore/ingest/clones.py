"""Malignancy calls from light chains: reads the genes, calls each patient's clone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from targetscore import ontology
from targetscore.errors import AtlasError
from targetscore.formats import OpenAtlas
from targetscore.ingest.ambient import ambient_rate
from targetscore.ingest.columns import by_value
from targetscore.ingest.light_chain import CHAIN_GENES, call_patient

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

MIN_BYSTANDERS = 50
"""Cells that make no immunoglobulin a sample needs for its ambient level to be read off them."""

_DOUBLETS = 0.1
_B_LINEAGE = ("CL:0000945", "CL:0000826")
_NEEDED = (("IGKC",), ("IGLC2", "IGLC3"))


@dataclass(frozen=True)
class CloneCalls:
    """Light-chain calls of an atlas.

    Attributes
    ----------
    call
        ``malignant``, ``normal`` or ``unclear`` per cell; empty for cells not asked about.
    reason
        Why a cell is unclear; empty for the others.
    patients
        One summary per patient, in the order of their names (see
        :class:`~targetscore.ingest.light_chain.PatientCalls`), with donor and ambient.
    """

    call: pd.Series
    reason: pd.Series
    patients: list[dict[str, Any]]


def require_light_chains(genes: pd.DataFrame, atlas: str, location: str, registry: str) -> None:
    """Refuse ``=light_chain`` for an atlas without the immunoglobulin constant genes.

    Raises
    ------
    AtlasError
        If IGKC, or both IGLC2 and IGLC3, are not among the genes (contract
        ``ingest/genes``).
    """
    here = {CHAIN_GENES.get(g) for g in genes["gene_id"]}
    missing = [" and ".join(names) for names in _NEEDED if here.isdisjoint(names)]
    if missing:
        raise _not_callable(
            atlas, location, registry, f"{'; '.join(missing)} not among the genes of the atlas"
        )


def _not_callable(atlas: str, location: str, registry: str, what: str) -> AtlasError:
    return AtlasError.one(
        registry,
        f"{atlas}, column malignancy",
        f"=light_chain cannot be used: {what} ({location})",
        "immunoglobulin genes were probably removed before publication: name a column with "
        "malignant/normal calls, join a table of calls through cell_labels, or get the full matrix",
    )


def call_clones(
    atlas: OpenAtlas,
    genes: pd.DataFrame,
    labels: pd.DataFrame,
    counted: NDArray[np.bool_],
    name: str,
    registry: str,
    asked: NDArray[np.bool_],
) -> CloneCalls:
    """Call the patients' cells of the disease's lineage from their light chains.

    Reads the matrix once.

    Parameters
    ----------
    atlas
        The opened atlas.
    genes
        Contract ``ingest/genes``.
    labels
        Donor, sample and cell_type_id of every matrix row.
    counted
        Rows that may count as evidence: donor known, not a second copy; ``(n_rows,)``.
    name, registry
        Atlas and registry file, for messages.
    asked
        Rows to call, ``(n_rows,)``; one that is not counted is not called.

    Raises
    ------
    AtlasError
        If the constant genes are there but hold no count.
    """
    counts, library = _chain_counts(atlas, genes)
    empty = [" and ".join(n) for n in _NEEDED if not counts[:, [_column(g) for g in n]].any()]
    if empty:
        raise _not_callable(name, atlas.location, registry, f"{'; '.join(empty)} hold no count")
    ambient, measured = _ambient(counts, library, labels)
    asked = asked & counted
    call = np.full(len(labels), "", dtype=object)
    reason = call.copy()
    patients = []
    for donor in sorted(set(labels["donor"][asked])):
        rows = np.flatnonzero(asked & (labels["donor"] == donor).to_numpy())
        found = call_patient(counts[rows], ambient[rows])
        call[rows], reason[rows] = found.call, found.reason
        seen = bool(measured[rows].all())
        source = "cells that make no immunoglobulin" if seen else "upper default"
        patients.append({"donor": donor, **found.summary, "ambient_from": source})
    return CloneCalls(
        pd.Series(call, index=labels.index), pd.Series(reason, index=labels.index), patients
    )


def _column(symbol: str) -> int:
    return list(CHAIN_GENES.values()).index(symbol)


def _chain_counts(atlas: OpenAtlas, genes: pd.DataFrame) -> tuple[Integers, Integers]:
    """Return light-chain UMI ``(n_rows, 7)`` and masked library sizes ``(n_rows,)``."""
    place = {gene: i for i, gene in enumerate(CHAIN_GENES)}
    selected = np.zeros((len(genes), len(place) + 1), dtype=np.int64)
    selected[:, -1] = ~genes["masked"].to_numpy(bool)
    for row, gene in enumerate(genes["gene_id"]):
        if gene in place:
            selected[row, place[gene]] = 1
    sums = np.zeros((len(atlas.cells), selected.shape[1]), dtype=np.int64)
    for first, block in atlas.blocks():
        sums[first : first + block.shape[0]] = block @ selected
    return sums[:, :-1], sums[:, -1]


def _ambient(
    counts: Integers, library: Integers, labels: pd.DataFrame
) -> tuple[Floats, NDArray[np.bool_]]:
    """Return ambient light-chain UMI expected in each cell, and where it was measured.

    Cells of other lineages show light chains only from ambient RNA (and doublets: the tenth
    with the most is left out). Without enough of them the upper default of C1 is used.
    """
    bystander = by_value(labels["cell_type_id"], _makes_none).to_numpy(bool) & (library > 0)
    expected = np.zeros(counts.shape)
    measured = np.zeros(len(library), dtype=bool)
    codes = pd.factorize(labels["sample"])[0]
    for rows in np.split(np.argsort(codes, kind="stable"), np.cumsum(np.bincount(codes))[:-1]):
        chosen = rows[bystander[rows]]
        if len(chosen) >= MIN_BYSTANDERS:
            level = counts[chosen].sum(1) / library[chosen]
            kept = chosen[level <= np.quantile(level, 1 - _DOUBLETS)]
            rate = ambient_rate(counts[kept].sum(0), float(library[kept].sum()), 1.0)
            measured[rows] = True
        else:
            rate = ambient_rate(counts[rows].sum(0), float(max(library[rows].sum(), 1)))
        expected[rows] = library[rows, None] * rate
    return expected, measured


def _makes_none(cell_type: str) -> bool:
    """Tell whether a cell type is known and surely not of the B lineage."""
    if cell_type.startswith("label:") or ontology.is_a(cell_type, _B_LINEAGE):
        return False
    return not any(ontology.is_a(b, [cell_type]) for b in _B_LINEAGE)
