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

MIN_CELLS = 200
"""A smaller sample is not assessed: with so few neighbours no score can stand out."""

MAX_CELLS = 50_000
"""A larger sample is not assessed: no droplet run holds so many cells, so it is several."""

OPEN_CELLS = 50_000
"""Cells of unfinished samples held at a time."""

EXPECTED_RATE = 0.05
SEED = 0
_COMPONENTS = 30

MADS = 3.0
"""A score stands out this many median absolute deviations above the median of its sample
(doi:10.12688/f1000research.9501.2). In a simulated marrow 77 to 89 % of the cells flagged so
were doublets, and 41 to 64 % of the doublets were flagged; at 5, 93 % or more, and a third."""

DETECTABLE = 0.1
"""Share of simulated doublets that must stand out, or real ones could not be told either."""

Blocks = Callable[[], Iterable[tuple[int, sp.csr_matrix]]]


def score_doublets(cells: pd.DataFrame, blocks: Blocks) -> pd.DataFrame:
    """Score every cell of an atlas as a doublet, sample by sample.

    Parameters
    ----------
    cells
        Kept cells: ``row`` and ``cell`` (barcode), as contract ``ingest/cells``, and ``sample``
        (any value that tells samples apart).
    blocks
        Gives ``(first row, counts)`` of the whole matrix; called once, or more often if the
        samples of an atlas are so interleaved that more than :data:`OPEN_CELLS` cells would
        have to be held.

    Returns
    -------
    pandas.DataFrame
        One row per cell, in the order of ``row``: ``row``; ``score`` (0–1, 1 most like a
        doublet; NaN if not assessed); ``flagged`` (boolean, NA if not assessed or if simulated
        doublets do not stand out of the sample either); ``reason`` (why ``score`` or ``flagged``
        is missing, else NA).
    """
    table = not_assessed(np.sort(cells["row"].to_numpy(np.int64)))
    size = cells.groupby("sample", observed=True)["row"].transform("size")
    for wrong, which in (
        (f"fewer than {MIN_CELLS:,} cells", size < MIN_CELLS),
        (f"more than {MAX_CELLS:,} cells, so it is several runs", size > MAX_CELLS),
    ):
        table.loc[cells.loc[which, "row"], "reason"] = f"not assessed: the sample has {wrong}"
    for few in _passes(cells[size.between(MIN_CELLS, MAX_CELLS)]):
        for sample, counts in _collect(few, blocks):
            found = _score_sample(sample["row"].to_numpy(), counts)
            for column in table.columns:
                table.loc[found.index, column] = found[column]
    return table.reset_index()


def not_assessed(rows: NDArray[np.int64], reason: object = pd.NA) -> pd.DataFrame:
    """Return what :func:`score_doublets` says of cells it did not look at, by ``row``."""
    return pd.DataFrame(
        {
            "score": np.full(len(rows), np.nan),
            "flagged": pd.array([pd.NA] * len(rows), dtype="boolean"),
            "reason": np.full(len(rows), reason, dtype=object),
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


def _collect(cells: pd.DataFrame, blocks: Blocks) -> Iterator[tuple[pd.DataFrame, sp.csr_matrix]]:
    """Yield each sample's cells, by barcode, and their counts once its last row was read."""
    waiting = {
        str(name): sample.sort_values("row")
        for name, sample in cells.groupby(cells["sample"].astype(str), observed=True)
    }
    held: dict[str, list[sp.csr_matrix]] = {name: [] for name in waiting}
    for first, counts in blocks():
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


def _score_sample(rows: NDArray[np.int64], counts: sp.csr_matrix) -> pd.DataFrame:
    """Score one sample; its cells stand in the order of their barcodes, so none of it moves."""
    table = not_assessed(rows)
    try:
        scores, simulated = _scrublet(counts)
    except ValueError as error:
        table["reason"] = f"not assessed: Scrublet gave up ({plain(error)})"
        return table
    table["score"] = scores
    scored = ~np.isnan(scores)
    table.loc[~scored, "reason"] = "not assessed: fewer than 3 genes"
    cut = cut_above(scores[scored], simulated)
    if cut is None:
        table.loc[scored, "reason"] = "not flagged: simulated doublets do not stand out either"
    else:
        table.loc[scored, "flagged"] = scores[scored] > cut
    return table


def _scrublet(counts: sp.csr_matrix) -> tuple[Floats, Floats]:
    """Return Scrublet's scores of the cells and of its simulated doublets."""
    import warnings

    import anndata as ad
    import scanpy as sc
    from threadpoolctl import threadpool_limits

    data: Any = ad.AnnData(counts.copy())
    # One thread: small matrices are faster so, and rounding does not depend on the machine.
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore")
        sc.pp.scrublet(
            data,
            expected_doublet_rate=EXPECTED_RATE,
            n_prin_comps=_COMPONENTS,
            use_approx_neighbors=False,
            threshold=0.0,  # see cut_above
            verbose=False,
            random_state=SEED,
        )
    simulated = np.asarray(data.uns["scrublet"]["doublet_scores_sim"], dtype=np.float64)
    return data.obs["doublet_score"].to_numpy(np.float64), simulated


def cut_above(scores: Floats, simulated: Floats) -> float | None:
    """Return the score above which a cell stands out of its sample; None if doublets would not.

    The median plus :data:`MADS` median absolute deviations (times 1.4826, which makes them
    standard deviations), of the scores above the median only, because scores end at 0 (so for
    doublet scores: doi:10.1038/s41586-019-0933-9). Scrublet's own cut, between two modes of the
    simulated scores, is not used: scores come in steps, the gaps look like modes, and in
    samples of one cell type it flagged half of the cells of a simulated world.

    Parameters
    ----------
    scores, simulated
        Scores of cells and of simulated doublets, ``(n,)``; at least one each.
    """
    middle = float(np.median(scores))
    above = scores[scores > middle] - middle
    spread = 1.4826 * float(np.median(above)) if len(above) else 0.0
    cut = middle + MADS * spread
    return cut if spread and float((simulated > cut).mean()) >= DETECTABLE else None
