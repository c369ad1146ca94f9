"""score_indication on a tiny world: numbers by hand, missing evidence, who counts."""

import math

import numpy as np
import pandas as pd
import pytest

from targetscore import contracts, io
from targetscore.errors import ConfigError, GeneError
from targetscore.genes import GeneTable

FILES = {
    "evidence": contracts.EVIDENCE,
    "toxicity": contracts.TOXICITY,
    "coverage": contracts.COVERAGE,
    "shedding": contracts.SHEDDING,
    "components": contracts.COMPONENTS,
    "ranking": contracts.RANKING,
}


def one(table, **where):
    for column, value in where.items():
        table = table[table[column] == value]
    assert len(table) == 1, table
    return table.iloc[0]


def test_tables_satisfy_their_contracts_and_survive_a_file(kit, score, tmp_path):
    tables = score(kit.ordinary())
    for name, contract in FILES.items():
        path = tmp_path / f"{name}.parquet"
        io.write_table(getattr(tables, name), path, contract, {})
        back = io.read_table(path, contract)
        assert len(back) == len(getattr(tables, name)) > 0
        assert list(back.columns) == contract.names


def test_figures_of_a_world_worked_out_by_hand(kit, score):
    tables = score(kit.ordinary())
    t_cell = one(tables.evidence, antigen="BBB2", cell_type_id=kit.T_CELL)
    assert (t_cell["n_donors"], t_cell["n_cells"], t_cell["n_detected"]) == (4, 400, 200)
    assert t_cell["fraction_observed"] == 0.5
    assert t_cell["mean_cpm"] == pytest.approx(250)  # 100 counts in 100 × 4,000 UMI
    assert t_cell["q75_log2_cpm"] == pytest.approx(math.log2(260))
    # 50 cells with 2 counts of 4,000 UMI: 75 % seen at 2,000; donors agree, so M = 999
    effective = 4 * 100 / (1 + 99 / 1000)
    mean = (0.1 + effective * 0.375) / (2 + effective)
    assert t_cell["fraction_expressing"] == pytest.approx(mean, abs=1e-3)
    assert (t_cell["harm"], t_cell["verdict"]) == (0.7, "concern")

    aaa = one(tables.components, antigen="AAA1")
    assert aaa["tumour_median_cpm"] == pytest.approx(675)
    assert aaa["log_fold_change"] == pytest.approx(math.log2(685) - math.log2(10))
    assert aaa["log_fold_change_counterpart"] == pytest.approx(math.log2(685 / 760))
    assert (aaa["auc_min"], aaa["specificity_s1"]) == (1.0, 1.0)
    levels = [math.log2((cpm + 10) / 10) for cpm in (675, 0, 0, 750)]
    assert aaa["tau"] == pytest.approx(sum(1 - v / max(levels) for v in levels) / 3)
    assert aaa["tau_argmax"] == "plasma cell"
    assert aaa["specificity_s4"] == aaa["tau"], "the tolerated lineage is intended"
    vital = tables.evidence[(tables.evidence["antigen"] == "AAA1") & ~tables.evidence["tolerated"]]
    gap = aaa["fraction_expressing_lower"] - vital["fraction_expressing_upper"].max()
    assert aaa["detection_gap"] == pytest.approx(gap)
    parts = [aaa[f"specificity_s{i}"] for i in (1, 2, 3, 4)]
    assert aaa["specificity_score"] == pytest.approx(np.dot(parts, [0.35, 0.25, 0.25, 0.15]))

    bbb = one(tables.components, antigen="BBB2")
    assert bbb["tau_argmax"] == "T cell"
    assert bbb["specificity_s4"] == 0
    assert bbb["fraction_p10"] == pytest.approx(0.1)
    assert bbb["share_patients_above_half"] == 0
    expected = 0.5 * bbb["fraction_expressing"] + 0.2 * 0.1
    assert bbb["coverage_score"] == pytest.approx(expected)


def test_safety_is_the_product_of_the_classes_and_the_composite_of_the_parts(kit, score):
    tables = score(kit.ordinary())
    for row in tables.components.to_dict("records"):
        own = tables.toxicity[tables.toxicity["antigen"] == row["antigen"]]
        assert row["safety_score"] == pytest.approx(math.prod(own["factor"]))
        product = (
            row["specificity_score"] ** 0.35
            * row["coverage_score"] ** 0.25
            * row["safety_score"] ** 0.25
            * row["surface_confidence"] ** 0.10
            * (1 - row["shedding_score"] / 200) ** 0.05
        )
        assert row["composite_score"] == pytest.approx(product)
        assert row["safety_lower"] <= row["safety_score"] <= row["safety_upper"]
    ranking = tables.ranking
    assert ranking["antigen"].tolist() == ["AAA1", "BBB2"]
    assert ranking["rank"].tolist() == [1, 2]


