"""The sixteen acceptance tests (section D) on two simulated worlds; figures are printed.

One is the specification's own simulation (C8), the other the demonstration's, which adds what
data have besides: free RNA, doublets, donors who differ, shallow cells, patients who lost an
antigen. tests/benchmarks/acceptance.py runs them on ten seeds, three dispersions and three
atlases; acceptance.md holds the rates and says why checks fail. What is known to fail is
expected to fail here, with its figure: weights are not changed for it.
"""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import acceptance_checks
from acceptance_checks import BY_ATLAS, CHECKS, Case
from worlds import ATLASES, DEMONSTRATION, PLAIN

SEED = 1
SETTINGS = {"specification": PLAIN, "demonstration": DEMONSTRATION}
TABLE = Path(acceptance_checks.__file__).with_name("acceptance.md")
DROPOUT = "half of the NK cells express it, 8 % show it at 2,000 UMI"
SHALLOW = "GPRC5D: one patient lost it, too few counts to correct dropout in others"
KNOWN_TO_FAIL = {
    "specification": {
        "CD38: concern in NK cells and pDC": DROPOUT,
        "lupus: CD19 on most B cells": "0.6 UMI per cell: lower bounds in some patients",
    },
    "demonstration": {
        "SLAMF7 below BCMA and GPRC5D": SHALLOW,
        "min(BCMA, GPRC5D) > SLAMF7 > CD38, CD19, SDC1": SHALLOW,
        "CD38: concern in NK cells and pDC": DROPOUT,
        "half the counts: antigens identifiable in all patients": "there is none in these cells",
        "lupus: CD19 on most B cells": "0.2 UMI per cell: dropout cannot be corrected",
    },
}


def measured_rates():
    """Return the seeds that passed, as acceptance.md has them, by world and title."""
    lines = TABLE.read_text(encoding="utf-8").partition("## Every check")[2].splitlines()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if "|" in line]
    head = rows[0]
    end = next(i for i, row in enumerate(rows) if len(row) != len(head))
    return {(world, row[1]): row[head.index(world)] for row in rows[2:end] for world in SETTINGS}


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    return {
        name: Case(
            setting.add_up(SEED),
            setting.add_up(SEED, thin=0.5),
            tmp_path_factory.mktemp("world"),
        )
        for name, setting in SETTINGS.items()
    }


@pytest.mark.parametrize("world", list(SETTINGS))
@pytest.mark.parametrize(
    ("title", "check"), [pytest.param(t, c, id=f"D{n}-{c.__name__}") for n, t, c in CHECKS]
)
def test_acceptance(cases, world, title, check):
    ok, figure = check(cases[world])
    print(f"{title}: {figure}")
    known = KNOWN_TO_FAIL[world]
    if title in known:
        assert not ok, f"no longer fails: take it off the list ({figure})"
        rate = measured_rates()[world, title]
        pytest.xfail(f"{title}: {figure} ({known[title]}; passes with {rate} seeds)")
    assert ok, f"{title}: {figure}"


def test_the_sixteen_tests_of_the_specification_are_all_tried():
    assert {number for number, _, _ in CHECKS} == {*map(str, range(1, 17)), "C8"}
    assert len({title for _, title, _ in CHECKS}) == len(CHECKS)


def test_the_table_of_rates_is_of_these_checks_and_what_fails_here_failed_there():
    """The committed table is of the checks as they are, and no known failure has a full rate."""
    rates = measured_rates()
    assert set(rates) == {(world, title) for world in SETTINGS for _, title, _ in CHECKS}
    for world, known in KNOWN_TO_FAIL.items():
        for title in known:
            passed, seeds = rates[world, title].split("/")
            assert int(passed) < int(seeds), (world, title)


@pytest.mark.parametrize("dispersion", [0.7, 6.0])
@pytest.mark.parametrize("atlas", ATLASES)
@pytest.mark.parametrize("world", list(SETTINGS))
def test_order_holds_whatever_the_atlas_and_the_dispersion(dispersed, world, dispersion, atlas):
    """Every check by atlas except, in the demonstration, those known to fail."""
    titles = {check: title for _, title, check in CHECKS}
    for check in BY_ATLAS:
        ok, figure = check(dispersed[world, dispersion], atlas)
        print(f"{titles[check]}, {world}, dispersion {dispersion}, {atlas}: {figure}")
        assert ok or titles[check] in KNOWN_TO_FAIL[world], f"{titles[check]}: {figure}"


@pytest.fixture(scope="module")
def dispersed(tmp_path_factory):
    return {
        (name, d): Case(
            setting.add_up(SEED + 1, dispersion=d), None, tmp_path_factory.mktemp("world")
        )
        for name, setting in SETTINGS.items()
        for d in (0.7, 6.0)
    }


@pytest.mark.parametrize("world", list(SETTINGS))
def test_skin_makes_no_difference_to_what_is_known_of_gprc5d(cases, world):
    """Specification C8: deleting skin must not make GPRC5D look better, or worse."""
    of = cases[world].components
    parts = [of(atlas).loc["GPRC5D", "safety_score"] for atlas in ("whole", "no skin")]
    whole, without = parts
    assert without <= whole + 1e-9
    assert without == pytest.approx(whole, abs=0.02)


def test_safety_of_gprc5d_is_that_of_the_specification(cases):
    """C8: 0.344 with and without skin."""
    of = cases["specification"].components
    for atlas in ("whole", "no skin"):
        assert of(atlas).loc["GPRC5D", "safety_score"] == pytest.approx(0.344, abs=0.005)
