"""What ``targetscore explain`` prints, redone by hand from the printed figures alone."""

import math
import re

import pandas as pd
import pytest

from targetscore import contracts, io
from targetscore.config import Scoring
from targetscore.explain import explain

ROUNDED = 6e-5  # half a unit of the fourth digit, and a little


@pytest.fixture(scope="module")
def told():
    return {}


@pytest.fixture
def printed(told, kit, score, tmp_path):
    """Score and explain a world in which no part is 0 or 1, once."""
    if told:
        return told["text"], told["tables"]
    cells = kit.Cells(("AAA1", "BBB2", "ADAM10", "FILL"))
    for patient in range(5):
        on = 95 - 20 * patient
        counts = {"AAA1": [2, 3, 5, 1, 9] * (on // 5) + [0] * (100 - on), "ADAM10": [1] * 100}
        cells.add("tumour", f"P{patient}", counts | {"FILL": [4] * 100})
    weak = {"AAA1": [1] * 3 + [0] * 97, "FILL": [4] * 100}
    cells.healthy(4, weak, cell_type=kit.T_CELL, tissue=kit.BLOOD)
    cells.healthy(4, weak, cell_type=kit.HEPATOCYTE, tissue=kit.LIVER)
    cells.healthy(4, {"AAA1": [2] * 50 + [0] * 50}, cell_type=kit.PLASMA)
    knowledge = kit.knowledge()
    rows = [
        *knowledge.tissue_tiers.to_dict("records"),
        kit.tier_row("neuron", "CL:0000540", 1, "n"),
    ]
    knowledge.tissue_tiers = pd.DataFrame(rows)
    report = {"must_check": "no", "finding": "test", **kit.SOURCE}
    knowledge.healthy_literature = pd.DataFrame(
        [{"symbol": "AAA1", "tier_label": "neuron", "strength": "contested", **report}]
    )
    enzyme = {"symbol": "AAA1", "enzyme": "ADAM10", "pathway": "a", "rule": "any"}
    knowledge.sheddases = pd.DataFrame([enzyme | {"compartment": "tumour", **kit.SOURCE}])
    asked = kit.indication(["AAA1"])
    tables = score(cells, asked, knowledge)
    for name, table in vars(tables).items():
        io.write_table(table, tmp_path / f"{name}.parquet", getattr(contracts, name.upper()), {})
    told["text"] = explain("AAA1", asked, kit.genes(), str(tmp_path), Scoring(bootstrap=0))
    told["tables"] = tables
    return told["text"], tables


def figure(text, pattern):
    return float(re.search(pattern, text)[1])


def between(text, first, last):
    return text.split(first, 1)[1].split(last, 1)[0]


def test_the_five_powers_multiply_to_the_composite(printed):
    text, tables = printed
    factors = re.findall(r"  (\S.*?) +([\d.]+) \^ ([\d.]+) = ([\d.]+)", text)
    assert [f[0] for f in factors] == [
        *("specificity", "coverage", "safety", "surface", "1 − shedding/200"),
    ]
    for _, part, weight, power in factors:
        assert 0 < float(part) < 1, "a part of 0 or 1 would show nothing"
        assert float(part) ** float(weight) == pytest.approx(float(power), abs=ROUNDED)
    stated = figure(text, r"composite ([\d.]+) = product")
    assert math.prod(float(f[3]) for f in factors) == pytest.approx(stated, abs=2.5e-4)
    assert stated == pytest.approx(tables.components["composite_score"].iloc[0], abs=ROUNDED)


def test_the_parts_are_those_of_their_own_sections(printed):
    text, _ = printed
    for name in ("specificity", "coverage", "safety"):
        section = figure(text, rf"(?m)^{name} ([\d.]+) =")
        assert figure(text, rf"  {name} +([\d.]+) \^") == pytest.approx(section, abs=ROUNDED)
    shedding = figure(text, r"(?m)^shedding ([\d.]+) of 100")
    unshed = figure(text, r"  1 − shedding/200 +([\d.]+) \^")
    assert unshed == pytest.approx(1 - shedding / 200, abs=3e-4)


def test_specificity_is_the_weighted_sum(printed):
    text, _ = printed
    own = between(text, "\nspecificity ", "\ncoverage ")
    terms = re.findall(r"  ([\d.]+) × ([\d.]+) = ", own)
    assert len(terms) == 4
    total = sum(float(w) * float(p) for w, p in terms)
    assert total == pytest.approx(float(own.split(" ", 1)[0]), abs=6e-4)


def test_coverage_is_the_weighted_sum(printed):
    text, _ = printed
    own = between(text, "\ncoverage ", "\nsafety ")
    f, share, p10 = (
        figure(own, rf"  {name} +(?:≥ )?([\d.]+) {words}")
        for name, words in (("f", "expressing"), ("share", "of patients"), ("p10", "10th"))
    )
    wanted = float(own.split(" ", 1)[0])
    assert 0.5 * f + 0.3 * share + 0.2 * p10 == pytest.approx(wanted, abs=6e-4)


def test_safety_is_the_product_of_the_classes(printed):
    text, tables = printed
    own = between(text, "\nsafety ", "  from assessed groups")
    classes = re.findall(r"  ([\d.]+)  (\S+): harm ([\d.]+|NA), gap ([\d.]+|NA)", own)
    assert {name for _, name, _, _ in classes} == {"T_cell", "hepatic", "n"}
    for factor, _, *costs in classes:
        worst = max(0.0 if c == "NA" else float(c) for c in costs)
        assert float(factor) == pytest.approx(1 - worst, abs=1.1e-4)
    stated = float(own.split(" ", 1)[0])
    assert math.prod(float(f) for f, *_ in classes) == pytest.approx(stated, abs=3e-4)
    assert stated == pytest.approx(tables.components["safety_score"].iloc[0], abs=ROUNDED)


def test_what_was_not_assessed_is_said(printed):
    text, tables = printed
    unseen = tables.evidence[tables.evidence["suspension"] == "none"]
    assert set(unseen["cell_type"]) == {"erythrocyte", "neuron"}
    rows = "    rows of the toxicity list not assessed, where expression may hide: 2; "
    assert f"{rows}vital (tier 1): neuron\n" in text
    assert re.search(r"n: harm NA, gap [\d.]+ \(not_assessed; neuron; 0 assessed, 1 not\)", text)
    assert re.search(r"hepatic: harm .*; 1 assessed, 0 not\)", text)


def test_harm_is_that_of_the_printed_group(printed):
    """Tier 2: weight 0.7, saturated at 25 % or 50 CPM; tier 1: 0.9, 10 %, 20 CPM."""
    text, _ = printed
    limits = {"1": (0.9, 0.10, 20), "2": (0.7, 0.25, 50)}
    rows = re.findall(
        r"    tier ([12]) .*?: ([\d.]+) \([\d.–]+\), ([\d.]+) CPM, .*, harm ([\d.]+):", text
    )
    assert len(rows) == 2
    for tier, fraction, cpm, harm in rows:
        weight, most, most_cpm = limits[tier]
        wanted = weight * min(1.0, max(float(fraction) / most, float(cpm) / most_cpm))
        assert float(harm) == pytest.approx(wanted, abs=0.005)


def test_shedding_is_the_sum_of_its_points(printed):
    text, _ = printed
    own = text.split("\nshedding ", 1)[1]
    total = figure(own, r"= points / (\d+) × 100")
    items = re.findall(r"(?m)^ +([\d.]+) of (\d+)  (\w+):", own)
    assert {name for *_, name in items} == {
        *("mechanism", "soluble", "topology", "isoform", "sheddase_expression"),
    }
    assert sum(float(most) for _, most, _ in items) == total
    stated = float(own.split(" ", 1)[0])
    assert 100 * sum(float(p) for p, *_ in items) / total == pytest.approx(stated, abs=0.3)


def test_who_may_escape_and_of_whom_it_cannot_be_told(printed):
    text, tables = printed
    row = tables.components.iloc[0]
    assert row["n_patients_escaping"] == 1
    assert "  patients known to be below 0.2: 1 (P4)" in text
    assert "cannot be told" not in text