def test_rank_follows_the_score_and_not_the_order_of_the_panel(kit, score):
    cells = kit.Cells()
    for patient in range(5):
        counts = {"AAA1": [1] * 30 + [0] * 70, "BBB2": [4] * 95 + [0] * 5}
        cells.add("tumour", f"P{patient}", counts)
    cells.healthy(4, {"AAA1": [1] * 60 + [0] * 40, "BBB2": [0] * 100}, cell_type=kit.T_CELL)
    knowledge = kit.knowledge()
    knowledge.antigens.loc[knowledge.antigens["symbol"] == "CCC3", "rna_scorable"] = "no"
    indication = kit.indication(["CCC3", "AAA1", "BBB2"])
    ranking = score(cells, indication, knowledge).ranking
    assert ranking["antigen"].tolist() == ["BBB2", "AAA1", "CCC3"]
    assert ranking["rank"].tolist()[:2] == [1, 2]
    assert ranking["rank"].isna().tolist() == [False, False, True]


def test_simulated_cells_are_named_as_such(kit, score):
    cells = kit.ordinary()
    assert set(score(cells).ranking["data"]) == {"measured"}
    cells.add("invented", "P0", {"AAA1": [1] * 30})
    indication = kit.indication(diseased={"atlases": ["tumour", "invented"]})
    assert set(score(cells, indication).ranking["data"]) == {"SIMULATED"}


def test_the_interval_of_safety_is_that_of_the_fractions(kit, score):
    cells = kit.ordinary().healthy(3, {"AAA1": [1] + [0] * 99}, cell_type="CL:0000084")
    tables = score(cells)
    limits = {1: (0.1, 20, 0.9), 2: (0.25, 50, 0.7)}
    own = tables.evidence.query("antigen == 'AAA1' and not tolerated and n_cells > 0")
    for side, bound in (("upper", "safety_lower"), ("lower", "safety_upper")):
        harms = {}
        for row in own.to_dict("records"):
            fraction, cpm, weight = limits[row["tier"]]
            share = row[f"fraction_expressing_{side}"] / fraction
            harm = weight * min(1, max(share, row["mean_cpm"] / cpm))
            name = row["toxicity_class"]
            harms[name] = max(harm, harms.get(name, 0))
        expected = math.prod(1 - h for h in harms.values())
        assert one(tables.components, antigen="AAA1")[bound] == pytest.approx(expected)


def test_the_corrected_fraction_is_used_where_it_can_be_trusted(kit, score):
    cells = kit.Cells().healthy(3, {"AAA1": [0] * 100}, cell_type=kit.T_CELL)
    deep = [0] * 60 + [1] * 16 + [2] * 12 + [3] * 6 + [5] * 4 + [8] * 2
    for patient in range(3):
        cells.add("tumour", f"P{patient}", {"AAA1": deep, "BBB2": [1] * 5 + [0] * 95})
    tables = score(cells)
    # the worked case half_on; library sizes are known to a bin of 4.4 %
    first = one(tables.coverage, antigen="AAA1", donor="P0")
    assert (first["fraction_observed"], first["identifiable"]) == (0.4, True)
    assert first["fraction"] == first["fraction_corrected"]
    assert first["fraction"] == pytest.approx(0.572859, abs=0.01)
    poor = one(tables.coverage, antigen="BBB2", donor="P0")
    assert (poor["fraction"], poor["identifiable"]) == (0.05, False)
    assert pd.isna(poor["fraction_corrected"])
    row = one(tables.components, antigen="AAA1")
    assert row["share_patients_above_half"] == 1
    assert row["fraction_p10"] == pytest.approx(first["fraction"])


def ranked_against(kit, score, cells, tier=3, **indication):
    """Score with monocytes as one more tier row."""
    knowledge = kit.knowledge()
    rows = knowledge.tissue_tiers.to_dict("records")
    rows.append(kit.tier_row("monocyte", "CL:0000576", tier, "myeloid"))
    knowledge.tissue_tiers = pd.DataFrame(rows)
    tables = score(cells, kit.indication(**indication), knowledge)
    return one(tables.components, antigen="AAA1")


def test_specificity_looks_at_the_worst_vital_group_only(kit, score):
    mild = kit.ordinary().healthy(4, {"AAA1": [1] * 20 + [0] * 80}, cell_type="CL:0000576")
    third = ranked_against(kit, score, mild, tier=3)
    assert third["log_fold_change"] == pytest.approx(math.log2(685 / 10))
    assert third["auc_min"] == 1
    assert third["safety_score"] < 0.9, "tier 3 acts through safety"
    second = ranked_against(kit, score, mild, tier=2)
    assert second["log_fold_change"] == pytest.approx(math.log2(685 / 60))
    assert second["log_fold_change_group"] == "monocyte (bone marrow)"
    assert second["specificity_s2"] < third["specificity_s2"] - 0.1
    accepted = {"cell_types": ["monocyte"]}
    tolerated = ranked_against(kit, score, mild, tier=2, tolerated=accepted)
    assert tolerated["log_fold_change"] == third["log_fold_change"]


