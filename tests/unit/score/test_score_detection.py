"""Detection against brute force, exact distributions and simulation."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import betabinom

from targetscore.score import detection as d


def brute_rho(k, n):
    """Weighted moments written out donor by donor."""
    total, donors = sum(n), len(n)
    mean = sum(k) / total
    between = sum(c * (p / c - mean) ** 2 for p, c in zip(k, n, strict=True))
    spread = mean * (1 - mean)
    below = spread * (total - sum(c * c for c in n) / total - (donors - 1))
    return (between - spread * (donors - 1)) / below


donors = st.lists(st.tuples(st.integers(5, 400), st.floats(0.01, 0.99)), min_size=2, max_size=12)


@given(donors)
def test_moments_match_a_loop(pairs):
    n = [c for c, _ in pairs]
    k = [c * share for c, share in pairs]
    mean, rho, precision = d.moment_precision(k, n)
    expected = min(0.999, max(0.001, brute_rho(k, n)))
    assert mean == pytest.approx(sum(k) / sum(n))
    assert rho == pytest.approx(expected)
    assert precision == pytest.approx(1 / expected - 1)


@given(donors, st.integers(0, 3))
def test_moments_ignore_donors_without_cells(pairs, extra):
    n = np.array([c for c, _ in pairs], dtype=float)
    k = n * [share for _, share in pairs]
    padded = d.moment_precision(np.append(k, np.zeros(extra)), np.append(n, np.zeros(extra)))
    assert np.array(padded) == pytest.approx(np.array(d.moment_precision(k, n)))


@given(donors)
def test_posterior_counts_donors_not_cells(pairs):
    n = np.array([[c] for c, _ in pairs], dtype=float)
    k = n * [[share] for _, share in pairs]
    a, b = d.beta_parameters(k, n, 20.0)
    weight = a + b - sum(d.HEALTHY_PRIOR)
    assert weight <= 21 * len(pairs) + 1e-9
    many = d.beta_parameters(1000 * k, 1000 * n, 20.0)
    assert sum(many) - sum(d.HEALTHY_PRIOR) <= 21 * len(pairs) + 1e-9


@given(donors, st.randoms(use_true_random=False))
def test_order_of_donors_does_not_matter(pairs, random):
    shuffled = pairs[:]
    random.shuffle(shuffled)
    ends = []
    for order in (pairs, shuffled):
        n = np.array([[c] for c, _ in order], dtype=float)
        k = n * [[share] for _, share in order]
        ends.append(np.array(d.healthy_parameters(k, n, n >= 5)).ravel())
    np.testing.assert_allclose(ends[0], ends[1], rtol=1e-9)


@pytest.mark.parametrize("cells", [1, 20, 500, 100_000])
def test_one_donor_never_rules_out_two_percent(cells):
    a, b = d.healthy_parameters([[0.0]], [[cells]], [[cells >= 5]])
    assert d.beta_interval(a, b)[2] > 0.02


def test_precision_is_the_default_below_three_counted_donors():
    k, n = np.array([[10.0], [90.0], [1.0]]), np.array([[100.0], [100.0], [4.0]])
    found = np.array(d.healthy_parameters(k, n, n >= 5))
    assert found == pytest.approx(np.array(d.beta_parameters(k, n, 20.0)))
    counted = np.array(d.healthy_parameters(k, n, n >= 0))
    assert counted == pytest.approx(np.array(d.beta_parameters(k, n, 2.0))), "M is at least 2"


def test_grid_matches_beta_binomial_probabilities():
    """Recompute the posterior mean with scipy's beta-binomial on the same grid, point by point."""
    k, n = [3, 0, 40], [50, 30, 60]
    means, log10_precision, *_ = d._grid()
    weights = np.zeros(means.size)
    for i, j in itertools.product(range(means.size), range(log10_precision.size)):
        m = 10 ** log10_precision[j]
        weights[i] += np.exp(betabinom.logpmf(k, n, means[i] * m, (1 - means[i]) * m).sum())
    assert d.grid_posterior(k, n).mean == pytest.approx(weights @ means / weights.sum(), rel=1e-9)


@given(st.lists(st.tuples(st.integers(1, 3000), st.floats(0, 1)), min_size=1, max_size=8))
def test_grid_interval_holds_the_median(pairs):
    n = np.array([c for c, _ in pairs], dtype=float)
    found = d.grid_posterior(n * [share for _, share in pairs], n)
    assert 0 <= found.lower <= found.median <= found.upper <= 1


def simulate(rng, fraction, level, sizes, phi):
    on = rng.random(sizes.size) < fraction
    return rng.poisson(rng.gamma(phi, level / phi, sizes.size) * sizes / 1e4) * on


def correct(counts, sizes, phi=2.0):
    values, cells = np.unique(sizes, return_counts=True)
    return d.dropout_corrected(
        counts.size, int((counts > 0).sum()), counts.sum(), values, cells, sizes.sum(), phi
    )


@pytest.mark.parametrize("fraction", [0.2, 0.5, 0.9])
def test_correction_recovers_a_known_fraction(fraction):
    rng = np.random.default_rng(1)
    sizes = rng.integers(1000, 9000, 20_000)
    counts = simulate(rng, fraction, 4.0, sizes, 2.0)
    found = correct(counts, sizes)
    assert found.identifiable
    assert (counts > 0).mean() < fraction - 0.03, "dropout is visible in the observed fraction"
    assert found.fraction == pytest.approx(fraction, abs=0.03)


def test_halving_the_depth_hardly_moves_the_corrected_fraction():
    rng = np.random.default_rng(2)
    sizes = rng.integers(2000, 9000, 20_000)
    counts = simulate(rng, 0.7, 6.0, sizes, 2.0)
    thin, thin_sizes = rng.binomial(counts, 0.5), sizes // 2
    full, half = correct(counts, sizes), correct(thin, thin_sizes)
    assert full.identifiable
    assert half.identifiable
    assert (counts > 0).mean() - (thin > 0).mean() > 0.05
    assert abs(full.fraction - half.fraction) < 0.1


@given(
    st.lists(st.tuples(st.integers(0, 12), st.integers(100, 20_000)), min_size=3, max_size=40),
    st.sampled_from([0.7, 2.0, 6.0]),
)
def test_corrected_fraction_solves_its_equation(cells, phi):
    counts, sizes = np.array(cells).T
    found = correct(counts, sizes, phi)
    observed = (counts > 0).mean()
    assert observed - 1e-12 <= found.fraction <= 1
    if observed < found.fraction < 1:
        silent = np.mean((1 + found.level / phi * sizes / 1e4) ** -phi)
        assert 1 - observed == pytest.approx(1 - found.fraction + found.fraction * silent)
        assert found.level * found.fraction == pytest.approx(1e4 * counts.sum() / sizes.sum())


def test_cells_without_a_library_are_silent_cells():
    with_empty = d.dropout_corrected(20, 8, 30.0, [4000.0], [10], 40_000.0, 2.0)
    as_zero = d.dropout_corrected(20, 8, 30.0, [4000.0, 0.0], [10, 10], 40_000.0, 2.0)
    assert with_empty == as_zero
    assert not with_empty.identifiable, "the median cell has no library"
