"""No patient's cells outweigh everybody else's (C9), and the score of the blinded benchmark."""

import copy
from dataclasses import fields

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from targetscore.config import Scoring
from targetscore.knowledge import Knowledge
from targetscore.score.detection import balanced, grid_posterior
from targetscore.score.draws import Draws
from targetscore.score.inputs import read_inputs, world_of
from targetscore.score.parts import parts_of
from targetscore.score.replicates import Candidate, composites

SCORES = ("specificity_score", "coverage_score", "safety_score", "composite_score")
cells_of = st.lists(st.integers(1, 5000), min_size=1, max_size=8)


@given(cells_of)
def test_nobody_holds_more_than_half_of_what_counts(cells):
    share = balanced(cells)
    left = share * cells
    assert ((share > 0) & (share <= 1)).all()
    if len(cells) < 3:
        assert (share == 1).all(), "of two one always holds half"
    else:
        assert left.max() <= left.sum() / 2 + 1e-9
        assert (share < 1).sum() == (2 * max(cells) > sum(cells))


def test_columns_without_cells_stay_whole():
    cells = np.array([[900.0, 0.0], [50.0, 0.0], [40.0, 7.0]])
    assert balanced(cells).tolist() == [[50 / 900, 1.0], [1.0, 1.0], [1.0, 1.0]]


def uneven(kit, seed=0):
    """Five patients, one with nearly all cells and hardly any antigen."""
    random = np.random.default_rng(seed)
    cells = kit.Cells()
    for patient, (n, share) in enumerate([(3000, 0.1), (80, 0.9), (70, 0.8), (90, 1.0), (60, 0.7)]):
        counts = random.poisson(4, n) * (random.random(n) < share)
        cells.add("tumour", f"P{patient}", {"AAA1": counts})
    cells.healthy(4, {"AAA1": [1] + [0] * 99}, cell_type=kit.HEPATOCYTE, tissue=kit.LIVER)
    return cells


def test_a_patient_with_most_cells_counts_as_the_next(kit, score):
    tables = score(uneven(kit), kit.indication(["AAA1"]))
    row = kit.one(tables.components, antigen="AAA1")
    assert "patient P0 holds more than half" in row["notes"]
    f = tables.coverage.set_index("donor")["fraction"].loc[[f"P{i}" for i in range(5)]].to_numpy()
    n = np.array([90, 80, 70, 90, 60])
    assert row["fraction_expressing"] == pytest.approx(grid_posterior(f * n, n).median)


def test_replicates_hold_the_dominating_patient_back_too(kit, tmp_path):
    """Each replicate is the plain score of the drawn patients, whoever dominates among them."""
    asked = kit.indication(["AAA1"])
    cells = uneven(kit)

    def world(batches):
        some = copy.copy(cells)
        some.batches = batches
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        inputs = read_inputs(asked, some.write(folder), kit.knowledge(), kit.genes(), Scoring())
        return inputs, world_of(inputs)

    inputs, whole = world(cells.batches)
    parts = parts_of(whole, inputs.panel[0], 0)
    own = Candidate(0, parts.gaps, parts.curated.surface, parts.curated.shedding.mid)
    drawn = np.array([[0, 1, 2, 3], [0, 0, 1, 2], [1, 2, 3, 4], [0, 1, 1, 1], [4, 3, 2, 0]])
    found = composites(whole, [own], Draws(drawn))[0]
    for who, composite in zip(drawn, found, strict=True):
        batches = [b for b in cells.batches if b["population"] == "healthy"]
        for place, patient in enumerate(who):
            original = next(b for b in cells.batches if b["donor"] == f"P{patient}")
            batches.append(original | {"donor": f"D{place}", "sample": f"D{place}"})
        again, alone = world(batches)
        wanted = parts_of(alone, again.panel[0], 0).composite
        assert composite == pytest.approx(wanted, rel=1e-9), who


def complete(tables):
    """The small curated tables as the class that the program reads them into."""
    return Knowledge(
        **{f.name: vars(tables).get(f.name, pd.DataFrame()) for f in fields(Knowledge)}
    )


def test_the_blinded_score_knows_neither_binders_nor_reports(kit, score):
    knowledge = kit.knowledge()
    known = {"strength": "strong", "must_check": "no", "finding": "seen", **kit.SOURCE}
    knowledge.healthy_literature = pd.DataFrame(
        [{"symbol": "AAA1", "tier_label": "erythrocyte", **known}]
    )
    bare = copy.copy(knowledge)
    bare.healthy_literature = knowledge.healthy_literature.iloc[:0]
    bare.surface = knowledge.surface.assign(clinical_binder="none")
    open_, hidden, without = (
        score(kit.ordinary(), None, complete(k), blinded=blinded)
        for k, blinded in ((knowledge, False), (knowledge, True), (bare, False))
    )
    for column in (*SCORES, "surface_confidence", "n_gaps", "evidence_grade"):
        pd.testing.assert_series_equal(hidden.components[column], without.components[column])
    for name in ("evidence", "toxicity", "shedding", "coverage"):
        pd.testing.assert_frame_equal(getattr(hidden, name), getattr(without, name))
    before, after = (kit.one(t.components, antigen="AAA1") for t in (open_, hidden))
    assert after["surface_confidence"] < before["surface_confidence"]
    assert after["safety_score"] > before["safety_score"]
    assert hidden.components["notes"].str.contains("blinded").all()
    assert not open_.components["notes"].fillna("").str.contains("blinded").any()
    assert knowledge.surface["clinical_binder"].eq("binder").all(), "the tables are left as read"
