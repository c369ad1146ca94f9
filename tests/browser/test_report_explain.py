"""The score of one antigen in the terminal: every figure stands there and can be redone by hand."""

import math
import re
from types import SimpleNamespace

import pytest

from targetscore import io
from targetscore.contracts import INTERVAL_CAVEATS
from targetscore.explain import explain


@pytest.fixture
def explained(invented, stage_tables, tmp_path):
    """Explain an antigen of the invented report; tables can be replaced."""
    data = invented()

    def run(antigen, part_floor=1e-3, **changed):
        for name, contract in stage_tables.items():
            table = changed.get(name, getattr(data, name))
            io.write_table(table, tmp_path / f"{name}.parquet", contract, {})
        gene_id = data.components.set_index("antigen").loc[antigen, "gene_id"]
        genes = SimpleNamespace(resolve=lambda *_: SimpleNamespace(gene_id=gene_id, symbol=antigen))
        scoring = data.scoring.model_copy(update={"part_floor": part_floor})
        return explain(antigen, data.indication, genes, str(tmp_path), scoring)

    return run


@pytest.mark.parametrize(("antigen", "known"), [("TNFRSF17", False), ("GPRC5D", True)])
def test_explain_marks_lower_bounds_and_leaves_unknown_safety_unknown(
    invented, explained, antigen, known
):
    components = invented().components
    changed = {"components": components.assign(safety_score=float("nan"))}
    told = explained(antigen, part_floor=0.99, **changed)
    assert ("f     ≥ " in told) is not known
    assert ("share ≥ " in told) is not known
    assert ("3 of 11 patients are lower bounds" in told) is not known
    assert "safety NA = product" in told
    coverage = next(line for line in told.splitlines() if line.startswith("  coverage"))
    assert float(coverage.rsplit("= ", 1)[1]) == pytest.approx(0.99**0.25, abs=1e-4)
    assert "[mixed]" not in told


def test_intervals_and_neighbours_stand_with_the_score(explained, invented):
    row = invented().ranking.set_index("antigen").loc["GPRC5D"]
    told = explained("GPRC5D")
    low, high = row["composite_lower"], row["composite_upper"]
    assert "resampled 500 times" in told
    assert f"composite {low:.3f}–{high:.3f}" in told
    assert f"rank {row['rank_median']:g} ({row['rank_lower']:g}–{row['rank_upper']:g})" in told
    assert "below BCMA (rank 1, " in told
    assert "above it in 0.090" in told
    assert "cannot be told apart from CS1 (rank 3, " in told
    assert "above it in 0.490" in told


def test_an_antigen_without_replicates_says_why(explained, invented):
    last = invented().ranking.query("rank == 5")["antigen"].iloc[0]
    told = explained(last)
    assert "no interval: fewer than 3 patients to resample" in told
    assert "resampled" not in told


def test_every_kind_of_scenario_in_the_data_is_told(explained):
    told = explained("GPRC5D")
    assert "patient left out: rank 1 in 1 of 2; rank 2 in without P02" in told
    assert "atlas left out: no rank, no atlas is left" in told
    assert "dropout dispersion: rank 2 in 1 of 1" in told


@pytest.mark.parametrize("antigen", ["TNFRSF17", "GPRC5D"])
def test_what_is_left_can_be_redone_by_hand(explained, antigen):
    told = explained(antigen)
    f = float(re.search(r"f     (?:≥ )?([\d.]+) expressing", told)[1])
    left = re.search(r"R = 1 − f = (≤ )?([\d.]+) .*R × 10\^([\d.]+) = 10\^([\d.]+) cells", told)
    assert (left[1] is None) == (antigen == "GPRC5D")
    assert float(left[2]) == pytest.approx(1 - f, abs=0.0011)
    burden = float(left[3])
    assert float(left[4]) == pytest.approx(burden + math.log10(1 - f), abs=0.02)
    on_target = float(re.search(r"f × 10\^[\d.]+ = 10\^([\d.]+) cells on target", told)[1])
    assert on_target == pytest.approx(burden + math.log10(f), abs=0.02)


def test_how_far_intervals_hold_is_said_where_they_stand(explained):
    told = re.sub(r"\s+", " ", explained("GPRC5D"))
    for caveat in INTERVAL_CAVEATS:
        assert caveat in told


def test_free_rna_and_cells_of_patients_are_named(explained):
    told = explained("TNFRSF17")
    assert "in patients (decides nothing): " in told
    assert "fold change against the worst group of tier 1 4.500, tier 2 4.800" in told
