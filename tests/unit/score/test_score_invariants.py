"""What must not change a score, or must change it in one direction only."""

import copy
import random

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

slow = settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
TABLES = ("evidence", "toxicity", "coverage", "shedding", "components", "ranking")
DONOR_LEVEL = ("specificity_score", "coverage_score", "safety_score", "composite_score")


def random_cells(kit, seed, cells_per_donor=120):
    """Patients and healthy donors with gamma-Poisson counts; 4,000 UMI per cell."""
    rng = np.random.default_rng(seed)
    cells = kit.Cells()

    def draw(mean, share):
        on = rng.random(cells_per_donor) < share
        return rng.poisson(rng.gamma(2.0, mean / 2.0, cells_per_donor)) * on

    for patient in range(5):
        counts = {"AAA1": draw(3, rng.uniform(0.6, 1)), "BBB2": draw(1, rng.uniform(0, 0.3))}
        cells.add("tumour", f"P{patient}", counts)
    for cell_type, tissue in ((kit.T_CELL, kit.BLOOD), (kit.HEPATOCYTE, kit.LIVER)):
        level = {g: rng.choice([0, 0.01, 0.1, 0.5]) for g in ("AAA1", "BBB2")}
        for donor in range(4):
            cells.add(
                "normal",
                f"H{donor}",
                {g: draw(1, share) for g, share in level.items()},
                population="healthy",
                cell_type=cell_type,
                tissue=tissue,
            )
    return cells


def assert_same(first, second):
    for name in TABLES:
        left, right = getattr(first, name), getattr(second, name)
        pd.testing.assert_frame_equal(left, right, rtol=1e-9, atol=1e-12)


@slow
@given(st.integers(0, 10_000))
def test_order_of_cells_donors_and_groups_does_not_matter(kit, score, seed):
    cells = random_cells(kit, seed)
    shuffled = copy.deepcopy(cells)
    rng = random.Random(seed + 1)
    rng.shuffle(shuffled.batches)
    for batch in shuffled.batches:
        order = list(range(len(batch["sizes"])))
        rng.shuffle(order)
        batch["counts"] = {g: x[order] for g, x in batch["counts"].items()}
    assert_same(score(cells), score(shuffled))


def test_the_same_input_gives_the_same_tables(kit, score):
    for name in TABLES:
        first, second = (getattr(score(kit.ordinary()), name) for _ in range(2))
        pd.testing.assert_frame_equal(first, second, check_exact=True)


@slow
@given(st.integers(0, 10_000))
def test_samples_of_one_donor_are_one_donor(kit, score, seed):
    cells = random_cells(kit, seed)
    split = copy.deepcopy(cells)
    for batch in list(split.batches):
        half = copy.deepcopy(batch)
        half["sample"] = "second"
        batch["sizes"], half["sizes"] = batch["sizes"][:70], batch["sizes"][70:]
        for gene, x in list(batch["counts"].items()):
            batch["counts"][gene], half["counts"][gene] = x[:70], x[70:]
        split.batches.append(half)
    assert_same(score(cells), score(split))


@slow
@given(st.integers(0, 10_000), st.integers(0, 12))
def test_ten_times_the_cells_of_one_donor_moves_no_score(kit, score, seed, which):
    """Holds for counts that follow the model of the dropout correction (gamma-Poisson).

    Where counts are much less dispersed the correction can put a single patient at exactly 1,
    and the grid posterior then feels that patient's number of cells a little more.
    """
    cells = random_cells(kit, seed)
    more = copy.deepcopy(cells)
    batch = more.batches[which]
    batch["sizes"] = batch["sizes"].repeat(10)
    batch["counts"] = {g: x.repeat(10) for g, x in batch["counts"].items()}
    before, after = (score(c).components.set_index("antigen") for c in (cells, more))
    for column in DONOR_LEVEL:
        assert (before[column] - after[column]).abs().max() <= 0.02, column


@slow
@given(st.integers(0, 10_000), st.booleans())
def test_deleting_a_literature_positive_group_never_raises_safety(kit, score, seed, liver):
    cells = random_cells(kit, seed)
    label, cell_type = ("hepatocyte", kit.HEPATOCYTE) if liver else ("T cell", kit.T_CELL)
    knowledge = kit.knowledge()
    known = {"strength": "strong", "must_check": "no", "finding": "seen", **kit.SOURCE}
    knowledge.healthy_literature = pd.DataFrame(
        [{"symbol": s, "tier_label": label, **known} for s in ("AAA1", "BBB2")]
    )
    fewer = copy.deepcopy(cells)
    fewer.batches = [b for b in fewer.batches if b["cell_type_id"] != cell_type]
    before, after = (
        score(c, None, knowledge).components.set_index("antigen") for c in (cells, fewer)
    )
    assert (after["safety_score"] <= before["safety_score"] + 1e-12).all()
    assert (after["n_gaps"] == before["n_gaps"] + 1).all()


@slow
@given(st.integers(0, 10_000), st.sampled_from([1, 2, 5]))
def test_more_counts_in_healthy_cells_mean_more_harm(kit, score, seed, extra):
    cells = random_cells(kit, seed)
    more = copy.deepcopy(cells)
    for batch in more.batches:
        if batch["population"] == "healthy":
            batch["counts"] = {g: x + extra for g, x in batch["counts"].items()}
    keys = ["gene_id", "tissue_id", "cell_type_id"]
    before, after = (score(c).evidence.set_index(keys)["harm"].dropna() for c in (cells, more))
    assert (after >= before - 1e-12).all()
    assert (after > before).any() or (before >= 0.7).all()


@pytest.mark.parametrize("seed", range(3))
def test_scores_stay_in_their_range_and_their_interval(kit, score, seed):
    for row in score(random_cells(kit, seed)).components.to_dict("records"):
        for part in DONOR_LEVEL:
            assert 0 <= row[part] <= 1
        assert row["safety_lower"] <= row["safety_score"] <= row["safety_upper"]
        bounds = (row["fraction_expressing_lower"], row["fraction_expressing_upper"])
        assert bounds[0] <= row["fraction_expressing"] <= bounds[1]
