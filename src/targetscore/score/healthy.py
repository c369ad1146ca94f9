"""What healthy cells show of each antigen (C1, C4)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
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
class Healthy:
    """Healthy evidence; arrays are ``(n_groups, n_genes)``, NaN where there is none.

    Attributes
    ----------
    n_donors, n_cells, n_detected
        Donors that count, cells in which the gene was measured, cells with a count.
    observed, median, lower, upper
        Observed fraction and points of its posterior, 0–1.
    mean_cpm, median_cpm, q75
        Over donors; ``q75`` of log2(CPM + 10).
    harm, harm_low, harm_high
        At the median, the lower and the upper point; NaN for a group that is not assessed.
    verdict
        As the contract ``score/evidence`` lists them.
    cpm
        CPM of each unit of ``shown``, shape ``(n_units, n_genes)``, NaN where it does not count
        as a donor.
    shown
        What all of this was summarised from.
    ambient
        Whether free RNA of the sample alone may show the gene so often; ``median``, ``lower``
        and the harm that rests on them take the fraction as 0 there, ``upper`` is kept (C1).
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
    harm: Floats
    harm_low: Floats
    harm_high: Floats
    verdict: NDArray[np.object_]
    cpm: Floats
    ambient: NDArray[np.bool_]
    shown: HealthyDonors

    @property
    def groups(self) -> list[Group]:
        """The healthy groups."""
        return self.shown.groups

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
    def cell_types(self) -> NDArray[np.int64]:
        """Number of the cell type of each group, shape ``(n_groups,)``."""
        names = [g.cell_type_id for g in self.groups]
        return np.array([names.index(name) for name in names], dtype=np.int64)

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
        Parameters. Units that ``counted_donors`` does not count add their cells to the
        posterior but are no donors; where none counts, the mean CPM is over all with cells.
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
    mean_cpm = per_group(
        _over_donors(np.mean, np.where(counted[g.units].any(axis=0), own, cpm[g.units]))
        for g, own in zip(groups, donor_cpm, strict=True)
    )
    observed = np.divide(n_detected, n_cells, out=np.full(n_cells.shape, np.nan), where=n_cells > 0)
    ambient = shown.explained(n_detected, n_cells)
    median, lower = (np.where(ambient, 0.0, p) for p in (found.median, found.lower))
    upper = found.upper
    limit = {
        name: np.array([getattr(tiers[g.tier], name) for g in groups], dtype=np.float64)[:, None]
        for name in ("alert_fraction", "saturation_fraction", "saturation_cpm", "weight")
    }
    verdict = verdicts(
        measured=n_cells > 0,
        by_rna=np.array([g.by_rna for g in groups], dtype=bool)[:, None],
        n_cells=n_cells,
        n_donors=found.n_donors,
        observed=observed,
        median=median,
        upper=upper,
        alert=limit.pop("alert_fraction"),
        min_cells_assessed=scoring.min_cells_assessed,
        min_cells_clear=scoring.min_cells_clear,
        min_donors_clear=scoring.min_donors_clear,
    )
    said = _assessed(verdict)
    harms = (np.where(said, harm(p, mean_cpm, **limit), np.nan) for p in (median, lower, upper))
    harm_median, harm_low, harm_high = harms
    return Healthy(
        n_donors=found.n_donors,
        n_cells=n_cells,
        n_detected=n_detected.astype(np.int64),
        observed=observed,
        median=median,
        lower=lower,
        upper=upper,
        mean_cpm=mean_cpm,
        median_cpm=per_group(_over_donors(np.median, own) for own in donor_cpm),
        q75=per_group(_over_donors(_quartile, log2_cpm(own)) for own in donor_cpm),
        harm=harm_median,
        harm_low=harm_low,
        harm_high=harm_high,
        verdict=verdict,
        cpm=own_cpm,
        ambient=ambient,
        shown=shown,
    )


def _assessed(verdict: NDArray[np.object_]) -> NDArray[np.bool_]:
    return np.isin(verdict.astype(str), ASSESSED_VERDICTS)


def _over_donors(reduce: Callable[..., Floats], values: Floats) -> Floats:
    """Reduce each column over its finite values; NaN where there is none."""
    ordered = np.sort(values, axis=0)  # NaN last
    known = np.isfinite(ordered).sum(axis=0)
    reduced = np.full(values.shape[1], np.nan)
    for n in np.unique(known[known > 0]):
        reduced[known == n] = reduce(ordered[:n, known == n], axis=0)
    return reduced


def _quartile(values: Floats, axis: int) -> Floats:
    return np.quantile(values, 0.75, axis=axis)
