"""How many cells express a gene: thinned detection, posteriors, dropout correction (C1)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.special import betaincinv, gammaln
from scipy.stats import beta

Floats = NDArray[np.float64]

HEALTHY_PRIOR = (0.1, 1.9)
TUMOUR_PRIOR = (0.5, 0.5)
DEFAULT_PRECISION = 20.0
MIN_DONORS_FOR_PRECISION = 3
IDENTIFIABLE_UMI = 0.5
SENSITIVITY_DISPERSIONS = (0.7, 6.0)
_PRECISION_RANGE = (2.0, 1_000.0)
_RHO_RANGE = (0.001, 0.999)
GRID = (400, 60)  # means, precisions


def moment_precision(positive: ArrayLike, cells: ArrayLike) -> tuple[Floats, Floats, Floats]:
    """Estimate how much the expressing fraction differs between donors, by moments.

    Weighted moments of a beta-binomial (Kleinman 1973, doi:10.1080/01621459.1973.10481332)
    with the cells of each donor as weights.

    Parameters
    ----------
    positive, cells
        Positive cells (real-valued) and all cells, shape ``(n_donors, ...)``; a donor with
        no cells has no part.

    Returns
    -------
    mean, rho, precision
        Pooled fraction (0–1), correlation within donors (0.001–0.999) and
        ``M = 1/rho − 1``, each of shape ``(...)``. NaN where fewer than two donors have
        cells or the pooled fraction is 0 or 1.
    """
    k = np.asarray(positive, dtype=np.float64)
    n = np.asarray(cells, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        total = n.sum(axis=0)
        mean = k.sum(axis=0) / total
        share = np.where(n > 0, k / n, mean)
        between = (n * (share - mean) ** 2).sum(axis=0)
        free = (n > 0).sum(axis=0) - 1
        spread = mean * (1 - mean)
        rho = (between - spread * free) / (spread * (total - (n**2).sum(axis=0) / total - free))
        rho = np.where(np.isfinite(rho), np.clip(rho, *_RHO_RANGE), np.nan)
        return mean, rho, 1 / rho - 1


def beta_parameters(
    positive: ArrayLike,
    cells: ArrayLike,
    precision: ArrayLike,
    prior: tuple[float, float] = HEALTHY_PRIOR,
) -> tuple[Floats, Floats]:
    """Return the Beta posterior of an expressing fraction with donors, not cells, as units.

    A donor's cells count as ``n / (1 + (n − 1) / (M + 1))`` independent ones (C1).

    Parameters
    ----------
    positive, cells
        Positive cells and all cells, shape ``(n_donors, ...)``.
    precision
        ``M``, shape ``(...)``.
    prior
        Prior Beta parameters.

    Returns
    -------
    a, b
        Posterior Beta parameters, shape ``(...)``.
    """
    k = np.asarray(positive, dtype=np.float64)
    n = np.asarray(cells, dtype=np.float64)
    effective = np.where(n > 0, n / (1 + (n - 1) / (np.asarray(precision) + 1)), 0.0)
    share = np.divide(k, n, out=np.zeros_like(k), where=n > 0)
    a = prior[0] + (effective * share).sum(axis=0)
    return a, prior[1] + (effective * (1 - share)).sum(axis=0)


def balanced(cells: ArrayLike) -> Floats:
    """Return how many of each patient's cells may count: nobody holds more than half (C9).

    Of three patients or more, one with more than half of all cells counts as many as the next
    largest; ten copies of that person's cells then say what one copy says (D13).

    Parameters
    ----------
    cells
        Cells of each patient, shape ``(n_patients, ...)``.

    Returns
    -------
    numpy.ndarray
        Share of them that counts, 0–1, same shape; 1 for all but that patient.
    """
    n = np.asarray(cells, dtype=np.float64)
    whole = np.ones(n.shape)
    if len(n) < MIN_DONORS_FOR_PRECISION:
        return whole
    many = (n > 0).sum(axis=0) >= MIN_DONORS_FOR_PRECISION
    next_largest = np.broadcast_to(np.sort(n, axis=0)[-2], n.shape)
    return np.divide(next_largest, n, out=whole, where=many & (n > n.sum(axis=0) - n))


def healthy_parameters(
    positive: ArrayLike, cells: ArrayLike, counted: ArrayLike
) -> tuple[Floats, Floats]:
    """Return the Beta posterior of a healthy group.

    Parameters
    ----------
    positive
        Thinned positive cells, shape ``(n_donors, n_genes)``.
    cells
        Cells in which the gene was measured, same shape.
    counted
        Whether the donor has enough cells to count as one, same shape. Others add their
        cells to the posterior but do not help to estimate the spread between donors.
        Nobody is held back as ``balanced`` does it with patients: fewer cells of a donor in
        whom a tissue shows the antigen would turn a concern into a possible one.

    Returns
    -------
    a, b
        Posterior parameters, shape ``(n_genes,)``. The precision M is estimated by moments
        and held in 2–1000; it is 20 with fewer than three donors or where it is undefined
        (no cell or every cell positive).
    """
    k = np.asarray(positive, dtype=np.float64)
    n = np.asarray(cells, dtype=np.float64)
    use = np.asarray(counted, dtype=bool)
    _, _, found = moment_precision(np.where(use, k, 0.0), np.where(use, n, 0.0))
    known = np.isfinite(found) & (use.sum(axis=0) >= MIN_DONORS_FOR_PRECISION)
    precision = np.where(known, np.clip(found, *_PRECISION_RANGE), DEFAULT_PRECISION)
    return beta_parameters(k, n, precision)


def beta_interval(a: ArrayLike, b: ArrayLike) -> tuple[Floats, Floats, Floats]:
    """Return median, 2.5 % and 97.5 % points of Beta distributions."""
    median, lower, upper = (betaincinv(a, b, q) for q in (0.5, 0.025, 0.975))
    return median, lower, upper


@dataclass(frozen=True)
class GridPosterior:
    """Posterior of the mean expressing fraction over patients (0–1)."""

    median: float
    mean: float
    lower: float
    upper: float
    mean_log10_precision: float

    @property
    def heterogeneity(self) -> float:
        """``rho = 1 / (M + 1)`` at the mean log10 M: 0 all patients alike … 1 all or none (C3)."""
        return 1 / (10**self.mean_log10_precision + 1)


@lru_cache(maxsize=1)
def _grid() -> tuple[Floats, ...]:
    """Return means, log10 precisions, a and b, and the part of the likelihood without cells."""
    means = beta.ppf((np.arange(GRID[0]) + 0.5) / GRID[0], *TUMOUR_PRIOR)
    log10_precision = np.linspace(0.0, 3.0, GRID[1])
    m = 10**log10_precision
    a, b = means[:, None] * m, (1 - means)[:, None] * m
    return means, log10_precision, a, b, gammaln(m) - gammaln(a) - gammaln(b)


def grid_posterior(positive: ArrayLike, cells: ArrayLike) -> GridPosterior:
    """Integrate the beta-binomial posterior of patients on a grid (C1, tumour).

    The mean runs over 400 quantile points of Beta(0.5, 0.5), log10 of the precision M over
    60 points from 0 to 3, all with equal prior weight. Unlike a fixed M this does not
    understate how much patients differ.

    Parameters
    ----------
    positive
        Expressing cells per patient, real-valued, shape ``(n_patients,)``.
    cells
        Cells per patient, each at least 1; at least one patient.

    Returns
    -------
    GridPosterior
        Median, mean and 95 % interval of the mean fraction.
    """
    k, n = (tuple(np.asarray(x, dtype=np.float64).tolist()) for x in (positive, cells))
    return _grid_posterior(k, n)


@lru_cache(maxsize=4096)  # the same patients are summarised again wherever only others change
def _grid_posterior(positive: tuple[float, ...], cells: tuple[float, ...]) -> GridPosterior:
    return grid_summary(grid_log_likelihoods(positive, cells).sum(axis=0))


def grid_log_likelihoods(positive: ArrayLike, cells: ArrayLike) -> Floats:
    """Return each patient's beta-binomial log likelihood on the grid of ``grid_posterior``.

    They add up over patients; binomial coefficients, the same everywhere, are left out.

    Parameters
    ----------
    positive, cells
        As for ``grid_posterior``.

    Returns
    -------
    numpy.ndarray
        Shape ``(n_patients, 400, 60)``: means, precisions.
    """
    _, log10_precision, a, b, start = _grid()
    k = np.asarray(positive, dtype=np.float64)[:, None, None]
    n = np.asarray(cells, dtype=np.float64)[:, None, None]
    return start + gammaln(a + k) + gammaln(b + n - k) - gammaln(10**log10_precision + n)


def grid_summary(log_likelihood: Floats) -> GridPosterior:
    """Return the posterior of the mean from the summed log likelihood, shape ``(400, 60)``."""
    means, log10_precision, *_ = _grid()
    weight = np.exp(log_likelihood - log_likelihood.max())
    weight /= weight.sum()
    over_means = weight.sum(axis=1)
    cumulative = np.cumsum(over_means)
    median, lower, upper = (float(np.interp(q, cumulative, means)) for q in (0.5, 0.025, 0.975))
    return GridPosterior(
        median,
        float(over_means @ means),
        lower,
        upper,
        float(weight.sum(axis=0) @ log10_precision),
    )


@dataclass(frozen=True)
class Corrected:
    """A patient's dropout-corrected expressing fraction.

    Attributes
    ----------
    fraction
        0–1, never below the observed fraction.
    level
        Mean counts per 10,000 in expressing cells.
    identifiable
        Whether expressing cells are expected to show at least 0.5 UMI; if not, the observed
        fraction is a lower bound and nothing better is known.
    """

    fraction: float
    level: float
    identifiable: bool


def dropout_corrected(
    n_cells: int,
    n_detected: int,
    counts: float,
    sizes: ArrayLike,
    weights: ArrayLike,
    library: float,
    dispersion: float,
) -> Corrected:
    """Solve for the fraction of cells that express a gene, seen or not (C1).

    ``P0 = 1 − f + f · mean_i (1 + (m/phi) s_i)^−phi`` with ``f · m`` the observed mean.

    Parameters
    ----------
    n_cells
        Cells of the patient; those that ``weights`` do not hold have an empty library.
    n_detected, counts
        Cells with at least one count, and the sum of counts.
    sizes, weights
        Library sizes in UMI and cells of each size, shape ``(n_bins,)``.
    library
        Sum of the library sizes in UMI.
    dispersion
        ``phi``, the shape of the gamma distribution of expression.
    """
    observed = n_detected / n_cells
    cells = np.asarray(weights, dtype=np.float64)
    s = np.append(np.asarray(sizes, dtype=np.float64) / 1e4, 0.0)
    share = np.append(cells, n_cells - cells.sum()) / n_cells
    if n_detected == 0 or counts <= 0 or library <= 0:
        return Corrected(observed, 0.0, False)
    mean = 1e4 * counts / library

    def surplus(fraction: float) -> float:
        """Return the detected share expected at a fraction, minus the observed one."""
        silent = float(share @ (1 + mean / fraction / dispersion * s) ** -dispersion)
        return fraction * (1 - silent) - observed

    if surplus(1.0) <= 0:
        fraction = 1.0
    elif surplus(observed) >= 0:
        fraction = observed
    else:
        fraction = float(brentq(surplus, observed, 1.0, xtol=1e-10))
    level = mean / fraction
    order = np.argsort(s, kind="stable")
    middle = s[order][np.searchsorted(np.cumsum(share[order]), 0.5)]
    return Corrected(fraction, float(level), bool(level * middle >= IDENTIFIABLE_UMI))
