"""What the patients' diseased cells show of each antigen (C1, C3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from targetscore.config import Scoring
from targetscore.score.bystanders import Bystanders, bystander_evidence
from targetscore.score.cohorts import PATIENT, companions, largest_stratum, library_histograms
from targetscore.score.coverage import coverage_score, share_above_half, tenth_percentile
from targetscore.score.detection import (
    SENSITIVITY_DISPERSIONS,
    GridPosterior,
    balanced,
    dropout_corrected,
    grid_posterior,
)
from targetscore.score.load import Profiles, Sums, sum_cells

Floats = NDArray[np.float64]
DOMINANT_SHARE = 0.5


@dataclass(frozen=True)
class Tumour:
    """Patients' evidence; arrays are ``(n_patients, n_genes)``, NaN where not measured.

    Attributes
    ----------
    sums
        Sums per patient.
    fraction
        The fraction used: dropout-corrected where identifiable, else observed.
    corrected
        Dropout-corrected fraction, 0–1; NaN where it is not identifiable.
    identifiable
        Whether the correction can be trusted.
    counted
        Whether the patient has enough cells in which the gene was measured.
    counterpart_cpm
        CPM of the normal counterpart cells of the same patient.
    left_out
        Cells of another suspension or assay class that were not used.
    suspensions
        Suspensions of the cells that were used.
    sensitivity
        ``corrected`` if expression were more (phi 0.7) or less (phi 6) dispersed than
        assumed, shape ``(2, n_patients, n_genes)``.
    bystanders
        Cells of the same patients that are not diseased: shown beside, never healthy evidence.
    """

    sums: Sums
    fraction: Floats
    corrected: Floats
    identifiable: NDArray[np.bool_]
    counted: NDArray[np.bool_]
    counterpart_cpm: Floats
    left_out: int
    suspensions: frozenset[str]
    sensitivity: Floats
    bystanders: Bystanders

    @property
    def counted_cpm(self) -> Floats:
        """CPM of counted patients, NaN for the others, shape ``(n_patients, n_genes)``."""
        return np.where(self.counted, self.sums.cpm, np.nan)


def tumour_evidence(
    profiles: Profiles, patients: pd.DataFrame, genes: Sequence[str], scoring: Scoring
) -> Tumour:
    """Estimate the expressing fraction of every gene in every patient.

    Parameters
    ----------
    profiles
        What was read.
    patients
        Groups of diseased cells. Of a patient measured in two ways only the larger part is
        used: cells and nuclei, droplet and full-length assays are not pooled.
    genes
        Ensembl ids of the panel.
    scoring
        Parameters.
    """
    kept, others = largest_stratum(patients)
    sums = sum_cells(profiles, kept, PATIENT, genes)
    shape = sums.measured.shape
    corrected = np.full((1 + len(SENSITIVITY_DISPERSIONS), *shape), np.nan)
    identifiable = np.zeros(shape, dtype=bool)
    histograms = library_histograms(kept, sums.units)
    for p, (unit, (sizes, weights)) in enumerate(
        zip(sums.units.to_dict("records"), histograms, strict=True)
    ):
        for g in np.nonzero(sums.measured[p])[0]:
            correct = partial(
                dropout_corrected,
                unit["n_cells"],
                sums.detected[p, g],
                sums.counts[p, g],
                sizes,
                weights,
                unit["library_counts"],
            )
            found = correct(scoring.dropout_dispersion)
            if found.identifiable:
                besides = (correct(phi).fraction for phi in SENSITIVITY_DISPERSIONS)
                corrected[:, p, g] = (found.fraction, *besides)
                identifiable[p, g] = True
    observed = observed_fraction(sums)
    enough = sums.units["n_cells"].to_numpy() >= scoring.min_cells_patient
    normal = sum_cells(
        profiles, companions(profiles.groups, kept, "normal_counterpart"), PATIENT, genes
    )
    return Tumour(
        sums,
        np.where(identifiable, corrected[0], observed),
        corrected[0],
        identifiable,
        enough[:, None] & sums.measured,
        _align(normal, sums),
        int(others["n_cells"].sum()),
        frozenset(kept["suspension"].astype(str)),
        corrected[1:],
        bystander_evidence(profiles, kept, genes, scoring),
    )


def observed_fraction(sums: Sums) -> Floats:
    """Return cells with a count per cell, 0–1, NaN where the gene was not measured."""
    cells = sums.units["n_cells"].to_numpy(np.float64)[:, None]
    return np.where(sums.measured, sums.detected / cells, np.nan)


def _align(normal: Sums, sums: Sums) -> Floats:
    """Put the CPM of some units in the order of others, NaN where there is none."""
    table = pd.DataFrame(normal.cpm, index=pd.MultiIndex.from_frame(normal.units[list(PATIENT)]))
    return table.reindex(pd.MultiIndex.from_frame(sums.units[list(PATIENT)])).to_numpy(np.float64)


def coverage_rows(tumour: Tumour, gene: int) -> pd.DataFrame:
    """Return one row per patient, columns of ``score/coverage`` without the antigen."""
    sums = tumour.sums
    measured = sums.measured[:, gene]
    cells = sums.units["n_cells"].to_numpy()
    return pd.DataFrame(
        {
            "atlas": sums.units["atlas"],
            "donor": sums.units["donor"],
            "n_cells": cells,
            "fraction_observed": observed_fraction(sums)[:, gene],
            "fraction_thinned": np.where(measured, sums.thinned[:, gene] / cells, np.nan),
            "fraction_corrected": tumour.corrected[:, gene],
            "fraction_corrected_dispersed": tumour.sensitivity[0, :, gene],
            "fraction_corrected_even": tumour.sensitivity[1, :, gene],
            "fraction": tumour.fraction[:, gene],
            "identifiable": pd.Series(tumour.identifiable[:, gene], dtype="boolean").where(
                measured
            ),
            "cpm": sums.cpm[:, gene],
            "counted": tumour.counted[:, gene],
            "counterpart_cpm": tumour.counterpart_cpm[:, gene],
        }
    )


@dataclass(frozen=True)
class Reach:
    """How far an antigen reaches over counted patients; all fractions 0–1.

    Attributes
    ----------
    posterior
        Of the mean fraction over patients.
    sensitivity
        Its median if expression were more (phi 0.7) or less (phi 6) dispersed; None where no
        patient's fraction could be corrected.
    share_half, p10, score
        Share of patients with at least half of their cells positive, 10th percentile, C3.
    escaping
        Patients below the escape fraction, those with a lower bound marked.
    dominant
        A patient who holds more than half of the cells.
    expressed
        Whether any count was seen.
    """

    n_patients: int
    n_identifiable: int
    posterior: GridPosterior
    sensitivity: tuple[float | None, ...]
    share_half: float
    p10: float
    score: float
    median_cpm: float
    escaping: tuple[str, ...]
    dominant: str | None
    expressed: bool


def reach(tumour: Tumour, gene: int, escape_fraction: float = 0.2) -> Reach | None:
    """Summarise counted patients; None if there is none.

    Patients weigh alike in shares and percentiles; in the posterior by how far the
    beta-binomial lets the cells of one patient speak, which is little where patients differ,
    and by no more than the next largest where one holds most of the cells (C9).
    """
    use = np.nonzero(tumour.counted[:, gene])[0]
    if not use.size:
        return None
    cells = tumour.sums.units["n_cells"].to_numpy(np.float64)[use]
    fractions = tumour.fraction[use, gene]
    weight = cells * balanced(cells)
    posterior = grid_posterior(fractions * weight, weight)
    share, p10 = share_above_half(fractions), tenth_percentile(fractions)
    cpm = tumour.sums.cpm[use, gene]
    most = int(cells.argmax())
    dominates = use.size > 1 and cells[most] > DOMINANT_SHARE * cells.sum()
    return Reach(
        int(use.size),
        int(tumour.identifiable[use, gene].sum()),
        posterior,
        _sensitivity(tumour, gene, use, weight),
        share,
        p10,
        coverage_score(posterior.median, share, p10),
        float(np.median(cpm[np.isfinite(cpm)])) if np.isfinite(cpm).any() else float("nan"),
        _escaping(tumour, gene, use, escape_fraction),
        str(tumour.sums.units["donor"].iloc[use[most]]) if dominates else None,
        bool(tumour.sums.counts[use, gene].sum() > 0),
    )


def _sensitivity(
    tumour: Tumour, gene: int, use: NDArray[np.int64], cells: Floats
) -> tuple[float | None, ...]:
    """Return the posterior median under each other dispersion; None if nothing was corrected."""
    known = tumour.identifiable[use, gene]
    if not known.any():
        return (None,) * len(SENSITIVITY_DISPERSIONS)
    plain = tumour.fraction[use, gene]
    assumed = (np.where(known, other[use, gene], plain) for other in tumour.sensitivity)
    return tuple(grid_posterior(fractions * cells, cells).median for fractions in assumed)


def _escaping(
    tumour: Tumour, gene: int, use: NDArray[np.int64], escape_fraction: float
) -> tuple[str, ...]:
    donors = tumour.sums.units["donor"].astype(str).to_numpy()
    return tuple(
        donors[p] if tumour.identifiable[p, gene] else f"{donors[p]} (lower bound)"
        for p in use
        if tumour.fraction[p, gene] < escape_fraction
    )
