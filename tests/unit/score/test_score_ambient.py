"""Free RNA: what it explains, and what it must not explain away (C1)."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

from targetscore.score.ambient import ambient_cells, ambient_explains


def test_expected_cells_are_those_of_a_loop():
    sizes, weights, cpm, rho = [1000, 3000, 8000], [5, 2, 1], [0.0, 40.0, 2500.0], 0.05
    expected = [
        sum(w * (1 - math.exp(-rho * c / 1e6 * s)) for s, w in zip(sizes, weights, strict=True))
        for c in cpm
    ]
    rate = [rho * c / 1e6 for c in cpm]
    assert ambient_cells(sizes, weights, rate) == pytest.approx(expected)


def test_the_bound_is_the_point_no_more_than_one_in_forty_exceeds():
    cells, share = 400, 0.01
    bound = next(k for k in range(cells) if binom.cdf(k, cells, share) >= 0.975)
    detected = np.array([0, bound, bound + 1])
    found = ambient_explains(detected, np.full(3, cells), np.full(3, share * cells))
    assert found.tolist() == [False, True, False]


def test_nothing_is_explained_without_cells_or_free_rna():
    assert not ambient_explains([0, 1], [0, 10], [0.0, 0.0]).any()


def marrow(kit, seen, loud=5, **more):
    """Healthy marrow with loud plasma cells and T cells of which ``seen`` show one count."""
    cells = kit.Cells()
    for patient in range(5):
        cells.add("tumour", f"P{patient}", {"AAA1": [3] * 90 + [0] * 10})
    for donor in range(4):
        who = {"population": "healthy", "sample": f"H{donor}", **more}
        cells.add("normal", f"H{donor}", {"AAA1": [loud] * 200}, cell_type=kit.PLASMA, **who)
        shown = {"AAA1": [1] * seen + [0] * (200 - seen)}
        cells.add("normal", f"H{donor}", shown, cell_type=kit.T_CELL, **who)
    return cells


def t_cells(kit, tables):
    return kit.one(tables.evidence, antigen="AAA1", cell_type_id=kit.T_CELL)


def test_what_free_rna_may_show_is_flagged_and_keeps_its_upper_bound(kit, score):
    """Half the sample at 1,250 CPM: 0.05 x 625 CPM x 4,000 UMI shows 12 % of cells."""
    asked = kit.indication(["AAA1"])
    plain = t_cells(kit, score(marrow(kit, 20), asked, ambient_fraction=0))
    tables = score(marrow(kit, 20), asked)
    row = t_cells(kit, tables)
    assert (plain["ambient_explainable"], row["ambient_explainable"]) == (False, True)
    assert plain["fraction_expressing"] > 0.04
    assert (row["fraction_expressing"], row["fraction_expressing_lower"]) == (0, 0)
    assert row["fraction_expressing_upper"] == plain["fraction_expressing_upper"]
    assert row["fraction_observed"] == plain["fraction_observed"] == 0.1
    assert row["mean_cpm"] == plain["mean_cpm"], "the CPM, and the harm by it, stay"
    assert row["harm"] == pytest.approx(0.7 * min(1, row["mean_cpm"] / 50))
    assert (plain["verdict"], row["verdict"]) == ("possible", "possible")
    plasma = kit.one(tables.evidence, antigen="AAA1", cell_type_id=kit.PLASMA)
    assert not plasma["ambient_explainable"]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"seen": 60}, "more than free RNA can show"),
        ({"seen": 0}, "nothing to explain"),
        ({"loud": 0}, "no other cell of the sample has it"),
        ({"assay": "Smart-seq2"}, "plates share no soup"),
        ({"assay": "a new method"}, "an unknown assay gets no benefit of the doubt"),
    ],
)
def test_what_free_rna_does_not_explain(kit, score, change, why):
    cells = marrow(kit, **({"seen": 20} | change))
    assert not t_cells(kit, score(cells, kit.indication(["AAA1"])))["ambient_explainable"], why


@pytest.mark.parametrize(("strength", "explained"), [("strong", False), ("contested", True)])
def test_a_strong_report_is_never_explained_away(kit, score, strength, explained):
    knowledge = kit.knowledge()
    row = {"symbol": "AAA1", "tier_label": "T cell", "strength": strength, "must_check": "yes"}
    knowledge.healthy_literature = pd.DataFrame([{**row, "finding": "seen", **kit.SOURCE}])
    found = t_cells(kit, score(marrow(kit, 20), kit.indication(["AAA1"]), knowledge))
    assert found["ambient_explainable"] == explained


def test_another_sample_explains_nothing(kit, score):
    cells = marrow(kit, 20)
    for batch in cells.batches:
        if batch["population"] == "healthy":
            batch["sample"] += batch["cell_type"]
    assert not t_cells(kit, score(cells, kit.indication(["AAA1"])))["ambient_explainable"]


def test_one_donor_above_the_bound_is_enough(kit, score):
    cells = marrow(kit, 10)
    own = [b for b in cells.batches if b["cell_type"] == kit.T_CELL]
    own[0]["counts"]["AAA1"] = np.array([1] * 50 + [0] * 150)
    assert not t_cells(kit, score(cells, kit.indication(["AAA1"])))["ambient_explainable"]


def test_groups_nobody_measured_say_nothing(kit, score):
    evidence = score(kit.ordinary()).evidence
    gaps = evidence[evidence["suspension"] == "none"]
    assert gaps["ambient_explainable"].isna().all()


def in_soup(kit, cells, rates):
    for donor in range(4):
        cells.empty_droplets("normal", f"H{donor}", rates)
    return cells


def test_empty_droplets_are_believed_above_the_default(kit, score):
    """The default explains 12 % of cells here; empty droplets may hold less of it, or more."""
    asked = kit.indication(["AAA1"])
    plain = t_cells(kit, score(marrow(kit, 20), asked))
    assert plain["ambient_explainable"]
    nothing = t_cells(kit, score(in_soup(kit, marrow(kit, 20), {"BBB2": 1e-4}), asked))
    assert not nothing["ambient_explainable"], "the gene is not in the free RNA of this sample"
    assert nothing["fraction_expressing"] > 0.04
    loud = marrow(kit, 60)
    assert not t_cells(kit, score(loud, asked))["ambient_explainable"]
    # 1e-4 x 4,000 UMI: an expected 1 - exp(-0.4) = 33 % of cells, 30 % are seen
    assert t_cells(kit, score(in_soup(kit, loud, {"AAA1": 1e-4}), asked))["ambient_explainable"]


def test_without_a_share_nothing_is_explained_even_if_measured(kit, score):
    cells = in_soup(kit, marrow(kit, 20), {"AAA1": 1e-3})
    found = t_cells(kit, score(cells, kit.indication(["AAA1"]), ambient_fraction=0))
    assert not found["ambient_explainable"]


def test_free_rna_of_another_sample_does_not_count(kit, score):
    cells = marrow(kit, 60).empty_droplets("normal", "H9", {"AAA1": 1e-3})
    assert not t_cells(kit, score(cells, kit.indication(["AAA1"])))["ambient_explainable"]


def test_the_scenario_without_empty_droplets_is_the_score_without_them(kit, score):
    asked = kit.indication(["AAA1"])
    knowledge = kit.knowledge()
    knowledge.tiers = knowledge.tiers.assign(saturation_cpm=5000.0)  # harm by the fraction
    cells = in_soup(kit, marrow(kit, 20), {"BBB2": 1e-4})
    measured = score(cells, asked, knowledge, bootstrap=2)
    plain = score(marrow(kit, 20), asked, knowledge, bootstrap=2)
    rows = measured.robustness.set_index("kind")["composite_score"]
    wanted = float(plain.components["composite_score"].iloc[0])
    assert rows["free_rna_default"] == pytest.approx(wanted, rel=1e-12)
    assert rows["as_configured"] != pytest.approx(wanted, rel=1e-3)
    assert "free_rna_default" not in set(plain.robustness["kind"])
