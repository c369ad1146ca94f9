"""The donor bootstrap against plain scoring of resampled tables, and what the ranks say."""

from itertools import pairwise, permutations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata

from targetscore.config import Scoring
from targetscore.config.models import CompositeWeights
from targetscore.score.antigen import score_antigen
from targetscore.score.composite import composite_score, exponents
from targetscore.score.draws import Draws, draw, times_drawn
from targetscore.score.inputs import read_inputs, world_of
from targetscore.score.replicates import composites
from targetscore.score.uncertainty import (
    WEIGHT_CONCENTRATION,
    bootstrap_draws,
    candidates,
    outrank_probability,
    standings,
    top_probability,
    uncertainty,
    weighted_scores,
)

PANEL = ("AAA1", "BBB2", "CCC3")
REGIONS = {
    "T": ("T_CELL", "BLOOD"),
    "T of liver": ("T_CELL", "LIVER"),
    "liver": ("HEPATOCYTE", "LIVER"),
    "own": ("PLASMA", "MARROW"),
}
LEVELS = {
    "T": (0.02, 0.1, 0.01),
    "T of liver": (0.05, 0.01, 0.03),
    "liver": (0.01, 0.03, 0.05),
    "own": (1, 1, 1),
}


def varied(kit, seed=3):
    """Two atlases a side, donors who differ, cell types that only some donors have.

    CCC3 is not measured in one atlas of each side; one patient has too few cells to count.
    """
    random = np.random.default_rng(seed)
    cells = kit.Cells((*PANEL, "FILL"))
    for atlas in ("tumour2", "normal2"):
        cells.measure(atlas, ("AAA1", "BBB2", "FILL"))

    def counts(atlas, n, levels):
        genes = cells.genes.get(atlas, cells.default_genes)
        return {
            g: random.poisson(level * random.gamma(2, 0.5), n)
            for g, level in zip(PANEL, levels, strict=True)
            if g in genes
        }

    def sizes(n):
        return random.integers(1500, 9000, n)

    for atlas, patients in (("tumour", 4), ("tumour2", 3)):
        for p in range(patients):
            n = 9 if (atlas, p) == ("tumour", 3) else int(random.integers(25, 90))
            cells.add(atlas, f"P{p}", counts(atlas, n, (2, 0.8, 1.2)), sizes=sizes(n))
    who = {
        ("normal", "T"): range(5),
        ("normal", "T of liver"): (1, 2, 4),
        ("normal", "liver"): (0, 2, 3),
        ("normal", "own"): range(5),
        ("normal2", "T"): (0, 1, 2),
        ("normal2", "liver"): (1,),
    }
    for (atlas, kind), donors in who.items():
        cell_type, tissue = (getattr(kit, name) for name in REGIONS[kind])
        for d in donors:
            n = int(random.integers(4, 40))
            cells.add(
                atlas, f"H{d}", counts(atlas, n, LEVELS[kind]), population="healthy",
                cell_type=cell_type, tissue=tissue, sizes=sizes(n),
            )  # fmt: skip
    return cells


def asked(kit, **more):
    return kit.indication(
        PANEL,
        diseased={"atlases": ["tumour", "tumour2"]},
        healthy={"atlases": ["normal", "normal2"]},
        **more,
    )


@pytest.fixture
def prepare(kit, tmp_path):
    """Read a world of cells: inputs, evidence and scores of its panel."""
    runs = iter(range(1000))

    def run(cells, indication=None, knowledge=None, **scoring):
        inputs = read_inputs(
            indication or asked(kit),
            cells.write(tmp_path / f"p{next(runs)}"),
            knowledge or kit.knowledge(),
            kit.genes(),
            Scoring(**scoring),
        )
        world = world_of(inputs)
        return inputs, world, [score_antigen(world, g, i) for i, g in enumerate(inputs.panel)]

    return run


