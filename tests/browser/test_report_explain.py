"""The score of one antigen in the terminal: every figure stands there and can be redone by hand."""

import math
import re
from types import SimpleNamespace

import invented_references
import pandas as pd
import pytest

from targetscore import io
from targetscore.contracts import INTERVAL_CAVEATS, LEVELS
from targetscore.contracts_cells import CONTAMINATION
from targetscore.explain import explain


@pytest.fixture
def explained(invented, stage_tables, tmp_path):
    """Explain an antigen of the invented report; tables can be replaced."""
    data = invented()

    folder = tmp_path / "results/score/demo_disease"

    def run(antigen, part_floor=1e-3, **changed):
        for name, contract in stage_tables.items():
            table = changed.get(name, getattr(data, name))
            io.write_table(table, folder / f"{name}.parquet", contract, {})
        (folder / "levels.parquet").unlink(missing_ok=True)
        if "levels" in changed:
            io.write_table(changed["levels"], folder / "levels.parquet", LEVELS, {})
        gene_id = data.components.set_index("antigen").loc[antigen, "gene_id"]
        genes = SimpleNamespace(resolve=lambda *_: SimpleNamespace(gene_id=gene_id, symbol=antigen))
        scoring = data.scoring.model_copy(update={"part_floor": part_floor})
        return explain(antigen, data.indication, genes, str(folder), scoring)

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


def test_one_is_never_told_in_the_plural(explained, invented):
    data = invented()
    one = {"n_patients": 1, "n_identifiable": 0}
    evidence = data.evidence.copy()
    seen = evidence["n_cells"] > 0
    evidence.loc[seen, ["n_donors", "n_cells", "n_detected"]] = 1
    evidence.loc[evidence["patients_n_cells"].notna(), "patients_n_cells"] = 1
    evidence.loc[evidence["patients_n_donors"].notna(), "patients_n_donors"] = 1
    told = explained(
        "TNFRSF17",
        components=data.components.assign(**one),
        evidence=evidence,
        ranking=data.ranking.assign(n_replicates=1),
    )
    nouns = "time|patient|donor|cell|group|level|row"
    assert re.findall(rf"\b1 (?:\w+ )?(?:{nouns})s\b", told) == []
    assert "resampled 1 time (" in told
    assert "10th percentile over 1 patient\n" in told
    assert "1 of 1 patient is a lower bound" in told
    assert "1 donor, 1 cell, harm" in told
    assert "1 cell of 1 patient\n" in told


@pytest.mark.parametrize(
    ("summary", "said"),
    [
        (None, "not looked for, so nothing is known"),
        ({"mode": "off", "n_assessed": 0, "n_flagged": 0}, "not looked for, so nothing is known"),
        ({"mode": "report", "n_assessed": 0, "n_flagged": 0}, "no cell could be assessed"),
        (
            {"mode": "report", "n_assessed": 90, "n_flagged": 1},
            "this antigen in none of 1 such cell; 90",
        ),
    ],
)
def test_wrong_labels_that_nobody_looked_for_are_not_absent(explained, tmp_path, summary, said):
    for atlas in ("demo_tumour", "demo_healthy"):
        ingest = tmp_path / "results/ingest" / atlas
        io.write_table(CONTAMINATION.empty(), ingest / "contamination.parquet", CONTAMINATION, {})
        if summary:
            io.write_json({"contamination": summary}, ingest / "samples.json")
    told = explained("TNFRSF17")
    assert f"  demo_tumour: {said}" in told
    assert f"  demo_healthy: {said}" in told


def test_one_cell_under_a_wrong_label_is_one(explained, invented, tmp_path):
    gene_id = invented().components.set_index("antigen").loc["TNFRSF17", "gene_id"]
    who = ("healthy", "UBERON:0002371", "bone marrow", "CL:0000236", "B cell", "plasma cell")
    row = pd.DataFrame([(*who, gene_id, 4, 1, 2, 1)], columns=CONTAMINATION.names)
    ingest = tmp_path / "results/ingest/demo_healthy"
    io.write_table(row, ingest / "contamination.parquet", CONTAMINATION, {})
    looked = {"mode": "report", "n_assessed": 9, "n_flagged": 1}
    io.write_json({"contamination": looked}, ingest / "samples.json")
    told = explained("TNFRSF17")
    assert "detected in 2 of 4 cells (0.500); without 1 cell that looks like plasma" in told
    assert "plasma cell in 1 of 3 (0.333)" in told


def test_levels_without_cells_are_told_apart_and_harmless(explained, invented, hostile_texts):
    data = invented()
    antigens = list(data.components[["gene_id", "antigen"]].itertuples(index=False, name=None))
    levels = invented_references.levels(antigens)
    odd = levels["reliability"].notna()
    levels.loc[odd, "reliability"] = "\x1b[2J" + hostile_texts["turned"]
    told = explained("TNFRSF17", levels=levels)
    assert "level only, 3 of 5 levels of references counted" in told
    assert "180 nTPM, level only, 3 donors as stated, no fraction: concern" in told
    assert "\x1b" not in told
    assert "\u202e" not in told
    assert "1 of 1 level of references counted" in explained("CD38", levels=levels)
    assert "not measured in some_levels" in explained("GPRC5D", levels=levels)
    assert "level only" not in explained("TNFRSF17")


@pytest.mark.parametrize(
    ("harm", "gap", "factor", "said"),
    [
        (0.3, 0.1, 0.7, ""),
        (0.1, 0.3, 0.7, ": the gap decides, row"),
        (None, 0.3, 0.7, ": the gap decides, row"),
        (0.3, None, 0.7, ""),
        (0.3, 0.3, 0.7, ""),
        (0.1, 0.2, 0.4, ": a level without cells decides, below"),
        (None, 0.0, 0.4, ": a level without cells decides, below"),
    ],
)
def test_what_takes_most_off_a_class_is_named(explained, invented, harm, gap, factor, said):
    toxicity = invented().toxicity
    row = {"harm": harm, "gap_penalty": gap, "factor": factor, "verdict": "clear"}
    told = explained(
        "TNFRSF17",
        toxicity=toxicity.assign(worst_cell_type="group", gap_label="row", **row).astype(
            {"harm": "float64", "gap_penalty": "float64"}
        ),
    )
    lines = re.findall(r"\n  [\d.]+  \w+: harm .*", told)
    assert len(lines) == toxicity["toxicity_class"].nunique()
    named = "row" if harm is None else "group"
    assert all(f"(clear; {named}; " in line and line.endswith(f" not){said}") for line in lines)
