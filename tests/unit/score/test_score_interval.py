"""The interval of one patient's expressing fraction, and who escapes (C1, C3)."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from targetscore.score.detection import dropout_corrected
from targetscore.score.interval import corrected_interval, observed_lower

SIZES, WEIGHTS = np.array([2000.0, 4000.0, 8000.0]), np.array([0.25, 0.5, 0.25])


def drawn(rng, cells, fraction, per_10k, dispersion):
    """Return cells with a count and the sum of counts: gamma–Poisson, plainly drawn."""
    size = np.repeat(SIZES, (WEIGHTS * cells).astype(int))
    on = rng.random(cells) < fraction
    level = rng.standard_gamma(dispersion, cells) / dispersion
    counts = rng.poisson(on * per_10k * 1e-4 * level * size)
    return int((counts > 0).sum()), int(counts.sum())


def interval(cells, detected, counts, dispersion=2.0):
    library = float(SIZES @ WEIGHTS * cells)
    rest = (SIZES, WEIGHTS * cells, library, dispersion)
    found = dropout_corrected(cells, detected, counts, *rest)
    low, high = corrected_interval([found.fraction], [detected], [counts], cells, *rest)
    return found, float(low[0]), float(high[0])


@pytest.mark.parametrize(("detected", "cells"), [(0, 30), (1, 100), (37, 100), (99, 100), (50, 50)])
def test_bound_of_the_observed_share_is_that_of_scipy(detected, cells):
    known = binomtest(detected, cells).proportion_ci(0.95, "wilson").low
    assert observed_lower([detected], cells)[0] == pytest.approx(known, abs=1e-12)


@pytest.mark.parametrize(("detected", "cells"), [(8, 40), (20, 100), (330, 400)])
def test_where_no_count_is_missed_it_is_the_interval_of_a_proportion(detected, cells):
    _, low, high = interval(cells, detected, detected * 10_000_000)
    known = binomtest(detected, cells).proportion_ci(0.95, "wilson")
    assert (low, high) == pytest.approx((known.low, known.high), abs=1e-3)


@pytest.mark.parametrize("dispersion", [0.7, 2.0, 6.0])
@pytest.mark.parametrize(("fraction", "per_10k"), [(0.1, 6.0), (0.5, 2.0), (0.85, 4.0)])
def test_95_percent_of_intervals_hold_the_truth(fraction, per_10k, dispersion):
    """Where the dispersion is the assumed one; 600 patients of 400 cells."""
    rng = np.random.default_rng(3)
    held = []
    for _ in range(600):
        _, low, high = interval(400, *drawn(rng, 400, fraction, per_10k, dispersion), dispersion)
        held.append(low <= fraction <= high)
    assert 0.925 <= np.mean(held) <= 0.98


def test_a_plain_binomial_interval_would_be_too_narrow():
    """Counts that are missed are estimated too, and that must widen the interval."""
    detected, counts = drawn(np.random.default_rng(1), 400, 0.5, 2.0, 2.0)
    found, low, high = interval(400, detected, counts)
    seen = binomtest(detected, 400).proportion_ci(0.95, "wilson")
    scale = found.fraction / (detected / 400)
    assert high - low > 1.2 * scale * (seen.high - seen.low)


@given(
    cells=st.sampled_from([40, 200, 2000]),
    share=st.floats(0.01, 1),
    extra=st.floats(1, 40),
)
@settings(max_examples=60, deadline=None)
def test_the_interval_holds_the_fraction_and_narrows_with_cells(cells, share, extra):
    detected = max(1, round(share * cells))
    counts = round(detected * extra)
    found, low, high = interval(cells, detected, counts)
    assert 0 <= low <= found.fraction <= high <= 1
    _, nearer_low, nearer_high = interval(9 * cells, 9 * detected, 9 * counts)
    assert nearer_high - nearer_low <= high - low + 1e-6


def test_counts_too_even_for_the_dispersion_do_not_make_the_interval_narrow():
    """90 % of cells with 1.2 counts on average: phi 2 allows 61 % at f = 1, and f is held there.

    The test alone would refuse every fraction and leave the interval empty.
    """
    found, low, high = interval(4000, 3600, 4800)
    assert (found.fraction, high) == (1.0, 1.0)
    fits, fits_low, _ = interval(4000, round(4000 * detected_share(1.2)), 4800)
    assert fits.fraction == pytest.approx(1.0, abs=1e-3)
    assert low == pytest.approx(fits_low, abs=2e-3)
    assert low < 0.98


def detected_share(per_cell, dispersion=2.0):
    """Share of cells with a count if all express: a plain loop over the sizes."""
    mean = SIZES @ WEIGHTS
    return sum(
        w * (1 - (1 + per_cell * s / mean / dispersion) ** -dispersion)
        for s, w in zip(SIZES, WEIGHTS, strict=True)
    )


def rows(kit, score, shares, counts=3):
    cells = kit.Cells()
    for number, share in enumerate(shares):
        on = round(100 * share)
        cells.add("tumour", f"P{number}", {"AAA1": [counts] * on + [0] * (100 - on)})
    cells.healthy(4, {"AAA1": [0] * 100}, cell_type=kit.T_CELL, tissue=kit.BLOOD)
    tables = score(cells, kit.indication(["AAA1"]))
    return tables.coverage.set_index("donor"), tables.components.iloc[0]


def test_every_patient_has_an_interval_as_the_function_gives_it(kit, score):
    coverage, _ = rows(kit, score, [0.9, 0.4, 0.05])
    assert coverage["identifiable"].all()
    for donor, detected in (("P0", 90), ("P1", 40), ("P2", 5)):
        own = coverage.loc[donor]
        sizes = np.array([2 ** ((np.floor(16 * np.log2(4000)) + 0.5) / 16)])
        rest = (sizes, np.array([100.0]), 4e5, 2.0)
        low, high = corrected_interval([own["fraction"]], [detected], [3 * detected], 100, *rest)
        assert own["fraction_lower"] == pytest.approx(low[0])
        assert own["fraction_upper"] == pytest.approx(high[0])
        assert own["fraction_lower"] < own["fraction"] <= own["fraction_upper"]


def test_a_lower_bound_has_no_upper_one(kit, score):
    coverage = score(kit.ordinary()).coverage.query("antigen == 'BBB2'")
    assert not coverage["identifiable"].any()
    assert (coverage["fraction_upper"] == 1).all()
    for own in coverage.to_dict("records"):
        detected = round(own["fraction_observed"] * own["n_cells"])
        known = binomtest(detected, own["n_cells"]).proportion_ci(0.95, "wilson").low
        assert own["fraction_lower"] == pytest.approx(known)


def test_what_was_not_measured_has_no_bounds(kit, score):
    cells = kit.ordinary().measure("other", ["AAA1", "FILL"])
    cells.add("other", "X0", {"AAA1": [3] * 100})
    asked = kit.indication(diseased={"atlases": ["tumour", "other"]})
    own = kit.one(score(cells, asked).coverage, antigen="BBB2", donor="X0")
    assert own[["fraction", "fraction_lower", "fraction_upper"]].isna().all()


def test_below_with_a_lower_bound_is_neither_escape_nor_coverage(kit, score):
    """P2 shows few single counts: the antigen may be on every cell or on hardly any."""
    cells = kit.Cells()
    for donor, on, count in (
        ("P0", 90, 3),
        ("P1", 5, 3),
        ("P2", 5, 1),
        ("P3", 0, 0),
        ("P4", 30, 1),
    ):
        cells.add("tumour", donor, {"AAA1": [count] * on + [0] * (100 - on)}, sizes=[900] * 100)
    cells.healthy(4, {"AAA1": [0] * 100}, cell_type=kit.T_CELL, tissue=kit.BLOOD)
    tables = score(cells, kit.indication(["AAA1"]))
    known = tables.coverage.set_index("donor")["identifiable"].to_dict()
    assert known == {"P0": True, "P1": True, "P2": False, "P3": False, "P4": False}
    row = tables.components.iloc[0]
    assert (row["n_patients_escaping"], row["patients_escaping"]) == (1, "P1")
    assert (row["n_patients_escape_untold"], row["patients_escape_untold"]) == (2, "P2; P3")


def test_of_nobody_measured_nothing_is_told(kit, score):
    cells = kit.Cells().healthy(4, {"AAA1": [0] * 100}, cell_type=kit.T_CELL)
    cells.add("tumour", "P0", {"AAA1": [1] * 5})
    row = score(cells, kit.indication(["AAA1"])).components.iloc[0]
    assert pd.isna(row["n_patients_escape_untold"])
    assert pd.isna(row["n_patients_escaping"])