def repeat(kit, cells, patients, donors, as_measured=()):
    """Write the resampled cells out: who is drawn twice is two people, who is not is nobody.

    Healthy groups named in ``as_measured`` keep their donors.
    """
    again = kit.Cells(cells.default_genes)
    again.genes = dict(cells.genes)
    for batch in cells.batches:
        person = (batch["atlas"], batch["donor"])
        healthy = batch["population"] == "healthy"
        group = (batch["cell_type_id"], batch["tissue_id"])
        times = (donors if healthy else patients).get(person, 0)
        if healthy and group in as_measured:
            again.batches.append(batch)
            continue
        for copy in range(times):
            name = f"{batch['donor']}#{copy}"
            again.batches.append(batch | {"donor": name, "sample": name})
    return again


def standing(tables, antigen):
    """What each healthy group is good for: assessed, three donors, fifty cells."""
    rows = tables.evidence[(tables.evidence["antigen"] == antigen) & (tables.evidence.n_cells > 0)]
    return {
        (r.cell_type_id, r.tissue_id): (r.n_cells >= 20, r.n_donors >= 3, r.n_cells >= 50)
        for r in rows.itertuples()
    }


def test_replicates_equal_plain_scores_of_resampled_tables(kit, score, prepare):
    cells, indication = varied(kit), asked(kit)
    _, world, scores = prepare(cells)
    draws = bootstrap_draws(world, 4, seed=4)
    found = composites(world, candidates(scores), draws)
    units = world.tumour.sums.units
    healthy, _ = world.healthy.shown.people
    plain = score(cells, indication)
    fell_back = drew_anew = 0
    for b in range(4):
        drawn = units.iloc[draws.patients[b]].value_counts(["atlas", "donor"]).to_dict()
        times = {person: int(n) for person, n in zip(healthy, draws.donors[b], strict=True)}
        again = {frozenset(): score(repeat(kit, cells, drawn, times), indication)}
        first = again[frozenset()]
        for i, antigen in enumerate(PANEL):
            before, after = standing(plain, antigen), standing(first, antigen)
            kept = frozenset(g for g, was in before.items() if after.get(g) != was)
            fell_back += len(kept)
            drew_anew += len(before) - len(kept)
            if kept not in again:
                again[kept] = score(repeat(kit, cells, drawn, times, kept), indication)
            wanted = kit.one(again[kept].components, antigen=antigen)["composite_score"]
            assert found[i, b] == pytest.approx(wanted, rel=1e-9), (antigen, b, kept)
    assert fell_back, "no draw changed what a group is good for: the rule was not tried"
    assert drew_anew
    assert np.ptp(found, axis=1).min() > 1e-3, "nothing varied"


def test_a_vital_cell_type_as_high_as_the_tumour_is_not_intended(kit, prepare):
    """A tie of tau goes against the antigen, as in the plain score."""
    cells = kit.Cells()
    for p in range(4):
        cells.add("tumour", f"P{p}", {"AAA1": [2] * 50})
    cells.healthy(4, {"AAA1": [2] * 50}, cell_type=kit.T_CELL, tissue=kit.BLOOD)
    cells.healthy(4, {"AAA1": [0] * 50}, cell_type=kit.HEPATOCYTE, tissue=kit.LIVER)
    _, world, scores = prepare(cells, kit.indication(("AAA1",)))
    assert scores[0].components["specificity_s4"] == 0
    found = composites(world, candidates(scores), bootstrap_draws(world, 3, seed=1))
    assert (found > 0).all()
    np.testing.assert_allclose(found, scores[0].components["composite_score"])


def test_everyone_once_is_the_score_itself(kit, prepare):
    _, world, scores = prepare(varied(kit))
    patients = np.nonzero(world.tumour.counted.any(axis=1))[0][None]
    healthy, _ = world.healthy.shown.people
    for donors in (None, np.ones((1, len(healthy)), dtype=np.int64)):
        found = composites(world, candidates(scores), Draws(patients, donors))[:, 0]
        wanted = [s.components["composite_score"] for s in scores]
        np.testing.assert_allclose(found, wanted, rtol=1e-12)


def test_chunks_of_replicates_do_not_matter(kit, prepare, monkeypatch):
    _, world, scores = prepare(varied(kit))
    draws = bootstrap_draws(world, 20, seed=9)
    whole = composites(world, candidates(scores), draws)
    monkeypatch.setattr("targetscore.score.replicates._CELLS_OF_A_CHUNK", 150)
    np.testing.assert_array_equal(composites(world, candidates(scores), draws), whole)


