"""Who each cell is: donor, sample, tissue, cell type, assay, suspension, disease, population."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import pandas as pd

from targetscore import ontology
from targetscore.config import AtlasRow, read_tsv
from targetscore.errors import AtlasError, Problem, listed, near_matches, plain, raise_all
from targetscore.formats import OpenAtlas

DEFAULT_COLUMNS = {
    "donor": ("donor_id", "donor"),
    "sample": ("sample_id", "sample"),
    "tissue": ("tissue_ontology_term_id", "tissue"),
    "cell_type": ("cell_type_ontology_term_id", "cell_type"),
    "assay": ("assay",),
    "suspension": ("suspension_type", "suspension"),
    "disease": ("disease_ontology_term_id", "disease"),
}
"""Columns looked for where the registry names none (CELLxGENE's names first)."""

REQUIRED = ("donor", "tissue", "cell_type", "disease")
_UNKNOWN = frozenset({"", "unknown", "na", "nan", "none", "pooled"})
_MALIGNANT = frozenset({"malignant", "tumour", "tumor", "neoplastic", "true", "1", "yes"})
_NORMAL = frozenset({"normal", "non-malignant", "nonmalignant", "healthy", "false", "0", "no"})
_UNCLEAR = frozenset({"unclear", "uncertain", "unknown", "undetermined", "ambiguous"})
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
        ``annotation``, ``lineage``, ``unseparated`` (patients, but no calls) or ``none``
        (no patients).
    """

    cells: pd.DataFrame
    rejected: pd.DataFrame
    malignancy_method: str


def join_labels(table: pd.DataFrame, path: str) -> pd.DataFrame:
    """Join a user's label table to the cells by its first column.

    Parameters
    ----------
    table
        The atlas's cells.
    path
        TSV whose first column is ``cell`` or another column of the atlas; its other columns
        are added, and replace columns of the same name.

    Raises
    ------
    AtlasError
        If the first column is unknown, a key repeats, or cells have no label.
    """
    labels = pd.DataFrame(read_tsv(path, AtlasError, ()), dtype=str)
    key = labels.columns[0]
    if key not in table.columns:
        wrong = f"the first column '{key}' is no column of the cells"
        remedy = f"name it 'cell' (barcodes), or one of: {listed(table.columns, 20)}"
        raise AtlasError.one(path, "header", wrong, remedy)
    if labels[key].duplicated().any():
        repeated = labels.loc[labels[key].duplicated(), key].unique()
        raise AtlasError.one(
            path, key, f"values repeat: {listed(repeated, 3)}", "give each value one line"
        )
    keys = table[key].astype(str)
    unlabelled = keys[~keys.isin(labels[key])]
    if len(unlabelled):
        wrong = f"{len(unlabelled):,} of {len(keys):,} cells have no line: {listed(unlabelled, 3)}"
        remedy = "add a line for each (cell_type 'unknown' leaves a cell out, with its reason)"
        raise AtlasError.one(path, key, wrong, remedy)
    added = labels.set_index(key).reindex(keys).reset_index(drop=True)
    kept = [c for c in table.columns if c not in added.columns]
    return pd.concat([table[kept].reset_index(drop=True), added], axis=1)


def label_cells(row: AtlasRow, atlas: OpenAtlas, registry: str) -> Labelled:
    """Decide for every cell who it is; rejected cells keep their reason.

    Parameters
    ----------
    row
        Registry row; says which column holds what.
    atlas
        The opened atlas.
    registry
        Registry file, for messages.

    Raises
    ------
    AtlasError
        With every missing column, empty label, repeated barcode and unknown word.
    """
    table = atlas.cells
    if row.cell_labels:
        table = join_labels(table, row.cell_labels)
    _refuse_repeated(table["cell"], atlas.location)
    labels, problems = _columns(row, table, atlas.location, registry)
    raise_all(AtlasError, problems)
    problems = [p for name in REQUIRED for p in _empty(labels, name, table["cell"], atlas.location)]
    raise_all(AtlasError, problems)
    author = labels["cell_type"].copy()
    labels["cell_type_id"] = _map_cell_types(labels["cell_type"], row)
    labels["tissue_id"] = _map_terms(labels["tissue"], "UBERON")
    labels["suspension"] = labels["suspension"].map(
        lambda v: _SUSPENSIONS.get(v.casefold(), "unknown")
    )
    healthy = _by_value(labels["disease"], ontology.is_normal).astype(bool)
    labels["disease"] = labels["disease"].where(~healthy, "normal")
    population, method = _populations(row, labels, table, healthy, atlas.location, registry)
    reasons = _reasons(labels, table, author, population)
    cells = pd.DataFrame(
        {
            "row": range(len(table)),
            "cell": table["cell"].astype(str),
            **{c: labels[c] for c in ("donor", "sample", "tissue_id")},
            "tissue": _by_value(labels["tissue_id"], ontology.label),
            "cell_type_id": labels["cell_type_id"],
            "cell_type": _by_value(labels["cell_type_id"], ontology.label),
            **{c: labels[c] for c in ("assay", "suspension", "disease")},
            "population": population,
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
    return Labelled(kept, rejected.reset_index(drop=True), method)


def _refuse_repeated(barcodes: pd.Series, location: str) -> None:
    repeated = barcodes[barcodes.duplicated()].unique()
    if len(repeated):
        raise AtlasError.one(
            location,
            "cell",
            f"{len(repeated):,} barcodes repeat, for example {listed(repeated, 3)}",
            "the same cells stand in twice, or samples were joined without a prefix: make the "
            "barcodes unique (sample name + barcode)",
        )


def _columns(
    row: AtlasRow, table: pd.DataFrame, location: str, registry: str
) -> tuple[pd.DataFrame, list[Problem]]:
    labels: dict[str, pd.Series] = {}
    problems: list[Problem] = []
    for name, defaults in DEFAULT_COLUMNS.items():
        named = getattr(row, name)
        if named.startswith("="):
            labels[name] = pd.Series(named[1:], index=table.index, dtype=object)
            continue
        column = named or next((c for c in defaults if c in table.columns), "")
        if column in table.columns:
            values = table[column].astype(object)
            labels[name] = values.where(values.notna(), "").astype(str).str.strip()
        elif named:
            near = near_matches(named, table.columns)
            hint = f"did you mean '{near[0]}'? " if near else ""
            problems.append(
                Problem(
                    registry,
                    f"{row.atlas}, column {name}",
                    f"the atlas has no column '{plain(named)}'",
                    f"{hint}its columns are: {listed(table.columns, 20)}",
                )
            )
        elif name in REQUIRED:
            problems.append(_absent(row, name, table, location, registry))
    if problems:
        return pd.DataFrame(), problems
    labels.setdefault("sample", labels["donor"])
    for name in ("assay", "suspension"):
        labels.setdefault(name, pd.Series("unknown", index=table.index, dtype=object))
    labels["sample"] = labels["sample"].where(labels["sample"] != "", labels["donor"])
    labels["assay"] = labels["assay"].where(labels["assay"] != "", "unknown")
    return pd.DataFrame(labels), []


def _absent(row: AtlasRow, name: str, table: pd.DataFrame, location: str, registry: str) -> Problem:
    others = [c for c in table.columns if c != "cell"]
    if not others:
        return Problem(
            location,
            name,
            f"nothing says the {name} of a cell: this format holds barcodes only",
            f"write a TSV with the columns cell, donor, tissue, cell_type, disease (cell = "
            f"barcodes such as {plain(table['cell'].iloc[0])}) and name it in the column "
            f"cell_labels of {registry}; one value for all cells goes there as '{name}' = '=value'",
        )
    return Problem(
        registry,
        f"{row.atlas}, column {name}",
        f"nothing says the {name} of a cell ({location})",
        f"name the column that does ({listed(others, 20)}), or write one value for all cells "
        "as =value",
    )


def _empty(
    labels: pd.DataFrame, name: str, barcodes: pd.Series, location: str
) -> Iterable[Problem]:
    empty = (labels[name] == "") | (labels[name].str.casefold() == "nan")
    if empty.any():
        yield Problem(
            location,
            name,
            f"{int(empty.sum()):,} of {len(labels):,} cells have no {name} "
            f"(for example {listed(barcodes[empty], 3)})",
            "label them; 'unknown' leaves a cell out, with its reason",
        )


def _by_value(values: pd.Series, function: Callable[[str], object]) -> pd.Series:
    """Apply a function once per distinct value."""
    mapping = {v: function(v) for v in values.unique()}
    return values.map(mapping)


def _term(text: str, ontology_name: str) -> str:
    return ontology.find(text, ontology_name) or f"label:{text}"


def _map_terms(values: pd.Series, ontology_name: str) -> pd.Series:
    return _by_value(values, lambda v: _term(v, ontology_name))


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
                        record["label"],
                        f"'{plain(record[column])}' is no Cell Ontology term",
                        f"names that look alike: {near}",
                    )
                )
                continue
            mapped[record["label"]] = term
    raise_all(AtlasError, problems)
    return _by_value(values, lambda v: mapped.get(v) or _term(v, "CL"))


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


def _populations(
    row: AtlasRow,
    labels: pd.DataFrame,
    table: pd.DataFrame,
    healthy: pd.Series,
    location: str,
    registry: str,
) -> tuple[pd.Series, str]:
    """Return each cell's population; ``malignancy_unclear`` where nobody can say."""
    lineage = lineage_terms(row, registry)
    in_lineage = _by_value(labels["cell_type_id"], lambda t: ontology.is_a(t, lineage)).astype(bool)
    population = pd.Series("microenvironment", index=labels.index, dtype=object)
    population[healthy] = "healthy"
    patients = ~healthy
    if not patients.any():
        return population, "none"
    if row.malignancy in ("", "=lineage"):
        if not lineage:
            raise AtlasError.one(
                registry,
                f"{row.atlas}, column malignancy",
                "patients' cells are there, but nothing says which are diseased",
                "name the column with malignant/normal calls, or write =lineage and the cell "
                "types of the disease in the column lineage",
            )
        population[patients & in_lineage] = "diseased"
        return population, "lineage" if row.malignancy else "unseparated"
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
    odd = sorted(set(calls[patients]) - _MALIGNANT - _NORMAL - _UNCLEAR - {"", "nan"})
    if odd:
        raise AtlasError.one(
            location,
            row.malignancy,
            f"calls that are not understood: {listed(odd)}",
            "write malignant, normal or unclear (a cell_labels table can replace the column)",
        )
    malignant = patients & calls.isin(_MALIGNANT)
    normal = patients & calls.isin(_NORMAL)
    population[malignant] = "diseased"
    population[normal & in_lineage] = "normal_counterpart"
    unclear = patients & ~malignant & ~normal & (in_lineage | calls.isin(_UNCLEAR))
    population[unclear] = "malignancy_unclear"
    return population, "annotation"


def _reasons(
    labels: pd.DataFrame, table: pd.DataFrame, author: pd.Series, population: pd.Series
) -> pd.DataFrame:
    """Return reason and detail of each rejected cell, NA for kept ones; the first one counts."""
    no_donor = labels["donor"].str.casefold().isin(_UNKNOWN)
    no_type = author.str.casefold().isin(_UNKNOWN)
    unclear = population == "malignancy_unclear"
    twice = pd.Series(False, index=labels.index)
    if "is_primary_data" in table.columns:
        twice = ~table["is_primary_data"].astype(str).str.casefold().isin(["true", "1"])
    reasons = pd.DataFrame({"reason": pd.NA, "detail": pd.NA}, index=labels.index, dtype=object)
    for mask, reason, detail in (
        (unclear, "malignancy_unclear", author),
        (no_type, "cell_type_unknown", author),
        (no_donor, "donor_unknown", labels["donor"]),
        (twice, "not_primary_data", labels["sample"]),
    ):
        reasons.loc[mask, "reason"] = reason
        reasons.loc[mask, "detail"] = detail[mask]
    return reasons
