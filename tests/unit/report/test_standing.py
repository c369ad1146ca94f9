"""How firmly the order stands: neighbours and other analyses, from invented tables."""

from types import SimpleNamespace

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from targetscore.contracts import OUTRANKS, ROBUSTNESS
from targetscore.report.standing import neighbours, other_analyses, standing, with_rank

ORDER = ("settled", "likely", "level", "reversed")
ANTIGENS = [SimpleNamespace(gene_id=f"G{i}", short=f"A{i}") for i in range(3)]


@pytest.mark.parametrize(
    ("probability", "wanted"),
    [
        (None, None),
        (1.0, "settled"),
        (0.95, "settled"),
        (0.949, "likely"),
        (0.8, "likely"),
        (0.79, "level"),
        (0.5, "level"),
        (0.21, "level"),
        (0.19, "reversed"),
        (0.0, "reversed"),
    ],
)
def test_what_a_share_of_replicates_amounts_to(probability, wanted):
    assert standing(probability) == wanted


@given(st.floats(0, 1), st.floats(0, 1))
def test_more_replicates_above_are_never_less_settled(a, b):
    low, high = sorted((a, b))
    assert ORDER.index(standing(high)) <= ORDER.index(standing(low))


def test_each_ranked_antigen_is_held_against_the_next_one():
    ranked = [{"gene_id": a.gene_id} for a in ANTIGENS]
    table = pd.DataFrame(
        [
            ("G0", "A0", "G1", "A1", 0.7),
            ("G1", "A1", "G0", "A0", 0.3),
            ("G0", "A0", "G2", "A2", 1.0),
            ("G1", "A1", "G2", "A2", None),
        ],
        columns=OUTRANKS.names,
    )
    found = neighbours(ranked, table)
    assert [(p.first["gene_id"], p.second["gene_id"]) for p in found] == [
        ("G0", "G1"),
        ("G1", "G2"),
    ]
    assert [p.probability for p in found] == [0.7, None]
    assert [p.standing for p in found] == ["level", None]
    assert neighbours(ranked[:1], table) == []


def scenarios(**ranks):
    """Make the table from ``kind__scenario = ranks of the three antigens``."""
    rows = []
    for name, given_ranks in ranks.items():
        kind, scenario = name.split("__")
        for antigen, rank in zip(ANTIGENS, given_ranks, strict=True):
            score = None if rank is None else 1 / rank
            reason = f"no {scenario}" if rank is None else None
            rows.append((antigen.gene_id, antigen.short, kind, scenario, score, rank, reason))
    table = pd.DataFrame(rows, columns=ROBUSTNESS.names)
    return table.astype({"rank": "Int64"})


def test_scenarios_are_read_from_the_table_whatever_their_kind():
    table = scenarios(
        as_configured__x=(1, 2, None),
        some_new_kind__b=(1, 2, None),
        some_new_kind__a=(2, 1, None),
        doublets__gone=(1, None, 2),
        atlas__none=(None, None, None),
    )
    found = other_analyses(table, ANTIGENS)
    assert found["base"] == {"G0": 1, "G1": 2, "G2": None}
    assert [k.name for k in found["kinds"]] == ["atlas", "doublets", "some_new_kind"]
    assert [[s.name for s in k.scenarios] for k in found["kinds"]] == [
        ["none"],
        ["gone"],
        ["a", "b"],
    ]
    assert [s.name for s in found["failed"]] == ["none"]
    assert found["failed"][0].failed == "no none"
    assert [(s.name, s.moved) for s in found["moving"]] == [
        ("gone", ["G1", "G2"]),
        ("a", ["G0", "G1"]),
    ]
    assert len(found["scenarios"]) == 3
    assert found["first_held"] == 2
    kinds = {k.name: k for k in found["kinds"]}
    assert kinds["some_new_kind"].span("G0") == (1, 2, 0)
    assert kinds["doublets"].span("G1") == (None, None, 1)
    assert kinds["doublets"].span("G2") == (2, 2, 0)
    assert kinds["atlas"].counted == []
    assert [a.gene_id for a in with_rank(found, ANTIGENS)] == ["G0", "G1", "G2"]
    assert [a.gene_id for a in with_rank({**found, "scenarios": []}, ANTIGENS)] == ["G0", "G1"]


def test_no_scenario_but_the_configured_one_is_no_other_analysis():
    found = other_analyses(scenarios(as_configured__x=(1, 2, 3)), ANTIGENS)
    assert found["scenarios"] == found["kinds"] == found["failed"] == []
    assert found["base"] == {"G0": 1, "G1": 2, "G2": 3}
    assert other_analyses(ROBUSTNESS.empty(), ANTIGENS)["base"] == dict.fromkeys(("G0", "G1", "G2"))


@given(st.permutations([1, 2, 3]))
def test_the_order_of_rows_does_not_matter(ranks):
    table = scenarios(as_configured__x=(1, 2, 3), kind__b=ranks, kind__a=(3, 2, 1))
    mixed = table.sample(frac=1, random_state=1)
    assert other_analyses(table, ANTIGENS) == other_analyses(mixed, ANTIGENS)
