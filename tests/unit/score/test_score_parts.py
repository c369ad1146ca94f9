"""Specificity, safety, shedding, surface and composite: brute force, tables, invariants."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu

from targetscore.config.models import CompositeWeights
from targetscore.score import shedding as sh
from targetscore.score.composite import composite_score, evidence_grade, ranks
from targetscore.score.coverage import coverage_score, share_above_half, tenth_percentile
from targetscore.score.safety import class_factor, gap_penalty, harm, verdicts, worst_verdict
from targetscore.score.specificity import group_aucs, pair_auc, tau, tau_level
from targetscore.score.surface import surface_confidence

levels = st.lists(st.integers(0, 6).map(float), min_size=1, max_size=12)
share = st.floats(0, 1)


@given(levels, levels)
def test_auc_matches_a_loop_and_the_rank_sum(tumour, healthy):
    wins = 0.0
    for t in tumour:
        for h in healthy:
            wins += 1.0 if t > h else 0.5 if t == h else 0.0
    found = pair_auc(tumour, healthy)
    assert found == pytest.approx(wins / (len(tumour) * len(healthy)))
    u = mannwhitneyu(tumour, healthy).statistic
    assert found == pytest.approx(u / (len(tumour) * len(healthy)))


def test_auc_leaves_out_donors_without_a_value():
    nan = math.nan
    assert pair_auc([3.0, nan], [1.0, nan, 5.0]) == pytest.approx(0.5)
    assert np.isnan(pair_auc([nan], [1.0]))
    assert pair_auc(np.array([[2.0, 0.0]]), np.array([[1.0, 1.0]])).tolist() == [1.0, 0.0]


level = st.one_of(st.just(float("nan")), st.integers(0, 3).map(float))


@given(st.lists(level, max_size=6), st.lists(st.tuples(level, st.integers(0, 3)), min_size=1))
def test_aucs_of_groups_are_those_of_each_group(tumour, donors):
    values, group = (np.array(x) for x in zip(*donors, strict=True))
    found = group_aucs(tumour, values, group)
    for g in range(group.max() + 1):
        wanted = pair_auc(tumour, values[group == g])
        np.testing.assert_array_equal(found[g], wanted)


@given(st.lists(st.floats(0, 50), min_size=2, max_size=20))
def test_tau_matches_a_loop(values):
    top = max(values)
    found = tau(values)
    if top == 0:
        assert found is None
    else:
        total = 0.0
        for value in values:
            total += 1 - value / top
        assert found == pytest.approx(total / (len(values) - 1))


def test_tau_needs_two_cell_types():
    assert tau([3.0]) is None


def test_tau_level_is_zero_without_expression():
    assert tau_level([0.0, 10.0, 70.0]).tolist() == pytest.approx([0.0, 1.0, 3.0])


@given(st.lists(share, min_size=1, max_size=30))
def test_coverage_parts_match_loops(fractions):
    assert share_above_half(fractions) == sum(f >= 0.5 for f in fractions) / len(fractions)
    ordered = sorted(fractions)
    place = 0.1 * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    expected = ordered[low] + (place - low) * (ordered[high] - ordered[low])
    assert tenth_percentile(fractions) == pytest.approx(expected, abs=1e-12)
    assert 0 <= coverage_score(fractions[0], share_above_half(fractions), expected) <= 1


@given(share, share, st.floats(0, 900), st.floats(0, 900))
def test_harm_never_falls_with_more_expression(f1, f2, c1, c2):
    low = harm(min(f1, f2), min(c1, c2), 0.1, 20, 0.9)
    high = harm(max(f1, f2), max(c1, c2), 0.1, 20, 0.9)
    assert 0 <= low <= high <= 0.9


def test_harm_without_a_level_rests_on_the_fraction_and_is_missing_without_both():
    assert harm(0.05, math.nan, 0.1, 20, 0.9) == pytest.approx(0.45)
    assert np.isnan(harm(math.nan, 3.0, 0.1, 20, 0.9))


VERDICT_TABLE = [
    # measured, by RNA, cells, donors, observed, median, upper, alert -> verdict
    (False, True, 0, 0, math.nan, math.nan, math.nan, 0.02, "not_measured"),
    (False, False, 0, 0, math.nan, math.nan, math.nan, 0.02, "not_measured"),
    (True, False, 900, 9, 0.5, 0.5, 0.6, 0.02, "not_assessable_by_RNA"),
    (True, True, 19, 3, 0.9, 0.9, 0.95, 0.02, "not_assessed"),
    (True, True, 20, 1, 0.0, 0.001, 0.08, 0.02, "no_signal_insufficient"),
    (True, True, 20, 1, 0.05, 0.01, 0.08, 0.02, "possible"),
    (True, True, 20, 1, 0.5, 0.3, 0.6, 0.02, "concern"),
    (True, True, 50, 3, 0.0, 0.001, 0.02, 0.02, "clear"),
    (True, True, 50, 3, 0.0, 0.001, 0.021, 0.02, "possible"),
    (True, True, 49, 3, 0.0, 0.001, 0.01, 0.02, "no_signal_insufficient"),
    (True, True, 500, 2, 0.0, 0.001, 0.01, 0.02, "no_signal_insufficient"),
    (True, True, 500, 2, 0.02, 0.001, 0.01, 0.02, "possible"),
    (True, True, 500, 5, 0.02, 0.02, 0.04, 0.02, "concern"),
    (True, True, 500, 5, 0.02, 0.019, 0.04, 0.02, "possible"),
    (True, True, 500, 5, 0.02, 0.019, 0.04, 0.05, "clear"),
]


@pytest.mark.parametrize(
    ("measured", "by_rna", "cells", "donors", "observed", "median", "upper", "alert", "expected"),
    VERDICT_TABLE,
)
def test_verdict(measured, by_rna, cells, donors, observed, median, upper, alert, expected):
    found = verdicts(
        measured=[measured],
        by_rna=[by_rna],
        n_cells=[cells],
        n_donors=[donors],
        observed=[observed],
        median=[median],
        upper=[upper],
        alert=[alert],
        min_cells_assessed=20,
        min_cells_clear=50,
        min_donors_clear=3,
    )
    assert found.tolist() == [expected]


def test_worst_verdict_prefers_evidence_of_harm_and_needs_some_evidence():
    assert worst_verdict(["clear", "possible", "not_assessed"]) == "possible"
    assert worst_verdict(["clear", "no_signal_insufficient"]) == "no_signal_insufficient"
    assert worst_verdict(["not_assessed", "clear"]) == "clear"
    assert worst_verdict(["not_measured", "not_assessed"]) == "not_measured"
    assert worst_verdict([]) == "not_assessed"


@given(st.lists(st.floats(0, 0.9), max_size=4), st.lists(st.floats(0, 0.9), max_size=4))
def test_class_factor_is_one_minus_the_worst(harms, gaps):
    worst = 0.0
    for value in harms + gaps:
        worst = value if value > worst else worst
    assert class_factor(harms, gaps) == 1 - worst


@given(st.lists(st.floats(0, 0.9), max_size=4), st.floats(0, 0.9))
def test_losing_a_literature_positive_row_never_helps(harms, own):
    """Its group has harm of at most the tier's weight, which is what the gap then costs."""
    before = class_factor([*harms, own], [])
    after = class_factor(harms, [gap_penalty(0.9, "strong")])
    assert after <= before


