"""Sums per group and gene: partial sums of row blocks, merged on disk in bounded memory.

Every sum is an integer (logarithms and thinned detection as fixed point), so it does not
depend on the order or the size of the blocks it was added up from.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

THINNED_UMI = 2000
"""Depth N0 that detection is thinned to (C1)."""

FIXED_POINT = 1 << 24
_MERGE_ROWS = 4_000_000
_OUT_ROWS = 1 << 20
_STATISTICS = ("n_detected", "thinned_detected", "sum_counts", "log1p", "log1p_square")
_PARTIAL = np.dtype([("key", np.int64), *((name, np.int64) for name in _STATISTICS)])


@dataclass(frozen=True)
class Layout:
    """How matrix columns become genes.

    Attributes
    ----------
    gene_ids
        Distinct gene ids, sorted, shape ``(n_genes,)``.
    gene_of_column
        Position in ``gene_ids`` of each matrix column.
    masked
        Whether a gene is left out of the library size, shape ``(n_genes,)``.
    """

    gene_ids: NDArray[np.object_]
    gene_of_column: NDArray[np.int64]
    masked: NDArray[np.bool_]


def layout_of(genes: pd.DataFrame) -> Layout:
    """Return the layout of a gene table (contract ``ingest/genes``)."""
    codes, gene_ids = pd.factorize(genes["gene_id"].astype("object"), sort=True)
    masked = np.zeros(len(gene_ids), dtype=bool)
    np.logical_or.at(masked, codes, genes["masked"].to_numpy(dtype=bool))
    return Layout(np.asarray(gene_ids, dtype=object), codes.astype(np.int64), masked)


def genes_of(block: sp.csr_matrix, layout: Layout) -> sp.csr_matrix:
    """Sum the columns of one gene (C0: two rows of a gene are one gene) and drop zeros."""
    merged = sp.csr_matrix(
        (block.data, layout.gene_of_column[block.indices], block.indptr),
        shape=(block.shape[0], len(layout.gene_ids)),
        copy=True,
    )
    merged.sum_duplicates()
    merged.eliminate_zeros()
    return merged


def thinned_detection(
    counts: NDArray[np.int64], library: NDArray[np.int64], depth: int = THINNED_UMI
) -> NDArray[np.float64]:
    """Return the chance to detect a gene had the cell been read to a common depth (C1).

    ``q = 1 - (1 - N0/s)^x`` if the library ``s`` exceeds ``N0``, else 1 where ``x > 0``.

    Parameters
    ----------
    counts
        UMI counts ``x`` of a gene in a cell, any shape.
    library
        Masked library size ``s`` of that cell, same shape.
    depth
        ``N0`` in UMI.
    """
    deep = library > depth
    missed = 1.0 - depth / np.where(deep, library, depth + 1)
    return np.where(deep, 1.0 - missed**counts, counts > 0)


def partial_sums(
    counts: sp.csr_matrix, group: NDArray[np.int32], library: NDArray[np.int64]
) -> NDArray[np.void]:
    """Add up one block per (group, gene).

    Parameters
    ----------
    counts
        Kept cells × genes, CSR without zeros and duplicates.
    group
        Group of each row.
    library
        Masked library size of each row.

    Returns
    -------
    numpy.ndarray
        Structured array sorted by ``key = group × n_genes + gene``, each key once.
    """
    n_genes = counts.shape[1]
    rows = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))
    size = library[rows]
    logs = np.log1p(counts.data * (1e4 / np.maximum(size, 1)))
    thinned = thinned_detection(counts.data, size)
    values = np.empty(len(rows), dtype=_PARTIAL)
    values["key"] = group[rows].astype(np.int64) * n_genes + counts.indices
    values["n_detected"] = 1
    values["thinned_detected"] = np.rint(thinned * FIXED_POINT)
    values["sum_counts"] = counts.data
    values["log1p"] = np.rint(logs * FIXED_POINT)
    values["log1p_square"] = np.rint(logs * logs * FIXED_POINT)
    return add_up(values)


def add_up(values: NDArray[np.void]) -> NDArray[np.void]:
    """Add partial sums of equal keys; the result is sorted by key."""
    order = np.argsort(values["key"], kind="stable")
    keys = values["key"][order]
    starts = np.flatnonzero(np.diff(keys, prepend=keys[:1] - 1)) if len(keys) else keys
    added = np.empty(len(starts), dtype=_PARTIAL)
    added["key"] = keys[starts]
    for name in _STATISTICS:
        added[name] = np.add.reduceat(values[name][order], starts) if len(keys) else 0
    return added


def merge_runs(runs: list[Path], n_groups: int, n_genes: int) -> Iterator[NDArray[np.void]]:
    """Merge sorted runs on disk, group by group, holding a bounded number of rows.

    Parameters
    ----------
    runs
        Files of partial sums, each sorted by key.
    n_groups, n_genes
        Size of the key space.

    Yields
    ------
    numpy.ndarray
        Partial sums with distinct keys, ascending over all yields.
    """
    opened = [np.load(run, mmap_mode="r") for run in runs]
    edges = np.arange(n_groups + 1, dtype=np.int64) * n_genes
    bounds = [np.searchsorted(run["key"], edges) for run in opened]
    rows_before = np.sum(bounds, axis=0) if bounds else np.zeros(n_groups + 1, dtype=np.int64)
    first = 0
    while first < n_groups:
        last = int(np.searchsorted(rows_before, rows_before[first] + _MERGE_ROWS, "right")) - 1
        last = min(max(last, first + 1), n_groups)
        parts = [r[b[first] : b[last]] for r, b in zip(opened, bounds, strict=True)]
        yield add_up(np.concatenate(parts))
        first = last


def expression_tables(
    merged: Iterator[NDArray[np.void]], gene_ids: NDArray[np.object_]
) -> Iterator[pd.DataFrame]:
    """Cut merged sums into tables of the contract ``profile/expression`` of a fixed size.

    The cut does not depend on the blocks, so neither do the bytes of the file.
    """
    waiting = np.empty(0, dtype=_PARTIAL)
    for part in merged:
        waiting = np.concatenate([waiting, part])
        while len(waiting) >= _OUT_ROWS:
            yield _table(waiting[:_OUT_ROWS], gene_ids)
            waiting = waiting[_OUT_ROWS:]
    yield _table(waiting, gene_ids)


def _table(sums: NDArray[np.void], gene_ids: NDArray[np.object_]) -> pd.DataFrame:
    group, gene = np.divmod(sums["key"], max(len(gene_ids), 1))
    return pd.DataFrame(
        {
            "group_id": group.astype(np.int32),
            "gene_id": pd.Categorical.from_codes(gene, categories=pd.Index(gene_ids), ordered=True),
            "n_detected": sums["n_detected"],
            "thinned_detected": sums["thinned_detected"] / FIXED_POINT,
            "sum_counts": sums["sum_counts"],
            "sum_log1p_cp10k": sums["log1p"] / FIXED_POINT,
            "sumsq_log1p_cp10k": sums["log1p_square"] / FIXED_POINT,
        }
    )
