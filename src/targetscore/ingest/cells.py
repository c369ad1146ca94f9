"""One look at every cell: which are no evidence, and which stand under a wrong label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from targetscore.config import Ingesting
from targetscore.contracts_cells import REMOVED
from targetscore.errors import AtlasError
from targetscore.ingest.contamination import NONE, NOT_ASSESSED, Programme, ProgrammeSums
from targetscore.ingest.quality import REASONS, CellSums, details, filters_of, outliers

FOREIGN = "foreign_programme"
"""Reason of cells that are left out because of the programme they show."""

_MOST = 0.5


class CellLook:
    """Looks at the cells of an atlas, block by block.

    Parameters
    ----------
    cells
        Contract ``ingest/cells``; at least the columns that groups of cells are told apart by.
    genes
        Contract ``ingest/genes``.
    n_rows
        Rows of the matrix.
    settings
        Limits, and what is done with cells under a wrong label.
    programmes
        Programmes to look for.
    """

    def __init__(
        self,
        cells: pd.DataFrame,
        genes: pd.DataFrame,
        n_rows: int,
        settings: Ingesting,
        programmes: Sequence[Programme],
    ) -> None:
        self._cells, self._settings = cells, settings
        self._filters = filters_of(genes, settings.quality)
        self._sums = CellSums(n_rows, self._filters.mitochondrial)
        self._nucleus = np.zeros(n_rows, dtype=bool)
        rows = cells["row"].to_numpy(np.int64)
        # A file that shrank is refused by whoever reads it.
        inside = rows < n_rows
        self._nucleus[rows[inside]] = (cells["suspension"] == "nucleus").to_numpy(bool)[inside]
        self._programmes = ProgrammeSums(programmes, cells[inside], genes, n_rows)

    def add(self, first: int, counts: sp.csr_matrix) -> None:
        """Add some consecutive rows of the matrix, each row once."""
        self._sums.add(first, counts)
        rows = slice(first, first + counts.shape[0])
        n = counts.shape[0]
        # What a type's own mitochondrial share is shows only after the last block.
        unknown = np.full(n, np.nan)
        failed = self._filters.failed(
            self._sums.counts[rows], self._sums.genes[rows], unknown, unknown
        )
        self._programmes.add(first, counts, failed < 0)

    def tables(
        self,
        samples: pd.DataFrame,
        rates: Sequence[NDArray[np.float64] | None],
        location: str,
    ) -> tuple[tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame], dict[str, Any]]:
        """Return what was seen, after the last block.

        Parameters
        ----------
        samples
            ``row`` and ``sample`` (number, from 0) of each cell.
        rates
            Free RNA of each sample, or None where it was not measured.
        location
            The atlas, for messages.

        Returns
        -------
        tuple
            Contracts ``ingest/quality``, ``ingest/removed`` and ``ingest/contamination``, and
            their summary: ``quality`` and ``contamination``.

        Raises
        ------
        AtlasError
            If no cell passes.
        """
        rows = self._cells["row"].to_numpy(np.int64)
        sums, filters = self._sums, self._filters
        counts, genes, share = sums.counts[rows], sums.genes[rows], sums.share(rows)
        kinds = self._cells[["tissue_id", "cell_type_id"]].astype(str)
        types = np.asarray(kinds.groupby(["tissue_id", "cell_type_id"]).ngroup(), dtype=np.int64)
        limit = filters.limits(share, self._nucleus[rows], types)
        failed = filters.failed(counts, genes, share, limit)
        sample_of_row = np.full(len(sums.counts), -1, dtype=np.int64)
        sample_of_row[samples["row"]] = samples["sample"]
        found = self._programmes.found(sample_of_row, sums.counts, rates)
        shown = found.programme.reindex(rows).to_numpy()
        shown[failed >= 0] = NOT_ASSESSED
        outlier = outliers(sample_of_row[rows], counts, genes, share).to_numpy()
        quality = pd.DataFrame(
            {
                "row": rows,
                "n_counts": counts,
                "n_genes": genes,
                "mitochondrial_share": share,
                "outlier": outlier,
                "foreign_programme": shown,
            }
        )
        out = np.flatnonzero(failed >= 0)
        parts = [
            REMOVED.empty(),
            pd.DataFrame(
                {
                    "row": rows[out],
                    "cell": self._cells["cell"].astype(str).to_numpy()[out],
                    "reason": [REASONS[code] for code in failed[out]],
                    "detail": details(
                        failed[out], counts[out], genes[out], share[out], limit[out], filters
                    ),
                }
            ),
        ]
        if self._settings.contamination == "exclude":
            named = np.flatnonzero(~np.isin(shown, [NONE, NOT_ASSESSED]))
            parts.append(
                pd.DataFrame(
                    {
                        "row": rows[named],
                        "cell": self._cells["cell"].astype(str).to_numpy()[named],
                        "reason": FOREIGN,
                        "detail": [found.detail[int(row)] for row in rows[named]],
                    }
                )
            )
        removed = pd.concat([p for p in parts if len(p)] or parts[:1], ignore_index=True)
        removed = removed.sort_values("row", ignore_index=True)
        if len(removed) == len(rows):
            counts_of = dict(Counter(removed["reason"]))
            wrong = f"no cell passes the filters: {counts_of}"
            remedy = "look at ingest.quality in the configuration, and at the matrix"
            raise AtlasError.one(location, "", wrong, remedy)
        summary = {
            "quality": {
                "filters": filters.words,
                "n_removed": len(removed),
                "removed": dict(sorted(Counter(removed["reason"]).items())),
                "cell_types_mostly_removed": self._mostly_removed(removed["row"]),
                "outliers": dict(
                    sorted(
                        Counter(w for t in outlier if t is not pd.NA for w in t.split("; ")).items()
                    )
                ),
            },
            "contamination": {
                "mode": self._settings.contamination,
                **found.summary(self._cells[failed < 0]),
            },
        }
        return (quality, removed, found.table), summary

    def _mostly_removed(self, removed: pd.Series) -> list[dict[str, Any]]:
        """Return the types of cells that lost more than half of their cells."""
        gone = self._cells["row"].isin(removed)
        grouped = gone.groupby(self._cells["cell_type"].astype(str)).agg(["sum", "size"])
        return [
            {"cell_type": str(name), "n_removed": int(n), "n_cells": int(size)}
            for name, n, size in grouped.itertuples()
            if n > _MOST * size
        ]
