"""How far intervals hold: the page says what the committed simulation found, and where it is."""

import re

import pytest

TABLE = "tests/benchmarks/calibration.md"


@pytest.fixture(scope="module")
def found(repository):
    """Percent that held the truth, by row and number of donors."""
    lines = (repository / TABLE).read_text(encoding="utf-8").partition("\n## ")[0].splitlines()
    head, _, *rows = ([c.strip(" *") for c in x.split("|")[1:-1]] for x in lines if x[:1] == "|")
    donors = [int(cell.split()[0]) for cell in head[1:]]
    return {
        row[0]: dict(zip(donors, (float(cell) for cell in row[1:]), strict=True)) for row in rows
    }


@pytest.fixture(scope="module")
def said(html):
    """The page without tags, in one line."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", html))


def few(values):
    return [held for donors, held in values.items() if 3 <= donors <= 10]


def test_healthy_intervals_hold_as_the_page_says(found, said):
    levels = {
        re.search(r"\((\d+) %\)", name)[1]: few(values)
        for name, values in found.items()
        if re.fullmatch(r"healthy, .*%\)", name)
    }
    assert set(levels) == {"2", "10", "40"}
    held = [share for shares in levels.values() for share in shares]
    assert len(held) == 9
    bound = [100 - share for share in few(found["healthy upper bound, 2 % (97.5)"])]
    wanted = (
        f"With three to ten donors the 95 % intervals of healthy cells held the truth in "
        f"{min(held):.0f} to {max(held):.0f} % of simulated groups in which 2 to 40 % of the cells "
        f"express, and the upper bound was too low in {min(bound):.0f} to {max(bound):.0f} % of "
        f"those with 2 %: so few donors do not show how much donors differ ({TABLE})."
    )
    assert said.count(wanted) == 3


def test_coverage_intervals_hold_as_the_page_says(found, said):
    strong, even = (round(found[f"coverage, dropout phi {phi}"][10] + 1e-9) for phi in ("0.7", "6"))
    wanted = f"assumed, {strong} and {even} % held the truth with ten patients ({TABLE})."
    assert said.count(wanted) == 2


def test_no_other_figure_of_the_simulation_stands_on_the_page(said):
    """A figure that this file does not compare could grow old unseen."""
    assert len(re.findall(r"held the truth", said)) == 5
