"""Who each cell is: donor, sample, tissue, cell type, assay, suspension, disease, population."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pandas as pd

from targetscore import ontology
from targetscore.config import AtlasRow, read_tsv
from targetscore.errors import AtlasError, Problem, listed, plain, raise_all
from targetscore.formats import OpenAtlas
from targetscore.ingest.cellxgene import refuse_other_species, unusable
from targetscore.ingest.clones import call_clones
from targetscore.ingest.columns import (
    REQUIRED,
    by_value,
    empty_labels,
    find_columns,
    join_labels,
    refuse_repeated,
)
from targetscore.ingest.populations import Populations, populations

_UNKNOWN = frozenset({"", "unknown", "na", "nan", "n/a", "<na>", "null", "none", "pooled"})
_SUSPENSIONS = {"cell": "cell", "cells": "cell", "nucleus": "nucleus", "nuclei": "nucleus"}


@dataclass(frozen=True)
class Labelled:
    """Cells with their labels.

    Attributes
    ----------
    cells
        Contract ``ingest/cells`` (kept cells).
    rejected
        Contract ``ingest/rejected``.
    malignancy_method
        See :class:`~targetscore.ingest.populations.Populations`.
    clones
        One summary per patient called from light chains.
    notes
        What labels say against each other.
    """

    cells: pd.DataFrame
    rejected: pd.DataFrame
    malignancy_method: str
    clones: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def read_labels(
    row: AtlasRow, atlas: OpenAtlas, registry: str
) -> tuple[pd.DataFrame, pd.DataFrame, pd.Series]:
    """Read what the publisher, and the user's own table, say of every row of the matrix.

    Parameters
    ----------
    row, atlas, registry
        As in :func:`label_cells`.

    Returns
    -------
    table
        All columns of the atlas's cells, with joined labels.
    labels
        One column per label, cell types and tissues also as ontology ids.
    author
        Cell type as the publisher wrote it.

    Raises
    ------
    AtlasError
        With every missing column, empty label, repeated barcode and unknown word; or if no
        cell is human.
    """
    table = atlas.cells
    if row.cell_labels:
        table = join_labels(table, row.cell_labels)
    refuse_other_species(table, atlas.location)
    refuse_repeated(table["cell"], atlas.location)
    labels, problems = find_columns(row, table, atlas.location, registry)
    raise_all(AtlasError, problems)
    problems = [
        p for name in REQUIRED for p in empty_labels(labels, name, table["cell"], atlas.location)
    ]
    raise_all(AtlasError, problems)
    author = labels["cell_type"].copy()
    labels["cell_type_id"] = _map_cell_types(labels["cell_type"], row)
    labels["tissue_id"] = _map_terms(labels["tissue"], "UBERON")
    labels["suspension"] = labels["suspension"].map(
        lambda v: _SUSPENSIONS.get(v.casefold(), "unknown")
    )
    return table, labels, author


def label_cells(
    row: AtlasRow, atlas: OpenAtlas, registry: str, genes: pd.DataFrame | None = None
) -> Labelled:
    """Decide for every cell who it is; rejected cells keep their reason.

    Parameters
    ----------
    row
        Registry row; says which column holds what.
    atlas
        The opened atlas.
    registry
        Registry file, for messages.
    genes
        Contract ``ingest/genes``, to call clones from the matrix under ``=light_chain``;
        without it the matrix is not read.

    Raises
    ------
    AtlasError
        With every missing column, empty label, repeated barcode and unknown word.
    """
    table, labels, author = read_labels(row, atlas, registry)
    healthy = by_value(labels["disease"], ontology.is_normal).astype(bool)
    labels["disease"] = labels["disease"].where(~healthy, "normal")
    counted = (_known_donor(labels) & _primary(table)).to_numpy(bool)
    clones_of = None
    if genes is not None:
        clones_of = partial(call_clones, atlas, genes, labels, counted, row.atlas, registry)
    who = populations(row, labels, table, healthy, atlas.location, registry, clones_of)
    reasons = _reasons(labels, table, author, healthy, who)
    cells = pd.DataFrame(
        {
            "row": range(len(table)),
            "cell": table["cell"].astype(str),
            **{c: labels[c] for c in ("donor", "sample", "tissue_id")},
            "tissue": by_value(labels["tissue_id"], ontology.label),
            "cell_type_id": labels["cell_type_id"],
            "cell_type": by_value(labels["cell_type_id"], ontology.label),
            **{c: labels[c] for c in ("assay", "suspension", "disease")},
            "population": who.population,
            "author_cell_type": author,
        }
    )
    out = reasons["reason"].notna()
    rejected = pd.concat([cells.loc[out, ["row", "cell"]], reasons[out]], axis=1)
    kept = cells[~out].reset_index(drop=True)
    if kept.empty:
        counts = rejected["reason"].value_counts().to_dict()
        remedy = "look at the registry columns of this atlas; they may name the wrong columns"
        raise AtlasError.one(atlas.location, "", f"no cell is left: {counts}", remedy)
    notes = [*who.notes, *_on_both_sides(kept)]
    return Labelled(kept, rejected.reset_index(drop=True), who.method, who.clones, notes)


def _on_both_sides(cells: pd.DataFrame) -> Iterator[str]:
    """Name donors who are healthy in some of their cells and patients in others."""
    healthy = cells["population"] == "healthy"
    both = sorted(set(cells.loc[healthy, "donor"]) & set(cells.loc[~healthy, "donor"]))
    if both:
        yield (
            f"donors with cells of disease normal beside others: {listed(both)}: the normal ones "
            "count as cells of a healthy donor"
        )


def _term(text: str, ontology_name: str) -> str:
    return ontology.find(text, ontology_name) or f"label:{text}"


def _map_terms(values: pd.Series, ontology_name: str) -> pd.Series:
    return by_value(values, lambda v: _term(v, ontology_name))


def _map_cell_types(values: pd.Series, row: AtlasRow) -> pd.Series:
    mapped: dict[str, str] = {}
    problems = []
    if row.label_map:
        column = "cell_type_ontology_term_id"
        for record in read_tsv(row.label_map, AtlasError, ("label", column)):
            term = ontology.find(record[column], "CL")
            if term is None:
                near = listed(ontology.suggest(record[column], "CL")) or "none"
                problems.append(
                    Problem(
                        row.label_map,
                        plain(record["label"]),
                        f"'{plain(record[column])}' is no Cell Ontology term",
                        f"names that look alike: {near}",
                    )
                )
                continue
            if mapped.setdefault(record["label"], term) != term:
                wrong = f"is mapped to {mapped[record['label']]} and to {term}"
                problems.append(
                    Problem(row.label_map, plain(record["label"]), wrong, "keep one of the lines")
                )
    raise_all(AtlasError, problems)
    return by_value(values, lambda v: mapped.get(v) or _term(v, "CL"))


def _known_donor(labels: pd.DataFrame) -> pd.Series:
    return ~labels["donor"].str.casefold().isin(_UNKNOWN)


def _primary(table: pd.DataFrame) -> pd.Series:
    if "is_primary_data" not in table.columns:
        return pd.Series(True, index=table.index)
    return table["is_primary_data"].astype(str).str.casefold().isin(["true", "1"])


def _reasons(
    labels: pd.DataFrame,
    table: pd.DataFrame,
    author: pd.Series,
    healthy: pd.Series,
    who: Populations,
) -> pd.DataFrame:
    """Return reason and detail of each rejected cell, NA for kept ones; the last one counts."""
    no_type = author.str.casefold().isin(_UNKNOWN)
    unclear = who.population == "malignancy_unclear"
    reasons = pd.DataFrame({"reason": pd.NA, "detail": pd.NA}, index=labels.index, dtype=object)
    for mask, reason, detail in (
        (unclear, "malignancy_unclear", who.reason.where(who.reason != "", author)),
        (no_type, "cell_type_unknown", author),
        (~_known_donor(labels), "donor_unknown", labels["donor"]),
        *unusable(table, labels, healthy),
        (~_primary(table), "not_primary_data", labels["sample"]),
    ):
        reasons.loc[mask, "reason"] = reason
        reasons.loc[mask, "detail"] = detail[mask]
    return reasons
