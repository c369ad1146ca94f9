"""A reader at the keyboard, on a phone, at 200 % zoom, on paper, and in a hurry."""

import re
from io import BytesIO

import pypdf
import pytest

from targetscore.report import render_report

pytestmark = pytest.mark.browser


def test_arrow_keys_walk_through_the_dot_plot(opened, address, data):
    page = opened(address)
    assert page.locator("#dotplot td[tabindex]").count() == 1
    page.locator("#dotplot td[tabindex]").focus()
    readout = page.locator(".readout")
    names = data.ranking["display"].tolist()
    first = readout.inner_text()
    assert first.startswith(f"{names[0]} · ")
    page.keyboard.press("ArrowRight")
    assert readout.inner_text().startswith(f"{names[1]} · ")
    page.keyboard.press("ArrowLeft")
    assert readout.inner_text() == first
    page.keyboard.press("ArrowLeft")
    assert readout.inner_text() == first
    page.keyboard.press("End")
    assert readout.inner_text().startswith(f"{names[-1]} · ")
    page.keyboard.press("Home")
    marks = page.locator("#dotplot tbody td:has(svg)").count() // len(names)
    said = [first]
    for _ in range(marks - 1):
        page.keyboard.press("ArrowDown")
        said.append(readout.inner_text())
    assert len(set(said)) == marks
    page.keyboard.press("ArrowDown")
    assert readout.inner_text() == said[-1]
    assert page.locator("#dotplot td[tabindex]").count() == 1
    box = page.evaluate("document.activeElement.getBoundingClientRect().toJSON()")
    assert 0 <= box["top"] < 900
    page.keyboard.press("Tab")
    assert not readout.is_visible()


def test_the_readout_says_where_a_mark_stands(opened, address):
    page = opened(address)
    for i in (0, 17, 101):
        mark = page.locator("#dotplot tbody td:has(svg)").nth(i)
        mark.hover()
        wanted = mark.evaluate(
            """c => [c.closest("table").tHead.rows[0].cells[c.cellIndex].textContent,
              c.parentElement.cells[0].textContent,
              c.closest("tbody").rows[0].textContent, c.querySelector("span").textContent]"""
        )
        assert (
            page.locator(".readout").inner_text().split()
            == re.sub(r"\s+", " ", "{} · {}, {}: {}".format(*wanted)).split()
        )
    page.mouse.move(5, 5)
    assert not page.locator(".readout").is_visible()


@pytest.mark.parametrize("script", [True, False])
def test_figures_can_stand_instead_of_marks(opened, address, script):
    page = opened(address, java_script_enabled=script)
    cell = page.locator("#dotplot tbody td:has(svg)").first
    assert cell.locator("svg").is_visible()
    assert cell.locator("span").bounding_box()["width"] < 2
    page.get_by_label("figures instead of marks").check()
    assert not cell.locator("svg").is_visible()
    assert cell.locator("span").bounding_box()["width"] > 60


def test_a_question_mark_opens_the_definition(opened, address):
    page = opened(address)
    links = page.locator("#ranking thead .what")
    assert links.count() == 11
    for i in range(links.count()):
        name = links.nth(i).get_attribute("href")[1:]
        assert page.locator(f"dt[id='{name}']").count() == 1
    shedding = page.locator("#ranking thead a[href='#def-shedding']")
    shedding.focus()
    page.keyboard.press("Enter")
    term = page.locator("#def-shedding")
    assert term.is_visible()
    assert "shedding_score" in term.inner_text()
    assert page.locator("#ranking th[aria-sort]").inner_text().startswith("Rank")


def test_every_column_of_the_ranking_has_a_definition_with_its_place(opened, address):
    page = opened(address)
    page.locator("#definitions summary").click()
    terms = page.locator("#definitions dt").all_inner_texts()
    assert len(terms) == 16
    assert all(re.search(r"column \w+", t) for t in terms)
    assert sum("formula in targetscore.score." in t for t in terms) >= 12


def test_the_page_is_painted_within_a_second(opened, invented, tmp_path):
    path = tmp_path / "large.html"
    path.write_text(
        render_report(invented(n_groups=150, n_patients=20, n_antigens=50)), encoding="utf-8"
    )
    seen = []
    for _ in range(3):
        page = opened(path.as_uri())
        page.wait_for_timeout(100)
        seen.append(
            page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
        )
    assert min(seen) < 1000


def test_at_200_percent_zoom_nothing_is_cut_off(opened, address):
    """Zoom halves the CSS pixels of a window 1280 wide."""
    page = opened(address, viewport={"width": 640, "height": 450}, device_scale_factor=2)
    assert page.evaluate("document.documentElement.scrollWidth") == 640
    cut = page.evaluate(
        """() => [...document.querySelectorAll("main p, main li, main dd, h1, h2, h3, h4")]
          .filter(e => e.offsetParent && e.getBoundingClientRect().right > 641 &&
            !e.closest(".scroll")).map(e => e.textContent.slice(0, 40))"""
    )
    assert cut == []


def test_on_a_phone_names_stay_while_the_table_moves(opened, address):
    page = opened(address, viewport={"width": 390, "height": 844})
    moved = set()
    for table in ("#ranking", "#dotplot", "#organs"):
        box = page.locator(f".scroll:has(> {table})")
        head = page.locator(f"{table} tbody tr:not(.tissue) th[scope=row]").first
        head.scroll_into_view_if_needed()
        box.evaluate("e => { e.scrollLeft = 200; }")
        if box.evaluate("e => e.scrollLeft") == 200:
            moved.add(table)
            left = head.bounding_box()["x"] - box.bounding_box()["x"]
            assert -1 <= left <= 2, table
            assert head.bounding_box()["width"] < 195
    assert {"#ranking", "#dotplot"} <= moved


def pages_of(page):
    content = page.pdf(prefer_css_page_size=True, print_background=True)
    return pypdf.PdfReader(BytesIO(content)).pages


def test_paper_is_a4_of_reasonable_length_without_orphan_headings(opened, address, data):
    page = opened(address)
    headings = {
        re.sub(r"\s+", "", t)
        for t in page.locator("h2, h3, h4, caption > span, summary, thead th").all_text_contents()
    }
    pages = pages_of(page)
    # A dossier is about four pages; a third of them holds everything else.
    assert len(pages) <= 12 + 4 * len(data.ranking)
    for sheet in pages:
        size = sorted((float(sheet.mediabox.width), float(sheet.mediabox.height)))
        assert size == pytest.approx([595, 842], abs=2)
    for sheet in pages[:-1]:
        lines = [line.strip() for line in sheet.extract_text().splitlines() if line.strip()]
        lines = [
            x for x in lines if not re.fullmatch(r"\d+ / \d+", x) and "invented cells" not in x
        ]
        assert lines
        assert re.sub(r"\s+", "", lines[-1]) not in headings, lines[-3:]


def test_heads_of_long_tables_are_repeated_on_paper(opened, invented, tmp_path):
    path = tmp_path / "long.html"
    path.write_text(render_report(invented(n_groups=150)), encoding="utf-8")
    texts = [p.extract_text() for p in pages_of(opened(path.as_uri()))]
    inside = [t for t in texts if len(re.findall(r"cell type \d{3}", t)) > 12]
    assert len(inside) >= 3
    assert all("Cell type" in t or "Toxicity class" in t for t in inside)
