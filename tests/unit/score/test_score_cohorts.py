"""Who counts as patient, healthy donor, group; and what is never pooled."""

import pandas as pd
import pytest
from scipy.stats import beta


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
    after = score(cells)
    beside = [c for c in after.evidence.columns if c.startswith("patients_")]
    unchanged = after.evidence.drop(columns=beside)
    pd.testing.assert_frame_equal(unchanged, before.evidence.drop(columns=beside))
    pd.testing.assert_frame_equal(after.toxicity, before.toxicity)
    scores = ["specificity_score", "safety_score", "composite_score", "evidence_grade"]
    pd.testing.assert_frame_equal(after.components[scores], before.components[scores])


def test_cells_around_the_tumour_are_shown_beside_healthy_ones(kit, score):
    cells = kit.ordinary()
    for patient, shown in (("P0", 50), ("P1", 100), ("P2", 150)):
        around = {"AAA1": [1] * shown + [0] * (200 - shown)}
        cells.add(
            "tumour", patient, around, population="microenvironment",
            cell_type=kit.T_CELL, tissue=kit.BLOOD, sizes=[2000] * 200,
        )  # fmt: skip
    evidence = score(cells).evidence
    t_cell = kit.one(evidence, antigen="AAA1", cell_type_id=kit.T_CELL)
    assert (t_cell["patients_n_donors"], t_cell["patients_n_cells"]) == (3, 600)
    rho = (200 * 2 * 0.25**2 - 0.25 * 2) / (0.25 * (600 - 200 - 2))  # moments, by hand
    effective = 200 / (1 + 199 * rho)
    middle = beta.median(0.1 + 1.5 * effective, 1.9 + 1.5 * effective)
    assert t_cell["patients_fraction_expressing"] == pytest.approx(middle)
    upper = beta.ppf(0.975, 0.1 + 1.5 * effective, 1.9 + 1.5 * effective)
    assert t_cell["patients_fraction_expressing_upper"] == pytest.approx(upper)
    assert t_cell["patients_mean_cpm"] == pytest.approx(250)
    assert t_cell["verdict"] == "clear"
    silent = kit.one(evidence, antigen="BBB2", cell_type_id=kit.T_CELL)
    assert silent["patients_mean_cpm"] == 0
    liver = kit.one(evidence, antigen="AAA1", cell_type_id=kit.HEPATOCYTE)
    assert liver.filter(like="patients_").isna().all()


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
    first = kit.one(tables.coverage, antigen="AAA1", donor="P0")
    assert (first["n_cells"], first["fraction_observed"]) == (100, 0.9)
    assert "99 diseased cells of another preparation" in tables.components["notes"].iloc[0]


@pytest.mark.parametrize(
    "other", [{"suspension": "nucleus"}, {"assay": "Smart-seq2"}, {"assay": "a new method"}]
)
def test_preparations_stay_apart_and_the_worse_one_decides(kit, score, other):
    cells = kit.ordinary()
    alone = kit.one(score(cells).components, antigen="AAA1")
    cells.healthy(4, {"AAA1": [1] * 50 + [0] * 50}, cell_type=kit.T_CELL, tissue=kit.BLOOD, **other)
    tables = score(cells)
    rows = tables.evidence.query("antigen == 'AAA1' and cell_type_id == @kit.T_CELL")
    assert sorted(rows["verdict"]) == ["clear", "concern"]
    assert kit.one(tables.components, antigen="AAA1")["safety_score"] < alone["safety_score"] - 0.5


def test_a_donor_with_few_cells_adds_cells_but_is_no_donor(kit, score):
    cells = kit.ordinary()
    cells.add(
        "normal", "tiny", {"AAA1": [9] * 4}, population="healthy",
        cell_type=kit.T_CELL, tissue=kit.BLOOD,
    )  # fmt: skip
    row = kit.one(score(cells).evidence, antigen="AAA1", cell_type_id=kit.T_CELL)
    assert (row["n_donors"], row["n_cells"], row["n_detected"]) == (4, 404, 4)
    assert row["mean_cpm"] == 0
    assert row["fraction_expressing_lower"] > 0
    counted = kit.one(
        score(cells, min_cells_donor=4).evidence, antigen="AAA1", cell_type_id=kit.T_CELL
    )
    assert counted["n_donors"] == 5
    assert counted["mean_cpm"] == pytest.approx(2250 / 5)


def test_many_donors_with_few_cells_each_still_show_their_level(kit, score):
    cells = kit.Cells().add("tumour", "P0", {"AAA1": [3] * 100})
    cells.healthy(10, {"AAA1": [2, 2, 0, 0]}, cell_type=kit.HEPATOCYTE, tissue=kit.LIVER)
    row = kit.one(score(cells, kit.indication(["AAA1"])).evidence, cell_type_id=kit.HEPATOCYTE)
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
    measured = kit.one(liver, suspension="cell")
    assert (measured["verdict"], measured["n_cells"], measured["n_donors"]) == (
        "not_assessed",
        18,
        3,
    )
    assert pd.isna(measured["harm"])
    assert (
        kit.one(tables.toxicity, antigen="AAA1", toxicity_class="hepatic")["verdict"]
        == "not_assessed"
    )


def test_red_cells_are_not_assessable_whatever_they_show(kit, score):
    cells = kit.ordinary().healthy(4, {"AAA1": [9] * 100}, cell_type="CL:0000232")
    tables = score(cells)
    red = tables.evidence.query("antigen == 'AAA1' and tier_label == 'erythrocyte'")
    assert set(red["verdict"]) == {"not_assessable_by_RNA"}
    assert red["harm"].isna().all()
    verdict = kit.one(tables.toxicity, antigen="AAA1", toxicity_class="blood")["verdict"]
    assert verdict == "not_assessable_by_RNA"


def test_cells_without_a_tier_row_are_taken_seriously(kit, score):
    cells = kit.ordinary().healthy(4, {"AAA1": [9] * 100}, cell_type="label:cluster <7>")
    tables = score(cells)
    odd = kit.one(tables.evidence, antigen="AAA1", cell_type_id="label:cluster <7>")
    assert (odd["tier"], odd["toxicity_class"], odd["harm"]) == (2, "unclassified", 0.7)
    assert odd["tier_label"] is None
    row = kit.one(tables.components, antigen="AAA1")
    assert row["worst_cell_type"] == "label:cluster <7>"
    assert row["log_fold_change_group"].startswith("label:cluster <7>")


def test_tolerated_cells_are_shown_but_cost_nothing(kit, score):
    tables = score(kit.ordinary())
    plasma = kit.one(tables.evidence, antigen="AAA1", cell_type_id=kit.PLASMA)
    assert (plasma["tolerated"], plasma["verdict"], plasma["harm"]) == (True, "concern", 0.1)
    lineage = kit.one(tables.toxicity, antigen="AAA1", toxicity_class="B_lineage")
    assert (lineage["verdict"], lineage["factor"]) == ("concern", 1.0)
    assert pd.isna(lineage["harm"])
    strict = kit.indication(normal_counterpart=None)
    tables = score(kit.ordinary(), strict)
    assert kit.one(tables.toxicity, antigen="AAA1", toxicity_class="B_lineage")["factor"] == 0.9
    tolerant = kit.indication(tolerated={"cell_types": ["T cell", "hepatocyte"]})
    bbb = kit.one(score(kit.ordinary(), tolerant).components, antigen="BBB2")
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
