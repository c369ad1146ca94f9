"""Which column of an atlas says what; labels that a user joins to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pandas as pd

from targetscore.config import AtlasRow, read_tsv
from targetscore.errors import AtlasError, Problem, listed, near_matches, plain

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


def refuse_repeated(barcodes: pd.Series, location: str) -> None:
    """Refuse an atlas in which a barcode stands for two cells."""
    repeated = barcodes[barcodes.duplicated()].unique()
    if len(repeated):
        raise AtlasError.one(
            location,
            "cell",
            f"{len(repeated):,} barcodes repeat, for example {listed(repeated, 3)}",
            "the same cells stand in twice, or samples were joined without a prefix: make the "
            "barcodes unique (sample name + barcode)",
        )


def find_columns(
    row: AtlasRow, table: pd.DataFrame, location: str, registry: str
) -> tuple[pd.DataFrame, list[Problem]]:
    """Return each label as text, one column per field of the registry row, or what is missing.

    Parameters
    ----------
    row
        Registry row: names a column, gives ``=value``, or leaves the default.
    table
        The atlas's cells, with joined labels.
    location, registry
        The atlas and the registry file, for messages.

    Returns
    -------
    tuple
        Labels (empty text where a cell has none) and no problem, or an empty table and every
        problem.
    """
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


def empty_labels(
    labels: pd.DataFrame, name: str, barcodes: pd.Series, location: str
) -> Iterable[Problem]:
    """Yield a problem if some cells have no value of a required label."""
    empty = (labels[name] == "") | (labels[name].str.casefold() == "nan")
    if empty.any():
        yield Problem(
            location,
            name,
            f"{int(empty.sum()):,} of {len(labels):,} cells have no {name} "
            f"(for example {listed(barcodes[empty], 3)})",
            "label them; 'unknown' leaves a cell out, with its reason",
        )


def by_value(values: pd.Series, function: Callable[[str], object]) -> pd.Series:
    """Apply a function once per distinct value and return the results in the values' order."""
    mapping = {v: function(v) for v in values.unique()}
    return values.map(mapping)
