"""Groups of cells: donor × sample × tissue × cell type × assay × suspension × population."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from targetscore.libraries import library_bins

GROUP_KEY = (
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


def group_cells(cells: pd.DataFrame) -> tuple[pd.DataFrame, NDArray[np.int32]]:
    """Give the groups of an atlas numbers in the order of :data:`GROUP_KEY`.

    Parameters
    ----------
    cells
        Contract ``ingest/cells``.

    Returns
    -------
    groups
        One row per group with its key, ``group_id`` and ``n_cells``.
    group_of_row
        Group of each matrix row up to the last kept one, -1 for rejected cells.
    """
    plain = cells[list(GROUP_KEY)].astype("object")
    grouped = plain.groupby(list(GROUP_KEY), sort=True)
    groups = grouped.size().rename("n_cells").reset_index()
    groups.insert(0, "group_id", np.arange(len(groups), dtype=np.int32))
    rows = cells["row"].to_numpy()
    group_of_row = np.full(int(rows.max()) + 1 if len(rows) else 0, -1, dtype=np.int32)
    group_of_row[rows] = grouped.ngroup().to_numpy()
    return groups, group_of_row


def library_columns(
    group: NDArray[np.int32], total: NDArray[np.int64], library: NDArray[np.int64], n_groups: int
) -> pd.DataFrame:
    """Summarise depth per group.

    Parameters
    ----------
    group
        Group of each kept cell, shape ``(n_cells,)``.
    total
        All UMI counts of each cell.
    library
        UMI counts of each cell without masked genes.
    n_groups
        Number of groups.

    Returns
    -------
    pandas.DataFrame
        ``total_counts``, ``library_counts``, ``n_empty_libraries``, ``library_bin`` and
        ``library_cells``, one row per group.
    """
    filled = library > 0
    bins = library_bins(library[filled])
    members = pd.DataFrame({"group": group[filled], "bin": bins})
    histogram = members.groupby(["group", "bin"], sort=True).size().reset_index(name="n")
    by_group = dict(iter(histogram.groupby("group", sort=True)))
    none = histogram.iloc[:0]
    lists = [by_group.get(g, none) for g in range(n_groups)]
    return pd.DataFrame(
        {
            "total_counts": _sum_by(group, total, n_groups),
            "library_counts": _sum_by(group, library, n_groups),
            "n_empty_libraries": _sum_by(group, (~filled).astype(np.int64), n_groups),
            "library_bin": [part["bin"].tolist() for part in lists],
            "library_cells": [part["n"].tolist() for part in lists],
        }
    )


def _sum_by(
    group: NDArray[np.int32], values: NDArray[np.int64], n_groups: int
) -> NDArray[np.int64]:
    sums = np.zeros(n_groups, dtype=np.int64)
    np.add.at(sums, group, values)
    return sums
