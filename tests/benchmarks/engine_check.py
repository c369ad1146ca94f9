"""Hold results against each other: ``engine_check.py peer|copies FILE FILE …``; prints JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from numpy.typing import NDArray

from targetscore.contracts import GENES, GROUPS
from targetscore.io import read_table
from targetscore.profile.groups import GROUP_KEY

LOG_TOLERANCE = 1e-6
_AT_ONCE = 100
_SUMS = ["n_detected", "sum_counts", "sum_log1p_cp10k"]


def peer(own: str, theirs: str, genes: str) -> dict[str, object]:
    """Compare a profile with the result of a peer, entry by entry.

    Raises
    ------
    SystemExit
        If a count or a detection differs, or a sum of logarithms by more than 1e-6 of itself.
    """
    names = read_table(genes, GENES, ["column", "gene_id"])
    column_of = dict(zip(names["gene_id"], names["column"], strict=True))
    n_groups = 1 + max(_last_group(path) for path in (own, theirs))
    n_entries, worst = 0, 0.0
    for first in range(0, n_groups, _AT_ONCE):
        mine = _groups(own, first).assign(
            column=lambda t: t["gene_id"].cat.rename_categories(column_of).astype(np.int64)
        )
        mine = mine.sort_values(["group_id", "column"], ignore_index=True)
        other = _groups(theirs, first)
        for name in ("group_id", "column", "n_detected", "sum_counts"):
            if not np.array_equal(mine[name], other[name]):
                raise SystemExit(f"{theirs}: {name} differs from {own}, groups from {first}")
        log = other["sum_log1p_cp10k"].to_numpy()
        difference = np.abs(mine["sum_log1p_cp10k"].to_numpy() - log) / log
        worst = max(worst, float(difference.max(initial=0.0)))
        n_entries += len(mine)
    if worst > LOG_TOLERANCE:
        raise SystemExit(f"{theirs}: sums of logarithms differ by {worst:g} of themselves")
    return {"entries": n_entries, "log_difference": worst}


def copies(base: str, large: str) -> dict[str, object]:
    """Compare every group of the large atlas with the group of the base it is a copy of.

    Raises
    ------
    SystemExit
        If a group is missing, or its sums (weighted by gene) differ.
    """
    expected, found = _group_sums(Path(base)), _group_sums(Path(large))
    if set(expected.index) != set(found.index):
        raise SystemExit(f"{large}: the groups are not those of {base}")
    n_copies = found.groupby(level=0).size()
    if n_copies.nunique() > 1:
        raise SystemExit(f"{large}: some groups of {base} occur more often than others")
    same = expected.reindex(found.index)
    for name in _SUMS[:2]:
        if not np.array_equal(same[name], found[name]):
            raise SystemExit(f"{large}: {name} differs from {base}")
    log = same[_SUMS[2]].to_numpy()
    if np.abs(found[_SUMS[2]].to_numpy() - log).max() > 1e-12 * log.max():
        raise SystemExit(f"{large}: sums of logarithms differ from {base}")
    return {"groups": len(found), "copies": int(n_copies.max())}


def _last_group(path: str) -> int:
    metadata = pq.read_metadata(path)
    return int(metadata.row_group(metadata.num_row_groups - 1).column(0).statistics.max)


def _groups(path: str, first: int) -> pd.DataFrame:
    within = [("group_id", ">=", first), ("group_id", "<", first + _AT_ONCE)]
    return pq.read_table(path, filters=within).to_pandas()


def _group_sums(folder: Path) -> pd.DataFrame:
    groups = read_table(folder / "groups.parquet", GROUPS)
    with pq.ParquetFile(folder / "expression.parquet") as file:
        sums: list[NDArray[np.generic]] = [np.zeros(len(groups), np.int64) for _ in _SUMS[:2]]
        sums.append(np.zeros(len(groups)))
        for batch in file.iter_batches(1 << 20, columns=["group_id", "gene_id", *_SUMS]):
            table = batch.to_pandas()
            words = table["gene_id"].cat.categories
            weight = np.array([int(str(w)[-6:]) + 1 for w in words])[table["gene_id"].cat.codes]
            for total, name in zip(sums, _SUMS, strict=True):
                np.add.at(total, table["group_id"], table[name].to_numpy() * weight)
    keys = groups[list(GROUP_KEY)].astype(str)
    keys["donor"] = keys["donor"].str.replace(r"\.\d+$", "", regex=True)
    index = pd.Index(keys.agg("|".join, axis=1))
    return pd.DataFrame(dict(zip(_SUMS, sums, strict=True)), index=index)


if __name__ == "__main__":
    compared = peer(*sys.argv[2:]) if sys.argv[1] == "peer" else copies(*sys.argv[2:])
    print(json.dumps(compared))