def test_a_tie_for_the_highest_level_is_not_in_the_antigens_favour(kit, score):
    cells = kit.Cells().healthy(4, {"AAA1": [2] * 100}, cell_type=kit.T_CELL)
    cells.healthy(4, {"AAA1": [0] * 100}, cell_type=kit.HEPATOCYTE)
    for patient in range(3):
        cells.add("tumour", f"P{patient}", {"AAA1": [2] * 100})
    row = one(score(cells, kit.indication(["AAA1"])).components, antigen="AAA1")
    assert (row["tau"], row["tau_argmax"], row["specificity_s4"]) == (0.5, "T cell", 0)


def test_rows_that_rna_cannot_show_do_not_lower_the_grade(kit, score):
    cells = kit.Cells()
    for patient in range(5):
        cells.add("tumour", f"P{patient}", {"AAA1": [3] * 100})
    for cell_type in (kit.T_CELL, kit.HEPATOCYTE):
        cells.healthy(5, {"AAA1": [0] * 100}, cell_type=cell_type)
    assert one(score(cells).components, antigen="AAA1")["evidence_grade"] == "A"


def test_a_row_that_rna_cannot_show_is_never_assessed_by_finer_cells(kit, score):
    knowledge = kit.knowledge()
    rows = [
        kit.tier_row("T cell", kit.T_CELL, 2, "T_cell", assessable="not_by_RNA"),
        kit.tier_row("CD4 T cell", "CL:0000624", 2, "T_cell"),
    ]
    knowledge.tissue_tiers = pd.DataFrame(rows)
    cells = kit.Cells().add("tumour", "P0", {"AAA1": [3] * 100})
    cells.healthy(4, {"AAA1": [0] * 100}, cell_type="CL:0000624")
    evidence = score(cells, kit.indication(["AAA1"]), knowledge).evidence
    assert one(evidence, suspension="cell")["verdict"] == "clear"
    assert one(evidence, suspension="none")["tier_label"] == "T cell"


# ---- missing evidence (C9) ----------------------------------------------------------------


def status_of(tables, antigen):
    row = one(tables.components, antigen=antigen)
    assert pd.isna(row["composite_score"])
    ranked = one(tables.ranking, antigen=antigen)
    assert pd.isna(ranked["rank"])
    assert ranked["status"] == row["status"]
    return row["status"], row["reason"]


def test_gene_measured_nowhere(kit, score):
    tables = score(kit.ordinary(), kit.indication(["AAA1", "CCC3"]))
    status, reason = status_of(tables, "CCC3")
    assert status == "not_measured"
    assert "no atlas" in reason
    row = one(tables.components, antigen="CCC3")
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
    status, reason = status_of(tables, "BBB2")
    assert (status, reason) == ("incomplete", f"not measured in the {said} atlases")
    assert pd.isna(one(tables.components, antigen="BBB2")["specificity_score"])
    assert f"not measured in {without}" in one(tables.components, antigen="BBB2")["notes"]


def test_gene_missing_from_one_of_two_healthy_atlases(kit, score):
    cells = kit.ordinary()
    cells.healthy(9, {"AAA1": [5] * 100}, atlas="extra", cell_type=kit.T_CELL, tissue=kit.BLOOD)
    cells.measure("extra", ["AAA1", "FILL"])
    both = kit.indication(healthy={"atlases": ["normal", "extra"]})
    tables = score(cells, both)
    bbb = one(tables.evidence, antigen="BBB2", cell_type_id=kit.T_CELL)
    assert (bbb["n_donors"], bbb["n_cells"], bbb["atlases"]) == (4, 400, "normal")
    aaa = one(tables.evidence, antigen="AAA1", cell_type_id=kit.T_CELL)
    assert (aaa["n_donors"], aaa["n_cells"], aaa["atlases"]) == (13, 1300, "extra; normal")
    row = one(tables.components, antigen="BBB2")
    assert row["status"] == "ranked"
    assert row["notes"] == "not measured in extra"
    grades = [
        one(score(cells, i).components, antigen="BBB2")["evidence_grade"] for i in (None, both)
    ]
    assert grades == ["B", "C"]


