"""Profile: read the raw counts once and keep sufficient statistics per group and gene."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse as sp

from targetscore.errors import MatrixError
from targetscore.profile.groups import group_cells, library_columns
from targetscore.profile.sums import (
    expression_tables,
    genes_of,
    layout_of,
    merge_runs,
    partial_sums,
)

__all__ = ["Profile", "profile_cells"]

logger = logging.getLogger(__name__)
_REPORT_SECONDS = 10.0


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
    expression: Iterator[pd.DataFrame]


def profile_cells(
    atlas: str,
    cells: pd.DataFrame,
    genes: pd.DataFrame,
    blocks: Iterator[tuple[int, sp.csr_matrix]],
    workspace: str,
) -> Profile:
    """Add up an atlas per group and gene in bounded memory.

    Parameters
    ----------
    atlas
        Name of the atlas.
    cells, genes
        Contracts ``ingest/cells`` and ``ingest/genes``.
    blocks
        ``(first row, counts)`` in row order, as :class:`targetscore.formats.OpenAtlas` gives.
    workspace
        Existing folder for partial sums; they stay there until the expression is read.

    Raises
    ------
    MatrixError
        If the matrix has fewer rows than cells were labelled, or other columns.
    """
    groups, group_of_row = group_cells(cells)
    layout = layout_of(genes)
    runs: list[Path] = []
    depth: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    n_rows, started, told = 0, time.monotonic(), time.monotonic()
    for start, block in blocks:
        if block.shape[1] != len(layout.gene_of_column):
            wrong = f"has {block.shape[1]:,} columns, {len(layout.gene_of_column):,} were ingested"
            raise _changed(atlas, wrong)
        n_rows = start + block.shape[0]
        group = group_of_row[start:n_rows]
        group = np.pad(group, (0, block.shape[0] - len(group)), constant_values=-1)
        kept = np.flatnonzero(group >= 0)
        counts = genes_of(block[kept] if len(kept) < len(group) else block, layout)
        total = np.asarray(counts.sum(axis=1), dtype=np.int64).ravel()
        library = counts @ (~layout.masked).astype(np.int64)
        depth.append((group[kept], total, library))
        run = Path(workspace) / f"{len(runs):06d}.npy"
        np.save(run, partial_sums(counts, group[kept], library))
        runs.append(run)
        if time.monotonic() - told > _REPORT_SECONDS:
            told = time.monotonic()
            rate = n_rows / (told - started)
            logger.info("%s: %s cells read, %s cells/s", atlas, f"{n_rows:,}", f"{rate:,.0f}")
    if n_rows < len(group_of_row):
        raise _changed(atlas, f"has {n_rows:,} rows, {len(group_of_row):,} were ingested")
    group, total, library = (np.concatenate(parts) for parts in zip(*depth, strict=True))
    groups = groups.join(library_columns(group, total, library, len(groups)))
    groups.insert(1, "atlas", atlas)
    seconds = time.monotonic() - started
    logger.info(
        "%s: %s cells in %s groups read in %.1f s",
        atlas,
        f"{n_rows:,}",
        f"{len(groups):,}",
        seconds,
    )
    merged = merge_runs(runs, len(groups), len(layout.gene_ids))
    return Profile(groups, expression_tables(merged, layout.gene_ids))


def _changed(atlas: str, wrong: str) -> MatrixError:
    return MatrixError.one(
        atlas, "matrix", wrong, "the file changed after ingest; run again from the start"
    )
