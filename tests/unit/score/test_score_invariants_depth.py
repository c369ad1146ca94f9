"""Depth, genes, donors and free RNA: what may move a score, and how far."""

import copy

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from targetscore.score.detection import beta_interval, grid_posterior, healthy_parameters

slow = settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
TABLES = ("evidence", "toxicity", "coverage", "shedding", "components", "ranking")


def marrow(kit, seed, n=150):
    """Patients, and healthy marrow whose cell types share each donor's droplets."""
    rng = np.random.default_rng(seed)
    cells = kit.Cells()

    def draw(mean, share):
        return rng.poisson(rng.gamma(2.0, mean / 2.0, n)) * (rng.random(n) < share)

    for patient in range(5):
        counts = {"AAA1": draw(4, rng.uniform(0.5, 1)), "BBB2": draw(3, rng.uniform(0.2, 0.6))}
        cells.add("tumour", f"P{patient}", counts)
    level = {
        t: {g: (rng.choice([0, 0.01, 0.1, 0.6]), rng.choice([1, 6])) for g in ("AAA1", "BBB2")}
        for t in (kit.T_CELL, kit.HEPATOCYTE, kit.PLASMA)
    }
    for donor in range(4):
        for cell_type, genes in level.items():
            counts = {g: draw(mean, share) for g, (share, mean) in genes.items()}
            cells.add("normal", f"H{donor}", counts, population="healthy", cell_type=cell_type)
    return cells


@slow
@given(st.integers(0, 10_000))
def test_the_order_of_genes_does_not_matter(kit, score, seed):
    cells = marrow(kit, seed)
    turned = copy.deepcopy(cells)
    turned.default_genes.reverse()
    first, second = score(cells), score(turned, kit.indication(["BBB2", "AAA1"]))
    for name in TABLES:
        left, right = getattr(first, name), getattr(second, name)
        pd.testing.assert_frame_equal(left, right, rtol=1e-9, atol=1e-12)


@slow
@given(st.integers(0, 10_000))
def test_half_the_counts_move_corrected_coverage_little(kit, score, seed):
    """Where expressing cells still show half a UMI; raw detection falls visibly."""
    cells = marrow(kit, seed, n=600)
    half = copy.deepcopy(cells)
    rng = np.random.default_rng(seed)
    for batch in half.batches:
        batch["counts"] = {g: rng.binomial(x, 0.5) for g, x in batch["counts"].items()}
        batch["sizes"] = batch["sizes"] // 2
    full, thin = score(cells).coverage, score(half).coverage
    use = (full["identifiable"] & thin["identifiable"]).astype(bool)
    assert use.any()
    moved = (full["fraction"] - thin["fraction"])[use].groupby(full["antigen"]).mean()
    assert moved.abs().max() < 0.1
    raw = (full["fraction_observed"] - thin["fraction_observed"])[use].groupby(full["antigen"])
    assert raw.mean().min() > 0.03


@slow
@given(st.integers(0, 10_000), st.sampled_from(["T cell", "hepatocyte", "plasma cell"]))
def test_deleting_cells_that_share_droplets_never_raises_safety(kit, score, seed, label):
    """Free RNA of cells that are gone explains less, never more."""
    cells = marrow(kit, seed)
    gone = {"T cell": kit.T_CELL, "hepatocyte": kit.HEPATOCYTE, "plasma cell": kit.PLASMA}[label]
    knowledge = kit.knowledge()
    known = {"strength": "strong", "must_check": "no", "finding": "seen", **kit.SOURCE}
    knowledge.healthy_literature = pd.DataFrame(
        [{"symbol": s, "tier_label": label, **known} for s in ("AAA1", "BBB2")]
    )
    fewer = copy.deepcopy(cells)
    fewer.batches = [
        b for b in fewer.batches if b["cell_type"] != gone or b["population"] != "healthy"
    ]
    before, after = (
        score(c, None, knowledge).components.set_index("antigen") for c in (cells, fewer)
    )
    assert (after["safety_score"] <= before["safety_score"] + 1e-12).all()
    assert (after["evidence_grade"] >= before["evidence_grade"]).all()


@slow
@given(st.integers(0, 10_000))
def test_free_rna_never_makes_an_antigen_look_worse(kit, score, seed):
    cells = marrow(kit, seed)
    without, usual = (
        score(cells, ambient_fraction=rho).evidence.set_index(["antigen", "cell_type_id"])
        for rho in (0.0, 0.05)
    )
    assert not without["ambient_explainable"].fillna(False).any()
    assert (usual["harm"].fillna(0) <= without["harm"].fillna(0)).all()
    same = ["fraction_expressing_upper", "mean_cpm", "fraction_observed"]
    pd.testing.assert_frame_equal(usual[same], without[same])


def widths(donors, groups=400, seed=3):
    """Mean width of healthy and patients' intervals over simulated groups."""
    rng = np.random.default_rng(seed)
    mean = rng.uniform(0.05, 0.6, groups)
    share = rng.beta(20 * mean, 20 * (1 - mean), (donors, groups))
    n = np.full((donors, groups), 100)
    k = rng.binomial(n, share)
    _, low, high = beta_interval(*healthy_parameters(k, n, np.ones(n.shape, dtype=bool)))
    grids = [grid_posterior(k[:, g], n[:, g]) for g in range(groups // 8)]
    return float(np.mean(high - low)), float(np.mean([g.upper - g.lower for g in grids]))


def test_more_donors_narrow_the_intervals_on_average():
    """From three donors on; below, a fixed precision stands for what cannot be estimated."""
    found = {d: widths(d) for d in (1, 2, 3, 4, 6, 10, 20)}
    for which, ladder in (("healthy", (3, 4, 6, 10, 20)), ("patients", (1, 2, 3, 4, 6, 10, 20))):
        values = [found[d][which == "patients"] for d in ladder]
        assert values == sorted(values, reverse=True), (which, values)
    assert found[1][0] > found[2][0]


@pytest.mark.parametrize("donors", [1, 3, 10])
def test_a_donor_without_cells_changes_no_interval(donors):
    k, n = np.full((donors, 1), 4.0), np.full((donors, 1), 50.0)
    empty = np.zeros((1, 1))
    counted = np.ones((donors, 1), dtype=bool)
    plain = healthy_parameters(k, n, counted)
    more = healthy_parameters(
        np.vstack([k, empty]), np.vstack([n, empty]), np.vstack([counted, empty > 0])
    )
    assert np.ravel(more) == pytest.approx(np.ravel(plain))
