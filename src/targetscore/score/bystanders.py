"""Patients' own cells that are not diseased: a sensitivity figure, never healthy evidence (C9)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from targetscore.config import Scoring
from targetscore.score.cohorts import GROUP, PATIENT, companions
from targetscore.score.detection import beta_interval, healthy_parameters
from targetscore.score.load import Profiles, sum_cells

Floats = NDArray[np.float64]
LABEL = "non_healthy_donor"
_POPULATIONS = ("microenvironment", "normal_counterpart")


@dataclass(frozen=True)
class Bystanders:
    """Non-diseased cells of patients by group; arrays are ``(n_groups, n_genes)``.

    Attributes
    ----------
    place
        Row of each group, by tissue id, cell type id, suspension and assay class.
    n_donors, n_cells
        Patients with enough cells to count, and cells in which the gene was measured.
    median, upper
        Points of the posterior of the expressing fraction, 0–1, NaN where not measured.
    mean_cpm
        Mean over the patients that count, NaN where there is none.
    """

    place: dict[tuple[str, ...], int]
    n_donors: NDArray[np.int64]
    n_cells: NDArray[np.int64]
    median: Floats
    upper: Floats
    mean_cpm: Floats


def bystander_evidence(
    profiles: Profiles, patients: pd.DataFrame, genes: Sequence[str], scoring: Scoring
) -> Bystanders:
    """Estimate each gene in the cells around the diseased ones, as in healthy groups.

    They come from diseased and often treated people, beside a tumour whose RNA leaks into
    them: the figures may be compared with healthy ones, and decide nothing.

    Parameters
    ----------
    profiles
        What was read.
    patients
        Groups of the patients' diseased cells.
    genes
        Ensembl ids of the panel.
    scoring
        Parameters; a patient below ``min_cells_donor`` cells of a group does not count.
    """
    around = pd.concat([companions(profiles.groups, patients, p) for p in _POPULATIONS])
    sums = sum_cells(profiles, around, [*GROUP, *PATIENT], genes)
    cells, cpm = sums.cells, sums.cpm
    counted = (cells >= scoring.min_cells_donor) & np.isfinite(cpm)
    members = sums.units.groupby(list(GROUP), sort=True).indices
    shape = (len(members), len(genes))
    n_donors, n_cells = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    median, upper, mean_cpm = (np.full(shape, np.nan) for _ in range(3))
    place: dict[tuple[str, ...], int] = {}
    for i, (key, rows) in enumerate(members.items()):
        place[tuple(str(part) for part in np.atleast_1d(np.asarray(key, dtype=object)))] = i
        n_donors[i], n_cells[i] = counted[rows].sum(axis=0), cells[rows].sum(axis=0)
        a, b = healthy_parameters(sums.thinned[rows], cells[rows], counted[rows])
        known = n_cells[i] > 0
        middle, _, high = beta_interval(a, b)
        median[i], upper[i] = (np.where(known, point, np.nan) for point in (middle, high))
        total = np.where(counted[rows], cpm[rows], 0.0).sum(axis=0)
        np.divide(total, n_donors[i], out=mean_cpm[i], where=n_donors[i] > 0)
    return Bystanders(place, n_donors, n_cells, median, upper, mean_cpm)
