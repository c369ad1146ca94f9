"""Gaps, literature, must-check cells and sheddases."""

import pandas as pd
import pytest


def literature(kit, label, strength):
    knowledge = kit.knowledge()
    row = {"symbol": "AAA1", "tier_label": label, "strength": strength, "must_check": "yes"}
    knowledge.healthy_literature = pd.DataFrame([{**row, "finding": "seen", **kit.SOURCE}])
    return knowledge


def without(cells, cell_type):
    cells.batches = [
        b for b in cells.batches if b["cell_type_id"] != cell_type or b["donor"][0] == "P"
    ]
    return cells


@pytest.mark.parametrize(("strength", "factor"), [("strong", 0.1), ("contested", 0.82)])
def test_a_literature_positive_gap_costs_safety(kit, score, strength, factor):
    knowledge = literature(kit, "hepatocyte", strength)
    whole = score(kit.ordinary(), knowledge=knowledge)
    assert kit.one(whole.components, antigen="AAA1")["safety_score"] > 0.99
    tables = score(without(kit.ordinary(), kit.HEPATOCYTE), knowledge=knowledge)
    row = kit.one(tables.components, antigen="AAA1")
    assert row["safety_score"] == pytest.approx(factor, rel=1e-3)
    assert row["safety_assessed"] > 0.99
    assert row["notes"] == f"not assessed although literature reports it: hepatocyte ({strength})"
    gap = kit.one(tables.evidence, antigen="AAA1", tier_label="hepatocyte")
    assert (gap["verdict"], gap["literature"], gap["literature_source"]) == (
        "not_assessed",
        strength,
        "test [design]",
    )
    hepatic = kit.one(tables.toxicity, antigen="AAA1", toxicity_class="hepatic")
    assert (hepatic["factor"], hepatic["gap_label"]) == (pytest.approx(factor), "hepatocyte")
    other = kit.one(tables.evidence, antigen="BBB2", tier_label="hepatocyte")
    assert pd.isna(other["gap_penalty"]), "nothing is known of it: no penalty, no comfort"
    order = "ABCD"
    grades = [kit.one(t.components, antigen="AAA1")["evidence_grade"] for t in (whole, tables)]
    assert order.index(grades[1]) > order.index(grades[0])


def test_a_tolerated_gap_costs_nothing(kit, score):
    knowledge = literature(kit, "plasma cell", "strong")
    tables = score(without(kit.ordinary(), kit.PLASMA), knowledge=knowledge)
    assert kit.one(tables.toxicity, antigen="AAA1", toxicity_class="B_lineage")["factor"] == 1


@pytest.mark.parametrize(
    ("compartment", "percentile"),
    [("tumour", 0.0), ("tumour_and_microenvironment", 2 / 3)],
)
def test_a_named_sheddase_is_looked_up_where_it_acts(kit, score, compartment, percentile):
    cells = kit.Cells(["AAA1", "ADAM10", "FILL"])
    for patient in range(3):
        cells.add("tumour", f"P{patient}", {"AAA1": [3] * 100, "ADAM10": [0] * 100})
        around = {"ADAM10": [9] * 100, "FILL": [1] * 100}
        cells.add("tumour", f"P{patient}", around, population="microenvironment")
    cells.healthy(4, {"AAA1": [0] * 100}, cell_type=kit.T_CELL)
    knowledge = kit.knowledge()
    row = {"symbol": "AAA1", "enzyme": "ADAM10", "pathway": "ADAM10", "rule": "any"}
    knowledge.sheddases = pd.DataFrame([{**row, "compartment": compartment, **kit.SOURCE}])
    tables = score(cells, kit.indication(["AAA1"]), knowledge)
    item = kit.one(tables.shedding, antigen="AAA1", item="sheddase_expression")
    assert item["points_mid"] == pytest.approx(10 * percentile)
    assert (item["known"], item["status"]) == (True, "computed")
    total = 100 * (29 + 10 * percentile) / 100
    assert kit.one(tables.components, antigen="AAA1")["shedding_score"] == pytest.approx(total)


def test_a_sheddase_that_no_atlas_measures_is_unknown(kit, score):
    knowledge = kit.knowledge()
    row = {"symbol": "AAA1", "enzyme": "ADAM10", "pathway": "ADAM10", "rule": "any"}
    knowledge.sheddases = pd.DataFrame([{**row, "compartment": "tumour", **kit.SOURCE}])
    tables = score(kit.ordinary(), knowledge=knowledge)
    item = kit.one(tables.shedding, antigen="AAA1", item="sheddase_expression")
    assert [item[f"points_{s}"] for s in ("low", "mid", "high")] == [0.0, 2.5, 10.0]
    assert (item["known"], item["source"], item["status"]) == (False, None, "unknown")
    assert len(tables.shedding[tables.shedding["antigen"] == "BBB2"]) == 4


def few_hepatocytes(kit, donors, cells_each):
    """The ordinary world, with as many silent hepatocytes as a test wants."""
    cells = kit.Cells()
    for patient in range(5):
        cells.add("tumour", f"P{patient}", {"AAA1": [3] * 90 + [0] * 10})
    cells.healthy(4, {"AAA1": [0] * 100}, cell_type=kit.T_CELL, tissue=kit.BLOOD)
    if donors:
        silent = {"AAA1": [0] * cells_each}
        cells.healthy(donors, silent, cell_type=kit.HEPATOCYTE, tissue=kit.LIVER)
    return cells