def test_selected_antigen_has_no_coverage(kit, score):
    diseased = {"atlases": ["tumour"], "selection": [{"antigen": "ALPHA", "reason": "A+ sorted"}]}
    tables = score(kit.ordinary(), kit.indication(diseased=diseased))
    status, reason = status_of(tables, "AAA1")
    assert (status, reason) == ("incomplete", "selection_bias: A+ sorted")
    assert pd.isna(one(tables.components, antigen="AAA1")["coverage_score"])
    assert one(tables.components, antigen="BBB2")["status"] == "ranked"


def test_target_that_rna_cannot_show(kit, score):
    knowledge = kit.knowledge()
    rows = knowledge.antigens["symbol"] == "AAA1"
    knowledge.antigens.loc[rows, ["rna_scorable", "not_scorable_reason"]] = ["no", "an isoform"]
    tables = score(kit.ordinary(), knowledge=knowledge)
    assert status_of(tables, "AAA1") == ("not_scorable", "an isoform")


def test_protein_that_is_not_on_the_surface(kit, score):
    knowledge = kit.knowledge()
    rows = knowledge.surface["symbol"] == "AAA1"
    knowledge.surface.loc[rows, ["topology", "tm_helices"]] = ["not_membrane", math.nan]
    status, reason = status_of(score(kit.ordinary(), knowledge=knowledge), "AAA1")
    assert status == "not_surface"
    assert "0.00 is below 0.5" in reason


def test_unknown_surface_is_not_a_surface_score_of_zero(kit, score):
    knowledge = kit.knowledge()
    knowledge.surface = knowledge.surface[knowledge.surface["symbol"] != "AAA1"]
    tables = score(kit.ordinary(), knowledge=knowledge)
    assert status_of(tables, "AAA1") == ("incomplete", "surface evidence unknown")
    assert pd.isna(one(tables.components, antigen="AAA1")["surface_confidence"])


def test_nothing_known_of_shedding_is_scored_and_flagged(kit, score):
    knowledge = kit.knowledge()
    knowledge.shedding = knowledge.shedding.iloc[:0]
    tables = score(kit.ordinary(), knowledge=knowledge)
    row = one(tables.components, antigen="AAA1")
    assert (row["status"], row["shedding_grade"]) == ("ranked", "insufficient_evidence")
    assert (row["shedding_low"], row["shedding_score"], row["shedding_high"]) == (0, 25, 100)
    items = tables.shedding[tables.shedding["antigen"] == "AAA1"]
    assert not items["known"].any()
    assert items["source"].isna().all()
    assert set(items["status"]) == {"unknown"}


def test_no_patient_with_enough_cells(kit, score):
    tables = score(kit.ordinary(), min_cells_patient=101)
    status, reason = status_of(tables, "AAA1")
    assert (status, reason) == ("incomplete", "no patient with at least 101 diseased cells")
    assert one(tables.components, antigen="AAA1")["n_patients"] == 0
    assert len(tables.coverage) == 10, "patients are listed although they do not count"
    assert not tables.coverage["counted"].any()


def test_too_few_healthy_donors(kit, score):
    cells = kit.Cells()
    for patient in range(5):
        cells.add("tumour", f"P{patient}", {"AAA1": [3] * 100})
    cells.healthy(1, {"AAA1": [0] * 5000}, cell_type=kit.HEPATOCYTE, tissue=kit.LIVER)
    tables = score(cells, kit.indication(["AAA1"]))
    status, reason = status_of(tables, "AAA1")
    assert status == "incomplete"
    assert reason == "specificity: no healthy tier 1–2 group with at least 3 donors"
    liver = one(tables.evidence, cell_type_id=kit.HEPATOCYTE)
    assert liver["verdict"] == "no_signal_insufficient"
    assert liver["fraction_expressing_upper"] > 0.02
    assert one(tables.components, antigen="AAA1")["evidence_grade"] == "D"


def test_no_healthy_cells_at_all(kit, score):
    cells = kit.Cells().measure("normal", ["AAA1", "BBB2", "FILL"])
    cells.add("tumour", "P0", {"AAA1": [3] * 100})
    tables = score(cells, kit.indication(["AAA1"]))
    status, reason = status_of(tables, "AAA1")
    assert status == "incomplete"
    assert "safety: no healthy group that counts was assessed" in reason
    row = one(tables.components, antigen="AAA1")
    assert pd.isna(row["safety_score"])
    assert row["n_gaps"] == 4
    assert set(tables.evidence["suspension"]) == {"none"}
    assert set(tables.toxicity["verdict"]) == {"not_assessed"}


