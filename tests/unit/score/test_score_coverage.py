"""Escape, residual cells, sensitivity, heterogeneity, and the fold change by tier (C2, C3)."""

import math

import numpy as np
import pandas as pd
import pytest

from targetscore.score.coverage import residual_cells
from targetscore.score.detection import dropout_corrected, grid_posterior


def patients(kit, shares, size=4000):
    """One patient per share of cells with three counts, beside silent healthy cells."""
    cells = kit.Cells()
    for number, share in enumerate(shares):
        counts = {"AAA1": [3] * round(100 * share) + [0] * round(100 * (1 - share))}
        cells.add("tumour", f"P{number}", counts, sizes=[size] * 100)
    return cells.healthy(4, {"AAA1": [0] * 100}, cell_type=kit.T_CELL, tissue=kit.BLOOD)


def test_what_is_left_without_the_antigen(kit, score):
    asked = kit.indication(["AAA1"])
    row = kit.one(score(patients(kit, [0.9] * 5), asked).components, antigen="AAA1")
    left = 1 - row["fraction_expressing"]
    assert row["residual_fraction"] == pytest.approx(left)
    assert row["residual_fraction_lower"] == pytest.approx(1 - row["fraction_expressing_upper"])
    assert row["residual_fraction_upper"] == pytest.approx(1 - row["fraction_expressing_lower"])
    assert row["log10_residual_cells"] == pytest.approx(12 + math.log10(left))
    small = score(patients(kit, [0.9] * 5), asked, burden=1e9).components.iloc[0]
    assert small["log10_residual_cells"] == pytest.approx(row["log10_residual_cells"] - 3)
    assert 10 ** small["log10_residual_cells"] + 10 ** small[
        "log10_on_target_cells"
    ] == pytest.approx(1e9)


@pytest.mark.parametrize(
    ("residual", "expected"), [(1.0, 12.0), (0.01, 10.0), (1e-12, 0.0), (0.0, None)]
)
def test_residual_cells(residual, expected):
    found = residual_cells(residual, 1e12)
    assert found is None if expected is None else found == pytest.approx(expected)


def test_patients_at_risk_of_escape_are_named(kit, score):
    asked = kit.indication(["AAA1"])
    row = score(patients(kit, [0.9, 0.9, 0.1, 0.9, 0.05]), asked).components.iloc[0]
    assert (row["n_patients_escaping"], row["patients_escaping"]) == (2, "P2; P4")
    none = score(patients(kit, [0.9] * 3), asked).components.iloc[0]
    assert none["n_patients_escaping"] == 0
    assert none["patients_escaping"] is None
    more = score(patients(kit, [0.9, 0.45]), asked, escape_fraction=0.6).components.iloc[0]
    assert more["patients_escaping"] == "P1"


def test_a_lower_bound_is_no_proof_of_escape(kit, score):
    row = kit.one(score(kit.ordinary()).components, antigen="BBB2")
    assert row["n_patients_escaping"] == 0
    assert row["patients_escaping"] is None
    assert row["patients_escape_untold"] == "P0; P1; P2; P3; P4"
    assert row["n_patients_escape_untold"] == 5


def test_heterogeneity_tells_equal_patients_from_all_or_none(kit, score):
    asked = kit.indication(["AAA1"])
    alike, apart = (
        score(patients(kit, shares), asked).components.iloc[0]["heterogeneity"]
        for shares in ([0.5] * 8, [0.98, 0.02] * 4)
    )
    assert alike < 0.05
    assert apart > 0.4
    k = np.array([0.9, 0.1, 0.7]) * 50
    found = grid_posterior(k, [50, 50, 50])
    assert found.heterogeneity == pytest.approx(1 / (1 + 10**found.mean_log10_precision))


