"""Every scenario against the plain score of what it describes."""

import numpy as np
import pandas as pd
import pytest

from targetscore.config import Scoring
from targetscore.score.robustness import (
    AMBIENT_THRESHOLD,
    DONOR_THRESHOLDS,
    JUDGEMENTS,
    PATIENT_THRESHOLD,
    TIER_THRESHOLDS,
)

PANEL = ("AAA1", "BBB2")


def graded(kit):
    """A world in which thresholds matter: small groups, shallow cells, an atlas to leave out."""
    random = np.random.default_rng(1)
    cells = kit.Cells().measure("tumour2", PANEL).measure("normal2", PANEL)
    for atlas, sizes in (("tumour", (16, 25, 40, 80)), ("tumour2", (25, 60))):
        for p, n in enumerate(sizes):
            counts = {g: random.poisson(m, n) for g, m in zip(PANEL, (0.9, 0.6), strict=True)}
            cells.add(atlas, f"P{p}", counts, sizes=random.integers(800, 6000, n))
    groups = (
        ("normal", kit.T_CELL, kit.BLOOD, (4, 12, 20, 6)),
        ("normal", kit.HEPATOCYTE, kit.LIVER, (7, 7, 7, 6)),
        ("normal2", kit.T_CELL, kit.BLOOD, (30, 9)),
        ("normal2", kit.PLASMA, kit.MARROW, (15, 15, 15)),
    )
    for atlas, cell_type, tissue, sizes in groups:
        for d, n in enumerate(sizes):
            level = (0.01, 0.02) if cell_type == kit.T_CELL else (0.02, 0.005)
            counts = {g: random.poisson(m, n) for g, m in zip(PANEL, level, strict=True)}
            deepest = 700 if (cell_type, d) == (kit.HEPATOCYTE, 1) else 6000
            cells.add(
                atlas, f"H{d}", counts, population="healthy", cell_type=cell_type,
                tissue=tissue, sizes=random.integers(500, deepest, n),
            )  # fmt: skip
    return cells


def asked(kit, diseased=("tumour", "tumour2"), healthy=("normal", "normal2")):
    return kit.indication(
        PANEL, diseased={"atlases": list(diseased)}, healthy={"atlases": list(healthy)}
    )


_SCORED = []


@pytest.fixture
def scored(kit, score):
    """The world and its scenarios, made once."""
    if not _SCORED:
        cells = graded(kit)
        _SCORED.append((cells, score(cells, asked(kit), bootstrap=2)))
    return _SCORED[0]


def of(tables, kind, scenario):
    rows = tables.robustness
    rows = rows[(rows["kind"] == kind) & (rows["scenario"] == scenario)]
    assert len(rows) == len(PANEL), (kind, scenario)
    return rows.set_index("antigen")


def same(rows, tables):
    """Compare a scenario with a score of its own; shedding does not vary in these worlds."""
    plain = tables.components.set_index("antigen")
    for antigen, row in rows.iterrows():
        wanted = plain.loc[antigen]
        if pd.isna(wanted["composite_score"]):
            assert pd.isna(row["composite_score"])
            assert pd.isna(row["rank"])
            assert row["reason"] == wanted["reason"]
        else:
            assert row["composite_score"] == pytest.approx(wanted["composite_score"], rel=1e-9)
            assert pd.isna(row["reason"])
    ranked = tables.ranking.set_index("antigen")["rank"]
    assert rows["rank"].sort_index().tolist() == ranked.sort_index().tolist()


def deleted(kit, cells, drop):
    """Delete the batches that ``drop`` names."""
    left = kit.Cells(cells.default_genes)
    left.genes = cells.genes
    left.batches = [b for b in cells.batches if not drop(b)]
    return left


def test_as_configured_is_the_score(scored):
    _, tables = scored
    same(of(tables, "as_configured", "as configured"), tables)


def test_each_patient_left_out_is_the_score_without_those_rows(kit, score, scored):
    cells, tables = scored
    rows = tables.robustness
    names = set(rows.loc[rows["kind"] == "patient_left_out", "scenario"])
    assert names == {
        *(f"without P{p} of tumour" for p in (1, 2, 3)),
        *(f"without P{p} of tumour2" for p in (0, 1)),
    }, "a patient who does not count is not left out"
    for name in names:
        _, donor, _, atlas = name.split()
        left = deleted(kit, cells, lambda b, d=donor, a=atlas: (b["donor"], b["atlas"]) == (d, a))
        same(of(tables, "patient_left_out", name), score(left, asked(kit)))


@pytest.mark.parametrize("atlas", ["tumour", "tumour2", "normal", "normal2"])
def test_each_atlas_left_out_is_the_score_without_it(kit, score, scored, atlas):
    cells, tables = scored
    left = deleted(kit, cells, lambda b: b["atlas"] == atlas)
    indication = asked(
        kit,
        [a for a in ("tumour", "tumour2") if a != atlas],
        [a for a in ("normal", "normal2") if a != atlas],
    )
    same(of(tables, "atlas_left_out", f"without {atlas}"), score(left, indication))


