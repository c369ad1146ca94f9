"""Patients' own cells that are not diseased: a sensitivity figure, never healthy evidence (C9)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from targetscore.config import Scoring
from targetscore.score.cohorts import GROUP, PATIENT, companions
from targetscore.score.donors import Floats, Posteriors, counted_donors, group_posteriors
from targetscore.score.load import Profiles, sum_cells

LABEL = "non_healthy_donor"
_POPULATIONS = ("microenvironment", "normal_counterpart")


@dataclass(frozen=True)
class Bystanders:
    """Non-diseased cells of patients by group; arrays are ``(n_groups, n_genes)``.

    Attributes
    ----------
    place
        Row of each group, by tissue id, cell type id, suspension and assay class.
    posteriors
        Patients that count, cells, and the expressing fraction.
    mean_cpm
        Mean over the patients that count, NaN where there is none.
    """

    place: dict[tuple[str, ...], int]
    posteriors: Posteriors
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
        Parameters; which patients count is decided as for healthy donors.
    """
    around = pd.concat([companions(profiles.groups, patients, p) for p in _POPULATIONS])
    sums = sum_cells(profiles, around, [*GROUP, *PATIENT], genes)
    cpm, counted = sums.cpm, counted_donors(sums, scoring)
    indices = sums.units.groupby(list(GROUP), sort=True).indices
    members = {key: np.asarray(rows, dtype=np.int64) for key, rows in indices.items()}
    found = group_posteriors(sums, list(members.values()), counted)
    mean_cpm = np.full(found.n_donors.shape, np.nan)
    place: dict[tuple[str, ...], int] = {}
    for i, (key, rows) in enumerate(members.items()):
        place[tuple(str(part) for part in np.atleast_1d(np.asarray(key, dtype=object)))] = i
        total = np.where(counted[rows], cpm[rows], 0.0).sum(axis=0)
        np.divide(total, found.n_donors[i], out=mean_cpm[i], where=found.n_donors[i] > 0)
    return Bystanders(place, found, mean_cpm)
