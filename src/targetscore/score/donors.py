"""Who the healthy groups are, and what each of their donors shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from targetscore.score.ambient import ambient_expected, ambient_explains
from targetscore.score.cohorts import GROUP, PATIENT, group_names
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

    def explained(self, n_detected: Floats, n_cells: Floats) -> NDArray[np.bool_]:
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
        Largest share of a cell's UMI that is ambient (0–1).
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
