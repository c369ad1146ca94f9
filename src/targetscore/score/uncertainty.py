"""How sure the ranking is: the donor bootstrap, and other weights (C7)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from targetscore.score.antigen import AntigenScore
from targetscore.score.composite import composite_parts, exponents, weighted_mean
from targetscore.score.donors import Floats
from targetscore.score.draws import Draws, draw, times_drawn
from targetscore.score.parts import World
from targetscore.score.replicates import Candidate, composites

FEWEST = 3
INTERVAL = (0.05, 0.95)
TOP = (1, 3, 5)
WEIGHT_DRAWS = 1000
WEIGHT_CONCENTRATION = 20.0
COLUMNS = (
    "composite_lower",
    "composite_upper",
    "rank_lower",
    "rank_median",
    "rank_upper",
    *(f"probability_top{k}" for k in TOP),
    "n_replicates",
    "no_interval_reason",
    "rank_weights_lower",
    "rank_weights_upper",
)
_PATIENTS, _DONORS, _WEIGHTS = range(3)


@dataclass(frozen=True)
class Uncertainty:
    """Columns of ``score/ranking`` by gene id, and the rows of ``score/outranks``."""

    columns: pd.DataFrame
    outranks: pd.DataFrame


def standings(scores: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Count who is above and who is level, per antigen and replicate.

    Parameters
    ----------
    scores
        1 best, shape ``(n_antigens, n_replicates)``; NaN is below everything else.

    Returns
    -------
    above, level
        Antigens with a higher, and other antigens with the same score; same shape.
    """
    values = np.asarray(scores, dtype=np.float64)
    filled = -np.where(np.isnan(values), -np.inf, values)
    if not filled.size:
        return np.zeros(filled.shape, dtype=np.int64), np.zeros(filled.shape, dtype=np.int64)
    first, last = (rankdata(filled, method=m, axis=0).astype(np.int64) for m in ("min", "max"))
    return first - 1, last - first


def top_probability(above: NDArray, level: NDArray, k: int) -> Floats:
    """Return how often an antigen is among the first ``k``, 0–1, shape ``(n_antigens,)``.

    Antigens that are level share the places they hold.
    """
    return np.clip((k - above) / (level + 1), 0.0, 1.0).mean(axis=1)


def outrank_probability(scores: ArrayLike) -> Floats:
    """Return how often one antigen is above another, 0–1; a tie counts half for each.

    Parameters
    ----------
    scores
        Shape ``(n_antigens, n_replicates)``; NaN is below everything else.

    Returns
    -------
    numpy.ndarray
        Row above column, shape ``(n_antigens, n_antigens)``; 0.5 on the diagonal.
    """
    values = np.asarray(scores, dtype=np.float64)
    filled = np.where(np.isnan(values), -np.inf, values)
    won = [(own > filled).mean(axis=1) + 0.5 * (own == filled).mean(axis=1) for own in filled]
    return np.array(won).reshape(len(filled), len(filled))


def why_off(n_patients: int, n_donors: int, n_replicates: int) -> str | None:
    """Return why there is no bootstrap of an antigen; None if there is one (C9)."""
    if not n_replicates:
        return "switched off in the configuration (scoring.bootstrap)"
    if n_patients < FEWEST:
        return f"fewer than {FEWEST} patients to resample"
    return f"fewer than {FEWEST} healthy donors to resample" if n_donors < FEWEST else None


def bootstrap_draws(world: World, n: int, seed: int) -> Draws:
    """Draw patients and healthy donors, each atlas apart and as many as it has.

    A donor is drawn once for all cell types. Patients with too few cells never count and are
    not drawn: each replicate holds as many patients that count as there are.
    """
    tumour = world.tumour
    counts = np.nonzero(tumour.counted.any(axis=1))[0]
    strata = tumour.sums.units["atlas"].astype(str).to_numpy()[counts]
    patients = counts[draw(strata.tolist(), n, (seed, _PATIENTS))]
    donors, _ = world.healthy.shown.people
    drawn = draw([atlas for atlas, _ in donors], n, (seed, _DONORS))
    return Draws(patients, times_drawn(drawn, len(donors)))


