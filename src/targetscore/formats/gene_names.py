"""Which column of a publisher's gene table holds identifiers, and which symbols."""

from __future__ import annotations

import pandas as pd

from targetscore.config.models import AtlasRow
from targetscore.errors import AtlasError, listed, near_matches

__all__ = ["gene_names"]

_ID_COLUMNS = (
    "gene_ids",
    "ensembl_id",
    "gene_id",
    "ensembl_gene_id",
    "feature_id",
    "Accession",
)
_SYMBOL_COLUMNS = (
    "feature_name",
    "gene_symbol",
    "gene_symbols",
    "gene_name",
    "Gene",
)
_FIRST = 50


def gene_names(
    table: pd.DataFrame, row: AtlasRow, location: str, place: str
) -> tuple[list[str], list[str | None]]:
    """Return identifier and symbol of each gene, None for a gene without a symbol.

    Parameters
    ----------
    table
        One row per gene; its index is what the publisher names genes by.
    row
        Registry row; ``gene_id`` and ``gene_symbol`` name columns, else usual names are
        looked for, else the index is taken.
    location, place
        The file and the table in it, for messages.

    Raises
    ------
    AtlasError
        If a column that the row names is not there.
    """
    return _ids(table, row.gene_id, location, place), _symbols(
        table, row.gene_symbol, location, place
    )


def _column(table: pd.DataFrame, name: str, file: str, place: str, field: str) -> pd.Series:
    if name not in table.columns:
        near = near_matches(name, table.columns)
        hint = f"did you mean '{near[0]}'? " if near else ""
        raise AtlasError.one(
            file,
            f"{place}, column '{name}'",
            "there is no such column",
            f"{hint}columns of {place}: {listed(table.columns, 20)}; correct the registry column "
            f"'{field}'",
        )
    return table[name]


def _ids(table: pd.DataFrame, named: str, file: str, place: str) -> list[str]:
    if named:
        return [str(v) for v in _column(table, named, file, place, "gene_id")]
    index = [str(v) for v in table.index]
    if any(v.startswith("ENSG") for v in index[:_FIRST]):
        return index
    found = next((c for c in _ID_COLUMNS if c in table.columns), None)
    return index if found is None else [str(v) for v in table[found]]


def _symbols(table: pd.DataFrame, named: str, file: str, place: str) -> list[str | None]:
    if named:
        column = _column(table, named, file, place, "gene_symbol")
    else:
        found = next((c for c in _SYMBOL_COLUMNS if c in table.columns), None)
        if found is None:
            return [None if str(v).startswith("ENSG") else str(v) for v in table.index]
        column = table[found]
    return [None if pd.isna(v) or not str(v) else str(v) for v in column]
