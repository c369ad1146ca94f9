"""The ambient bound per sample and the test whether ambient RNA explains a detection (C1)."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from targetscore.errors import ContractError
from targetscore.ingest import ambient as am


def in_blocks(matrix, size):
    return [(a, sp.csr_matrix(matrix[a : a + size])) for a in range(0, len(matrix), size)]


def test_rate_is_the_formula_of_the_specification():
    counts, library = np.array([30, 0, 970]), 50_000.0
    cpm = 1e6 * counts / library
    assert am.ambient_rate(counts, library) == pytest.approx(0.05 * cpm / 1e6)
    assert am.ambient_rate(counts, library, 0.02) == pytest.approx(0.02 * cpm / 1e6)


def test_bound_holds_what_ambient_alone_gives():
    """Poisson counts at the ambient mean exceed the bound in at most 2.5 % of groups."""
    rng = np.random.default_rng(0)
    for level in (1e-6, 1e-5, 2e-4):
        sizes = np.exp(rng.normal(8, 0.7, 300))
        mean = level * sizes
        detected = (rng.poisson(mean, (4000, 300)) > 0).sum(1)
        above = (detected > am.detection_bound(mean)).mean()
        assert above <= 0.025 + 3 * np.sqrt(0.025 * 0.975 / 4000)


def test_a_lineage_that_expresses_is_not_explained():
    rng = np.random.default_rng(1)
    sizes = np.full(200, 3000.0)
    mean = sizes * am.ambient_rate(np.array([20]), 1e6)[0]
    expressing = (rng.poisson(sizes * 1e-4) > 0).sum()
    assert not am.ambient_explainable(expressing, mean)
    assert am.ambient_explainable(1, mean) == (am.detection_bound(mean) >= 1)


def test_nothing_detected_needs_no_explanation():
    assert not am.ambient_explainable(0, np.full(50, 0.1))
    assert am.detection_bound(np.zeros(50)) == 0
    assert am.detection_bound(np.zeros(0)) == 0
    assert not am.ambient_explainable(1, np.zeros(50))


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 3), st.integers(1, 40)), min_size=1, max_size=8),
    st.floats(1, 3),
)
def test_bound_counts_cells_and_rises_with_the_level(entries, factor):
    mean = np.array([m for m, _ in entries])
    cells = np.array([n for _, n in entries])
    bound = am.detection_bound(mean, cells)
    assert bound == am.detection_bound(np.repeat(mean, cells))
    assert 0 <= bound <= cells.sum()
    assert am.detection_bound(mean * factor, cells) >= bound


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
    matrix, samples, is_cell, masked = raw
    one, two = am.measure_ambient(in_blocks(matrix, size), samples, is_cell, masked)
    empties = matrix[60:560]
    empties = empties[(empties.sum(1) >= 1)]
    library = empties[:, :3].sum(1)
    seen = library > 0
    assert (one.source, one.n_cells, one.n_empty) == ("empty_droplets", 60, int(seen.sum()))
    share = np.quantile(library[seen], 0.975) / np.median(matrix[:60, :3].sum(1))
    assert one.share == pytest.approx(share)
    assert one.rate == pytest.approx(share * empties.sum(0) / library.sum())
    # The bound is above what the empties hold on average, and below what cells look like.
    mean_empty = empties.sum(0) / len(empties)
    assert (one.rate * np.median(matrix[:60, :3].sum(1)) >= mean_empty).all()
    assert one.rate[0] < am.ambient_rate(matrix[:60].sum(0), matrix[:60, :3].sum())[0]

    assert (two.source, two.share, two.n_empty) == ("sample_profile", 0.05, 0)
    cells = matrix[560:]
    assert two.rate == pytest.approx(0.05 * cells.sum(0) / cells[:, :3].sum())


def test_few_empties_fall_back_to_the_default(raw):
    matrix, samples, is_cell, masked = raw
    keep = np.r_[0:160, 560:600]
    found = am.measure_ambient(in_blocks(matrix[keep], 64), samples[keep], is_cell[keep], masked)
    assert [f.source for f in found] == ["sample_profile", "sample_profile"]
    assert found[0].n_empty < am.MIN_EMPTY


def test_a_cut_that_hides_fuller_droplets_does_not_lower_the_bound():
    rng = np.random.default_rng(3)
    profile = np.full(4, 0.25)
    cells = rng.multinomial(40_000, profile, 50)
    empties = rng.multinomial(100, profile, 400)
    found = am.measure_ambient(
        in_blocks(np.vstack([cells, empties]), 100),
        np.zeros(450, dtype=int),
        np.array([True] * 50 + [False] * 400),
        np.zeros(4, dtype=bool),
    )[0]
    assert found.source == "empty_droplets"
    assert found.share == am.SHARE_UPPER > 100 / 40_000


def test_a_sample_without_cells_has_no_bound(raw):
    matrix, samples, is_cell, masked = raw
    found = am.measure_ambient(in_blocks(matrix, 64), samples, is_cell & (samples == 1), masked)
    assert found[0].source == "none"
    assert np.isnan(found[0].share)
    assert np.isnan(found[0].rate).all()


def test_rows_of_no_sample_are_left_out_and_labels_must_fit(raw):
    matrix, samples, is_cell, masked = raw
    lost = samples.copy()
    lost[560:] = -1
    (found,) = am.measure_ambient(in_blocks(matrix, 64), lost, is_cell, masked)
    whole = am.measure_ambient(in_blocks(matrix, 64), samples, is_cell, masked)[0]
    assert np.array_equal(found.rate, whole.rate)
    for other in (samples[:-1], np.append(samples, 0)):
        with pytest.raises(ContractError, match="another number of rows"):
            am.measure_ambient(in_blocks(matrix, 64), other, np.resize(is_cell, len(other)), masked)


def test_order_of_rows_changes_nothing(raw):
    matrix, samples, is_cell, masked = raw
    order = np.random.default_rng(4).permutation(len(matrix))
    one = am.measure_ambient(in_blocks(matrix, 50), samples, is_cell, masked)
    other = am.measure_ambient(in_blocks(matrix[order], 50), samples[order], is_cell[order], masked)
    for a, b in zip(one, other, strict=True):
        assert (a.source, a.share, a.n_cells, a.n_empty) == (
            b.source,
            b.share,
            b.n_cells,
            b.n_empty,
        )
        assert np.array_equal(a.rate, b.rate)
