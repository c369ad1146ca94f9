"""Cells flagged as doublets: the cut by flag changes nothing; without them is a scenario."""

import numpy as np
import pandas as pd
import pytest

from targetscore.score.load import choose_profiles, mean_levels, read_profiles, read_symbols

PANEL = ("AAA1", "BBB2", "CCC3")


def world(kit, flag):
    """Patients and healthy donors; ``flag(n)`` says which of n cells are doublets."""
    random = np.random.default_rng(3)
    cells = kit.Cells((*PANEL, "ADAM10", "FILL"))

    def add(atlas, donor, levels, n, **more):
        counts = {g: random.poisson(m, n) for g, m in zip(PANEL, levels, strict=True)}
        counts["ADAM10"] = random.poisson(0.4, n)
        sizes = random.integers(700, 9000, n)
        calls = flag(n)
        for call in sorted(set(calls)):
            here = calls == call
            part = {g: x[here] for g, x in counts.items()}
            cells.add(atlas, donor, part, sizes=sizes[here], doublet=call, **more)

    for p, n in enumerate((40, 60, 90, 120)):
        add("tumour", f"P{p}", (1.2, 0.8, 0.3), n)
        around = {"population": "microenvironment", "cell_type": kit.T_CELL}
        add("tumour", f"P{p}", (0.01, 0.02, 0.2), n, **around)
    for d in range(4):
        healthy = {"population": "healthy", "sample": f"H{d}"}
        add("normal", f"H{d}", (0.9, 0.5, 0.1), 80, cell_type=kit.PLASMA, **healthy)
        add("normal", f"H{d}", (0.05, 0.01, 0.3), 150, cell_type=kit.T_CELL, **healthy)
        add("normal", f"H{d}", (0.0, 0.02, 0.0), 70, cell_type=kit.HEPATOCYTE,
            tissue=kit.LIVER, population="healthy")  # fmt: skip
    return cells


def all_no(n):
    return np.full(n, "no")


def at_random(n):
    return np.random.default_rng(n).choice(["yes", "no", "not_assessed"], n, p=[0.2, 0.6, 0.2])


def same_numbers(one, other):
    assert list(one.columns) == list(other.columns)
    for column in one:
        if pd.api.types.is_float_dtype(one[column]):
            close = np.isclose(one[column], other[column], rtol=1e-12, atol=0, equal_nan=True)
            assert close.all(), column
        else:
            assert one[column].equals(other[column]), column


def test_the_cut_by_flag_changes_no_score(kit, score):
    asked = kit.indication(PANEL)
    whole = score(world(kit, all_no), asked, bootstrap=20)
    split = score(world(kit, at_random), asked, bootstrap=20)
    for name, table in vars(whole).items():
        other = getattr(split, name)
        if name == "robustness":
            other = other[other["kind"] != "doublets_left_out"].reset_index(drop=True)
            assert len(other) < len(split.robustness)
        same_numbers(table, other)


def test_without_flagged_doublets_is_the_score_of_the_others(kit, score):
    asked = kit.indication(PANEL)
    cells = world(kit, at_random)
    tables = score(cells, asked, bootstrap=2)
    left = kit.Cells(cells.default_genes)
    left.batches = [b for b in cells.batches if b["doublet"] != "yes"]
    wanted = score(left, asked).ranking.set_index("antigen")
    rows = tables.robustness[tables.robustness["kind"] == "doublets_left_out"]
    assert set(rows["scenario"]) == {"without flagged doublets"}
    found = rows.set_index("antigen").reindex(wanted.index)
    assert found["composite_score"].to_numpy() == pytest.approx(
        wanted["composite_score"].to_numpy(), rel=1e-9, nan_ok=True
    )
    assert found["rank"].tolist() == wanted["rank"].tolist()
    as_configured = tables.ranking.set_index("antigen")["composite_score"].reindex(wanted.index)
    assert not np.allclose(found["composite_score"], as_configured, rtol=1e-4), "cannot fail"


@pytest.mark.parametrize("call", ["no", "not_assessed"])
def test_no_scenario_where_nothing_is_flagged(kit, score, call):
    tables = score(world(kit, lambda n: np.full(n, call)), kit.indication(PANEL), bootstrap=2)
    assert "doublets_left_out" not in set(tables.robustness["kind"])


def test_all_cells_flagged_leave_nothing_to_score(kit, score):
    tables = score(world(kit, lambda n: np.full(n, "yes")), kit.indication(PANEL), bootstrap=2)
    rows = tables.robustness[tables.robustness["kind"] == "doublets_left_out"]
    assert len(rows) == len(PANEL)
    assert rows["composite_score"].isna().all()
    assert rows["reason"].notna().all()
    assert tables.ranking["rank"].notna().any(), "the default keeps flagged cells"


def test_percentiles_of_sheddases_do_not_depend_on_the_cut(kit, tmp_path):
    """Many genes tie at low counts: a rounding error would move them."""
    found = []
    for name, flag in (("whole", all_no), ("split", at_random)):
        profiles = world(kit, flag).write(tmp_path / name)
        chosen = choose_profiles(kit.indication(PANEL), profiles)
        _, measured = read_symbols(chosen)
        read = read_profiles(chosen, measured, [])
        sick = read.groups[read.groups["population"] == "diseased"]
        found.append(mean_levels(chosen, sick))
    assert found[0].equals(found[1])
