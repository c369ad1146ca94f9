"""score_indication on a tiny world: numbers by hand, and what the user wrote."""

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
    t_cell = kit.one(tables.evidence, antigen="BBB2", cell_type_id=kit.T_CELL)
    assert (t_cell["n_donors"], t_cell["n_cells"], t_cell["n_detected"]) == (4, 400, 200)
    assert t_cell["fraction_observed"] == 0.5
    assert t_cell["mean_cpm"] == pytest.approx(250)  # 100 counts in 100 × 4,000 UMI
    assert t_cell["q75_log2_cpm"] == pytest.approx(math.log2(260))
    # 50 cells with 2 counts of 4,000 UMI: 75 % seen at 2,000; donors agree, so M = 999
    effective = 4 * 100 / (1 + 99 / 1000)
    mean = (0.1 + effective * 0.375) / (2 + effective)
    assert t_cell["fraction_expressing"] == pytest.approx(mean, abs=1e-3)
    assert (t_cell["harm"], t_cell["verdict"]) == (0.7, "concern")

    aaa = kit.one(tables.components, antigen="AAA1")
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

    bbb = kit.one(tables.components, antigen="BBB2")
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
        assert kit.one(tables.components, antigen="AAA1")[bound] == pytest.approx(expected)


def test_the_corrected_fraction_is_used_where_it_can_be_trusted(kit, score):
    cells = kit.Cells().healthy(3, {"AAA1": [0] * 100}, cell_type=kit.T_CELL)
    deep = [0] * 60 + [1] * 16 + [2] * 12 + [3] * 6 + [5] * 4 + [8] * 2
    for patient in range(3):
        cells.add("tumour", f"P{patient}", {"AAA1": deep, "BBB2": [1] * 5 + [0] * 95})
    tables = score(cells)
    # the worked case half_on; library sizes are known to a bin of 4.4 %
    first = kit.one(tables.coverage, antigen="AAA1", donor="P0")
    assert (first["fraction_observed"], first["identifiable"]) == (0.4, True)
    assert first["fraction"] == first["fraction_corrected"]
    assert first["fraction"] == pytest.approx(0.572859, abs=0.01)
    poor = kit.one(tables.coverage, antigen="BBB2", donor="P0")
    assert (poor["fraction"], poor["identifiable"]) == (0.05, False)
    assert pd.isna(poor["fraction_corrected"])
    row = kit.one(tables.components, antigen="AAA1")
    assert row["share_patients_above_half"] == 1
    assert row["fraction_p10"] == pytest.approx(first["fraction"])


def ranked_against(kit, score, cells, tier=3, **indication):
    """Score with monocytes as one more tier row."""
    knowledge = kit.knowledge()
    rows = knowledge.tissue_tiers.to_dict("records")
    rows.append(kit.tier_row("monocyte", "CL:0000576", tier, "myeloid"))
    knowledge.tissue_tiers = pd.DataFrame(rows)
    tables = score(cells, kit.indication(**indication), knowledge)
    return kit.one(tables.components, antigen="AAA1")


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
    row = kit.one(score(cells, kit.indication(["AAA1"])).components, antigen="AAA1")
    assert (row["tau"], row["tau_argmax"], row["specificity_s4"]) == (0.5, "T cell", 0)


def test_rows_that_rna_cannot_show_do_not_lower_the_grade(kit, score):
    cells = kit.Cells()
    for patient in range(5):
        cells.add("tumour", f"P{patient}", {"AAA1": [3] * 100})
    for cell_type in (kit.T_CELL, kit.HEPATOCYTE):
        cells.healthy(5, {"AAA1": [0] * 100}, cell_type=cell_type)
    assert kit.one(score(cells).components, antigen="AAA1")["evidence_grade"] == "A"


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
    assert kit.one(evidence, suspension="cell")["verdict"] == "clear"
    assert kit.one(evidence, suspension="none")["tier_label"] == "T cell"


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
    liver = kit.one(tables.evidence, antigen="AAA1", cell_type="hepatocyte")
    assert (liver["verdict"], liver["n_donors"]) == ("no_signal_insufficient", 0)
    assert kit.one(tables.ranking, antigen="AAA1")["status"] == "incomplete"
