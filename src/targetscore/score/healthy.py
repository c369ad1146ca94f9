"""What healthy cells show of each antigen (C1, C4)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from targetscore.config import Scoring
from targetscore.score.donors import (
    Floats,
    Group,
    HealthyDonors,
    counted_donors,
    group_posteriors,
)
from targetscore.score.safety import ASSESSED_VERDICTS, harm, verdicts
from targetscore.score.specificity import log2_cpm
from targetscore.score.tiers import Tier


@dataclass(frozen=True)
class Measured:
    """What healthy groups show; arrays are ``(n_groups, n_genes)``, NaN where there is none.

    Attributes
    ----------
    n_donors, n_cells, n_detected
        Donors that count, cells in which the gene was measured, cells with a count.
    observed, median, lower, upper
        Observed fraction and points of its posterior, 0–1.
    mean_cpm, median_cpm, q75
        Over donors; ``q75`` of log2(CPM + 10).
    cpm
        CPM of each unit of ``shown``, shape ``(n_units, n_genes)``, NaN where it does not count
        as a donor.
    ambient
        Whether free RNA of the sample alone may show the gene so often; ``median``, ``lower``
        and the harm that rests on them take the fraction as 0 there, ``upper`` is kept (C1).
    shown
        What all of this was summarised from.
    """

    n_donors: NDArray[np.int64]
    n_cells: NDArray[np.int64]
    n_detected: NDArray[np.int64]
    observed: Floats
    median: Floats
    lower: Floats
    upper: Floats
    mean_cpm: Floats
    median_cpm: Floats
    q75: Floats
    cpm: Floats
    ambient: NDArray[np.bool_]
    shown: HealthyDonors

    @property
    def groups(self) -> list[Group]:
        """The healthy groups."""
        return self.shown.groups


@dataclass(frozen=True)
class Healthy(Measured):
    """Healthy evidence as it is judged; arrays are ``(n_groups, n_genes)``.

    Attributes
    ----------
    harm, harm_low, harm_high
        At the median, the lower and the upper point; NaN for a group that is not assessed.
    verdict
        As the contract ``score/evidence`` lists them.
    """

    harm: Floats
    harm_low: Floats
    harm_high: Floats
    verdict: NDArray[np.object_]

    @cached_property
    def assessed(self) -> NDArray[np.bool_]:
        """Whether the group says anything about the gene, shape ``(n_groups, n_genes)``."""
        return _assessed(self.verdict)

    @cached_property
    def tolerated(self) -> NDArray[np.bool_]:
        """Whether the indication accepts to lose the group, shape ``(n_groups,)``."""
        return np.array([g.tolerated for g in self.groups], dtype=bool)

    @cached_property
    def classes(self) -> dict[str, NDArray[np.bool_]]:
        """Which groups are of each toxicity class, ``(n_groups,)``, by the name of the class."""
        names = np.array([g.toxicity_class for g in self.groups], dtype=object)
        return {name: names == name for name in sorted(set(names.tolist()))}

    @cached_property
    def class_number(self) -> NDArray[np.int64]:
        """Place of each group's class among the names in ``classes``, shape ``(n_groups,)``."""
        place = {name: i for i, name in enumerate(self.classes)}
        return np.array([place[g.toxicity_class] for g in self.groups], dtype=np.int64)

    @cached_property
    def cell_types(self) -> NDArray[np.int64]:
        """Number of the cell type of each group, shape ``(n_groups,)``."""
        names = [g.cell_type_id for g in self.groups]
        return np.array([names.index(name) for name in names], dtype=np.int64)

    @cached_property
    def suspensions(self) -> NDArray[np.object_]:
        """Suspension of each group, shape ``(n_groups,)``."""
        return np.array([g.suspension for g in self.groups], dtype=object)

    @cached_property
    def credits(self) -> tuple[NDArray[np.object_], NDArray[np.bool_]]:
        """Labels of tier rows, and which group counts for which, ``(n_groups, n_labels)``."""
        labels = sorted(frozenset().union(*(g.credited for g in self.groups)))
        own = [[label in g.credited for label in labels] for g in self.groups]
        return (
            np.array(labels, dtype=object),
            np.array(own, dtype=bool).reshape(len(self.groups), len(labels)),
        )

    @cached_property
    def counting(self) -> NDArray[np.bool_]:
        """Groups that count in the safety score: with harm, not tolerated; as ``harm``."""
        return np.asarray(np.isfinite(self.harm) & ~self.tolerated[:, None])

    @cached_property
    def tier(self) -> NDArray[np.int64]:
        """Tier of each group, shape ``(n_groups,)``."""
        return np.array([g.tier for g in self.groups], dtype=np.int64)


def summarise(shown: HealthyDonors, tiers: Mapping[int, Tier], scoring: Scoring) -> Healthy:
    """Estimate expression, harm and verdict from what donors show; columns stay apart.

    Parameters
    ----------
    shown
        Sums per donor and group.
    tiers
        Thresholds of each tier.
    scoring
        Parameters.
    """
    return judged(measured(shown, scoring), tiers, scoring)


