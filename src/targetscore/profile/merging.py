"""Add up the packs of an atlas per group and gene."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
import pyarrow as pa

from targetscore.contracts import EXPRESSION, PANEL
from targetscore.detections import gene_counts
from targetscore.errors import ContractError
from targetscore.packs import Pack, open_pack
from targetscore.profile.groups import library_columns, number_groups
from targetscore.profile.layout import Layout, layout_of
from targetscore.profile.sums import Sums, sum_groups
from targetscore.progress import Progress, cells_text

__all__ = ["Profile", "panel_of_packs", "profile_packs"]

_OUT_ROWS = 1 << 18


@dataclass(frozen=True)
class Profile:
    """Sufficient statistics of an atlas.

    Attributes
    ----------
    groups
        Contract ``profile/groups``.
    expression
        Tables of the contract ``profile/expression``, ascending by key; read once.
    """

    groups: pd.DataFrame
    expression: Iterator[pa.Table]


def profile_packs(
    atlas: str,
    cells: Iterable[pd.DataFrame],
    genes: pd.DataFrame,
    paths: Sequence[str | os.PathLike[str]],
    threads: int = 1,
) -> Profile:
    """Add up the packs of an atlas per group and gene.

    Parameters
    ----------
    atlas
        Name of the atlas.
    cells, genes
        As in :func:`targetscore.profile.packing.pack_rows`.
    paths
        The packs of all its rows, in any order.
    threads
        Threads that sum.

    Raises
    ------
    ContractError
        If a pack is damaged, was made with other labels or genes, or does not hold every cell.
    """
    groups = number_groups(cells, 0, 0)[0]
    layout = layout_of(genes)
    packs = [open_pack(path) for path in paths]
    _check(packs, groups, layout)
    groups = groups.join(library_columns(packs))
    groups.insert(1, "atlas", atlas)
    pa.default_memory_pool().release_unused()  # what reading the cells took
    return Profile(groups, _expression(atlas, packs, layout, threads))


def panel_of_packs(
    cells: Iterable[pd.DataFrame],
    genes: pd.DataFrame,
    paths: Sequence[str | os.PathLike[str]],
    panel: Collection[str],
) -> Iterator[pa.Table]:
    """Yield the counts of some genes cell by cell, gene after gene.

    Parameters
    ----------
    cells, genes, paths
        As in :func:`profile_packs`; the packs in the order of their rows.
    panel
        Ensembl ids; those the atlas does not measure are left out.

    Yields
    ------
    pyarrow.Table
        Contract ``profile/panel``.

    Raises
    ------
    ContractError
        As :func:`profile_packs`.
    """
    groups, layout = number_groups(cells, 0, 0)[0], layout_of(genes)
    numbers = np.flatnonzero(np.isin(layout.gene_ids.astype(str), sorted(panel)))
    words = pa.array(layout.gene_ids[numbers], pa.string())
    packs = [open_pack(path) for path in paths]
    with ExitStack() as stack:
        for pack in packs:
            stack.callback(pack.close)
        _check(packs, groups, layout)
        yield PANEL.schema().empty_table()
        for found in gene_counts(packs, numbers.tolist()):
            gene = pa.DictionaryArray.from_arrays(pa.array(found.gene, pa.int32()), words)
            group = pa.array(found.group, pa.int32())
            columns = [gene, group, *map(pa.array, (found.row, found.count, found.library))]
            yield pa.Table.from_arrays(columns, schema=PANEL.schema())


def _check(packs: Sequence[Pack], groups: pd.DataFrame, layout: Layout) -> None:
    made_of = layout.digest(groups)
    remedy = "delete the packs and run again"
    for pack in packs:
        if pack.made_of != made_of:
            wrong = "was made with other cell labels or genes"
            raise ContractError.one(pack.path, "", wrong, remedy)
    found = np.sum([np.diff(pack.group_start) for pack in packs], axis=0)
    if not np.array_equal(found, groups["n_cells"]):
        wrong = f"the packs hold {found.sum():,} cells, {groups['n_cells'].sum():,} were ingested"
        raise ContractError.one(packs[0].path.parent, "", wrong, remedy)


def _expression(
    atlas: str, packs: Sequence[Pack], layout: Layout, threads: int
) -> Iterator[pa.Table]:
    """Cut the sums into tables of a fixed size, which packs and threads cannot shift."""
    words = pa.array(layout.gene_ids, pa.string())
    shown = Progress()
    shown.start(f"{atlas}: adding up", int(sum(p.group_start[-1] for p in packs)), text=cells_text)
    waiting: list[pa.RecordBatch] = []
    n_waiting = 0
    with ExitStack() as stack:
        for pack in packs:
            stack.callback(pack.close)
        for batch, n_cells in sum_groups(packs, threads, partial(_batch, words)):
            waiting.append(batch)
            n_waiting += len(batch)
            shown.advance(n_cells)
            while n_waiting >= _OUT_ROWS:
                whole = pa.Table.from_batches(waiting)
                yield whole.slice(0, _OUT_ROWS)
                waiting = whole.slice(_OUT_ROWS).to_batches()
                n_waiting -= _OUT_ROWS
    shown.conclude()
    yield pa.Table.from_batches(waiting, EXPRESSION.schema())


def _batch(words: pa.Array, sums: Sums) -> tuple[pa.RecordBatch, int]:
    gene, *numbers = sums.columns
    genes = pa.DictionaryArray.from_arrays(pa.array(gene), words, safe=False)
    columns = [pa.array(sums.group), genes, *map(pa.array, numbers)]
    return pa.RecordBatch.from_arrays(columns, schema=EXPRESSION.schema()), sums.n_cells
