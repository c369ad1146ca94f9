"""What one look at the matrix says of cells and samples (C0, F4, F5).

Which cells are no evidence or stand under a wrong label, which droplets hold two cells, and how
much free RNA a sample holds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from targetscore.config import AtlasRow, Ingesting
from targetscore.contracts import AMBIENT_RATES, SAMPLE_KEY
from targetscore.errors import MatrixError
from targetscore.formats import OpenAtlas, open_atlas
from targetscore.ingest.ambient import AmbientSums, SampleAmbient
from targetscore.ingest.cells import CellLook
from targetscore.ingest.contamination import Programme
from targetscore.ingest.doublets import not_assessed, score_doublets
from targetscore.ingest.labels import read_labels
from targetscore.libraries import assay_class
from targetscore.progress import Progress, cells_text

__all__ = ["CELL_COLUMNS", "TABLES", "Assessed", "assess_samples"]

CELL_COLUMNS = ("row", "cell", *SAMPLE_KEY, "population", "tissue", "cell_type_id", "cell_type")
"""Columns of ``ingest/cells`` that are needed here."""

TABLES = ("doublets", "ambient", "ambient_rates", "quality", "removed", "contamination")
"""Tables that :func:`assess_samples` makes, contracts ``ingest/<name>``."""

SWITCHED_OFF = "not assessed: switched off (ingest.doublets)"
NO_DROPLETS = "not assessed: Scrublet is meant for droplets, the assay is not"


@dataclass(frozen=True)
class Assessed:
    """What was found out about the samples of an atlas.

    Attributes
    ----------
    doublets, ambient, ambient_rates, quality, removed, contamination
        Tables of the contracts ``ingest/<name>``.
    summary
        ``quality``: filters in words, cells ``removed`` per reason, cell types that lost more
        than half of their cells, outliers. ``contamination``: cells assessed and flagged.
        ``doublets``: ``switched_on``, ``n_cells``, ``n_scored``, ``n_with_call`` (called a doublet
        or none), ``n_flagged`` (None without a call) and ``reasons`` (cells per reason why score
        or call is missing). ``ambient``: samples per source. ``samples``: per sample its key,
        ``n_cells``, ``n_scored``, ``n_flagged`` (None without a call) and ``ambient`` (source).
    """

    doublets: pd.DataFrame
    ambient: pd.DataFrame
    ambient_rates: pd.DataFrame
    quality: pd.DataFrame
    removed: pd.DataFrame
    contamination: pd.DataFrame
    summary: dict[str, Any]


def assess_samples(
    row: AtlasRow,
    location: str,
    registry: str,
    cells: pd.DataFrame,
    genes: pd.DataFrame,
    settings: Ingesting,
    programmes: Sequence[Programme],
) -> Assessed:
    """Look at every cell and sample of an atlas.

    The matrix is read once (again only for samples so interleaved that their cells cannot be
    held at a time).

    Parameters
    ----------
    row
        Registry row of the atlas.
    location
        File or folder of the atlas.
    registry
        Registry file, for messages.
    cells, genes
        Contracts ``ingest/cells`` (:data:`CELL_COLUMNS`) and ``ingest/genes``.
    settings
        What is to be looked for, and the limits of single cells.
    programmes
        Programmes of lineages to look for.

    Raises
    ------
    MatrixError
        If the matrix does not hold raw counts, or is not the one that was ingested.
    """
    atlas = open_atlas(row, location)
    grouped = cells.groupby(list(SAMPLE_KEY), observed=True, sort=True)
    samples = grouped.size().rename("n_cells").reset_index()
    samples[list(SAMPLE_KEY)] = samples[list(SAMPLE_KEY)].astype(str)
    numbered = cells[["row", "cell"]].assign(sample=grouped.ngroup())
    looked_for = [] if settings.contamination == "off" else programmes
    of_cells = CellLook(cells, genes, atlas.shape[0], settings, looked_for)
    reader = _Reader(row, atlas, registry, numbered, samples, genes, of_cells)
    scores = _doublets(numbered, samples, reader, settings.doublets)
    free_rna = reader.ambient(len(samples))
    tables, about_cells = of_cells.tables(numbered, [s.rate for s in free_rna], location)
    return Assessed(
        scores,
        _ambient(samples, free_rna),
        _rates(samples, free_rna, genes),
        *tables,
        _summary(scores, numbered, samples, free_rna, settings.doublets) | about_cells,
    )


class _Reader:
    """Gives the blocks of the matrix; the first pass also looks at barcodes without a cell."""

    def __init__(
        self,
        row: AtlasRow,
        atlas: OpenAtlas,
        registry: str,
        cells: pd.DataFrame,
        samples: pd.DataFrame,
        genes: pd.DataFrame,
        of_cells: CellLook,
    ) -> None:
        self._of_cells = of_cells
        self._atlas, self._label, self._unread = atlas, f"{row.atlas}: reading samples", True
        rows = cells["row"].to_numpy(np.int64)
        n_rows = atlas.shape[0]
        if rows.max(initial=-1) >= n_rows:
            wrong = f"has {n_rows:,} rows, {rows.max() + 1:,} were ingested"
            remedy = "the file changed after ingest; run again from the start"
            raise MatrixError.one(atlas.location, "matrix", wrong, remedy)
        is_cell = np.zeros(n_rows, dtype=bool)
        is_cell[rows] = True
        sample_of_row = np.full(n_rows, -1, dtype=np.int64)
        sample_of_row[rows] = cells["sample"]
        self._others = not is_cell.all()
        if self._others:
            _, labels, _ = read_labels(row, atlas, registry)
            known = pd.MultiIndex.from_frame(samples[list(SAMPLE_KEY)])
            others = labels.loc[~is_cell, list(SAMPLE_KEY)].astype(str)
            sample_of_row[~is_cell] = known.get_indexer(pd.MultiIndex.from_frame(others))
        self._sums = AmbientSums(sample_of_row, is_cell, genes["masked"].to_numpy(bool))

    def blocks(self) -> Iterator[tuple[int, sp.csr_matrix]]:
        """Yield the blocks of the whole matrix."""
        shown = Progress()
        shown.start(self._label, self._atlas.shape[0], text=cells_text)
        first_time, self._unread = self._unread, False
        for first, counts in self._atlas.blocks():
            if first_time:
                self._of_cells.add(first, counts)
                if self._others:
                    self._sums.add(first, counts)
            yield first, counts
            shown.advance(counts.shape[0])
        shown.conclude()

    def ambient(self, n_samples: int) -> list[SampleAmbient]:
        """Return what the barcodes without a cell say of each sample."""
        if self._unread:
            for _ in self.blocks():
                pass
        return self._sums.measured(n_samples)


def _doublets(
    cells: pd.DataFrame, samples: pd.DataFrame, reader: _Reader, switched_on: bool
) -> pd.DataFrame:
    """Return contract ``ingest/doublets``; what is not assessed says why."""
    if not switched_on:
        return not_assessed(cells["row"].to_numpy(np.int64), SWITCHED_OFF).reset_index()
    plates = samples.index[samples["assay"].map(assay_class) == "full_length"]
    off = cells["sample"].isin(plates)
    parts = [
        score_doublets(cells[~off], reader.blocks),
        not_assessed(cells.loc[off, "row"].to_numpy(np.int64), NO_DROPLETS).reset_index(),
    ]
    whole = pd.concat([part for part in parts if len(part)], ignore_index=True)
    return whole.sort_values("row", ignore_index=True)


def _ambient(samples: pd.DataFrame, found: list[SampleAmbient]) -> pd.DataFrame:
    return samples.assign(
        source=[_source(sample) for sample in found],
        share=[sample.share for sample in found],
        n_empty=[sample.n_empty for sample in found],
    )


def _source(found: SampleAmbient) -> str:
    return "sample_profile" if found.rate is None else "empty_droplets"


def _rates(samples: pd.DataFrame, found: list[SampleAmbient], genes: pd.DataFrame) -> pd.DataFrame:
    """Return contract ``ingest/ambient_rates``; two columns of a gene are one gene (C0)."""
    codes, gene_ids = pd.factorize(genes["gene_id"].astype("object"), sort=True)
    parts = [AMBIENT_RATES.empty()]
    for key, sample in zip(samples[list(SAMPLE_KEY)].to_dict("records"), found, strict=True):
        if sample.rate is not None:
            rate = np.bincount(codes, sample.rate, minlength=len(gene_ids))
            seen: NDArray[np.int64] = np.flatnonzero(rate)
            parts.append(pd.DataFrame({**key, "gene_id": gene_ids[seen], "rate": rate[seen]}))
    return pd.concat(parts, ignore_index=True) if len(parts) > 1 else parts[0]


def _summary(
    scores: pd.DataFrame,
    cells: pd.DataFrame,
    samples: pd.DataFrame,
    free_rna: list[SampleAmbient],
    switched_on: bool,
) -> dict[str, Any]:
    sample_of = cells.set_index("row")["sample"].reindex(scores["row"]).to_numpy()
    by_sample = pd.DataFrame(
        {
            "n_scored": scores["score"].notna(),
            "n_calls": scores["flagged"].notna(),
            "n_flagged": scores["flagged"].fillna(False).astype(bool),
        }
    ).groupby(sample_of)
    counts = by_sample.sum().astype(int).to_dict("records")
    n_calls = sum(c["n_calls"] for c in counts)
    return {
        "doublets": {
            "switched_on": switched_on,
            "n_cells": len(scores),
            "n_scored": sum(c["n_scored"] for c in counts),
            "n_with_call": n_calls,
            "n_flagged": sum(c["n_flagged"] for c in counts) if n_calls else None,
            "reasons": dict(sorted(Counter(scores["reason"].dropna()).items())),
        },
        "ambient": dict(sorted(Counter(map(_source, free_rna)).items())),
        "samples": [
            {
                **key,
                "n_scored": found["n_scored"],
                "n_flagged": found["n_flagged"] if found["n_calls"] else None,
                "ambient": _source(rna),
            }
            for key, found, rna in zip(samples.to_dict("records"), counts, free_rna, strict=True)
        ],
    }