def test_only_tolerated_cells_give_no_safety(kit, score):
    cells = kit.Cells().add("tumour", "P0", {"AAA1": [3] * 100})
    cells.healthy(4, {"AAA1": [0] * 100}, cell_type=kit.PLASMA)
    row = one(score(cells, kit.indication(["AAA1"])).components, antigen="AAA1")
    assert pd.isna(row["safety_score"])
    assert "fewer than 3 patients" in row["notes"]
    assert "more than half" not in row["notes"], "an only patient dominates nobody"


def test_antigen_without_expression_is_ranked_at_the_floor(kit, score):
    cells = kit.ordinary()
    cells.batches = [b for b in cells.batches if b["population"] == "healthy"]
    for patient in range(5):
        cells.add("tumour", f"P{patient}", {"AAA1": [0] * 100, "BBB2": [1] * 100})
    row = one(score(cells).components, antigen="AAA1")
    assert row["status"] == "ranked"
    assert row["notes"] == "not expressed"
    assert row["fraction_p10"] == 0


def test_all_zero_everywhere_has_no_tau(kit, score):
    cells = kit.Cells().healthy(4, {"AAA1": [0] * 100}, cell_type=kit.T_CELL)
    for patient in range(5):
        cells.add("tumour", f"P{patient}", {"AAA1": [0] * 100})
    row = one(score(cells, kit.indication(["AAA1"])).components, antigen="AAA1")
    assert pd.isna(row["tau"])
    assert (row["specificity_s4"], row["status"]) == (0.0, "ranked")
    assert row["notes"] == "not expressed"


def test_few_patients_and_a_dominant_one_are_noted(kit, score):
    cells = kit.ordinary()
    cells.batches = [b for b in cells.batches if b["population"] == "healthy"]
    cells.add("tumour", "big", {"AAA1": [3] * 500}).add("tumour", "small", {"AAA1": [0] * 100})
    row = one(score(cells).components, antigen="AAA1")
    assert "fewer than 3 patients" in row["notes"]
    assert "patient big holds more than half of the diseased cells" in row["notes"]
    assert row["evidence_grade"] == "D"
    assert row["share_patients_above_half"] == 0.5, "patients weigh alike, whatever their cells"


# ---- who counts ---------------------------------------------------------------------------


def test_cells_of_patients_are_never_healthy_evidence(kit, score):
    cells = kit.ordinary()
    before = score(cells)
    for population in ("microenvironment", "normal_counterpart"):
        for atlas in ("tumour", "normal"):
            cells.add(
                atlas, "P0", {"AAA1": [9] * 200}, population=population,
                cell_type=kit.T_CELL, tissue=kit.BLOOD,
            )  # fmt: skip
    cells.healthy(5, {"AAA1": [9] * 200}, atlas="tumour", cell_type=kit.T_CELL, tissue=kit.BLOOD)
    pd.testing.assert_frame_equal(score(cells).evidence, before.evidence)


def test_patients_own_counterpart_is_shown_beside(kit, score):
    cells = kit.ordinary()
    cells.add("tumour", "P1", {"AAA1": [1] * 50}, population="normal_counterpart")
    coverage = score(cells).coverage.query("antigen == 'AAA1'").set_index("donor")
    assert coverage.loc["P1", "counterpart_cpm"] == pytest.approx(250)
    assert coverage["counterpart_cpm"].notna().sum() == 1


def test_patients_are_filtered_by_disease_and_cell_type(kit, score):
    cells = kit.ordinary()
    cells.add("tumour", "other", {"AAA1": [0] * 100}, disease="MONDO:0005061")
    cells.add("tumour", "P0", {"AAA1": [0] * 900}, cell_type=kit.T_CELL)
    for disease in ("MONDO:0009693", "multiple myeloma", "Plasma Cell Myeloma"):
        diseased = {"atlases": ["tumour"], "disease": [disease], "cell_types": ["plasma cell"]}
        coverage = score(cells, kit.indication(diseased=diseased)).coverage
        assert set(coverage["donor"]) == {f"P{i}" for i in range(5)}, disease
        assert set(coverage["n_cells"]) == {100}
    everyone = score(cells).coverage
    assert "other" in set(everyone["donor"])


def test_two_preparations_of_one_patient_are_not_pooled(kit, score):
    cells = kit.ordinary()
    cells.add("tumour", "P0", {"AAA1": [0] * 99}, suspension="nucleus")
    tables = score(cells)
    first = one(tables.coverage, antigen="AAA1", donor="P0")
    assert (first["n_cells"], first["fraction_observed"]) == (100, 0.9)
    assert "99 diseased cells of another preparation" in tables.components["notes"].iloc[0]


