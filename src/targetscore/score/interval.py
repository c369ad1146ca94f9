"""How well the cells looked at settle the expressing fraction of one patient (C1, C3)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

Floats = NDArray[np.float64]
QUANTILE = float(ndtri(0.975))
_STEPS = 45


def observed_lower(detected: ArrayLike, cells: float) -> Floats:
    """Return the lower 2.5 % bound of the share of cells that show a gene.

    The score interval of a proportion (Wilson 1927, doi:10.1080/01621459.1927.10502953). Whatever
    dropout hides, no fewer cells express a gene than show it.

    Parameters
    ----------
    detected
        Cells with a count, of each gene.
    cells
        Cells of the patient, at least 1.
    """
    share, z2 = np.asarray(detected, dtype=np.float64) / cells, QUANTILE**2
    middle = share + z2 / (2 * cells)
    half = QUANTILE * np.sqrt(share * (1 - share) / cells + (z2 / (4 * cells)) / cells)
    return np.asarray(np.maximum(0.0, (middle - half) / (1 + z2 / cells)))


def corrected_interval(
    fraction: ArrayLike,
    detected: ArrayLike,
    counts: ArrayLike,
    cells: float,
    sizes: ArrayLike,
    weights: ArrayLike,
    library: float,
    dispersion: float,
) -> tuple[Floats, Floats]:
    """Return the 95 % interval of dropout-corrected fractions of one patient.

    The fraction solves ``T(f) = D/n − f · mean_i(1 − P0_i) = 0`` with the mean expression that
    was measured (``detection.dropout_corrected``). The interval holds every ``f`` that its own
    score test does not refuse, ``T(f)² ≤ 1.96² · Var T(f)``, as Wilson's interval does for a
    proportion, which it is where no count is missed. ``Var T`` is that of the model at ``f``:
    cells with a count, the sum of counts, and that both are of the same cells. With
    ``mu = f m``, ``u_i = m s_i``, ``p_i = f (1 − P0_i)`` and
    ``c = mean_i(s_i (1 + u_i/phi)^(−phi − 1)) / mean_i(s_i)``::

        n Var T = mean_i( p_i (1 − p_i) − 2 c mu s_i (1 − p_i)
                          + c² (mu s_i + f u_i² (1 + 1/phi) − (mu s_i)²) )

    It tells what the number of cells leaves open, at the assumed dispersion: neither another
    dispersion, which stands beside, nor cells elsewhere in the patient. Where more cells show
    the gene than the dispersion allows at ``f = 1``, as many as it allows are taken to show it:
    the misfit must not make the interval narrow.

    Parameters
    ----------
    fraction
        Corrected fractions, 0–1, shape ``(n_genes,)``.
    detected, counts
        Cells with a count and the sum of counts, each above 0, same shape.
    cells
        Cells of the patient; those that ``weights`` do not hold have an empty library.
    sizes, weights
        Library sizes in UMI and cells of each size, shape ``(n_bins,)``.
    library
        Sum of the library sizes in UMI.
    dispersion
        ``phi``.

    Returns
    -------
    lower, upper
        0–1, shape ``(n_genes,)``; the fraction lies between them.
    """
    estimate = np.asarray(fraction, dtype=np.float64)
    mean = (1e4 * np.asarray(counts, dtype=np.float64) / library)[:, None]
    s = np.asarray(sizes, dtype=np.float64) / 1e4
    weight = np.asarray(weights, dtype=np.float64) / cells

    def refused(f: Floats, side: float) -> NDArray[np.bool_]:
        """Tell whether the test refuses a fraction for being too low (1) or too high (−1)."""
        shown, error = expected(f)
        return np.asarray(side * (share - shown) > QUANTILE * error)

    def expected(f: Floats) -> tuple[Floats, Floats]:
        """Return the share of cells that show the gene at a fraction, and its error."""
        level = mean / f[:, None] * s
        silent = (1 + level / dispersion) ** -dispersion
        shown = f[:, None] * (1 - silent)
        c = (((s * silent / (1 + level / dispersion)) @ weight) / (s @ weight))[:, None]
        spread = mean * s + f[:, None] * level**2 * (1 + 1 / dispersion) - (mean * s) ** 2
        each = shown * (1 - shown) - 2 * c * mean * s * (1 - shown) + c**2 * spread
        return shown @ weight, np.sqrt(np.maximum(each @ weight, 0.0) / cells)

    whole = np.ones_like(estimate)
    share = np.minimum(np.asarray(detected, dtype=np.float64) / cells, expected(whole)[0])
    lower = _crossing(np.zeros_like(estimate), estimate, lambda f: refused(f, 1.0))
    upper = _crossing(whole, estimate, lambda f: refused(f, -1.0))
    upper = np.where(refused(whole, -1.0), upper, 1.0)
    return np.minimum(lower, estimate), np.maximum(upper, estimate)


def _crossing(
    outside: Floats, inside: Floats, refused: Callable[[Floats], NDArray[np.bool_]]
) -> Floats:
    """Halve the way between a refused and an accepted fraction until they are one."""
    for _ in range(_STEPS):
        middle = (outside + inside) / 2
        no = refused(middle)
        outside, inside = np.where(no, middle, outside), np.where(no, inside, middle)
    return inside