def test_unknown_literature_is_no_penalty_and_no_comfort():
    assert gap_penalty(0.9, None) is None
    assert gap_penalty(0.9, "contested") == pytest.approx(0.18)


def enzyme(pathway, every, percentile):
    return sh.Enzyme(pathway, every, percentile)


def test_sheddase_complex_needs_every_member_and_alternatives_only_one():
    complex_ = [enzyme("c", True, 0.9), enzyme("c", True, 0.4)]
    either = [enzyme("m", False, 0.2), enzyme("m", False, 0.7)]
    assert sh.sheddase_points(complex_).mid == pytest.approx(4.0)
    assert sh.sheddase_points(either).mid == pytest.approx(7.0)
    assert sh.sheddase_points(complex_ + either).mid == pytest.approx(7.0)


def test_sheddase_not_measured_is_an_interval():
    alone = sh.sheddase_points([enzyme("a", False, None)])
    assert (alone.low, alone.mid, alone.high, alone.known) == (0.0, 2.5, 10.0, False)
    limited = sh.sheddase_points([enzyme("c", True, None), enzyme("c", True, 0.4)])
    assert (limited.low, limited.high, limited.known) == (0.0, pytest.approx(4.0), False)
    settled = sh.sheddase_points([enzyme("c", True, None), enzyme("c", True, 0.0)])
    assert settled.known


