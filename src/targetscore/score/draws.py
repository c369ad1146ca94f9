"""Draw people with replacement: the unit of the bootstrap is a patient or a donor, not a cell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from targetscore.score.donors import HealthyDonors
from targetscore.score.load import Sums

Positions = NDArray[np.int64]


@dataclass(frozen=True)
class Draws:
    """Who is in each replicate.

    Attributes
    ----------
    patients
        Rows of the patients' sums, shape ``(n_replicates, n_drawn)``; a row may be repeated.
    donors
        How often each healthy donor is in a replicate, shape ``(n_replicates, n_donors)``, in
        the order of ``HealthyDonors.people``; None where every replicate has each of them once.
    """

    patients: Positions
    donors: Positions | None = None


def draw(strata: Sequence[str], n: int, seed: Sequence[int]) -> Positions:
    """Draw as many from each stratum as it has, with replacement.

    Parameters
    ----------
    strata
        Atlas of each person.
    n
        Number of replicates.
    seed
        Seed of the random numbers.

    Returns
    -------
    numpy.ndarray
        Positions in ``strata``, shape ``(n, n_people)``, one stratum after the other.
    """
    random = np.random.default_rng(list(seed))
    names = np.asarray(strata, dtype=str)
    drawn = [np.zeros((n, 0), dtype=np.int64)]
    for name in sorted(set(strata)):
        members = np.nonzero(names == name)[0]
        drawn.append(members[random.integers(members.size, size=(n, members.size))])
    return np.concatenate(drawn, axis=1)


def times_drawn(drawn: Positions, n_people: int) -> Positions:
    """Count how often each person is in each replicate, shape ``(n_replicates, n_people)``."""
    n = len(drawn)
    place = np.arange(n)[:, None] * n_people + drawn
    return np.bincount(place.ravel(), minlength=n * n_people).reshape(n, n_people)


def repeated(shown: HealthyDonors, columns: Sequence[int], times: Positions) -> HealthyDonors:
    """Repeat units of healthy donors as often as they were drawn.

    A unit drawn twice is two donors, as it would be in a table with its rows repeated.

    Parameters
    ----------
    shown
        Units of healthy donors.
    columns
        The genes wanted.
    times
        How often each unit is in each replicate, shape ``(n_replicates, n_units)``.

    Returns
    -------
    HealthyDonors
        The same groups with columns ``n_genes × n_replicates``, the replicates of a gene side
        by side; a repetition that a replicate does not have is not measured in it.
    """
    n_replicates, n_units = times.shape
    most = times.max(axis=0)
    rows = np.repeat(np.arange(n_units), most)
    number = np.arange(rows.size) - np.repeat(np.cumsum(most) - most, most)
    there = times.T[rows] > number[:, None]

    def spread(values: NDArray, elsewhere: float | bool = 0) -> NDArray:
        wide = np.where(there[:, None, :], values[rows][:, columns, None], elsewhere)
        return wide.astype(values.dtype).reshape(rows.size, -1)

    def widen(values: NDArray) -> NDArray:
        return np.repeat(values[:, columns], n_replicates, axis=1)

    sums = shown.sums
    return HealthyDonors(
        [replace(g, units=np.nonzero(np.isin(rows, g.units))[0]) for g in shown.groups],
        Sums(
            sums.units.iloc[rows].reset_index(drop=True),
            spread(sums.measured, False),
            spread(sums.detected),
            spread(sums.thinned),
            spread(sums.counts),
        ),
        spread(shown.expected),
        spread(shown.explains, True),
        widen(shown.unreported),
        widen(shown.atlases),
    )
