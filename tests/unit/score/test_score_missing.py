"""Missing evidence is a status and a reason, never a good score (C9)."""

import math

import pandas as pd
import pytest


def status_of(kit, tables, antigen):
    row = kit.one(tables.components, antigen=antigen)
    assert pd.isna(row["composite_score"])
    ranked = kit.one(tables.ranking, antigen=antigen)
    assert pd.isna(ranked["rank"])
    assert ranked["status"] == row["status"]
    return row["status"], row["reason"]


def test_gene_measured_nowhere(kit, score):
    tables = score(kit.ordinary(), kit.indication(["AAA1", "CCC3"]))
    status, reason = status_of(kit, tables, "CCC3")
    assert status == "not_measured"
    assert "no atlas" in reason
    row = kit.one(tables.components, antigen="CCC3")
    for column in ("specificity_score", "coverage_score", "safety_score", "evidence_grade"):
        assert pd.isna(row[column]), column
    evidence = tables.evidence[tables.evidence["antigen"] == "CCC3"]
    groups = evidence[evidence["suspension"] != "none"]
    assert set(groups["verdict"]) == {"not_measured"}
    assert groups["n_detected"].isna().all()
    assert groups["fraction_expressing"].isna().all()
    assert tables.coverage.query("antigen == 'CCC3'")["fraction"].isna().all()


@pytest.mark.parametrize(("without", "said"), [("tumour", "diseased"), ("normal", "healthy")])
def test_gene_measured_on_one_side_only(kit, score, without, said):
    cells = kit.ordinary().measure(without, ["AAA1", "FILL"])
    tables = score(cells)
    status, reason = status_of(kit, tables, "BBB2")
    assert (status, reason) == ("incomplete", f"not measured in the {said} atlases")
    assert pd.isna(kit.one(tables.components, antigen="BBB2")["specificity_score"])
    assert f"not measured in {without}" in kit.one(tables.components, antigen="BBB2")["notes"]


def test_gene_missing_from_one_of_two_healthy_atlases(kit, score):
    cells = kit.ordinary()
    cells.healthy(9, {"AAA1": [5] * 100}, atlas="extra", cell_type=kit.T_CELL, tissue=kit.BLOOD)
    cells.measure("extra", ["AAA1", "FILL"])
    both = kit.indication(healthy={"atlases": ["normal", "extra"]})
    tables = score(cells, both)
    bbb = kit.one(tables.evidence, antigen="BBB2", cell_type_id=kit.T_CELL)
    assert (bbb["n_donors"], bbb["n_cells"], bbb["atlases"]) == (4, 400, "normal")
    aaa = kit.one(tables.evidence, antigen="AAA1", cell_type_id=kit.T_CELL)
    assert (aaa["n_donors"], aaa["n_cells"], aaa["atlases"]) == (13, 1300, "extra; normal")
    row = kit.one(tables.components, antigen="BBB2")
    assert row["status"] == "ranked"
    assert row["notes"] == "not measured in extra"
    grades = [
        kit.one(score(cells, i).components, antigen="BBB2")["evidence_grade"] for i in (None, both)
    ]
    assert grades == ["B", "C"]


def test_selected_antigen_has_no_coverage(kit, score):
    diseased = {"atlases": ["tumour"], "selection": [{"antigen": "ALPHA", "reason": "A+ sorted"}]}
    tables = score(kit.ordinary(), kit.indication(diseased=diseased))
    status, reason = status_of(kit, tables, "AAA1")
    assert (status, reason) == ("incomplete", "selection_bias: A+ sorted")
    assert pd.isna(kit.one(tables.components, antigen="AAA1")["coverage_score"])
    assert kit.one(tables.components, antigen="BBB2")["status"] == "ranked"


