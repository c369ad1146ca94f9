"""Every formula against worked numbers (vectors.json), rounded as they were given."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import beta

from targetscore.config.models import CompositeWeights, SpecificityWeights
from targetscore.profile.kernels import thinned_detection
from targetscore.score import detection, pairs, safety, shedding, specificity, surface
from targetscore.score.composite import composite_score
from targetscore.score.coverage import coverage_score

V = json.loads(Path(__file__).with_name("vectors.json").read_text(encoding="utf-8"))
TIERS = {1: (0.10, 20, 0.9), 2: (0.25, 50, 0.7), 3: (0.5, 100, 0.35), 4: (1.0, 500, 0.1)}


def items(name):
    return [pytest.param(*entry, id=entry[0]) for entry in V[name].items()]


@pytest.mark.parametrize(("count", "size", "expected"), V["thinned_detection"])
def test_thinned_detection(count, size, expected):
    found = thinned_detection(count, size)
    assert found == pytest.approx(expected, abs=5e-6)


@pytest.mark.parametrize(("name", "expected"), items("moment_precision"))
def test_moment_precision(name, expected):
    mean, rho, precision = detection.moment_precision(**V["donors"][name])
    assert mean == pytest.approx(expected["mu"], abs=5e-6)
    assert rho == pytest.approx(expected["rho"], abs=5e-6)
    assert precision == pytest.approx(expected["M"], abs=5e-5)


def test_moment_precision_of_equal_donors_is_capped():
    expected = V["moment_precision_homogeneous"]
    mean, rho, precision = detection.moment_precision(**V["donors"]["five_donors_20pct"])
    assert [mean, rho, precision] == pytest.approx([expected[k] for k in ("mu", "rho", "M")])


@pytest.mark.parametrize(
    ("prior", "precision"), [((0.1, 1.9), 20), ((0.5, 0.5), 20), ((0.5, 0.5), 5)]
)
def test_beta_posterior(prior, precision):
    cases = V[f"posterior_prior_{prior[0]}_{prior[1]}_precision_{precision}"]
    for name, expected in cases.items():
        donors = V["donors"][name]
        a, b = detection.beta_parameters(donors["positive"], donors["cells"], precision, prior)
        assert [a, b] == pytest.approx([expected["a"], expected["b"]], abs=5e-5), name
        median, lower, upper = detection.beta_interval(a, b)
        assert lower == pytest.approx(expected["lo"], abs=5e-7), name
        assert upper == pytest.approx(expected["hi"], abs=1.5e-6), name
        if "median" in expected:
            assert median == pytest.approx(expected["median"], abs=5e-7), name
        assert beta.sf(0.02, a, b) == pytest.approx(expected["p_gt_2pct"], abs=1e-5), name


@pytest.mark.parametrize(("name", "expected"), items("grid_posterior"))
def test_grid_posterior(name, expected):
    found = detection.grid_posterior(**V["donors"][name])
    assert found.mean == pytest.approx(expected["mean"], abs=5e-6)
    assert found.lower == pytest.approx(expected["lo"], abs=5e-6)
    assert found.upper == pytest.approx(expected["hi"], abs=5e-6)
    assert found.mean_log10_precision == pytest.approx(expected["E_log10M"], abs=5e-5)


@pytest.mark.parametrize(("name", "case"), items("dropout_phi_2"))
def test_dropout_correction(name, case):
    counts = np.repeat(*np.array(case["counts_histogram"]).T)
    found = detection.dropout_corrected(
        counts.size,
        int((counts > 0).sum()),
        counts.sum(),
        [case["size"]],
        [counts.size],
        case["size"] * counts.size,
        2.0,
    )
    assert (counts > 0).mean() == case["observed"]
    assert found.fraction == pytest.approx(case["fraction"], abs=5e-7)
    assert found.level == pytest.approx(case["level"], abs=5e-7)
    assert found.identifiable is case["identifiable"]


@pytest.mark.parametrize(("counts", "library", "expected"), V["log2_cpm"])
def test_log2_cpm(counts, library, expected):
    assert specificity.log2_cpm(1e6 * counts / library) == pytest.approx(expected, abs=5e-6)


@pytest.mark.parametrize(("levels", "expected"), V["tau"])
def test_tau(levels, expected):
    found = specificity.tau(levels)
    assert found is None if expected is None else found == pytest.approx(expected)


@pytest.mark.parametrize(("tumour", "healthy", "expected"), V["auc"])
def test_auc(tumour, healthy, expected):
    assert specificity.pair_auc(tumour, healthy) == pytest.approx(expected)


@pytest.mark.parametrize(("tumour", "healthy", "expected"), V["auc_of_detection"])
def test_auc_of_detected_or_not(tumour, healthy, expected):
    positive = [np.arange(100) < 100 * share for share in (tumour, healthy)]
    assert specificity.pair_auc(*positive) == pytest.approx(expected)


@pytest.mark.parametrize(("lfc", "gap", "auc", "tau", "parts", "expected"), V["specificity"])
def test_specificity(lfc, gap, auc, tau, parts, expected):
    found = specificity.specificity_parts(lfc, gap, auc, tau)
    assert found == pytest.approx(parts, abs=5e-5)
    score = specificity.specificity_score(found, SpecificityWeights())
    assert score == pytest.approx(expected, abs=5e-6)


@pytest.mark.parametrize(("fraction", "share", "p10", "expected"), V["coverage"])
def test_coverage(fraction, share, p10, expected):
    assert coverage_score(fraction, share, p10) == pytest.approx(expected)


@pytest.mark.parametrize(("tier", "fraction", "cpm", "expected"), V["harm"])
def test_harm(tier, fraction, cpm, expected):
    saturation, level, weight = TIERS[tier]
    assert safety.harm(fraction, cpm, saturation, level, weight) == pytest.approx(expected)


@pytest.mark.parametrize(("harms", "expected"), V["safety"])
def test_safety(harms, expected):
    found = safety.safety(safety.class_factor([h], []) for h in harms)
    assert found == pytest.approx(expected)


@pytest.mark.parametrize(("assessed", "gaps", "expected"), V["gap_penalty"])
def test_gap_penalty(assessed, gaps, expected):
    strengths = {strength: name for name, strength in safety.LITERATURE_STRENGTH.items()}
    costs = [safety.gap_penalty(weight, strengths[strength]) for weight, strength in gaps]
    left = assessed * safety.safety(safety.class_factor([], [cost]) for cost in costs)
    assert left == pytest.approx(expected, abs=6e-6)


@pytest.mark.parametrize(("spec", "cov", "safe", "surf", "shed", "expected"), V["composite"])
def test_composite(spec, cov, safe, surf, shed, expected):
    found = composite_score(spec, cov, safe, surf, shed, CompositeWeights(), 1e-3)
    assert found == pytest.approx(expected, abs=6e-6)


@pytest.mark.parametrize(("symbol", "case"), items("shedding"))
def test_shedding(symbol, case):
    values = {k: case[k] for k in ("mechanism", "soluble", "topology", "isoform")}
    found = shedding.shedding_score(shedding.static_points(values, case["ectodomain"]).values())
    low, mid, high, completeness, grade = case["expected"]
    assert [found.low, found.mid, found.high] == pytest.approx([low, mid, high], abs=0.051)
    assert found.completeness == pytest.approx(completeness, abs=0.0051)
    assert found.grade == grade


@pytest.mark.parametrize(("symbol", "case"), items("surface"))
def test_surface(symbol, case):
    topology, helices, binder, cspa, uniprot, go, hpa, surfy, expected = case
    found = surface.surface_confidence(
        topology=topology,
        tm_helices=float("nan") if helices is None else helices,
        clinical_binder=binder,
        cspa=cspa,
        uniprot=bool(uniprot),
        go=go,
        hpa=bool(hpa),
        surfy_score=float("nan") if surfy is None else surfy,
    )
    assert found == pytest.approx(expected, abs=5.1e-4)


def test_or_coverage():
    case = V["or_coverage"]
    found = pairs.or_coverage(case["first"], case["second"])
    for name, expected in case["expected"].items():
        assert getattr(found, name) == pytest.approx(expected), name


@pytest.mark.parametrize(("tumour", "healthy", "expected"), V["safety_margin"])
def test_safety_margin(tumour, healthy, expected):
    assert pairs.safety_margin(tumour, healthy) == pytest.approx(expected, abs=5.1e-5)


@pytest.mark.parametrize(("name", "expected"), items("probability_above_1_percent"))
def test_probability_above_one_percent(name, expected):
    a, b = detection.beta_parameters(**V["donors"][name], precision=20, prior=(0.5, 0.5))
    assert a + b - 1 == pytest.approx(expected["effective_cells"], abs=5e-5)
    assert beta.sf(0.01, a, b) == pytest.approx(expected["probability"], abs=1e-6)