def test_other_dispersions_stand_beside_the_fraction(kit, score):
    """The more expression comes in bursts, the more silent cells are expressing ones."""
    cells = kit.Cells().healthy(4, {"AAA1": [0] * 100}, cell_type=kit.T_CELL)
    counts = {"AAA1": [0] * 50 + [1] * 20 + [2] * 15 + [4] * 10 + [7] * 5}
    for patient in range(3):
        cells.add("tumour", f"P{patient}", counts)
    tables = score(cells, kit.indication(["AAA1"]))
    own = tables.coverage.iloc[0]
    assert own["identifiable"]
    for column, phi in (("dispersed", 0.7), ("even", 6.0)):
        known = dropout_corrected(
            100, 50, sum(counts["AAA1"]), [2 ** ((16 * 12 - 1 + 0.5) / 16)], [100], 4e5, phi
        )
        assert own[f"fraction_corrected_{column}"] == pytest.approx(known.fraction, abs=0.02)
    row = tables.components.iloc[0]
    order = [row[f"fraction_expressing{x}"] for x in ("_even", "", "_dispersed")]
    assert order == sorted(order)
    assert order[0] < order[2] - 0.1


def test_nothing_is_assumed_where_dropout_cannot_be_corrected(kit, score):
    tables = score(kit.ordinary())
    weak = tables.coverage[tables.coverage["antigen"] == "BBB2"]
    assert not weak["identifiable"].any()
    assert weak[["fraction_corrected_dispersed", "fraction_corrected_even"]].isna().all(axis=None)
    row = kit.one(tables.components, antigen="BBB2")
    assert pd.isna(row["fraction_expressing_dispersed"])
    assert pd.isna(row["fraction_expressing_even"])


def test_fold_change_against_each_tier(kit, score):
    cells = kit.ordinary()
    cells.healthy(4, {"AAA1": [1] * 20 + [0] * 80}, cell_type="CL:0000576")
    knowledge = kit.knowledge()
    rows = [*knowledge.tissue_tiers.to_dict("records")]
    rows.append(kit.tier_row("monocyte", "CL:0000576", 3, "myeloid"))
    knowledge.tissue_tiers = pd.DataFrame(rows)
    row = kit.one(score(cells, knowledge=knowledge).components, antigen="AAA1")
    assert row["log_fold_change_tier1"] == pytest.approx(math.log2(685 / 10))
    assert row["log_fold_change_tier2"] == pytest.approx(math.log2(685 / 10))
    assert row["log_fold_change_tier3"] == pytest.approx(math.log2(685 / 60))
    assert pd.isna(row["log_fold_change_tier4"]), "plasma cells are tolerated"
    vital = row[["log_fold_change_tier1", "log_fold_change_tier2"]].min()
    assert row["log_fold_change"] == vital


def test_fold_changes_by_tier_do_not_need_a_vital_group(kit, score):
    cells = kit.Cells().healthy(4, {"AAA1": [0] * 100}, cell_type="CL:0000576")
    for patient in range(3):
        cells.add("tumour", f"P{patient}", {"AAA1": [3] * 100})
    knowledge = kit.knowledge()
    knowledge.tissue_tiers = pd.DataFrame([kit.tier_row("monocyte", "CL:0000576", 3, "myeloid")])
    row = score(cells, kit.indication(["AAA1"]), knowledge).components.iloc[0]
    assert pd.isna(row["log_fold_change"])
    assert row["log_fold_change_tier3"] == pytest.approx(math.log2(760 / 10))


def test_the_gap_at_equal_depth_stands_beside(kit, score):
    """With 3 counts of 4,000 UMI seven in eight cells are seen at 2,000: the tumour falls."""
    tables = score(kit.ordinary())
    row = kit.one(tables.components, antigen="AAA1")
    seen = tables.coverage.query("antigen == 'AAA1'")["fraction_thinned"]
    assert seen.unique().tolist() == pytest.approx([0.9 * 0.875])
    lower = grid_posterior([78.75] * 5, [100] * 5).lower
    ceiling = row["fraction_expressing_lower"] - row["detection_gap"]
    assert row["detection_gap_thinned"] == pytest.approx(lower - ceiling)
    assert row["detection_gap_thinned"] < row["detection_gap"]