def measured(shown: HealthyDonors, scoring: Scoring) -> Measured:
    """Estimate expression; of the parameters only those that make a donor count matter.

    Units that ``counted_donors`` does not count add their cells to the posterior but are no
    donors; where none counts, the mean CPM is over all with cells.
    """
    sums, groups = shown.sums, shown.groups
    cpm, counted = sums.cpm, counted_donors(sums, scoring)
    own_cpm = np.where(counted, cpm, np.nan)
    donor_cpm = [own_cpm[g.units] for g in groups]

    def per_group(values: Iterable[Floats]) -> Floats:
        return np.array(list(values), dtype=np.float64).reshape(len(groups), sums.measured.shape[1])

    found = group_posteriors(sums, [g.units for g in groups], counted)
    n_cells = found.n_cells
    n_detected = per_group(sums.detected[g.units].sum(axis=0) for g in groups)
    ambient = shown.explained(n_detected, n_cells)
    median, lower = (np.where(ambient, 0.0, p) for p in (found.median, found.lower))
    return Measured(
        n_donors=found.n_donors,
        n_cells=n_cells,
        n_detected=n_detected.astype(np.int64),
        observed=np.divide(
            n_detected, n_cells, out=np.full(n_cells.shape, np.nan), where=n_cells > 0
        ),
        median=median,
        lower=lower,
        upper=found.upper,
        mean_cpm=per_group(
            _mean(np.where(counted[g.units].any(axis=0), own, cpm[g.units]))
            for g, own in zip(groups, donor_cpm, strict=True)
        ),
        median_cpm=per_group(_median(own) for own in donor_cpm),
        q75=per_group(_quartile(log2_cpm(own)) for own in donor_cpm),
        cpm=own_cpm,
        ambient=ambient,
        shown=shown,
    )


def judged(found: Measured, tiers: Mapping[int, Tier], scoring: Scoring) -> Healthy:
    """Say what the measured expression means: harm and verdict.

    Parameters
    ----------
    found
        What healthy groups show; one that was judged before can be judged again.
    tiers
        Thresholds of each tier.
    scoring
        Parameters: fewest cells and donors of a verdict.
    """
    limit = {
        name: np.array([getattr(tiers[g.tier], name) for g in found.groups], np.float64)[:, None]
        for name in ("alert_fraction", "saturation_fraction", "saturation_cpm", "weight")
    }
    verdict = verdicts(
        measured=found.n_cells > 0,
        by_rna=np.array([g.by_rna for g in found.groups], dtype=bool)[:, None],
        # Cells without one UMI show nothing, however many they are.
        n_cells=np.where(np.isfinite(found.mean_cpm), found.n_cells, 0),
        n_donors=found.n_donors,
        observed=found.observed,
        median=found.median,
        upper=found.upper,
        alert=limit.pop("alert_fraction"),
        min_cells_assessed=scoring.min_cells_assessed,
        min_cells_clear=scoring.min_cells_clear,
        min_donors_clear=scoring.min_donors_clear,
    )
    said = _assessed(verdict)
    harms = [
        np.where(said, harm(point, found.mean_cpm, **limit), np.nan)
        for point in (found.median, found.lower, found.upper)
    ]
    own = {field.name: getattr(found, field.name) for field in fields(Measured)}
    return Healthy(**own, harm=harms[0], harm_low=harms[1], harm_high=harms[2], verdict=verdict)


def _assessed(verdict: NDArray[np.object_]) -> NDArray[np.bool_]:
    return np.isin(verdict.astype(str), ASSESSED_VERDICTS)


def _mean(values: Floats) -> Floats:
    """Return the mean of the finite values of each column; NaN where there is none."""
    ordered = np.sort(values, axis=0)  # NaN last
    known = np.isfinite(ordered).sum(axis=0)
    reduced = np.full(values.shape[1], np.nan)
    for n in np.unique(known[known > 0]):
        reduced[known == n] = np.mean(ordered[:n, known == n], axis=0)
    return reduced


def _median(values: Floats) -> Floats:
    """Return the median of the finite values of each column; NaN where there is none."""
    low, high, share = _neighbours(values, 0.5)
    return np.asarray(np.where(share == 0, low, (low + high) / 2))


def _quartile(values: Floats) -> Floats:
    """Return the third quartile (linear) of the finite values of each column, NaN if none."""
    low, high, share = _neighbours(values, 0.75)
    # counted from the nearer neighbour, which is what numpy.quantile does
    between = np.where(share >= 0.5, high - (high - low) * (1 - share), low + (high - low) * share)
    return np.asarray(np.where(share == 0, low, between))


def _neighbours(values: Floats, q: float) -> tuple[Floats, Floats, Floats]:
    """Return the values of each column beside a quantile, and how far it is from the lower."""
    if not len(values):
        nothing = np.full(values.shape[1], np.nan)
        return nothing, nothing, np.zeros(values.shape[1])
    ordered = np.sort(values, axis=0)  # NaN last
    place = np.maximum(np.isfinite(ordered).sum(axis=0) - 1, 0) * q
    before = np.floor(place).astype(np.int64)
    low, high = (
        np.take_along_axis(ordered, np.minimum(row, len(values) - 1)[None], axis=0)[0]
        for row in (before, before + 1)
    )
    return low, high, place - before