def weighted_scores(
    components: Sequence[dict[str, Any]], weights: ArrayLike, floor: float, seed: int
) -> Floats:
    """Return composites under other weights, drawn around those of the configuration.

    The weights follow ``Dirichlet(20 · weights)``, a choice of this project: the weight 0.35
    then varies with a standard deviation of 0.10, the weight 0.05 with one of 0.05.

    Parameters
    ----------
    components
        Rows of ``score/components`` of the ranked antigens.
    weights
        Exponents of the configuration, shape ``(5,)``.
    floor
        No part counts less.
    seed
        Seed of the random numbers.

    Returns
    -------
    numpy.ndarray
        0–1, shape ``(n_antigens, 1000)``.
    """
    random = np.random.default_rng([seed, _WEIGHTS])
    alpha = WEIGHT_CONCENTRATION * np.asarray(weights, dtype=np.float64)
    drawn = random.dirichlet(alpha, size=WEIGHT_DRAWS)
    names = ("specificity", "coverage", "safety", "surface", "shedding")
    columns = [f"{n}_confidence" if n == "surface" else f"{n}_score" for n in names]
    parts = composite_parts(*(np.array([c[n] for c in components], float) for n in columns))
    return weighted_mean(parts[:, None, :], drawn, floor)


def uncertainty(world: World, scores: Sequence[AntigenScore]) -> Uncertainty:
    """Resample people and weights, and say how far the ranking holds.

    What varies in the bootstrap are specificity, coverage and safety; surface and shedding
    are held. An antigen of fewer than three patients or healthy donors takes part in the
    ranks of the others, but gets no figures of its own (C9).

    Parameters
    ----------
    world
        What all antigens share.
    scores
        The scores of the panel, in the order of the evidence's columns.
    """
    scoring = world.scoring
    ranked = [i for i, s in enumerate(scores) if s.components["status"] == "ranked"]
    rows = [scores[i].components for i in ranked]
    off = [why_off(r["n_patients"], r["n_healthy_donors"], scoring.bootstrap) for r in rows]
    columns: dict[str, dict[str, Any]] = {
        s.gene.gene_id: {"n_replicates": 0, "no_interval_reason": "not ranked"} for s in scores
    }
    weights = exponents(scoring.composite_weights)
    if rows:
        other = weighted_scores(rows, weights, scoring.part_floor, scoring.seed)
        for row, (low, _, high) in zip(rows, _ranks(*standings(other)), strict=True):
            columns[row["gene_id"]] |= {"rank_weights_lower": low, "rank_weights_upper": high}
    drawn = np.full((len(ranked), 1), np.nan)
    if not all(off):
        draws = bootstrap_draws(world, scoring.bootstrap, scoring.seed)
        drawn = composites(world, candidates(scores), draws)
    above, level = standings(drawn)
    tops = {f"probability_top{k}": top_probability(above, level, k) for k in TOP}
    places = _ranks(above, level)
    for i, (row, reason) in enumerate(zip(rows, off, strict=True)):
        columns[row["gene_id"]]["no_interval_reason"] = reason
        own = drawn[i][np.isfinite(drawn[i])]
        if reason is None and own.size:
            low, high = np.quantile(own, INTERVAL)
            columns[row["gene_id"]] |= {
                "composite_lower": low,
                "composite_upper": high,
                "rank_lower": places[i][0],
                "rank_median": places[i][1],
                "rank_upper": places[i][2],
                "n_replicates": own.size,
                **{name: values[i] for name, values in tops.items()},
            }
    table = pd.DataFrame.from_dict(columns, orient="index").reindex(columns=list(COLUMNS))
    return Uncertainty(table, _outranks(rows, off, drawn))


def candidates(scores: Sequence[AntigenScore]) -> list[Candidate]:
    """Return the ranked antigens with the parts that are held in replicates."""
    return [
        Candidate(
            column,
            s.gaps,
            float(s.components["surface_confidence"]),
            float(s.components["shedding_score"]),
        )
        for column, s in enumerate(scores)
        if s.components["status"] == "ranked"
    ]


def _ranks(above: NDArray, level: NDArray) -> Floats:
    """Return 5 %, median and 95 % rank of each antigen, ranks that do occur; ties share one."""
    if not above.size:
        return np.zeros((0, 3))
    middle = 1 + above + level / 2
    points = (INTERVAL[0], 0.5, INTERVAL[1])
    return np.quantile(middle, points, axis=1, method="inverted_cdf").T


def _outranks(
    rows: Sequence[dict[str, Any]], off: Sequence[str | None], drawn: Floats
) -> pd.DataFrame:
    won = outrank_probability(drawn)
    return pd.DataFrame(
        [
            {
                "gene_id": a["gene_id"],
                "antigen": a["antigen"],
                "other_gene_id": b["gene_id"],
                "other": b["antigen"],
                "probability": None if off[i] or off[j] else won[i, j],
            }
            for i, a in enumerate(rows)
            for j, b in enumerate(rows)
            if i != j
        ],
        columns=["gene_id", "antigen", "other_gene_id", "other", "probability"],
    )