def test_harm_seen_in_one_donor_is_in_every_replicate(kit, score):
    """Not drawing the only donor of a group must not make an antigen look better."""
    cells = kit.ordinary()
    cells.add(
        "normal", "rare", {"AAA1": [5] * 60, "BBB2": [0] * 60}, population="healthy",
        cell_type="CL:0000746", tissue="UBERON:0000948",
    )  # fmt: skip
    knowledge = kit.knowledge()
    heart = kit.tier_row("cardiomyocyte", "CL:0000746", 1, "cardiac")
    rows = pd.concat([knowledge.tissue_tiers, pd.DataFrame([heart])])
    knowledge.tissue_tiers = rows.fillna(
        {"tier_by_disease": ""} if "tier_by_disease" in rows else 0
    )
    row = kit.one(score(cells, knowledge=knowledge, bootstrap=200).ranking, antigen="AAA1")
    harmless = kit.one(score(kit.ordinary(), bootstrap=0).ranking, antigen="AAA1")
    assert row["composite_score"] < 0.7 * harmless["composite_score"]
    assert row["composite_upper"] < 0.75 * harmless["composite_score"]
    assert row["n_replicates"] == 200


def test_draws_hold_as_many_of_each_atlas_as_there_are(kit, prepare):
    _, world, _ = prepare(varied(kit))
    draws = bootstrap_draws(world, 200, seed=1)
    units = world.tumour.sums.units
    atlas = units["atlas"].to_numpy()[draws.patients]
    assert ((atlas == "tumour").sum(axis=1) == 3).all(), "the patient of nine cells never counts"
    assert ((atlas == "tumour2").sum(axis=1) == 3).all()
    few = int(np.nonzero(units["n_cells"] < 20)[0][0])
    assert few not in draws.patients
    healthy, unit = world.healthy.shown.people
    of_normal = np.array([a == "normal" for a, _ in healthy])
    assert (draws.donors[:, of_normal].sum(axis=1) == 5).all()
    assert (draws.donors[:, ~of_normal].sum(axis=1) == 3).all()
    assert draws.donors.mean() == 1
    assert set(unit) == set(range(len(healthy)))
    share = (draws.donors == 0).mean(axis=0)[of_normal]
    assert np.abs(share - 0.8**5).max() < 0.12, "each donor is left out as often as chance says"


@given(st.integers(1, 6), st.integers(1, 30), st.integers(0, 2**31))
def test_draws_are_counted(n_people, n, seed):
    drawn = draw(["a"] * n_people, n, (seed,))
    assert drawn.shape == (n, n_people)
    times = times_drawn(drawn, n_people)
    np.testing.assert_array_equal(times, [np.bincount(d, minlength=n_people) for d in drawn])


SCORES = st.integers(1, 4).flatmap(
    lambda a: st.integers(1, 5).flatmap(
        lambda b: st.lists(
            st.lists(st.sampled_from([0.1, 0.2, 0.3, np.nan]), min_size=b, max_size=b),
            min_size=a,
            max_size=a,
        )
    )
)


def places_by_lot(column, k):
    """Share of the orders, ties broken in every way, in which each antigen is in the first k."""
    filled = np.where(np.isnan(column), -1.0, column)
    orders = [
        order
        for order in permutations(range(len(column)))
        if all(filled[a] >= filled[b] for a, b in pairwise(order))
    ]
    return [np.mean([o.index(i) < k for o in orders]) for i in range(len(column))]


@given(SCORES, st.integers(1, 5))
def test_top_probability_is_that_of_ties_broken_by_lot(rows, k):
    scores = np.array(rows)
    found = top_probability(*standings(scores), k)
    np.testing.assert_allclose(found, np.mean([places_by_lot(c, k) for c in scores.T], axis=0))
    assert found.sum() == pytest.approx(min(k, len(scores)))