def test_target_that_rna_cannot_show(kit, score):
    knowledge = kit.knowledge()
    rows = knowledge.antigens["symbol"] == "AAA1"
    knowledge.antigens.loc[rows, ["rna_scorable", "not_scorable_reason"]] = ["no", "an isoform"]
    tables = score(kit.ordinary(), knowledge=knowledge)
    assert status_of(kit, tables, "AAA1") == ("not_scorable", "an isoform")


def test_protein_that_is_not_on_the_surface(kit, score):
    knowledge = kit.knowledge()
    rows = knowledge.surface["symbol"] == "AAA1"
    knowledge.surface.loc[rows, ["topology", "tm_helices"]] = ["not_membrane", math.nan]
    status, reason = status_of(kit, score(kit.ordinary(), knowledge=knowledge), "AAA1")
    assert status == "not_surface"
    assert "0.00 is below 0.5" in reason


def test_unknown_surface_is_not_a_surface_score_of_zero(kit, score):
    knowledge = kit.knowledge()
    knowledge.surface = knowledge.surface[knowledge.surface["symbol"] != "AAA1"]
    tables = score(kit.ordinary(), knowledge=knowledge)
    assert status_of(kit, tables, "AAA1") == ("incomplete", "surface evidence unknown")
    assert pd.isna(kit.one(tables.components, antigen="AAA1")["surface_confidence"])


def test_nothing_known_of_shedding_is_scored_and_flagged(kit, score):
    knowledge = kit.knowledge()
    knowledge.shedding = knowledge.shedding.iloc[:0]
    tables = score(kit.ordinary(), knowledge=knowledge)
    row = kit.one(tables.components, antigen="AAA1")
    assert (row["status"], row["shedding_grade"]) == ("ranked", "insufficient_evidence")
    assert (row["shedding_low"], row["shedding_score"], row["shedding_high"]) == (0, 25, 100)
    items = tables.shedding[tables.shedding["antigen"] == "AAA1"]
    assert not items["known"].any()
    assert items["source"].isna().all()
    assert set(items["status"]) == {"unknown"}


def test_no_patient_with_enough_cells(kit, score):
    tables = score(kit.ordinary(), min_cells_patient=101)
    status, reason = status_of(kit, tables, "AAA1")
    wrong = "no patient with at least 101 diseased cells that hold any UMI"
    assert (status, reason) == ("incomplete", wrong)
    assert kit.one(tables.components, antigen="AAA1")["n_patients"] == 0
    assert len(tables.coverage) == 10, "patients are listed although they do not count"
    assert not tables.coverage["counted"].any()


def test_too_few_healthy_donors(kit, score):
    cells = kit.Cells()
    for patient in range(5):
        cells.add("tumour", f"P{patient}", {"AAA1": [3] * 100})
    cells.healthy(1, {"AAA1": [0] * 5000}, cell_type=kit.HEPATOCYTE, tissue=kit.LIVER)
    tables = score(cells, kit.indication(["AAA1"]))
    status, reason = status_of(kit, tables, "AAA1")
    assert status == "incomplete"
    assert reason == "specificity: no healthy tier 1–2 group with at least 3 donors"
    liver = kit.one(tables.evidence, cell_type_id=kit.HEPATOCYTE)
    assert liver["verdict"] == "no_signal_insufficient"
    assert liver["fraction_expressing_upper"] > 0.02
    assert kit.one(tables.components, antigen="AAA1")["evidence_grade"] == "D"


def test_no_healthy_cells_at_all(kit, score):
    cells = kit.Cells().measure("normal", ["AAA1", "BBB2", "FILL"])
    cells.add("tumour", "P0", {"AAA1": [3] * 100})
    tables = score(cells, kit.indication(["AAA1"]))
    status, reason = status_of(kit, tables, "AAA1")
    assert status == "incomplete"
    assert "safety: no healthy group that counts was assessed" in reason
    row = kit.one(tables.components, antigen="AAA1")
    assert pd.isna(row["safety_score"])
    assert row["n_gaps"] == 4
    assert set(tables.evidence["suspension"]) == {"none"}
    assert set(tables.toxicity["verdict"]) == {"not_assessed"}


