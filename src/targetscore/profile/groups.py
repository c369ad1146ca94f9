"""Groups of cells: donor × sample × tissue × cell type × assay × suspension × population.

Cells flagged as doublets are groups of their own, so that a score without them needs no cell.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from targetscore.contracts import CELLS, DOUBLET_CALLS, DOUBLETS, REMOVED
from targetscore.errors import ContractError, MatrixError
from targetscore.io import read_pieces, read_table
from targetscore.libraries import library_bins
from targetscore.packs import Pack

_PIECE = 1 << 18

LABELS = (
    "population",
    "tissue_id",
    "cell_type_id",
    "disease",
    "donor",
    "sample",
    "assay",
    "suspension",
    "tissue",
    "cell_type",
)
"""Columns of ``ingest/cells`` that tell groups apart."""

GROUP_KEY = (*LABELS, "doublet")
"""What tells groups apart: the labels, and whether the cells were flagged as doublets."""

CELL_COLUMNS = ("row", *LABELS)
"""Columns of ``ingest/cells`` that a profile needs."""

DOUBLET_COLUMNS = ("row", "flagged")
"""Columns of ``ingest/doublets`` that a profile needs."""

GENE_COLUMNS = ("gene_id", "masked")
"""Columns of ``ingest/genes`` that a profile needs."""


def counted_cells(cells: str, doublets: str, removed: str) -> Iterator[pd.DataFrame]:
    """Read the cells of an atlas that count, in pieces; see :func:`with_doublets`.

    Parameters
    ----------
    cells, doublets, removed
        Files of the contracts ``ingest/cells``, ``ingest/doublets`` and ``ingest/removed``.
    """
    return with_doublets(
        read_pieces(cells, CELLS, CELL_COLUMNS),
        read_table(doublets, DOUBLETS, DOUBLET_COLUMNS),
        read_table(removed, REMOVED, ["row"]),
    )


def with_doublets(
    tables: Iterable[pd.DataFrame], doublets: pd.DataFrame, removed: pd.DataFrame
) -> Iterator[pd.DataFrame]:
    """Yield pieces of the cells with the column ``doublet``: ``yes``, ``no``, ``not_assessed``.

    Cells that were removed are left out.

    Parameters
    ----------
    tables
        Contract ``ingest/cells`` (at least ``row``), in pieces.
    doublets
        Contract ``ingest/doublets`` (:data:`DOUBLET_COLUMNS`) of the same cells.
    removed
        Contract ``ingest/removed``, at least ``row``.

    Raises
    ------
    ContractError
        If a cell is not among the doublet scores.
    """
    rows = doublets["row"].to_numpy(np.int64)
    flagged = doublets["flagged"].astype("boolean")
    yes, known = flagged.fillna(False).to_numpy(bool), flagged.notna().to_numpy(bool)
    codes = np.select([yes, known], [0, 1], 2).astype(np.int8)
    words = pd.Index(DOUBLET_CALLS)
    out = removed["row"].to_numpy(np.int64)
    for table in tables:
        wanted = table["row"].to_numpy(np.int64)
        place = np.searchsorted(rows, wanted)
        if (place >= len(rows)).any() or not np.array_equal(rows[place], wanted):
            wrong = "the doublet scores are not those of the cells of this atlas"
            remedy = "delete the stage's files and run again"
            raise ContractError.one("ingest/doublets", "row", wrong, remedy)
        found = table.assign(doublet=pd.Categorical.from_codes(codes[place], words))
        yield found[~np.isin(wanted, out)] if len(out) else found


def number_groups(
    tables: Iterable[pd.DataFrame], start: int, stop: int
) -> tuple[pd.DataFrame, NDArray[np.int32], int]:
    """Give the groups of an atlas numbers in the order of :data:`GROUP_KEY`.

    Parameters
    ----------
    tables
        Contract ``ingest/cells`` (the labels and ``row``), whole or in pieces, with the column
        ``doublet``; without it the cells count as not assessed.
    start, stop
        Rows of the matrix whose groups are wanted; the numbers are those of the whole atlas.

    Returns
    -------
    groups
        One row per group of the whole atlas with its key, ``group_id`` and ``n_cells``.
    group_of_row
        Group of each row from ``start`` to ``stop``, -1 for rejected cells, shape
        ``(stop - start,)``.
    n_rows
        Rows the matrix must have: one more than the last row with a label.
    """
    number_of: dict[tuple[str, ...], int] = {}
    n_cells: list[int] = []
    found = np.full(stop - start, -1, dtype=np.int32)
    n_rows = 0
    for table in tables:
        key, codes = _combinations(table)
        numbers = np.array([number_of.setdefault(k, len(number_of)) for k in key], np.int32)
        n_cells += [0] * (len(number_of) - len(n_cells))
        for number, n in zip(numbers, np.bincount(codes, minlength=len(key)), strict=True):
            n_cells[number] += int(n)
        rows = table["row"].to_numpy()
        n_rows = max(n_rows, int(rows.max(initial=-1)) + 1)
        here = (rows >= start) & (rows < stop)
        found[rows[here] - start] = numbers[codes[here]]
    keys = sorted(number_of)
    groups = pd.DataFrame(keys, columns=list(GROUP_KEY), dtype=object)
    groups["n_cells"] = np.array([n_cells[number_of[k]] for k in keys], dtype=np.int64)
    groups.insert(0, "group_id", np.arange(len(groups), dtype=np.int32))
    rank = np.full(len(keys) + 1, -1, dtype=np.int32)
    rank[[number_of[k] for k in keys]] = groups["group_id"]
    return groups, rank[found], n_rows


def _combinations(table: pd.DataFrame) -> tuple[list[tuple[str, ...]], NDArray[np.int64]]:
    """Return the distinct keys of a table, and which of them each row has."""
    if "doublet" not in table:
        table = table.assign(doublet="not_assessed")
    combined = np.zeros(len(table), dtype=np.int64)
    for column in GROUP_KEY:
        codes, words = pd.factorize(table[column])
        combined = pd.factorize(combined * max(len(words), 1) + codes)[0]
    first = np.unique(combined, return_index=True)[1]
    keys = table.iloc[first][list(GROUP_KEY)].astype(str)
    return list(keys.itertuples(index=False, name=None)), combined


def library_columns(packs: Sequence[Pack]) -> pd.DataFrame:
    """Summarise depth per group.

    Parameters
    ----------
    packs
        Packs of the same groups.

    Returns
    -------
    pandas.DataFrame
        ``total_counts``, ``library_counts``, ``n_empty_libraries``, ``library_bin`` and
        ``library_cells``, one row per group.

    Raises
    ------
    MatrixError
        If a sum would not fit into 64 bits.
    """
    n_groups = len(packs[0].group_start) - 1
    sums = np.zeros((3, n_groups), dtype=np.int64)
    keys, numbers = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for pack in packs:
        _check_range(pack)
        for first in range(0, int(pack.group_start[-1]), _PIECE):
            piece = slice(first, min(first + _PIECE, int(pack.group_start[-1])))
            cell = np.arange(piece.start, piece.stop)
            group = np.searchsorted(pack.group_start, cell, "right") - 1
            library = np.asarray(pack.cells["library"][piece])
            total = np.asarray(pack.cells["total"][piece])
            for row, values in zip(sums, (total, library, library == 0), strict=True):
                np.add.at(row, group, values)
            filled = library > 0
            key = group[filled] << 32 | library_bins(library[filled])
            own, n = np.unique(key, return_counts=True)
            keys.append(own)
            numbers.append(n)
    seen, place = np.unique(np.concatenate(keys), return_inverse=True)
    cells = np.zeros(len(seen), dtype=np.int64)
    np.add.at(cells, place, np.concatenate(numbers))
    edges = np.searchsorted(seen >> 32, np.arange(1, n_groups))
    return pd.DataFrame(
        {
            "total_counts": sums[0],
            "library_counts": sums[1],
            "n_empty_libraries": sums[2],
            "library_bin": [b.tolist() for b in np.split(seen & 0xFFFFFFFF, edges)][:n_groups],
            "library_cells": [c.tolist() for c in np.split(cells, edges)][:n_groups],
        }
    )


def _check_range(pack: Pack) -> None:
    """Refuse what could overflow the sums; no atlas of UMI counts comes near it."""
    total = pack.cells["total"]
    if len(total) >= 1 << 27 or float(np.sum(total, dtype=np.float64)) >= 2.0**62:
        wrong = f"{len(total):,} cells or their counts are too many to be added up exactly"
        remedy = "cut the atlas into several rows of the registry"
        raise MatrixError.one(pack.path, "", wrong, remedy)