@pytest.mark.parametrize(
    "other", [{"suspension": "nucleus"}, {"assay": "Smart-seq2"}, {"assay": "a new method"}]
)
def test_preparations_stay_apart_and_the_worse_one_decides(kit, score, other):
    cells = kit.ordinary()
    alone = one(score(cells).components, antigen="AAA1")
    cells.healthy(4, {"AAA1": [1] * 50 + [0] * 50}, cell_type=kit.T_CELL, tissue=kit.BLOOD, **other)
    tables = score(cells)
    rows = tables.evidence.query("antigen == 'AAA1' and cell_type_id == @kit.T_CELL")
    assert sorted(rows["verdict"]) == ["clear", "concern"]
    assert one(tables.components, antigen="AAA1")["safety_score"] < alone["safety_score"] - 0.5


def test_a_donor_with_few_cells_adds_cells_but_is_no_donor(kit, score):
    cells = kit.ordinary()
    cells.add(
        "normal", "tiny", {"AAA1": [9] * 4}, population="healthy",
        cell_type=kit.T_CELL, tissue=kit.BLOOD,
    )  # fmt: skip
    row = one(score(cells).evidence, antigen="AAA1", cell_type_id=kit.T_CELL)
    assert (row["n_donors"], row["n_cells"], row["n_detected"]) == (4, 404, 4)
    assert row["mean_cpm"] == 0
    assert row["fraction_expressing_lower"] > 0
    counted = one(score(cells, min_cells_donor=4).evidence, antigen="AAA1", cell_type_id=kit.T_CELL)
    assert counted["n_donors"] == 5
    assert counted["mean_cpm"] == pytest.approx(2250 / 5)


def test_many_donors_with_few_cells_each_still_show_their_level(kit, score):
    cells = kit.Cells().add("tumour", "P0", {"AAA1": [3] * 100})
    cells.healthy(10, {"AAA1": [2, 2, 0, 0]}, cell_type=kit.HEPATOCYTE, tissue=kit.LIVER)
    row = one(score(cells, kit.indication(["AAA1"])).evidence, cell_type_id=kit.HEPATOCYTE)
    assert (row["n_donors"], row["n_cells"], row["verdict"]) == (0, 40, "concern")
    assert row["mean_cpm"] == pytest.approx(250)
    assert pd.isna(row["median_cpm"])


def test_a_group_below_twenty_cells_is_kept_and_assesses_nothing(kit, score):
    cells = kit.ordinary()
    cells.batches = [b for b in cells.batches if b["cell_type_id"] != kit.HEPATOCYTE]
    cells.healthy(3, {"AAA1": [9] * 6}, cell_type=kit.HEPATOCYTE, tissue=kit.LIVER)
    tables = score(cells)
    liver = tables.evidence.query("antigen == 'AAA1' and cell_type_id == @kit.HEPATOCYTE")
    assert set(liver["suspension"]) == {"cell", "none"}
    measured = one(liver, suspension="cell")
    assert (measured["verdict"], measured["n_cells"], measured["n_donors"]) == (
        "not_assessed",
        18,
        3,
    )
    assert pd.isna(measured["harm"])
    assert (
        one(tables.toxicity, antigen="AAA1", toxicity_class="hepatic")["verdict"] == "not_assessed"
    )


def test_red_cells_are_not_assessable_whatever_they_show(kit, score):
    cells = kit.ordinary().healthy(4, {"AAA1": [9] * 100}, cell_type="CL:0000232")
    tables = score(cells)
    red = tables.evidence.query("antigen == 'AAA1' and tier_label == 'erythrocyte'")
    assert set(red["verdict"]) == {"not_assessable_by_RNA"}
    assert red["harm"].isna().all()
    verdict = one(tables.toxicity, antigen="AAA1", toxicity_class="blood")["verdict"]
    assert verdict == "not_assessable_by_RNA"


def test_cells_without_a_tier_row_are_taken_seriously(kit, score):
    cells = kit.ordinary().healthy(4, {"AAA1": [9] * 100}, cell_type="label:cluster <7>")
    tables = score(cells)
    odd = one(tables.evidence, antigen="AAA1", cell_type_id="label:cluster <7>")
    assert (odd["tier"], odd["toxicity_class"], odd["harm"]) == (2, "unclassified", 0.7)
    assert odd["tier_label"] is None
    row = one(tables.components, antigen="AAA1")
    assert row["worst_cell_type"] == "label:cluster <7>"
    assert row["log_fold_change_group"].startswith("label:cluster <7>")