@pytest.mark.parametrize(
    "name", [*JUDGEMENTS, *DONOR_THRESHOLDS, PATIENT_THRESHOLD, AMBIENT_THRESHOLD]
)
@pytest.mark.parametrize("factor", [0.5, 1.5])
def test_each_threshold_is_the_score_with_that_configuration(kit, score, scored, name, factor):
    cells, tables = scored
    value = getattr(Scoring(), name)
    changed = value * factor
    if isinstance(value, int):
        changed = int(changed + 0.5)
    same(
        of(tables, "threshold", f"{name} × {factor:g}"),
        score(cells, asked(kit), **{name: changed}),
    )


@pytest.mark.parametrize("name", TIER_THRESHOLDS)
@pytest.mark.parametrize("factor", [0.5, 1.5])
def test_each_tier_threshold_is_the_score_with_that_table(kit, score, scored, name, factor):
    cells, tables = scored
    knowledge = kit.knowledge()
    tiers = knowledge.tiers.copy()
    most = np.inf if name == "saturation_cpm" else 1.0
    tiers[name] = (tiers[name] * factor).clip(upper=most)
    knowledge.tiers = tiers
    rows = of(tables, "threshold", f"{name} × {factor:g}")
    same(rows, score(cells, asked(kit), knowledge))


@pytest.mark.parametrize("phi", [0.7, 6])
def test_each_dispersion_is_the_score_with_it(kit, score, scored, phi):
    cells, tables = scored
    assert "dropout_dispersion = 2" not in set(tables.robustness["scenario"]), "as configured"
    rows = of(tables, "dropout_dispersion", f"dropout_dispersion = {phi}")
    same(rows, score(cells, asked(kit), dropout_dispersion=phi))


def test_the_scenarios_of_this_world_do_change_the_score(scored):
    """Otherwise the comparisons above could not fail."""
    _, tables = scored
    base = of(tables, "as_configured", "as configured")["composite_score"]
    changed = set()
    for name, rows in tables.robustness.groupby("scenario"):
        found = rows.set_index("antigen")["composite_score"]
        if not np.allclose(found, base.reindex(found.index), rtol=1e-9):
            changed.add(name)
    assert {
        "saturation_fraction × 0.5",
        "saturation_cpm × 1.5",
        "min_cells_patient × 0.5",
        "min_cells_donor × 1.5",
        "min_library_donor × 1.5",
        "dropout_dispersion = 0.7",
        "without normal2",
    } <= changed
    assert "alert_fraction × 0.5" not in changed, "it changes what is said, not the score"


def test_what_cannot_be_scored_is_listed_with_its_reason(kit, score):
    cells = kit.ordinary()
    tables = score(cells, kit.indication(("AAA1", "CCC3")), bootstrap=2)
    rows = tables.robustness
    assert rows.groupby("scenario").size().eq(2).all(), "no antigen is dropped from a scenario"
    assert (rows["composite_score"].isna() == rows["reason"].notna()).all()
    assert (rows["composite_score"].isna() == rows["rank"].isna()).all()
    said = rows.set_index(["scenario", "antigen"])["reason"]
    assert said["without tumour", "AAA1"] == "no atlas with diseased cells is left"
    assert said["without normal", "AAA1"] == "no atlas with healthy cells is left"
    assert said["without P0 of tumour", "CCC3"].startswith("no atlas of this indication measures")
    assert "at least 5 donors" in said["min_donors_clear × 1.5", "AAA1"]


def test_the_only_patient_left_out(kit, score):
    cells = kit.Cells()
    cells.add("tumour", "P0", {"AAA1": [3] * 100})
    cells.healthy(4, {"AAA1": [0] * 100}, cell_type=kit.T_CELL, tissue=kit.BLOOD)
    rows = score(cells, kit.indication(("AAA1",)), bootstrap=2).robustness
    left = rows[rows["kind"] == "patient_left_out"]
    assert left["reason"].tolist() == ["no patient is left"]
    assert left["composite_score"].isna().all()


@pytest.mark.parametrize("population", ["diseased", "healthy"])
def test_worlds_without_patients_or_without_healthy_cells(kit, score, population):
    """Also where the cells that are left out are the only ones: reasons, no crash."""
    cells = deleted(kit, kit.ordinary(), lambda b: b["population"] == population)
    tables = score(cells.measure("tumour", PANEL).measure("normal", PANEL), bootstrap=5)
    rows = tables.robustness
    assert rows["composite_score"].isna().all()
    assert rows["reason"].notna().all()
    kinds = set(rows["kind"]) - {"patient_left_out"}
    assert kinds == {"as_configured", "atlas_left_out", "threshold", "dropout_dispersion"}
    assert set(tables.ranking["no_interval_reason"]) == {"not ranked"}
    assert tables.outranks.empty


def test_an_atlas_left_out_can_hold_all_the_patients(kit, score):
    cells = kit.ordinary()
    cells.add("other", "Q0", {"AAA1": [1] * 30}, population="microenvironment")
    indication = kit.indication(diseased={"atlases": ["tumour", "other"]})
    rows = score(cells, indication, bootstrap=5).robustness.set_index(["scenario", "antigen"])
    assert "no patient" in rows.loc[("without tumour", "AAA1"), "reason"]
    assert rows.loc[("without other", "AAA1"), "rank"] == 1


def test_switched_off_there_is_only_the_score(kit, score):
    rows = score(kit.ordinary(), bootstrap=0).robustness
    assert set(rows["kind"]) == {"as_configured"}
