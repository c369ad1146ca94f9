"""The body map: every organ by its worst verdict, never by colour alone, drawn and as a table."""

import re

import pytest

from targetscore.contracts import VERDICTS
from targetscore.report import bodymap

LETTERS = {"clear": "B", "no_signal_insufficient": "F", "possible": "P", "concern": "C"}


def wanted(data, gene_id):
    """What each organ must say, told apart from the program: by tissue name, row by row."""
    organs = {
        "blood": "blood",
        "bone marrow": "marrow",
        "spleen": "spleen",
        "lung": "lung",
        "liver": "liver",
        "colon": "intestine",
        "skin": "other",
        "brain": "brain",
        "heart": "heart",
    }
    found = {}
    for row in data.evidence[data.evidence["gene_id"] == gene_id].itertuples():
        found.setdefault(organs[row.tissue], []).append(row)
    said = {}
    for organ, rows in found.items():
        rows = [r for r in rows if not r.tolerated]
        codes = [r.verdict for r in rows if r.verdict in LETTERS]
        gaps = [r for r in rows if r.verdict not in LETTERS]
        reported = any(isinstance(r.literature, str) for r in gaps)
        if not rows:
            said[organ] = ("tolerated", "T")
        elif codes:
            worst = max(codes, key=VERDICTS.index)
            said[organ] = (worst, LETTERS[worst] + ("L" if reported else "?" if gaps else ""))
        else:
            said[organ] = ("not_assessed", "L" if reported else "?")
    return said


def drawn(page):
    """Code and letters of every organ in the drawing that the run knows."""
    return {
        organ: (code.removeprefix("o o-"), letters)
        for organ, code, letters in page.evaluate(
            """() => [...document.querySelectorAll("svg.body .o:not(.o-absent)")].map(g =>
              [g.dataset.organ, g.getAttribute("class"),
               g.querySelector(".letters").textContent])"""
        )
    }


@pytest.mark.browser
def test_table_and_drawing_say_what_the_evidence_says(opened, address, data):
    page = opened(address)
    genes = data.ranking["gene_id"].tolist()
    states = set()
    for i, gene in enumerate(genes):
        said = wanted(data, gene)
        table = page.evaluate(
            """i => Object.fromEntries([...document.querySelectorAll("#organs tbody tr")].map(r =>
              [r.dataset.organ, [r.cells[i + 2].className.replace("k k-", ""),
                r.cells[i + 2].textContent]]))""",
            i,
        )
        assert {o: tuple(c) for o, c in table.items()} == said
        page.locator("#map-choice").select_option(index=i)
        assert drawn(page) == said
        states |= set(said.values())
    assert len({code for code, _ in states}) >= 4
    assert {"L", "?"} <= {letters for code, letters in states if code == "not_assessed"}


@pytest.mark.browser
def test_without_javascript_the_first_antigen_is_drawn(opened, address, data):
    page = opened(address, java_script_enabled=False)
    assert page.locator("#mapped").inner_text() == data.ranking["display"].iloc[0]
    assert not page.locator("#map-choice").is_visible()
    said = wanted(data, data.ranking["gene_id"].iloc[0])
    marks = page.locator("svg.body .o:not(.o-absent)")
    assert marks.count() == len(said)
    for i in range(marks.count()):
        organ = marks.nth(i)
        code, letters = said[organ.get_attribute("data-organ")]
        assert organ.get_attribute("class") == f"o o-{code}"
        assert organ.locator(".letters").text_content() == letters


@pytest.mark.browser
def test_a_link_draws_the_map_of_its_antigen(opened, address, data):
    page = opened(address + "#map-antigen-GPRC5D")
    assert page.locator("#mapped").inner_text() == "GPRC5D"
    gene = data.ranking.set_index("antigen").loc["GPRC5D", "gene_id"]
    assert drawn(page) == wanted(data, gene)
    page.locator("#map-choice").select_option(index=0)
    assert page.url.endswith("#map-antigen-TNFRSF17")
    page.locator("#organs thead a", has_text="CD38").click()
    assert page.locator("#mapped").inner_text() == "CD38"
    assert "CD38" in page.locator("svg.body").get_attribute("aria-label")


@pytest.mark.browser
def test_not_assessed_is_hatched_and_nothing_else_is(opened, address):
    page = opened(address)
    hatched = page.evaluate(
        """() => [...document.querySelectorAll("svg.body .o")].map(g =>
          [g.getAttribute("class"), getComputedStyle(g.querySelector(".over")).visibility])"""
    )
    assert {c for c, v in hatched if v == "visible"} == {"o o-not_assessed"}
    assert len({c for c, v in hatched if v == "hidden"}) >= 2


def test_a_tissue_of_no_organ_is_never_left_out(html, data):
    table = re.search(r'<table id="organs".*?</table>', html, flags=re.S)[0]
    rows = re.findall(r'<tr data-organ="(\w+)">', table)
    known = {bodymap.organ_of(t).key for t in data.evidence["tissue_id"]}
    assert set(rows) == known
    assert "other" in rows


def test_every_place_of_a_drawing_is_inside_it(html):
    svg = re.search(r'<svg class="body" viewBox="-20 0 (\d+) (\d+)".*?</svg>', html, flags=re.S)
    width, height = int(svg[1]) - 20, int(svg[2])
    boxes = re.findall(r'<rect class="fill" x="([\d.]+)" y="([\d.]+)"', svg[0])
    assert len(boxes) == len(bodymap.ORGANS)
    assert len(set(boxes)) == len(boxes)
    for x, y in boxes:
        assert 0 <= float(x) <= width - 24
        assert 0 <= float(y) <= height - 17
