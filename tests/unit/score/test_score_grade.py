"""Evidence grades, tiers by disease, and the classes every report must hold (A3, C4, C7)."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from targetscore.contracts import GRADES
from targetscore.knowledge import load_knowledge
from targetscore.score.grade import blind_organs, lowered_grade
from targetscore.score.tiers import TierRow, tier_rows
from targetscore.score.toxicity import CYTOKINE_RELEASE

KNOWLEDGE = load_knowledge(str(Path(__file__).parents[3] / "config" / "knowledge"))
ROW = TierRow("a", "CL:1", "a", "", "", False, 1, "heart", True, False)
ROWS = [
    ROW,
    replace(ROW, label="b", toxicity_class="liver"),
    replace(ROW, label="c", toxicity_class="liver"),
    replace(ROW, label="d", toxicity_class="gut", tier=2),
    replace(ROW, label="e", toxicity_class="blood", by_rna=False),
    replace(ROW, label="f", toxicity_class="B", tolerated=True),
]


@pytest.mark.parametrize(
    ("assessed", "blind"), [("", 1.0), ("c", 0.5), ("ac", 0.0), ("ab", 0.0), ("def", 1.0)]
)
def test_an_organ_is_blind_if_none_of_its_vital_cells_was_seen(assessed, blind):
    assert blind_organs(ROWS, set(assessed)) == blind


def test_without_vital_rows_no_organ_is_blind():
    assert blind_organs([ROWS[3]], set()) == 0


@pytest.mark.parametrize(
    ("grade", "blind", "reported", "expected"),
    [
        ("A", 0.0, False, "A"),
        ("A", 0.0, True, "B"),
        ("A", 0.1, False, "B"),
        ("A", 0.5, True, "C"),
        ("A", 0.6, False, "C"),
        ("B", 0.1, False, "B"),
        ("C", 0.9, True, "D"),
        ("D", 1.0, True, "D"),
    ],
)
def test_missing_organs_and_reported_cells_lower_the_grade(grade, blind, reported, expected):
    assert lowered_grade(grade, blind, reported) == expected


def test_less_evidence_never_raises_the_grade():
    for grade in GRADES:
        for reported in (False, True):
            ladder = [lowered_grade(grade, b / 20, reported) for b in range(21)]
            assert ladder == sorted(ladder)
            assert ladder[0] >= grade


def test_a_missing_organ_caps_the_grade_of_a_whole_score(kit, score):
    cells = kit.Cells()
    for patient in range(5):
        cells.add("tumour", f"P{patient}", {"AAA1": [3] * 100})
    for cell_type in (kit.T_CELL, kit.HEPATOCYTE):
        cells.healthy(5, {"AAA1": [0] * 100}, cell_type=cell_type)
    knowledge = kit.knowledge()
    rows = knowledge.tissue_tiers.to_dict("records")
    grades = []
    for more in ([], [kit.tier_row("neuron", "CL:0000540", 1, "brain")]):
        ordinary = [kit.tier_row(f"T{i}", kit.T_CELL, 2, "T_cell") for i in range(20)]
        knowledge.tissue_tiers = pd.DataFrame([*rows, *ordinary, *more])
        tables = score(cells, kit.indication(["AAA1"]), knowledge)
        grades.append(tables.components["evidence_grade"].iloc[0])
    assert grades == ["A", "B"], "22 of 23 rows are seen, but no cell of the brain"


@pytest.mark.parametrize(
    ("disease", "tier"),
    [
        ("MONDO:0009693", 2),  # myeloma
        ("MONDO:0018874", 2),  # acute myeloid leukaemia
        ("MONDO:0019457", 2),  # a subtype of it
        ("MONDO:0007915", 3),  # lupus
        ("", 3),
    ],
)
def test_the_marrow_niche_is_dearer_in_marrow_disease(disease, tier):
    rows = {r.label: r for r in tier_rows(KNOWLEDGE, (), False, disease)}
    assert rows["mesenchymal stem cell"].tier == tier
    assert rows["fibroblast"].tier == 3


def test_every_toxicity_of_the_clinic_has_its_class(kit, score):
    """A3: what the program can compute, and the proxy of cytokine release."""
    wanted = {
        "neurotoxicity_parenchymal",
        "neurotoxicity_vascular_BBB",
        "B_lineage_aplasia",
        "haematopoietic_stem_cytopenia",
        "myeloid_neutropenia_infection",
        "NK_infection",
        "T_cell_fratricide_immunodeficiency",
        "skin_hair_nail",
        "endothelial_capillary_leak",
        "pulmonary",
        "hepatic",
        "cardiac",
        "renal",
        CYTOKINE_RELEASE,
    }
    tables = score(kit.ordinary(), knowledge=replace(KNOWLEDGE, surface=kit.knowledge().surface))
    for antigen in ("AAA1", "BBB2"):
        own = tables.toxicity[tables.toxicity["antigen"] == antigen]
        assert wanted <= set(own["toxicity_class"])


def test_cytokine_release_is_a_proxy_that_enters_no_score(kit, score):
    before = score(kit.ordinary())
    cells = kit.ordinary()
    cells.healthy(4, {"AAA1": [1] * 90 + [0] * 10}, cell_type="CL:0000576")
    cells.healthy(4, {"AAA1": [0] * 100}, cell_type="CL:0000115")
    knowledge = kit.knowledge()
    tolerant = kit.indication(
        tolerated={"cell_types": ["monocyte", "endothelial cell"]},
    )
    tables = score(cells, tolerant, knowledge)
    row = kit.one(tables.toxicity, antigen="AAA1", toxicity_class=CYTOKINE_RELEASE)
    assert (row["verdict"], row["worst_cell_type"]) == ("concern", "monocyte")
    assert (row["n_groups_assessed"], row["factor"]) == (2, 1.0)
    assert pd.isna(row["harm"])
    assert pd.isna(row["gap_penalty"])
    scores = ["antigen", "safety_score", "safety_assessed"]
    pd.testing.assert_frame_equal(tables.components[scores], before.components[scores])
    nothing = kit.one(before.toxicity, antigen="AAA1", toxicity_class=CYTOKINE_RELEASE)
    assert (nothing["verdict"], nothing["n_groups_assessed"]) == ("not_assessed", 0)
