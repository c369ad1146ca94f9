"""Who the healthy groups are, and what each of their donors shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from targetscore.config import Scoring
from targetscore.score.ambient import ambient_expected, ambient_explains
from targetscore.score.cohorts import GROUP, PATIENT, group_names
from targetscore.score.detection import beta_interval, healthy_parameters
from targetscore.score.load import Profiles, Sums, sum_cells
from targetscore.score.tiers import (
    UNCLASSIFIED,
    UNCLASSIFIED_TIER,
    TierRow,
    credited_rows,
    is_of,
)

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Group:
    """A healthy group: who it is, where it counts, and its donors' rows in the sums."""

    tissue_id: str
    tissue: str
    cell_type_id: str
    cell_type: str
    suspension: str
    assay_class: str
    credited: frozenset[str]
    label: str | None
    tier: int
    toxicity_class: str
    by_rna: bool
    tolerated: bool
    units: NDArray[np.int64]


@dataclass(frozen=True)
class HealthyDonors:
    """What healthy donors show; columns are genes, or genes in replicates of the donors.

    Attributes
    ----------
    groups
        The healthy groups.
    sums
        Sums per donor of each group.
    expected
        Cells of each unit that free RNA of its samples may show, shape ``(n_units, n_genes)``.
    explains
        Whether free RNA explains what was detected in the unit, or nothing was; same shape.
    unreported
        Whether the group is no lineage strongly reported to carry the antigen, shape
        ``(n_groups, n_genes)``.
    atlases
        Atlases of each group that measure the gene, '; ' between them, None where none does.
    """

    groups: list[Group]
    sums: Sums
    expected: Floats
    explains: NDArray[np.bool_]
    unreported: NDArray[np.bool_]
    atlases: NDArray[np.object_]

    @cached_property
    def group_of(self) -> NDArray[np.int64]:
        """Group of each unit, shape ``(n_units,)``."""
        found = np.zeros(len(self.sums.units), dtype=np.int64)
        for i, group in enumerate(self.groups):
            found[group.units] = i
        return found

    @cached_property
    def people(self) -> tuple[list[tuple[str, str]], NDArray[np.int64]]:
        """Healthy donors (atlas, donor), sorted, and which of them each unit is from."""
        units = self.sums.units
        who = list(zip(units["atlas"].astype(str), units["donor"].astype(str), strict=True))
        donors = sorted(set(who))
        place = {person: i for i, person in enumerate(donors)}
        return donors, np.array([place[person] for person in who], dtype=np.int64)

    def explained(self, n_detected: Floats, n_cells: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Tell where free RNA explains what was detected in a lineage not known to express.

        It must explain it in every donor and in all of them together. Cells strongly reported
        to carry the antigen are no such lineage: nothing is explained away there. The CPM,
        which harm uses too, is left as it was measured.

        Parameters
        ----------
        n_detected, n_cells
            Of each group, shape ``(n_groups, n_genes)``.
        """
        expected = np.zeros(n_cells.shape)
        each = np.zeros(n_cells.shape, dtype=bool)
        for i, group in enumerate(self.groups):
            expected[i] = self.expected[group.units].sum(axis=0)
            each[i] = self.explains[group.units].all(axis=0)
        return ambient_explains(n_detected, n_cells, expected) & each & self.unreported


def counted_donors(sums: Sums, scoring: Scoring) -> NDArray[np.bool_]:
    """Tell which units count as a donor of their group, shape ``(n_units, n_genes)``.

    They have ``min_cells_donor`` cells in which the gene was measured, of ``min_library_donor``
    UMI on average: nothing can be seen in empty cells.
    """
    units = sums.units
    depth = units["library_counts"].to_numpy(np.float64) / units["n_cells"].to_numpy(np.float64)
    deep = (depth >= scoring.min_library_donor)[:, None]
    return (sums.cells >= scoring.min_cells_donor) & np.isfinite(sums.cpm) & deep


@dataclass(frozen=True)
class Posteriors:
    """Expressing fraction of groups of donors; arrays are ``(n_groups, n_genes)``.

    Attributes
    ----------
    n_donors, n_cells
        Donors that count, and cells in which the gene was measured.
    median, lower, upper
        Points of the posterior, 0–1, NaN where there is no such cell.
    """

    n_donors: NDArray[np.int64]
    n_cells: NDArray[np.int64]
    median: Floats
    lower: Floats
    upper: Floats


def group_posteriors(
    sums: Sums, members: Sequence[NDArray[np.int64]], counted: NDArray[np.bool_]
) -> Posteriors:
    """Return the posterior of the expressing fraction of each group (C1).

    Parameters
    ----------
    sums
        Sums per donor.
    members
        Rows of the sums that are of each group.
    counted
        As ``counted_donors`` returns it.
    """
    shape = (len(members), sums.measured.shape[1])
    cells = sums.cells
    n_donors, n_cells = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    a, b = np.ones(shape), np.ones(shape)
    for i, rows in enumerate(members):
        n_donors[i], n_cells[i] = counted[rows].sum(axis=0), cells[rows].sum(axis=0)
        a[i], b[i] = healthy_parameters(sums.thinned[rows], cells[rows], counted[rows])
    points = (np.where(n_cells > 0, point, np.nan) for point in beta_interval(a, b))
    return Posteriors(n_donors, n_cells, *points)


def describe_groups(
    sums: Sums,
    names: Mapping[str, Mapping[str, str]],
    rows: list[TierRow],
    tolerated: frozenset[str],
) -> list[Group]:
    """Find the tier rows of each healthy group.

    A tolerated group is credited to tolerated rows only: what it shows is left out of the
    safety score, so it must not stand for cells that are in it.
    """
    groups = []
    for key, members in sums.units.groupby(list(GROUP), sort=True).indices.items():
        parts = cast("tuple[object, ...]", key)
        tissue_id, cell_type_id, suspension, kind = (str(part) for part in parts)
        own = credited_rows(cell_type_id, tissue_id, rows)
        nearest = own[0] if own else None
        accepted = is_of(cell_type_id, tolerated)
        credited = {r.label for r in own if r.by_rna and (r.tolerated or not accepted)}
        groups.append(
            Group(
                tissue_id,
                names["tissue"][tissue_id],
                cell_type_id,
                names["cell_type"][cell_type_id],
                suspension,
                kind,
                frozenset(credited),
                nearest.label if nearest else None,
                nearest.tier if nearest else UNCLASSIFIED_TIER,
                nearest.toxicity_class if nearest else UNCLASSIFIED,
                nearest.by_rna if nearest else True,
                accepted,
                np.asarray(members, dtype=np.int64),
            )
        )
    return groups


def healthy_donors(
    profiles: Profiles,
    healthy: pd.DataFrame,
    genes: Sequence[str],
    rows: list[TierRow],
    tolerated: frozenset[str],
    ambient_fraction: float,
) -> HealthyDonors:
    """Sum the cells of healthy donors per group.

    Parameters
    ----------
    profiles
        What was read.
    healthy
        Groups of healthy donors.
    genes
        Ensembl ids of the panel.
    rows
        Tissue tiers as they apply.
    tolerated
        Cell Ontology ids of lineages that may be lost.
    ambient_fraction
        Largest share of a cell's UMI that is ambient (0–1), where nothing measured it.
    """
    sums = sum_cells(profiles, healthy, [*GROUP, *PATIENT], genes)
    groups = describe_groups(sums, group_names(healthy), rows, tolerated)
    cells, detected = sums.cells, sums.detected
    expected = np.zeros(cells.shape)
    unit_of = healthy.groupby([*GROUP, *PATIENT], sort=True).ngroup().to_numpy()
    np.add.at(expected, unit_of, ambient_expected(profiles, healthy, genes, ambient_fraction))
    reported = {row.label: row.reported for row in rows}
    unreported = np.ones((len(groups), len(genes)), dtype=bool)
    for i, group in enumerate(groups):
        strong = frozenset().union(*(reported[label] for label in group.credited))
        unreported[i] = [gene not in strong for gene in genes]
    return HealthyDonors(
        groups,
        sums,
        expected,
        ambient_explains(detected, cells, expected) | (detected == 0),
        unreported,
        _atlases(sums, groups),
    )


def _atlases(sums: Sums, groups: Sequence[Group]) -> NDArray[np.object_]:
    names = np.full((len(groups), sums.measured.shape[1]), None, dtype=object)
    atlas = sums.units["atlas"].to_numpy(dtype=object)
    for i, group in enumerate(groups):
        for gene, measured in enumerate(sums.measured[group.units].T):
            names[i, gene] = "; ".join(sorted(set(atlas[group.units][measured]))) or None
    return names