def test_only_tolerated_cells_give_no_safety(kit, score):
    cells = kit.Cells().add("tumour", "P0", {"AAA1": [3] * 100})
    cells.healthy(4, {"AAA1": [0] * 100}, cell_type=kit.PLASMA)
    row = kit.one(score(cells, kit.indication(["AAA1"])).components, antigen="AAA1")
    assert pd.isna(row["safety_score"])
    assert "fewer than 3 patients" in row["notes"]
    assert "more than half" not in row["notes"], "an only patient dominates nobody"


def test_antigen_without_expression_is_ranked_at_the_floor(kit, score):
    cells = kit.ordinary()
    cells.batches = [b for b in cells.batches if b["population"] == "healthy"]
    for patient in range(5):
        cells.add("tumour", f"P{patient}", {"AAA1": [0] * 100, "BBB2": [1] * 100})
    row = kit.one(score(cells).components, antigen="AAA1")
    assert row["status"] == "ranked"
    assert row["notes"] == "not expressed"
    assert row["fraction_p10"] == 0


def test_all_zero_everywhere_has_no_tau(kit, score):
    cells = kit.Cells().healthy(4, {"AAA1": [0] * 100}, cell_type=kit.T_CELL)
    for patient in range(5):
        cells.add("tumour", f"P{patient}", {"AAA1": [0] * 100})
    row = kit.one(score(cells, kit.indication(["AAA1"])).components, antigen="AAA1")
    assert pd.isna(row["tau"])
    assert (row["specificity_s4"], row["status"]) == (0.0, "ranked")
    assert row["notes"] == "not expressed"


def test_few_patients_and_a_dominant_one_are_noted(kit, score):
    cells = kit.ordinary()
    cells.batches = [b for b in cells.batches if b["population"] == "healthy"]
    cells.add("tumour", "big", {"AAA1": [3] * 500}).add("tumour", "small", {"AAA1": [0] * 100})
    row = kit.one(score(cells).components, antigen="AAA1")
    assert "fewer than 3 patients" in row["notes"]
    assert "patient big holds more than half of the diseased cells" in row["notes"]
    assert row["evidence_grade"] == "D"
    assert row["share_patients_above_half"] == 0.5, "patients weigh alike, whatever their cells"


def test_cells_without_one_umi_assess_nothing(kit, score):
    cells = kit.ordinary()
    cells.batches = [b for b in cells.batches if b["tissue_id"] != kit.LIVER]
    without = kit.one(score(cells).components, antigen="AAA1")
    empty = {"AAA1": [0] * 200, "BBB2": [0] * 200}
    cells.healthy(4, empty, cell_type=kit.HEPATOCYTE, tissue=kit.LIVER, sizes=[0] * 200)
    tables = score(cells)
    group = kit.one(
        tables.evidence.query("suspension != 'none'"), antigen="AAA1", cell_type_id=kit.HEPATOCYTE
    )
    assert group["verdict"] == "not_assessed"
    assert pd.isna(group["harm"])
    hepatic = kit.one(tables.toxicity, antigen="AAA1", toxicity_class="hepatic")
    assert (hepatic["verdict"], hepatic["n_groups_assessed"]) == ("not_assessed", 0)
    row = kit.one(tables.components, antigen="AAA1")
    assert row["safety_score"] == without["safety_score"]


def test_a_patient_whose_cells_hold_no_umi_does_not_count(kit, score):
    cells = kit.ordinary()
    cells.add("tumour", "empty", {"AAA1": [0] * 100, "BBB2": [0] * 100}, sizes=[0] * 100)
    tables, without = score(cells), score(kit.ordinary())
    row = kit.one(tables.components, antigen="AAA1")
    assert row["n_patients"] == 5
    assert row["composite_score"] == kit.one(without.components, antigen="AAA1")["composite_score"]
    assert not kit.one(tables.coverage, antigen="AAA1", donor="empty")["counted"]
