"""Levels without cells: they may lower safety where nobody looked, and do nothing else (C4, C9)."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from targetscore import io
from targetscore.config import Levels, Scoring
from targetscore.contracts import REFERENCE_LEVELS
from targetscore.errors import ConfigError
from targetscore.genes import Gene
from targetscore.score import score_indication
from targetscore.score.antigen import score_antigen
from targetscore.score.inputs import read_inputs, world_of
from targetscore.score.levels import References, credit
from targetscore.score.safety import WORST_FIRST

AAA1 = "ENSG00000000001"
LIVER, BLOOD = "UBERON:0002107", "UBERON:0000178"
HEPATOCYTE, T_CELL, PLASMA, NEURON = "CL:0000182", "CL:0000084", "CL:0000786", "CL:0000540"
WHOLE = "label:whole tissue"
QUICK = Scoring(bootstrap=0)
WEIGHT = {"hepatocyte": (0.9, 20), "T cell": (0.7, 50), "plasma cell": (0.1, 500)}


def rna(level, cell_type=HEPATOCYTE, tissue=LIVER, tier_label=None, **more):
    """One RNA level of AAA1."""
    return {
        "gene_id": AAA1,
        "scope": "tissue" if cell_type == WHOLE else "cell_type",
        "tissue_id": tissue,
        "cell_type_id": cell_type,
        "tier_label": tier_label,
        "measure": "rna",
        "unit": "nTPM",
        "level": level,
        "level_lower": level,
        "protein_level": None,
        "reliability": None,
    } | more


def protein(level, reliability="enhanced", **more):
    """One protein level of AAA1."""
    found = rna(math.nan, unit="protein", measure="protein", **more)
    return found | {"protein_level": level, "reliability": reliability}


def write(folder, name, rows):
    """Write rows as the file of a reference."""
    table = pd.DataFrame(
        [
            {"label": f"label {i}", "tissue": "somewhere", "cell_type": "someone", "n_donors": 3}
            | row
            for i, row in enumerate(rows)
        ],
        columns=REFERENCE_LEVELS.names,
    )
    path = folder / f"{name}.parquet"
    io.write_table(table.astype({"n_donors": "Int64"}), path, REFERENCE_LEVELS, {})
    return str(path)


def usual_cells(kit):
    """Five patients rich in AAA1, and T cells without it; nobody looked at hepatocytes."""
    cells = kit.Cells()
    for patient in range(5):
        cells.add("tumour", f"P{patient}", {"AAA1": [3] * 90 + [0] * 10})
    cells.healthy(4, {"AAA1": [0] * 100}, cell_type=T_CELL, tissue=BLOOD)
    for atlas in ("tumour", "normal"):
        cells.measure(atlas, ["AAA1", "BBB2", "FILL"])
    return cells


@pytest.fixture
def levelled(kit, tmp_path):
    """Score a world with references; hepatocytes are not looked at unless it has them."""
    usual = usual_cells(kit).write(tmp_path / "usual")

    def run(*references, cells=None, panel=("AAA1",), scoring=QUICK, **more):
        paths = {f"ref{i}": write(tmp_path, f"ref{i}", r) for i, r in enumerate(references)}
        knowledge = kit.knowledge(**more.pop("tables", {}))
        return score_indication(
            kit.indication(list(panel), **more),
            usual if cells is None else cells.write(tmp_path / "world"),
            knowledge,
            kit.genes(),
            scoring,
            paths,
            Levels(),
        )

    return run


def safety(tables):
    return float(tables.components["safety_score"].iloc[0])


def test_without_references_nothing_is_written(levelled):
    tables = levelled()
    assert tables.levels.empty


@pytest.mark.parametrize(
    ("row", "verdict", "cost"),
    [
        (rna(500.0), "concern", 0.9),
        (rna(20.0), "concern", 0.9),
        (rna(10.0), "possible", 0.45),
        (rna(0.99), "no_signal_insufficient", 0.0),
        (rna(500.0, WHOLE, tier_label="hepatocyte"), "concern", 0.18),
        (rna(10.0, WHOLE, tier_label="hepatocyte"), "possible", 0.09),
        (rna(500.0, level_lower=5.0), "possible", 0.225),
        (protein("high"), "concern", 0.9),
        (protein("medium", "approved"), "concern", 0.9),
        (protein("medium", "uncertain"), "possible", 0.18),
        (protein("low"), "possible", 0.18),
        (protein("not_detected"), "no_signal_insufficient", 0.0),
    ],
)
def test_verdict_and_cost_of_one_level(levelled, row, verdict, cost):
    plain, tables = levelled(), levelled([row])
    (line,) = tables.levels.to_dict("records")
    assert (line["verdict"], line["evidence_kind"]) == (verdict, "level")
    assert line["harm"] == pytest.approx(cost)
    assert line["counts"] == (cost > 0)
    assert safety(tables) == pytest.approx(safety(plain) * (1 - cost))
    hepatic = tables.toxicity.set_index("toxicity_class").loc["hepatic"]
    assert hepatic["factor"] == pytest.approx(1 - cost)
    assert hepatic["verdict"] == (verdict if cost else "not_assessed")
    assert hepatic["n_groups_not_assessed"] == 1


def test_the_worst_cell_type_says_that_it_is_a_level(levelled):
    row = levelled([rna(500.0)]).components.iloc[0]
    assert row["worst_cell_type"] == "someone (level only)"
    assert (row["worst_verdict"], row["worst_tier"]) == ("concern", 1)
    assert "levels without cells (references) count in hepatic" in row["notes"]


def test_a_whole_tissue_without_a_named_row_counts_nowhere(levelled):
    tables = levelled([rna(500.0, WHOLE)])
    (line,) = tables.levels.to_dict("records")
    assert line["counts_not"].startswith("no tier row")
    assert safety(tables) == safety(levelled())


def test_an_ancestor_is_not_credited(levelled):
    """An epithelial cell is no hepatocyte, and a lymphocyte no T cell."""
    tables = levelled([rna(500.0, "CL:0000066"), rna(500.0, "CL:0000542", BLOOD)])
    assert tables.levels["tier_label"].isna().all()
    assert safety(tables) == safety(levelled())


def test_cells_of_enough_donors_are_not_overruled(levelled):
    tables = levelled([rna(500.0, T_CELL, BLOOD)])
    assert tables.levels["counts_not"].tolist() == ["enough cells of enough donors assess the row"]
    assert safety(tables) == safety(levelled())


def test_too_few_cells_do_not_silence_a_level(kit, levelled):
    cells = kit.ordinary()
    few = kit.Cells()
    few.batches = [b for b in cells.batches if b["cell_type_id"] != HEPATOCYTE]
    few.healthy(1, {"AAA1": [0] * 30}, cell_type=HEPATOCYTE, tissue=LIVER)
    before, after = levelled(cells=few), levelled([rna(500.0)], cells=few)
    assert safety(after) == pytest.approx(
        0.1 * safety(before) / (1 - 0.9 * _harm(before)), rel=0.05
    )
    toxicity = after.toxicity.set_index("toxicity_class").loc["hepatic"]
    assert (toxicity["verdict"], toxicity["factor"]) == ("concern", pytest.approx(0.1))


def _harm(tables):
    return float(tables.toxicity.set_index("toxicity_class").loc["hepatic", "harm"]) / 0.9


def test_tolerated_lineages_cost_nothing(levelled):
    tables = levelled(
        [rna(900.0, PLASMA, "UBERON:0002371")], tolerated={"cell_types": ["plasma cell"]}
    )
    assert tables.levels["counts_not"].tolist() == ["tolerated lineage"]


def test_each_reference_left_out_is_the_score_without_it(levelled):
    """The second costs more in the same class, so the first changes nothing."""
    resampled = QUICK.model_copy(update={"bootstrap": 2})
    first, second = [rna(10.0)], [rna(500.0)]
    tables = levelled(first, second, scoring=resampled)
    left = tables.robustness[tables.robustness["kind"] == "reference_left_out"]
    found = left.set_index("scenario")["composite_score"].to_dict()
    assert found == {
        "without ref0": levelled(second).components["composite_score"].iloc[0],
        "without ref1": levelled(first).components["composite_score"].iloc[0],
    }
    assert found["without ref1"] > found["without ref0"]
    assert found["without ref0"] == tables.components["composite_score"].iloc[0]


def test_a_gene_that_a_reference_lacks_is_not_measured(levelled):
    tables = levelled([rna(5.0)], [rna(5.0, gene_id="ENSG00000000099")], panel=("AAA1", "BBB2"))
    missing = tables.levels[tables.levels["verdict"] == "not_measured"]
    assert sorted(zip(missing["antigen"], missing["reference"], strict=True)) == [
        ("AAA1", "ref1"),
        ("BBB2", "ref0"),
        ("BBB2", "ref1"),
    ]
    assert missing[["level", "measure", "unit", "n_donors"]].isna().all(axis=None)
    assert missing["harm"].isna().all()


def test_a_tier_row_that_does_not_exist_is_refused(levelled):
    with pytest.raises(ConfigError, match="no row of tissue_tiers.tsv is called 'nowhere'"):
        levelled([rna(5.0, WHOLE, tier_label="nowhere")])


NAMES = st.sampled_from(list(WEIGHT))
TYPES = st.sampled_from([HEPATOCYTE, T_CELL, PLASMA, NEURON, "label:odd", "CL:0000066"])
TISSUES = st.sampled_from([LIVER, BLOOD, "label:any tissue", "UBERON:0000955"])
AMOUNTS = st.one_of(st.just(0.0), st.floats(0, 1e6, allow_subnormal=False))
ROWS = st.one_of(
    st.builds(rna, AMOUNTS, TYPES, TISSUES),
    st.builds(lambda v, t, n: rna(v, WHOLE, t, n), AMOUNTS, TISSUES, st.none() | NAMES),
    st.builds(
        lambda v, r, c, t: protein(v, r, cell_type=c, tissue=t),
        st.sampled_from(["not_detected", "low", "medium", "high"]),
        st.sampled_from(["enhanced", "uncertain", None]),
        TYPES,
        TISSUES,
    ),
)
REFERENCE = st.lists(ROWS, min_size=1, max_size=6)
MANY = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)


@pytest.fixture
def world(kit, tmp_path):
    """The evidence of the usual world; levels are put on top."""
    profiles = usual_cells(kit).write(tmp_path / "profiles")
    asked = kit.indication(["AAA1"])
    return world_of(read_inputs(asked, profiles, kit.knowledge(), kit.genes(), QUICK))


def scored(world, *references):
    """Score AAA1 with the levels of some references."""
    rows = [
        row
        | {"reference": f"ref{n}", "label": f"label {i}", "n_donors": 3, "tissue": "t"}
        | {"cell_type": "c"}
        for n, reference in enumerate(references)
        for i, row in enumerate(reference)
    ]
    names = [*REFERENCE_LEVELS.names, "reference"]
    held = {f"ref{n}": frozenset({AAA1}) for n in range(len(references))}
    read = References(Levels(), pd.DataFrame(rows, columns=names).astype(object), held)
    other = replace(world, levels=credit(read, world.rows))
    return score_antigen(other, Gene(AAA1, "AAA1", "ensembl_id"), 0)


@MANY
@given(REFERENCE, REFERENCE)
def test_adding_a_reference_never_helps_and_touches_no_cell_evidence(world, first, second):
    none, one, both = scored(world), scored(world, first), scored(world, first, second)
    for less, more in ((none, one), (one, both)):
        for column in ("composite_score", "safety_score", "safety_lower", "safety_upper"):
            assert more.components[column] <= less.components[column] + 1e-12, column
        for name in ("evidence", "coverage", "shedding"):
            pd.testing.assert_frame_equal(getattr(less, name), getattr(more, name))
        for column in ("n_gaps", "evidence_grade", "safety_assessed", "specificity_score"):
            assert less.components[column] == more.components[column], column
        classes = less.toxicity.merge(more.toxicity, on="toxicity_class", suffixes=("", "_more"))
        assert len(classes) == len(less.toxicity)
        for row in classes.to_dict("records"):
            assert WORST_FIRST.index(row["verdict_more"]) <= WORST_FIRST.index(row["verdict"])
            for column in ("n_groups_assessed", "n_groups_not_assessed"):
                assert row[column] == row[f"{column}_more"]
    assert "clear" not in set(both.levels["verdict"])
    assert np.prod(both.toxicity["factor"]) == pytest.approx(both.components["safety_score"])
    assert len(both.levels) == len(first) + len(second)


@MANY
@given(REFERENCE)
def test_cost_equals_a_plain_loop(world, rows):
    """The score takes, per class, the dearest level of a row that no cell assesses."""
    labels = {HEPATOCYTE: "hepatocyte", T_CELL: "T cell", PLASMA: "plasma cell"}
    worst = {}
    for row in rows:
        name = row["tier_label"] if row["scope"] == "tissue" else labels.get(row["cell_type_id"])
        if name in (None, "T cell", "plasma cell"):  # no row, looked at, normal counterpart
            continue
        weight, saturation = WEIGHT[name]
        if row["measure"] == "protein":
            low = row["protein_level"] == "low" or row["reliability"] == "uncertain"
            cost = 0 if row["protein_level"] == "not_detected" else weight * (0.2 if low else 1)
        else:
            cost = weight * min(1, row["level"] / saturation) if row["level"] >= 1 else 0
            cost *= 0.2 if row["scope"] == "tissue" else 1
        worst[name] = max(worst.get(name, 0), cost)
    plain = scored(world).components["safety_score"]
    expected = plain * math.prod(1 - c for c in worst.values())
    assert scored(world, rows).components["safety_score"] == pytest.approx(expected)