@pytest.mark.parametrize(
    ("donors", "cells_each", "paid"), [(0, 0, 0.9), (1, 300, 0.9), (3, 10, 0.9), (3, 20, 0.0)]
)
def test_too_few_cells_or_donors_never_outweigh_the_literature(
    kit, score, donors, cells_each, paid
):
    """One donor's silent liver must not help more than no liver at all."""
    tables = score(
        few_hepatocytes(kit, donors, cells_each),
        kit.indication(("AAA1",)),
        literature(kit, "hepatocyte", "strong"),
    )
    row = kit.one(tables.components, antigen="AAA1")
    hepatic = kit.one(tables.toxicity, antigen="AAA1", toxicity_class="hepatic")
    assert hepatic["gap_penalty"] == pytest.approx(paid)
    assert hepatic["factor"] <= 1 - paid + 1e-12
    assert row["safety_score"] <= 1 - paid + 1e-12
    assert hepatic["n_groups_not_assessed"] == (0 if donors else 1)
    found = tables.evidence[tables.evidence["cell_type"] == "hepatocyte"]
    assert len(found) == 1
    assert found["gap_penalty"].iloc[0] == pytest.approx(paid)
    if donors and paid:
        assert "too few cells or donors to outweigh the literature: hepatocyte" in row["notes"]


@pytest.mark.parametrize(
    ("strength", "verdict"), [("strong", "possible"), ("contested", "clear"), (None, "clear")]
)
def test_clear_never_contradicts_a_strong_report(kit, score, strength, verdict):
    """Low RNA is missed in shallow data, as CD33 is in monocytes."""
    knowledge = literature(kit, "hepatocyte", strength) if strength else kit.knowledge()
    tables = score(few_hepatocytes(kit, 4, 100), kit.indication(("AAA1",)), knowledge)
    liver = kit.one(tables.evidence, antigen="AAA1", cell_type="hepatocyte")
    assert liver["verdict"] == verdict
    assert kit.one(tables.toxicity, antigen="AAA1", toxicity_class="hepatic")["verdict"] == verdict
    blood = kit.one(tables.evidence, antigen="AAA1", cell_type="T cell")
    assert blood["verdict"] == "clear"


def test_the_dearest_gap_is_the_worst_cell_type(kit, score):
    """A score lowered by what nobody measured must not point at what was measured."""
    tables = score(
        few_hepatocytes(kit, 0, 0),
        kit.indication(("AAA1",)),
        literature(kit, "hepatocyte", "strong"),
    )
    row = kit.one(tables.ranking, antigen="AAA1")
    assert (row["worst_cell_type"], row["worst_verdict"], row["worst_tier"]) == (
        "hepatocyte",
        "not_assessed",
        1,
    )


def test_too_few_cells_are_named_where_they_were_measured(kit, score):
    tables = score(
        few_hepatocytes(kit, 1, 300),
        kit.indication(("AAA1",)),
        literature(kit, "hepatocyte", "strong"),
    )
    row = kit.one(tables.ranking, antigen="AAA1")
    group = kit.one(tables.evidence, antigen="AAA1", cell_type="hepatocyte")
    assert (row["worst_cell_type"], row["worst_tissue"]) == ("hepatocyte", "liver")
    assert row["worst_verdict"] == group["verdict"] == "no_signal_insufficient"


def test_equal_harm_names_the_worse_verdict(kit, score):
    """Saturated harm ties; a concern must not hide behind a lesser verdict."""
    cells = kit.Cells()
    for patient in range(5):
        cells.add("tumour", f"P{patient}", {"AAA1": [3] * 90 + [0] * 10})
    few, many = [60] + [0] * 59, [9] * 50
    cells.healthy(2, {"AAA1": few}, cell_type=kit.HEPATOCYTE, tissue=kit.BLOOD)
    cells.healthy(4, {"AAA1": many}, cell_type=kit.HEPATOCYTE, tissue=kit.LIVER)
    cells.healthy(4, {"AAA1": [0] * 50}, cell_type=kit.T_CELL, tissue=kit.BLOOD)
    tables = score(cells, kit.indication(("AAA1",)))
    liver = tables.evidence[tables.evidence["cell_type"] == "hepatocyte"]
    assert liver["harm"].nunique() == 1
    assert set(liver["verdict"]) == {"no_signal_insufficient", "concern"}
    row = kit.one(tables.ranking, antigen="AAA1")
    assert (row["worst_tissue"], row["worst_verdict"]) == ("liver", "concern")


def test_lower_bounds_are_counted(kit, score):
    """Rare single counts cannot be corrected for dropout: the fraction is a lower bound."""
    row = kit.one(score(kit.ordinary()).ranking, antigen="AAA1")
    assert row["n_identifiable"] == row["n_patients"] == 5
    weak = kit.one(score(kit.ordinary()).ranking, antigen="BBB2")
    assert (weak["n_identifiable"], weak["n_patients"]) == (0, 5)


def test_without_a_counterpart_nothing_is_compared_with_it(kit, score):
    named = score(kit.ordinary())
    assert kit.one(named.components, antigen="AAA1")["log_fold_change_counterpart"] is not None
    none = score(kit.ordinary(), kit.indication(normal_counterpart=None))
    assert pd.isna(kit.one(none.components, antigen="AAA1")["log_fold_change_counterpart"])


def test_detection_in_nuclei_is_not_compared_with_cells(kit, score):
    """C9: healthy nuclei alone leave specificity unknown, and say why."""
    cells = kit.Cells()
    for patient in range(5):
        cells.add("tumour", f"P{patient}", {"AAA1": [3] * 90 + [0] * 10}, suspension="cell")
    silent = {"AAA1": [0] * 100}
    cells.healthy(4, silent, cell_type=kit.HEPATOCYTE, tissue=kit.LIVER, suspension="nucleus")
    row = kit.one(score(cells, kit.indication(("AAA1",))).ranking, antigen="AAA1")
    assert row["status"] == "incomplete"
    assert "not compared with detection in nuclei" in row["reason"]