@given(SCORES, st.randoms(use_true_random=False))
def test_ranks_do_not_depend_on_the_order_of_antigens(rows, random):
    scores = np.array(rows)
    order = list(range(len(scores)))
    random.shuffle(order)
    for one, other in zip(standings(scores), standings(scores[order]), strict=True):
        np.testing.assert_array_equal(one[order], other)
    above, level = standings(scores)
    filled = np.where(np.isnan(scores), -1.0, scores)
    np.testing.assert_array_equal(1 + above + level / 2, rankdata(-filled, axis=0))


@given(SCORES)
def test_a_pair_adds_up_to_one(rows):
    won = outrank_probability(np.array(rows))
    np.testing.assert_allclose(won + won.T, 1.0)
    filled = np.where(np.isnan(rows), -1.0, rows)
    for a, b in np.ndindex(won.shape):
        wanted = np.mean(
            [
                1.0 if x > y else 0.5 if x == y else 0.0
                for x, y in zip(filled[a], filled[b], strict=True)
            ]
        )
        assert won[a, b] == pytest.approx(wanted)


def test_one_antigen_above_all_others_is_always_first(kit, score):
    tables = score(kit.ordinary(), bootstrap=60)
    best, other = (kit.one(tables.ranking, antigen=a) for a in ("AAA1", "BBB2"))
    assert best["probability_top1"] == best["rank_median"] == best["rank_upper"] == 1
    assert (other["probability_top1"], other["probability_top3"]) == (0, 1)
    assert other["rank_lower"] == 2
    pair = tables.outranks.set_index(["antigen", "other"])["probability"]
    assert pair.to_dict() == {("AAA1", "BBB2"): 1.0, ("BBB2", "AAA1"): 0.0}
    assert (best["rank_weights_lower"], best["rank_weights_upper"]) == (1, 1)
    assert best["composite_lower"] <= best["composite_score"] <= best["composite_upper"]


def test_twins_share_the_places_they_hold(kit, score):
    """Two genes with the same counts are level in every replicate."""
    cells = kit.Cells((*PANEL, "FILL"))
    for batch in varied(kit).batches:
        own = dict(batch["counts"])
        cells.batches.append(batch | {"counts": own | {"CCC3": own["AAA1"]}})
    tables = score(cells, asked(kit), bootstrap=10)
    rows = tables.ranking.set_index("antigen").loc[["AAA1", "CCC3"]]
    assert rows["composite_lower"].nunique() == 1
    assert rows["probability_top1"].nunique() == 1
    pair = tables.outranks.set_index(["antigen", "other"])["probability"]
    assert pair["AAA1", "CCC3"] == pair["CCC3", "AAA1"] == 0.5
    assert tables.ranking["probability_top1"].sum() == pytest.approx(1)


def test_order_of_cells_and_panel_does_not_matter(kit, score):
    cells = varied(kit)
    tables = score(cells, asked(kit), bootstrap=10)
    turned = kit.Cells(cells.default_genes)
    turned.genes = cells.genes
    turned.batches = cells.batches[::-1]
    other = score(turned, asked(kit, candidates={"panel": list(PANEL[::-1])}), bootstrap=10)
    for name in ("ranking", "outranks", "robustness"):
        pd.testing.assert_frame_equal(getattr(tables, name), getattr(other, name), rtol=1e-12)


def test_the_seed_alone_decides(kit, prepare):
    def drawn(seed):
        _, world, scores = prepare(varied(kit), bootstrap=40, seed=seed)
        found = uncertainty(world, scores)
        return scores, found.columns, found.columns.to_csv() + found.outranks.to_csv()

    scores, columns, first = drawn(7)
    assert drawn(7)[2] == first
    others, other, _ = drawn(8)
    assert [s.components for s in scores] == [s.components for s in others]
    for name in ("composite_lower", "composite_upper"):
        assert (columns[name] != other[name]).all()


