"""Free RNA read off the barcodes without a cell (C1)."""

import numpy as np
import pytest
import scipy.sparse as sp

from targetscore.ingest import ambient as am


def test_rate_is_the_formula_of_the_specification():
    counts, library = np.array([30, 0, 970]), 50_000.0
    cpm = 1e6 * counts / library
    assert am.ambient_rate(counts, library) == pytest.approx(0.05 * cpm / 1e6)
    assert am.ambient_rate(counts, library, 0.02) == pytest.approx(0.02 * cpm / 1e6)


def measure(matrix, samples, is_cell, masked, size=64):
    sums = am.AmbientSums(samples, is_cell, masked)
    for first in range(0, len(matrix), size):
        sums.add(first, sp.csr_matrix(matrix[first : first + size]))
    return sums.measured(int(samples.max()) + 1)


@pytest.fixture
def raw():
    """Two samples: the first with 500 empty barcodes, the second with cells only."""
    rng = np.random.default_rng(2)
    profile = np.array([0.02, 0.28, 0.3, 0.4])  # the first gene is of rare cells, the last masked
    ours = np.array([0.2, 0.3, 0.3, 0.2])
    cells = np.vstack([rng.multinomial(4000, ours, 60), rng.multinomial(2000, ours, 40)])
    empties = np.vstack([rng.multinomial(n, profile) for n in rng.integers(0, 60, 500)])
    matrix = np.vstack([cells[:60], empties, cells[60:]])
    samples = np.array([0] * 560 + [1] * 40)
    is_cell = np.array([True] * 60 + [False] * 500 + [True] * 40)
    return matrix, samples, is_cell, np.array([False, False, False, True])


@pytest.mark.parametrize("size", [7, 200, 1000])
def test_empty_barcodes_give_profile_and_level(raw, size):
    matrix, _, _, _ = raw
    one, two = measure(*raw, size)
    empties = matrix[60:560]
    empties = empties[(empties.sum(1) >= 1)]
    library = empties[:, :3].sum(1)
    seen = library > 0
    assert one.n_empty == int(seen.sum())
    share = np.quantile(library[seen], 0.975) / np.median(matrix[:60, :3].sum(1))
    assert one.share == pytest.approx(share)
    assert one.rate == pytest.approx(share * empties.sum(0) / library.sum())
    # The bound is above what the empties hold on average, and below what cells look like.
    mean_empty = empties.sum(0) / len(empties)
    assert (one.rate * np.median(matrix[:60, :3].sum(1)) >= mean_empty).all()
    assert one.rate[0] < am.ambient_rate(matrix[:60].sum(0), matrix[:60, :3].sum())[0]

    assert (two.n_empty, two.rate) == (0, None)
    assert np.isnan(two.share)


def test_few_empties_measure_nothing(raw):
    matrix, samples, is_cell, masked = raw
    keep = np.r_[0:160, 560:600]
    found = measure(matrix[keep], samples[keep], is_cell[keep], masked)
    assert [f.rate for f in found] == [None, None]
    assert 0 < found[0].n_empty < am.MIN_EMPTY


def test_a_cut_that_hides_fuller_droplets_does_not_lower_the_bound():
    rng = np.random.default_rng(3)
    profile = np.full(4, 0.25)
    cells = rng.multinomial(40_000, profile, 50)
    empties = rng.multinomial(100, profile, 400)
    (found,) = measure(
        np.vstack([cells, empties]),
        np.zeros(450, dtype=int),
        np.array([True] * 50 + [False] * 400),
        np.zeros(4, dtype=bool),
    )
    assert found.rate is not None
    assert found.share == am.SHARE_UPPER > 100 / 40_000


def test_a_sample_without_cells_is_not_measured(raw):
    matrix, samples, is_cell, masked = raw
    found = measure(matrix, samples, is_cell & (samples == 1), masked)
    assert found[0].rate is None
    assert np.isnan(found[0].share)


def test_rows_of_no_sample_are_left_out(raw):
    matrix, samples, is_cell, masked = raw
    lost = samples.copy()
    lost[300:560] = -1
    found = measure(matrix, lost, is_cell, masked)[0]
    keep = np.r_[0:300, 560:600]
    alone = measure(matrix[keep], samples[keep], is_cell[keep], masked)[0]
    assert found.rate is not None
    assert np.array_equal(found.rate, alone.rate)


def test_order_of_rows_changes_nothing(raw):
    matrix, samples, is_cell, masked = raw
    order = np.random.default_rng(4).permutation(len(matrix))
    one = measure(*raw)
    other = measure(matrix[order], samples[order], is_cell[order], masked, 50)
    assert [f.n_empty for f in one] == [f.n_empty for f in other]
    assert one[0].share == other[0].share
    assert np.array_equal(one[0].rate, other[0].rate)
