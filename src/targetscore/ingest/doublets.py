"""Doublet scores: Scrublet, one sample at a time (F5; doi:10.1016/j.cels.2018.11.005)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from targetscore.errors import plain

Floats = NDArray[np.float64]

MIN_CELLS = 100
"""A smaller sample is not assessed: its few simulated doublets say nothing."""

OPEN_CELLS = 50_000
"""Cells of unfinished samples held at a time; a single sample may exceed it."""

EXPECTED_RATE = 0.05
SEED = 0
_COMPONENTS = 30
_BINS = 256
_SMOOTHINGS = 10_000

Blocks = Callable[[], Iterable[tuple[int, sp.csr_matrix]]]


def score_doublets(cells: pd.DataFrame, blocks: Blocks) -> pd.DataFrame:
    """Score every cell of an atlas as a doublet, sample by sample.

    Parameters
    ----------
    cells
        Kept cells: ``row``, ``cell`` (barcode) and ``sample``, as contract ``ingest/cells``.
    blocks
        Gives ``(first row, counts)`` of the whole matrix; called once, or more often if the
        samples of an atlas are so interleaved that more than :data:`OPEN_CELLS` cells would
        have to be held.

    Returns
    -------
    pandas.DataFrame
        One row per cell, in the order of ``row``: ``row``; ``score`` (0–1, 1 most like a
        doublet; NaN if not assessed); ``flagged`` (boolean, NA if not assessed or if the scores
        of simulated doublets have no two modes to cut between); ``reason`` (why ``score`` or
        ``flagged`` is missing, else NA).
    """
    table = _unscored(np.sort(cells["row"].to_numpy(np.int64)))
    for few in _passes(cells):
        for sample, counts in _collect(few, blocks):
            found = _score_sample(sample["row"].to_numpy(), counts)
            for column in table.columns:
                table.loc[found.index, column] = found[column]
    return table.reset_index()


def _unscored(rows: NDArray[np.int64]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "score": np.full(len(rows), np.nan),
            "flagged": pd.array([pd.NA] * len(rows), dtype="boolean"),
            "reason": np.full(len(rows), pd.NA, dtype=object),
        },
        index=pd.Index(rows, name="row"),
    )


def _passes(cells: pd.DataFrame) -> list[pd.DataFrame]:
    """Split samples into passes over the matrix that hold few unfinished cells each.

    A sample is open from its first row to its last; samples that follow one another all fit
    into one pass.
    """
    by = cells.groupby(cells["sample"].astype(str), observed=True)["row"]
    spans = by.agg(["min", "max", "size"]).sort_values("min")
    passes: list[tuple[list[str], list[tuple[int, int]]]] = []
    for name, first, last, size in spans.itertuples():
        for _, unfinished in passes:
            unfinished[:] = [(end, n) for end, n in unfinished if end >= first]
        room = (p for p in passes if sum(n for _, n in p[1]) + size <= OPEN_CELLS)
        chosen = next(room, None)
        if chosen is None:
            chosen = ([], [])
            passes.append(chosen)
        chosen[0].append(name)
        chosen[1].append((last, size))
    return [cells[cells["sample"].astype(str).isin(names)] for names, _ in passes]


def _collect(
    cells: pd.DataFrame, blocks: Blocks
) -> Iterator[tuple[pd.DataFrame, sp.csr_matrix | None]]:
    """Yield each sample's cells, by barcode, and their counts once its last row was read."""
    waiting: dict[str, pd.DataFrame] = {}
    for name, sample in cells.groupby(cells["sample"].astype(str), observed=True):
        if len(sample) < MIN_CELLS:
            yield sample, None
        else:
            waiting[str(name)] = sample.sort_values("row")
    held: dict[str, list[sp.csr_matrix]] = {name: [] for name in waiting}
    for first, counts in blocks() if waiting else ():
        end = first + counts.shape[0]
        for name in sorted(waiting):
            rows = waiting[name]["row"].to_numpy()
            here = rows[np.searchsorted(rows, first) : np.searchsorted(rows, end)]
            if len(here):
                held[name].append(counts[here - first].astype(np.float32))
            if rows[-1] < end:
                sample, whole = waiting.pop(name), sp.vstack(held.pop(name), format="csr")
                order = np.argsort(sample["cell"].astype(str).to_numpy(), kind="stable")
                yield sample.iloc[order], whole[order]


def _score_sample(rows: NDArray[np.int64], counts: sp.csr_matrix | None) -> pd.DataFrame:
    """Score one sample; its cells stand in the order of their barcodes, so none of it moves."""
    table = _unscored(rows)
    if counts is None:
        table["reason"] = f"not assessed: the sample has fewer than {MIN_CELLS} cells"
        return table
    try:
        scores, simulated = _scrublet(counts)
    except ValueError as error:
        table["reason"] = f"not assessed: Scrublet gave up ({plain(error)})"
        return table
    table["score"] = scores
    scored = ~np.isnan(scores)
    table.loc[~scored, "reason"] = "not assessed: fewer than 3 genes"
    cut = cut_between_modes(simulated)
    if cut is None:
        table.loc[scored, "reason"] = "not flagged: simulated doublets have no two modes"
    else:
        table.loc[scored, "flagged"] = scores[scored] > cut
    return table


def _scrublet(counts: sp.csr_matrix) -> tuple[Floats, Floats]:
    """Return Scrublet's scores of the cells and of its simulated doublets."""
    import warnings

    import anndata as ad
    import scanpy as sc

    data: Any = ad.AnnData(counts.copy())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sc.pp.scrublet(
            data,
            expected_doublet_rate=EXPECTED_RATE,
            n_prin_comps=_COMPONENTS,
            use_approx_neighbors=False,
            threshold=0.0,  # it would need scikit-image to choose one; see cut_between_modes
            verbose=False,
            random_state=SEED,
        )
    simulated = np.asarray(data.uns["scrublet"]["doublet_scores_sim"], dtype=np.float64)
    return data.obs["doublet_score"].to_numpy(np.float64), simulated


def cut_between_modes(scores: Floats) -> float | None:
    """Return the lowest point between the two modes of a histogram; None if it has not two.

    The histogram is smoothed until two maxima are left (Prewitt & Mendelsohn 1966,
    doi:10.1111/j.1749-6632.1965.tb11715.x), as Scrublet does.

    Parameters
    ----------
    scores
        Scores of simulated doublets, ``(n,)``.
    """
    from scipy.ndimage import uniform_filter1d

    counts, edges = np.histogram(scores, bins=_BINS)
    heights = counts.astype(np.float64)
    for _ in range(_SMOOTHINGS):
        heights = uniform_filter1d(heights, 3)
        maxima = _maxima(heights)
        if len(maxima) < 3:
            break
    if len(maxima) != 2:
        return None
    lowest = maxima[0] + int(np.argmin(heights[maxima[0] : maxima[1] + 1]))
    return float((edges[lowest] + edges[lowest + 1]) / 2)


def _maxima(heights: Floats) -> list[int]:
    """Return the places where a curve stops rising and falls."""
    found, rising = [], True
    for i in range(len(heights) - 1):
        if rising and heights[i + 1] < heights[i]:
            rising = False
            found.append(i)
        elif not rising and heights[i + 1] > heights[i]:
            rising = True
    return found