@pytest.mark.parametrize(
    ("patients", "donors", "bootstrap", "reason"),
    [
        (2, 4, 30, "fewer than 3 patients"),
        (5, 2, 30, "fewer than 3 healthy donors"),
        (5, 4, 0, "switched off"),
    ],
)
def test_without_enough_people_there_is_no_interval(
    kit, score, patients, donors, bootstrap, reason
):
    cells = kit.Cells()
    for p in range(patients):
        cells.add("tumour", f"P{p}", {"AAA1": [3] * 90 + [0] * 10, "BBB2": [1] * 10 + [0] * 90})
    cells.healthy(donors, {"AAA1": [0] * 100}, cell_type=kit.T_CELL, tissue=kit.BLOOD)
    tables = score(cells, bootstrap=bootstrap, min_donors_clear=2)
    assert set(tables.ranking["status"]) == {"ranked"}
    assert tables.ranking["no_interval_reason"].str.contains(reason).all()
    assert set(tables.ranking["n_replicates"]) == {0}
    figures = ["composite_lower", "composite_upper", "rank_median", "probability_top1"]
    assert tables.ranking[figures].isna().all(axis=None)
    assert len(tables.outranks) == 2
    assert tables.outranks["probability"].isna().all()
    assert tables.ranking["rank_weights_upper"].notna().all()


def test_an_antigen_of_few_patients_has_no_figures_but_keeps_its_place(kit, score):
    cells = kit.ordinary().measure("few", ("CCC3", "FILL")).measure("normal3", ("CCC3", "FILL"))
    for p in range(2):
        cells.add("few", f"Q{p}", {"CCC3": [9] * 100})
    cells.healthy(4, {"CCC3": [0] * 100}, atlas="normal3", cell_type=kit.T_CELL, tissue=kit.BLOOD)
    indication = kit.indication(
        PANEL,
        diseased={"atlases": ["tumour", "few"]},
        healthy={"atlases": ["normal", "normal3"]},
    )
    tables = score(cells, indication, bootstrap=30)
    rows = tables.ranking.set_index("antigen")
    assert rows.loc["CCC3", "no_interval_reason"] == "fewer than 3 patients to resample"
    assert pd.isna(rows.loc["CCC3", "rank_median"])
    assert rows.loc["CCC3", "rank"] == 1
    assert rows.loc["AAA1", "rank_median"] == 2
    pair = tables.outranks.set_index(["antigen", "other"])["probability"]
    assert pd.isna(pair["CCC3", "AAA1"])
    assert pair["AAA1", "BBB2"] == 1


def test_what_is_not_ranked_says_so(kit, score):
    cells = kit.ordinary()
    tables = score(cells, kit.indication(PANEL), bootstrap=30)
    row = kit.one(tables.ranking, antigen="CCC3")
    assert (row["status"], row["no_interval_reason"]) == ("not_measured", "not ranked")
    assert row["n_replicates"] == 0
    assert "CCC3" not in set(tables.outranks["antigen"]) | set(tables.outranks["other"])
    own = tables.robustness[tables.robustness["antigen"] == "CCC3"]
    assert own["composite_score"].isna().all()
    assert own["reason"].notna().all()


def test_other_weights_are_those_of_the_formula():
    rows = [
        {
            "specificity_score": 0.8, "coverage_score": 0.3, "safety_score": 0.0,
            "surface_confidence": 0.9, "shedding_score": 80.0,
        },
        {
            "specificity_score": 0.2, "coverage_score": 0.9, "safety_score": 0.7,
            "surface_confidence": 1.0, "shedding_score": 0.0,
        },
    ]  # fmt: skip
    weights = exponents(CompositeWeights())
    found = weighted_scores(rows, weights, 1e-3, seed=5)
    drawn = np.random.default_rng([5, 2]).dirichlet(WEIGHT_CONCENTRATION * weights, 1000)
    for i in (0, 17, 999):
        own = CompositeWeights(
            **dict(zip(CompositeWeights.model_fields, drawn[i].tolist(), strict=True))
        )
        wanted = [composite_score(*row.values(), own, 1e-3) for row in rows]
        np.testing.assert_allclose(found[:, i], wanted, rtol=1e-12)
    assert np.abs(drawn.mean(axis=0) - weights).max() < 0.02
    assert drawn.std(axis=0)[0] == pytest.approx(0.104, abs=0.01)
