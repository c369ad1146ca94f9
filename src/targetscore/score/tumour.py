"""What the patients' diseased cells show of each antigen (C1, C3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial

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
from targetscore.score.interval import corrected_interval, observed_lower
from targetscore.score.load import Profiles, Sums, sum_cells

Floats = NDArray[np.float64]
DOMINANT_SHARE = 0.5


@dataclass(frozen=True, eq=False)
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
    libraries
        Library sizes in UMI and cells of each size, per patient.
    dispersion
        ``phi`` of ``corrected``.
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
    libraries: Sequence[tuple[Floats, Floats]]
    dispersion: float

    @property
    def counted_cpm(self) -> Floats:
        """CPM of counted patients, NaN for the others, shape ``(n_patients, n_genes)``."""
        return np.where(self.counted, self.sums.cpm, np.nan)

    @cached_property
    def interval(self) -> Floats:
        """Bounds of ``fraction`` from the cells looked at, shape ``(2, n_patients, n_genes)``.

        95 % where it is corrected. Elsewhere the lower bound is that of the observed fraction
        and the upper one is 1: nothing says how many expressing cells show no count.
        """
        sums = self.sums
        bounds = np.full((2, *sums.measured.shape), np.nan)
        for p, unit in enumerate(sums.units.to_dict("records")):
            known = self.identifiable[p]
            seen = sums.measured[p] & ~known
            bounds[0, p, seen] = observed_lower(sums.detected[p, seen], unit["n_cells"])
            bounds[1, p, seen] = 1.0
            if known.any():
                bounds[:, p, known] = corrected_interval(
                    self.corrected[p, known],
                    sums.detected[p, known],
                    sums.counts[p, known],
                    unit["n_cells"],
                    *self.libraries[p],
                    unit["library_counts"],
                    self.dispersion,
                )
        return bounds


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
    normal = sum_cells(
        profiles, companions(profiles.groups, kept, "normal_counterpart"), PATIENT, genes
    )
    return Tumour(
        sums,
        np.where(identifiable, corrected[0], observed),
        corrected[0],
        identifiable,
        counted_patients(sums, scoring),
        _align(normal, sums),
        int(others["n_cells"].sum()),
        frozenset(kept["suspension"].astype(str)),
        corrected[1:],
        bystander_evidence(profiles, kept, genes, scoring),
        histograms,
        scoring.dropout_dispersion,
    )


def counted_patients(sums: Sums, scoring: Scoring) -> NDArray[np.bool_]:
    """Tell which patients have enough cells to count, shape ``(n_patients, n_genes)``.

    A patient whose cells hold no UMI at all does not: nothing was looked at.
    """
    enough = sums.units["n_cells"].to_numpy() >= scoring.min_cells_patient
    return np.asarray(enough[:, None] & sums.measured & np.isfinite(sums.cpm))


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
            "fraction_lower": tumour.interval[0, :, gene],
            "fraction_upper": tumour.interval[1, :, gene],
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
    thinned_lower
        Lower bound of the same at 2,000 UMI, where healthy cells are looked at too.
    sensitivity
        Its median if expression were more (phi 0.7) or less (phi 6) dispersed; None where no
        patient's fraction could be corrected.
    share_half, p10, score
        Share of patients with at least half of their cells positive, 10th percentile, C3.
    escaping, untold
        Patients whose corrected fraction is below the escape fraction, and those of whom that
        cannot be told: only a lower bound is known, and it is below.
    dominant
        A patient who holds more than half of the cells.
    expressed
        Whether any count was seen.
    """

    n_patients: int
    n_identifiable: int
    posterior: GridPosterior
    thinned_lower: float
    sensitivity: tuple[float | None, ...]
    share_half: float
    p10: float
    score: float
    median_cpm: float
    escaping: tuple[str, ...]
    untold: tuple[str, ...]
    dominant: str | None
    expressed: bool


@lru_cache(maxsize=1024)  # in most scenarios only the healthy side changes
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
        _thinned_lower(tumour, gene, use),
        _sensitivity(tumour, gene, use, weight),
        share,
        p10,
        coverage_score(posterior.median, share, p10),
        float(np.median(cpm[np.isfinite(cpm)])) if np.isfinite(cpm).any() else float("nan"),
        *_escaping(tumour, gene, use, escape_fraction),
        str(tumour.sums.units["donor"].iloc[use[most]]) if dominates else None,
        bool(tumour.sums.counts[use, gene].sum() > 0),
    )


def _thinned_lower(tumour: Tumour, gene: int, use: NDArray[np.int64]) -> float:
    cells = tumour.sums.cells[use, gene]
    share = balanced(cells)
    return grid_posterior(tumour.sums.thinned[use, gene] * share, cells * share).lower


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
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Name who is below the escape fraction, and who is with a lower bound only."""
    donors = tumour.sums.units["donor"].astype(str).to_numpy()
    below = use[tumour.fraction[use, gene] < escape_fraction]
    known = tumour.identifiable[below, gene]
    return tuple(donors[below[known]].tolist()), tuple(donors[below[~known]].tolist())
