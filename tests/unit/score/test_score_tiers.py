"""Tier mapping: what a group may stand for, with the curated tiers and the real ontologies."""

from pathlib import Path

import pytest

from targetscore import ontology
from targetscore.knowledge import load_knowledge
from targetscore.score.evidence import row_ids
from targetscore.score.tiers import credited_rows, thresholds, tier_rows

KNOWLEDGE = Path(__file__).parents[3] / "config" / "knowledge"


@pytest.fixture(scope="module")
def curated():
    return load_knowledge(str(KNOWLEDGE))


@pytest.fixture(scope="module")
def rows(curated):
    return tier_rows(curated, frozenset(), False)


def labels(rows, cell_type, tissue):
    cell, place = ontology.find(cell_type, "CL"), ontology.find(tissue, "UBERON")
    assert cell, cell_type
    assert place, tissue
    return [r.label for r in credited_rows(cell, place, rows)]


def test_brain_mural_cells_count_for_the_brain_and_lung_mural_cells_do_not(rows):
    assert "mural cell" in labels(rows, "mural cell", "cerebral cortex")
    assert "mural cell" not in labels(rows, "mural cell", "lung")
    assert "mural cell" not in labels(rows, "pericyte", "lung")


def test_enteric_neurons_do_not_stand_for_the_cortex(rows):
    assert "neuron (cortex)" in labels(rows, "neuron", "cerebral cortex")
    assert "neuron (cortex)" not in labels(rows, "enteric neuron", "colon")
    assert "neuron (cortex)" not in labels(rows, "neuron", "colon")


def test_cortex_does_not_stand_for_the_caudate_or_the_olive(rows):
    found = labels(rows, "neuron", "cerebral cortex")
    assert "medium spiny / caudate neuron" not in found
    assert "inferior olivary neuron" not in found
    assert labels(rows, "neuron", "inferior olivary complex")[0] == "inferior olivary neuron"


def test_a_coarse_group_credits_nothing_finer(rows):
    for coarse in ("leukocyte", "cell", "epithelial cell", "hematopoietic cell"):
        assert labels(rows, coarse, "blood") == []
    assert labels(rows, "T cell", "blood") == ["T cell"]


def test_the_nearest_row_comes_first_and_ancestors_follow(rows):
    found = labels(rows, "CD8-positive, alpha-beta memory T cell", "blood")
    assert found[0] == "CD8 T cell"
    assert "T cell" in found
    assert labels(rows, "naive B cell", "spleen")[0] == "naive B cell"


def test_a_row_without_a_cell_type_is_matched_by_tissue_only(rows):
    assert credited_rows("label:odd cell", "UBERON:0002283", rows)[0].label == "nail matrix"
    assert labels(rows, "T cell", "nail matrix")[0] == "T cell", "the cell type is nearer"
    assert credited_rows("label:odd cell", "UBERON:0002097", rows) == []


def test_unmapped_cells_credit_nothing(rows):
    assert credited_rows("label:cluster 7", "label:somewhere", rows) == []


def test_equally_near_rows_go_to_the_stricter_tier(kit):
    knowledge = kit.knowledge()
    two = [
        kit.tier_row("lenient", kit.T_CELL, 4, "x"),
        kit.tier_row("strict", kit.T_CELL, 1, "y"),
    ]
    knowledge.tissue_tiers = type(knowledge.tissue_tiers)(two)
    found = credited_rows(kit.T_CELL, kit.BLOOD, tier_rows(knowledge, frozenset(), False))
    assert [r.label for r in found] == ["strict", "lenient"]


def test_cells_without_readable_rna_never_assess_a_row(rows):
    unreadable = {r.label for r in rows if not r.by_rna}
    assert {"erythrocyte", "platelet", "neutrophil", "granulocyte"} <= unreadable
    assert not {"monocyte", "erythroid lineage", "megakaryocyte", "hepatocyte"} & unreadable


def test_a_planned_transplant_moves_stem_cells_to_tier_two(curated):
    tier = {r.label: r.tier for r in tier_rows(curated, frozenset(), False)}
    rescued = {r.label: r.tier for r in tier_rows(curated, frozenset(), True)}
    assert tier["haematopoietic stem cell"] == 1
    assert rescued["haematopoietic stem cell"] == 2
    changed = {label for label in tier if tier[label] != rescued[label]}
    assert all("haemat" in label or "progenitor" in label for label in changed)


def test_descendants_of_a_tolerated_lineage_are_tolerated(curated):
    b_cell = ontology.find("B cell", "CL")
    tolerated = {r.label for r in tier_rows(curated, {b_cell}, False) if r.tolerated}
    assert {"naive B cell", "memory B cell"} <= tolerated
    assert not {"T cell", "hepatocyte", "nail matrix"} & tolerated


def test_thresholds_are_those_of_the_specification(curated):
    found = thresholds(curated)
    assert {t: (v.alert_fraction, v.weight) for t, v in found.items()} == {
        1: (0.02, 0.9),
        2: (0.05, 0.7),
        3: (0.10, 0.35),
        4: (0.20, 0.10),
    }


def test_each_row_that_nobody_assesses_keeps_its_own_line(rows):
    ids = row_ids(rows)
    assert len(set(ids.values())) == len(rows)
    assert ids["hepatocyte"] == ("UBERON:0002107", "CL:0000182")
    assert ids["nail matrix"] == ("UBERON:0002283", "label:nail matrix")


def test_rows_about_the_same_cells_are_told_apart_by_their_labels(kit):
    knowledge = kit.knowledge()
    twice = [kit.tier_row(name, kit.T_CELL, 2, "x") for name in ("resting", "activated")]
    knowledge.tissue_tiers = type(knowledge.tissue_tiers)(twice)
    assert row_ids(tier_rows(knowledge, frozenset(), False)) == {
        "resting": ("label:any tissue", "label:resting"),
        "activated": ("label:any tissue", "label:activated"),
    }
