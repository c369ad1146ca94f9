"""The composite of many replicates of the same people at once (C7).

What varies with the people: specificity, coverage and safety. What is held as it is: surface
and shedding (curated, or a percentile among genes), the penalties of gaps, and which healthy
groups say anything at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from targetscore.progress import Progress, antigens_text
from targetscore.score.composite import composite_parts, exponents, weighted_mean
from targetscore.score.contrast import collapsed, worst_case_groups
from targetscore.score.coverage import coverage_score, share_above_half, tenth_percentile
from targetscore.score.detection import GRID, balanced, grid_log_likelihoods, grid_summary
from targetscore.score.donors import Floats
from targetscore.score.draws import Draws, Positions, repeated, times_drawn
from targetscore.score.evidence import Gap
from targetscore.score.healthy import Healthy, summarise
from targetscore.score.parts import World
from targetscore.score.specificity import (
    log2_cpm,
    pair_auc,
    specificity_parts,
    specificity_score,
    tau,
    tau_level,
)
from targetscore.score.toxicity import class_safety

_CELLS_OF_A_CHUNK = 1_000_000
_UPPER, _MEAN_CPM, _Q75, _HARM = range(4)


@dataclass(frozen=True)
class Candidate:
    """An antigen to follow: its column in the evidence, and the parts that do not vary."""

    column: int
    gaps: Sequence[Gap]
    surface: float
    shedding: float


@dataclass(frozen=True)
class _Patients:
    """Patients of each replicate for one gene, arrays of shape ``(n_replicates,)``."""

    lower: Floats
    coverage: Floats
    median_cpm: Floats
    median_log2: Floats


@dataclass(frozen=True)
class _Donors:
    """Healthy groups in each replicate, shape ``(n_groups, n_genes, n_replicates)``.

    ``figures`` stacks the four of ``_figures``, ``kept`` is where the group stands as it was
    measured, ``times`` how often each unit counts, shape ``(n_replicates, n_units)``.
    """

    figures: Floats
    kept: NDArray[np.bool_]
    times: Positions


def composites(world: World, candidates: Sequence[Candidate], draws: Draws) -> Floats:
    """Return the composite of some antigens in every replicate.

    Each replicate is the plain score of a table in which the people drawn twice are two
    people and those not drawn are none, with one exception: a healthy group that a draw would
    leave with another standing (assessed or not, enough donors or cells for a verdict or not)
    enters the replicate as it was measured. Otherwise not drawing its donors would delete the
    group, and what is missing must never make an antigen look better.

    Parameters
    ----------
    world
        What all antigens share.
    candidates
        The antigens.
    draws
        The people of each replicate.

    Returns
    -------
    numpy.ndarray
        0–1, shape ``(n_candidates, n_replicates)``; NaN where a replicate has no patient who
        counts for the gene.
    """
    if not candidates:
        return np.zeros((0, len(draws.patients)))
    columns = [c.column for c in candidates]
    donors = _draw_donors(world, columns, draws)
    scoring = world.scoring
    weights, floor = exponents(scoring.composite_weights), scoring.part_floor
    scores = []
    shown = Progress()
    shown.start("scoring replicates of patients and donors", len(candidates), text=antigens_text)
    for place, candidate in enumerate(candidates):
        patients = _draw_patients(world, candidate.column, draws.patients)
        parts = composite_parts(
            _specificity(world, candidate.column, place, patients, donors, draws),
            patients.coverage,
            class_safety(
                world.healthy, candidate.column, candidate.gaps, donors.figures[_HARM, :, place]
            ),
            candidate.surface,
            candidate.shedding,
        )
        scores.append(np.broadcast_to(weighted_mean(parts, weights, floor), len(draws.patients)))
        shown.advance(1)
    shown.finish()
    return np.array(scores)


def _draw_patients(world: World, column: int, drawn: Positions) -> _Patients:
    tumour = world.tumour
    counted = tumour.counted[:, column]
    use = np.nonzero(counted)[0]
    cells = tumour.sums.units["n_cells"].to_numpy(np.float64)
    fraction = tumour.fraction[:, column]
    likelihoods = np.zeros((len(cells), *GRID))
    likelihoods[use] = grid_log_likelihoods(fraction[use] * cells[use], cells[use])
    share = balanced(np.where(counted[drawn], cells[drawn], 0.0).T).T
    times = times_drawn(drawn, len(counted))[:, use].astype(np.float64)
    flat = likelihoods[use].reshape(use.size, -1)
    fewer: dict[tuple[int, float], Floats] = {}
    cpm = tumour.counted_cpm[:, column]
    found = np.full((4, len(drawn)), np.nan)
    for i, everyone in enumerate(drawn):
        who = everyone[counted[everyone]]
        if not who.size:
            continue
        total = (times[i] @ flat).reshape(GRID)
        for place in np.nonzero(share[i] < 1)[0]:  # one patient at most holds most of the cells
            p, n = int(everyone[place]), float(cells[everyone[place]] * share[i, place])
            if (p, n) not in fewer:
                fewer[p, n] = grid_log_likelihoods([fraction[p] * n], [n])[0] - likelihoods[p]
            total = total + fewer[p, n]
        posterior = grid_summary(total)
        own = fraction[who]
        reached = coverage_score(posterior.median, share_above_half(own), tenth_percentile(own))
        levels = cpm[who]
        levels = levels[np.isfinite(levels)]
        if levels.size:
            middle = (float(np.median(levels)), float(np.median(log2_cpm(levels))))
        else:
            middle = (np.nan, np.nan)
        found[:, i] = posterior.lower, reached, *middle
    return _Patients(*found)


def _draw_donors(world: World, columns: Sequence[int], draws: Draws) -> _Donors:
    """Summarise healthy groups in each replicate; as measured, where nobody was drawn."""
    healthy = world.healthy
    units = healthy.shown.sums.units
    measured = _figures(healthy)[:, :, columns][..., None]
    if draws.donors is None:
        kept = np.ones(measured.shape[1:], dtype=bool)
        return _Donors(measured, kept, np.ones((1, len(units)), dtype=np.int64))
    standing = _standing(healthy, world)[:, :, columns][..., None]
    _, person = healthy.shown.people
    times = draws.donors[:, person]
    figures, same = [], []
    for chunk in _chunks(times, len(units) * len(columns)):
        found = summarise(repeated(healthy.shown, columns, chunk), world.tiers, world.scoring)
        shape = (-1, len(healthy.groups), len(columns), len(chunk))
        figures.append(_figures(found).reshape(shape))
        same.append((_standing(found, world).reshape(shape) == standing).all(axis=0))
    kept = ~np.concatenate(same, axis=-1)
    return _Donors(np.where(kept, measured, np.concatenate(figures, axis=-1)), kept, times)


def _figures(healthy: Healthy) -> Floats:
    """Return what the score takes from a group, shape ``(4, n_groups, n_columns)``."""
    return np.array([healthy.upper, healthy.mean_cpm, healthy.q75, healthy.harm])


def _standing(healthy: Healthy, world: World) -> NDArray[np.bool_]:
    """Return what a group is good for, shape ``(4, n_groups, n_columns)``."""
    scoring = world.scoring
    return np.array(
        [
            healthy.assessed,
            healthy.n_donors >= scoring.min_donors_clear,
            healthy.n_cells >= scoring.min_cells_clear,
            np.isfinite(healthy.mean_cpm),
        ]
    )


def _chunks(times: Positions, width: int) -> Iterator[Positions]:
    """Split replicates so that one chunk fits into memory."""
    size = max(1, _CELLS_OF_A_CHUNK // max(1, width))
    for start in range(0, len(times), size):
        yield times[start : start + size]


def _specificity(
    world: World, column: int, place: int, patients: _Patients, donors: _Donors, draws: Draws
) -> Floats:
    """Return specificity per replicate (C2), against the groups the plain score compares."""
    healthy, scoring = world.healthy, world.scoring
    vital, alike = worst_case_groups(healthy, column, scoring, world.tumour.suspensions)
    change = patients.median_log2 - donors.figures[_Q75, vital, place].max(axis=0)
    gap = patients.lower - donors.figures[_UPPER, alike, place].max(axis=0)
    auc = _smallest_auc(world, column, place, vital, donors, draws)
    index, own_lineage = _tau(
        healthy, column, patients.median_cpm, donors.figures[_MEAN_CPM, :, place]
    )
    signed = np.where(own_lineage, index, 0.0)
    return np.array(
        [
            specificity_score(
                specificity_parts(*(float(v) for v in values)), scoring.specificity_weights
            )
            for values in zip(*np.broadcast_arrays(change, gap, auc, signed), strict=True)
        ]
    )


def _smallest_auc(
    world: World,
    column: int,
    place: int,
    vital: Positions,
    donors: _Donors,
    draws: Draws,
) -> Floats:
    """Return the smallest AUC over groups: the mean over pairs, each as often as it was drawn."""
    healthy = world.healthy
    patients = world.tumour.counted_cpm[:, column]
    drawn = times_drawn(draws.patients, patients.size).astype(np.float64)
    smallest = np.full(1, np.inf)
    for h in vital:
        normal = healthy.cpm[healthy.groups[h].units, column]
        wins = pair_auc(patients[None, :, None], normal[None, None, :])
        known = np.isfinite(wins)
        units = donors.times[:, healthy.groups[h].units]
        times = np.where(donors.kept[h, place][:, None], 1.0, units)
        total = ((drawn @ np.nan_to_num(wins)) * times).sum(axis=1)
        pairs = ((drawn @ known.astype(np.float64)) * times).sum(axis=1)
        share = np.divide(total, pairs, out=np.full(pairs.shape, np.nan), where=pairs > 0)
        smallest = np.minimum(smallest, share)
    return smallest


def _tau(
    healthy: Healthy, column: int, tumour_cpm: Floats, mean_cpm: Floats
) -> tuple[Floats, NDArray[np.bool_]]:
    """Return tau, 0 where undefined, and whether the highest cell type is intended."""
    types = collapsed(healthy, column)
    tolerated = [bool(healthy.tolerated[members[0]]) for members in types]
    levels = [tau_level(tumour_cpm), *(tau_level(mean_cpm[m].mean(axis=0)) for m in types)]
    table = np.stack(np.broadcast_arrays(*levels))
    intended = np.array([True, *tolerated])
    other = table[~intended].max(axis=0, initial=-np.inf)
    return (
        np.array([tau(column) or 0.0 for column in table.T]),
        table.max(axis=0) > other,
    )