def test_tolerated_cells_are_shown_but_cost_nothing(kit, score):
    tables = score(kit.ordinary())
    plasma = one(tables.evidence, antigen="AAA1", cell_type_id=kit.PLASMA)
    assert (plasma["tolerated"], plasma["verdict"], plasma["harm"]) == (True, "concern", 0.1)
    lineage = one(tables.toxicity, antigen="AAA1", toxicity_class="B_lineage")
    assert (lineage["verdict"], lineage["factor"]) == ("concern", 1.0)
    assert pd.isna(lineage["harm"])
    strict = kit.indication(normal_counterpart=None)
    tables = score(kit.ordinary(), strict)
    assert one(tables.toxicity, antigen="AAA1", toxicity_class="B_lineage")["factor"] == 0.9
    tolerant = kit.indication(tolerated={"cell_types": ["T cell", "hepatocyte"]})
    bbb = one(score(kit.ordinary(), tolerant).components, antigen="BBB2")
    assert pd.isna(bbb["safety_score"]), "nothing is left that counts"


def test_a_tolerated_cell_does_not_stand_for_one_that_is_not(kit, score):
    """A naive B cell is a B cell, but what it shows is left out of the safety score."""
    knowledge = kit.knowledge()
    rows = [
        *knowledge.tissue_tiers.to_dict("records"),
        kit.tier_row("B cell", "CL:0000236", 4, "B_lineage"),
    ]
    knowledge.tissue_tiers = pd.DataFrame(rows)
    cells = kit.ordinary().healthy(4, {"AAA1": [0] * 100}, cell_type="CL:0000788")
    naive = kit.indication(tolerated={"cell_types": ["naive B cell"]})
    for indication, listed in ((naive, 1), (None, 0)):
        evidence = score(cells, indication, knowledge).evidence
        gaps = evidence.query(
            "antigen == 'AAA1' and tier_label == 'B cell' and suspension == 'none'"
        )
        assert len(gaps) == listed


# ---- literature, sheddases ----------------------------------------------------------------


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
    assert one(whole.components, antigen="AAA1")["safety_score"] > 0.99
    tables = score(without(kit.ordinary(), kit.HEPATOCYTE), knowledge=knowledge)
    row = one(tables.components, antigen="AAA1")
    assert row["safety_score"] == pytest.approx(factor, rel=1e-3)
    assert row["safety_assessed"] > 0.99
    assert row["notes"] == f"not assessed although literature reports it: hepatocyte ({strength})"
    gap = one(tables.evidence, antigen="AAA1", tier_label="hepatocyte")
    assert (gap["verdict"], gap["literature"], gap["literature_source"]) == (
        "not_assessed",
        strength,
        "test [design]",
    )
    hepatic = one(tables.toxicity, antigen="AAA1", toxicity_class="hepatic")
    assert (hepatic["factor"], hepatic["gap_label"]) == (pytest.approx(factor), "hepatocyte")
    other = one(tables.evidence, antigen="BBB2", tier_label="hepatocyte")
    assert pd.isna(other["gap_penalty"]), "nothing is known of it: no penalty, no comfort"
    order = "ABCD"
    grades = [one(t.components, antigen="AAA1")["evidence_grade"] for t in (whole, tables)]
    assert order.index(grades[1]) > order.index(grades[0])


def test_a_tolerated_gap_costs_nothing(kit, score):
    knowledge = literature(kit, "plasma cell", "strong")
    tables = score(without(kit.ordinary(), kit.PLASMA), knowledge=knowledge)
    assert one(tables.toxicity, antigen="AAA1", toxicity_class="B_lineage")["factor"] == 1


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
    item = one(tables.shedding, antigen="AAA1", item="sheddase_expression")
    assert item["points_mid"] == pytest.approx(10 * percentile)
    assert (item["known"], item["status"]) == (True, "computed")
    total = 100 * (29 + 10 * percentile) / 100
    assert one(tables.components, antigen="AAA1")["shedding_score"] == pytest.approx(total)


def test_a_sheddase_that_no_atlas_measures_is_unknown(kit, score):
    knowledge = kit.knowledge()
    row = {"symbol": "AAA1", "enzyme": "ADAM10", "pathway": "ADAM10", "rule": "any"}
    knowledge.sheddases = pd.DataFrame([{**row, "compartment": "tumour", **kit.SOURCE}])
    tables = score(kit.ordinary(), knowledge=knowledge)
    item = one(tables.shedding, antigen="AAA1", item="sheddase_expression")
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
    row = one(tables.components, antigen="AAA1")
    hepatic = one(tables.toxicity, antigen="AAA1", toxicity_class="hepatic")
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
    liver = one(tables.evidence, antigen="AAA1", cell_type="hepatocyte")
    assert liver["verdict"] == verdict
    assert one(tables.toxicity, antigen="AAA1", toxicity_class="hepatic")["verdict"] == verdict
    blood = one(tables.evidence, antigen="AAA1", cell_type="T cell")
    assert blood["verdict"] == "clear"