def test_a_named_sheddase_changes_the_scale_to_a_hundred():
    values = {"mechanism": "direct_disease", "soluble": "high", "isoform": "none"}
    static = sh.static_points({**values, "topology": "single_pass"}, 53)
    assert sh.shedding_score(static.values()).mid == pytest.approx(100 * 85 / 90)
    both = [*static.values(), sh.sheddase_points([enzyme("a", False, 0.6)])]
    assert sh.shedding_score(both).mid == pytest.approx(91.0)


def test_shedding_without_any_knowledge_is_an_interval_not_zero():
    found = sh.shedding_score(sh.static_points({}, math.nan).values())
    assert (found.low, found.mid, found.high, found.completeness) == (0.0, 25.0, 100.0, 0.0)
    assert found.grade == "insufficient_evidence"


@pytest.mark.parametrize(
    ("topology", "ectodomain", "expected"),
    [
        ("single_pass", 100, 15),
        ("single_pass", 101, 10),
        ("single_pass", 300, 10),
        ("single_pass", 301, 9),
        ("single_pass;stalk", 200, 13),
        ("single_pass;stalk", 60, 15),
        ("gpi", 500, 12),
        ("gpi;stalk", 500, 15),
        ("multi_pass", 40, 1),
        ("not_membrane", math.nan, 0),
    ],
)
def test_topology_points(topology, ectodomain, expected):
    points = sh.static_points({"topology": topology}, ectodomain)["topology"]
    assert (points.low, points.mid, points.high, points.known) == (*[expected] * 3, True)


def test_single_pass_of_unknown_length_is_between_the_lengths():
    points = sh.static_points({"topology": "single_pass"}, math.nan)["topology"]
    assert (points.low, points.mid, points.high, points.known) == (9.0, 10.5, 15.0, False)


@given(
    st.fixed_dictionaries(
        {
            "mechanism": st.sampled_from([*sh.MECHANISM, "unknown"]),
            "soluble": st.sampled_from([*sh.SOLUBLE, "not_measured"]),
            "topology": st.sampled_from(["single_pass", "gpi;stalk", "multi_pass", ""]),
            "isoform": st.sampled_from([*sh.ISOFORM, "unknown"]),
        }
    ),
    st.floats(20, 900) | st.just(math.nan),
)
def test_shedding_range_holds_the_score(values, ectodomain):
    found = sh.shedding_score(sh.static_points(values, ectodomain).values())
    assert 0 <= found.low <= found.mid <= found.high <= 100
    if found.completeness == 1:
        assert found.low == found.high


@pytest.mark.parametrize(
    ("mid", "grade"),
    [(19.9, "minimal"), (20, "low"), (40, "moderate"), (60, "high"), (80, "very_high")],
)
def test_shedding_grades_change_at_their_limits(mid, grade):
    assert sh.shedding_score([sh.Points(mid, mid, mid, 100.0, True)]).grade == grade


@given(st.lists(st.integers(0, 9).map(float), min_size=1, max_size=30))
def test_percentile_counts_strictly_lower_genes(values):
    found = sh.percentiles(np.array(values))
    for value, percentile in zip(values, found, strict=True):
        assert percentile == sum(other < value for other in values) / len(values)


def test_percentiles_of_nothing():
    assert sh.percentiles(np.array([])).size == 0


SURFACE = {
    "topology": "type_I",
    "tm_helices": 1.0,
    "clinical_binder": "none",
    "cspa": "none",
    "uniprot": False,
    "go": "none",
    "hpa": False,
    "surfy_score": math.nan,
}


def confidence(**more):
    return surface_confidence(**(SURFACE | more))


def test_one_database_alone_is_not_enough_but_a_clinical_binder_is():
    assert confidence(cspa="high") == 0.2
    assert confidence(uniprot=True) == 0.2
    assert confidence(clinical_binder="binder") == pytest.approx(0.95)
    assert confidence(cspa="high", clinical_binder="tce") == pytest.approx(1 - 0.2 * 0.15)
    assert confidence(cspa="high", hpa=True) == pytest.approx(1 - 0.15 * 0.4)


def test_no_membrane_anchor_means_no_surface():
    votes = {"cspa": "high", "hpa": True, "tm_helices": math.nan}
    assert confidence(topology="not_membrane", **votes) == 0.0
    assert confidence(topology="ER_multipass", **votes) == 0.0
    assert confidence(topology="GPI", **(votes | {"tm_helices": 0.0})) > 0.9
    unresolved = "intracellular_or_unresolved"
    assert confidence(topology=unresolved, tm_helices=math.nan, hpa=True) == 0.2
    assert confidence(topology=unresolved, tm_helices=math.nan) == 0.0


@pytest.mark.parametrize("missing", range(5))
def test_composite_is_missing_if_a_part_is(missing):
    parts = [0.5, 0.5, 0.5, 0.9, 20.0]
    assert composite_score(*parts, CompositeWeights(), 1e-3) is not None
    parts[missing] = None
    assert composite_score(*parts, CompositeWeights(), 1e-3) is None
    parts[missing] = math.nan
    assert composite_score(*parts, CompositeWeights(), 1e-3) is None


def test_composite_floors_each_part():
    zero = composite_score(0.0, 1.0, 1.0, 1.0, 0.0, CompositeWeights(), 1e-3)
    assert zero == pytest.approx(1e-3**0.35)


five = st.lists(share, min_size=5, max_size=5)


@given(five, five)
def test_composite_rises_with_every_part(first, second):
    low = [min(pair) for pair in zip(first, second, strict=True)]
    high = [max(pair) for pair in zip(first, second, strict=True)]
    worse = composite_score(*low[:4], 100 * high[4], CompositeWeights(), 1e-3)
    better = composite_score(*high[:4], 100 * low[4], CompositeWeights(), 1e-3)
    assert worse <= better + 1e-12


def test_ranks_go_down_and_ties_go_by_name():
    names = ["D", "C", "B", "A"]
    assert ranks(names, [0.5, None, 0.5, 0.9]) == [3, None, 2, 1]
    assert ranks(names, [0.0, None, None, 0.1]) == [2, None, None, 1]


@pytest.mark.parametrize(
    ("share_assessed", "patients", "donors", "everywhere", "expected"),
    [
        (0.9, 5, 5, True, "A"),
        (0.89, 5, 5, True, "B"),
        (1.0, 5, 4, True, "B"),
        (0.6, 5, 3, True, "B"),
        (0.59, 5, 9, True, "C"),
        (1.0, 4, 9, True, "C"),
        (1.0, 2, 9, True, "D"),
        (1.0, 9, 2, True, "D"),
        (1.0, 9, 9, False, "B"),
        (0.1, 9, 9, False, "D"),
        (0.1, 1, 1, False, "D"),
    ],
)
def test_evidence_grade(share_assessed, patients, donors, everywhere, expected):
    assert evidence_grade(share_assessed, patients, donors, everywhere) == expected