def test_the_dearest_gap_is_the_worst_cell_type(kit, score):
    """A score lowered by what nobody measured must not point at what was measured."""
    tables = score(
        few_hepatocytes(kit, 0, 0),
        kit.indication(("AAA1",)),
        literature(kit, "hepatocyte", "strong"),
    )
    row = one(tables.ranking, antigen="AAA1")
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
    row = one(tables.ranking, antigen="AAA1")
    group = one(tables.evidence, antigen="AAA1", cell_type="hepatocyte")
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
    row = one(tables.ranking, antigen="AAA1")
    assert (row["worst_tissue"], row["worst_verdict"]) == ("liver", "concern")


def test_lower_bounds_are_counted(kit, score):
    """Rare single counts cannot be corrected for dropout: the fraction is a lower bound."""
    row = one(score(kit.ordinary()).ranking, antigen="AAA1")
    assert row["n_identifiable"] == row["n_patients"] == 5
    weak = one(score(kit.ordinary()).ranking, antigen="BBB2")
    assert (weak["n_identifiable"], weak["n_patients"]) == (0, 5)


def test_without_a_counterpart_nothing_is_compared_with_it(kit, score):
    named = score(kit.ordinary())
    assert one(named.components, antigen="AAA1")["log_fold_change_counterpart"] is not None
    none = score(kit.ordinary(), kit.indication(normal_counterpart=None))
    assert pd.isna(one(none.components, antigen="AAA1")["log_fold_change_counterpart"])


def test_detection_in_nuclei_is_not_compared_with_cells(kit, score):
    """C9: healthy nuclei alone leave specificity unknown, and say why."""
    cells = kit.Cells()
    for patient in range(5):
        cells.add("tumour", f"P{patient}", {"AAA1": [3] * 90 + [0] * 10}, suspension="cell")
    silent = {"AAA1": [0] * 100}
    cells.healthy(4, silent, cell_type=kit.HEPATOCYTE, tissue=kit.LIVER, suspension="nucleus")
    row = one(score(cells, kit.indication(("AAA1",))).ranking, antigen="AAA1")
    assert row["status"] == "incomplete"
    assert "not compared with detection in nuclei" in row["reason"]


# ---- what the user wrote ------------------------------------------------------------------


def test_two_panel_names_of_one_gene_are_an_error(kit, score):
    with pytest.raises(GeneError, match="'AAA1' and 'ALPHA' are one gene, AAA1"):
        score(kit.ordinary(), kit.indication(["AAA1", "BBB2", "ALPHA"]))


def test_every_unknown_panel_name_is_told(kit, score):
    with pytest.raises(GeneError) as caught:
        score(kit.ordinary(), kit.indication(["AAA1", "XYZ77", "ZZZ78"]))
    assert len(caught.value.problems) == 2


def test_an_ensembl_id_takes_the_symbol_of_the_atlas(kit, score):
    cells = kit.ordinary()
    known = kit.genes()
    nameless = GeneTable(symbols={}, approved={})
    tables = score(cells, kit.indication([kit.ENSEMBL["AAA1"] + ".7"]), genes=nameless)
    assert tables.components["antigen"].tolist() == ["AAA1"]
    assert known.symbols[tables.components["gene_id"].iloc[0]] == "AAA1"


def test_an_atlas_without_a_profile_is_named(kit, score):
    with pytest.raises(ConfigError, match="the atlas 'absent' has no profile") as caught:
        score(kit.ordinary(), kit.indication(healthy={"atlases": ["normal", "absent", "gone"]}))
    assert len(caught.value.problems) == 2


def test_unknown_cell_types_are_all_named(kit, score):
    indication = kit.indication(
        tolerated={"cell_types": ["plasma sell"]}, normal_counterpart={"cell_types": ["CL:9999999"]}
    )
    with pytest.raises(ConfigError, match="plasma cell") as caught:
        score(kit.ordinary(), indication)
    assert [p.place for p in caught.value.problems] == [
        "normal_counterpart.cell_types",
        "tolerated.cell_types",
    ]


def test_nearly_empty_cells_are_no_evidence_of_absence(kit, score):
    """One UMI per healthy cell shows nothing, and must not rank an antigen first."""
    cells = kit.Cells()
    for patient in range(5):
        cells.add("tumour", f"P{patient}", {"AAA1": [3] * 90 + [0] * 10})
    empty = {"AAA1": [0] * 100, "FILL": [1] * 100}
    cells.healthy(4, empty, cell_type=kit.HEPATOCYTE, tissue=kit.LIVER, sizes=[1] * 100)
    tables = score(cells, kit.indication(("AAA1",)))
    liver = one(tables.evidence, antigen="AAA1", cell_type="hepatocyte")
    assert (liver["verdict"], liver["n_donors"]) == ("no_signal_insufficient", 0)
    assert one(tables.ranking, antigen="AAA1")["status"] == "incomplete"
