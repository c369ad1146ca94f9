"""The report in a real Chromium: what a reader sees, can do, prints and saves."""

import re
from io import BytesIO

import pypdf
import pytest
from axe_playwright_python.sync_playwright import Axe

from targetscore import io
from targetscore.report import IndexEntry, render_index, render_report

pytestmark = pytest.mark.browser
BANNER = "SIMULATED DATA — invented cells, not evidence about patients"


def unfold(page):
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")


def test_no_request_leaves_the_page_and_the_policy_is_kept(opened, address):
    page = opened(address)
    unfold(page)
    page.locator("#ranking thead button").first.click()
    page.locator("#filter").fill("bcma")
    page.wait_for_timeout(200)
    assert page.requests == [address]
    assert page.complaints == []
    assert page.evaluate("violations") == []


@pytest.mark.parametrize(
    "intruder",
    ['<p style="color:red">x</p>', "<script>1</script>", '<img src="https://example.org/x.png">'],
)
def test_the_policy_stops_what_is_not_of_the_page(opened, data, tmp_path, intruder):
    path = tmp_path / "bad.html"
    path.write_text(render_report(data).replace("<main>", f"<main>{intruder}"), encoding="utf-8")
    page = opened(path.as_uri())
    page.wait_for_timeout(100)
    assert len(page.evaluate("violations")) == 1


def test_hostile_text_is_shown_as_text(opened, address, hostile_texts):
    page = opened(address)
    assert page.locator("img").count() == 0
    assert page.locator("script").count() == 2
    for text in hostile_texts.values():
        assert page.locator("#dotplot bdi", has_text=text[:40]).count() > 0
    text_nodes_outside = page.evaluate(
        """() => {
          const main = document.querySelector("main");
          const walk = document.createTreeWalker(main, NodeFilter.SHOW_TEXT);
          let found = 0;
          while (walk.nextNode())
            if (walk.currentNode.data.includes("\\u202e"))
              found += walk.currentNode.parentElement.closest("bdi") ? 0 : 1;
          return found;
        }"""
    )
    assert text_nodes_outside == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_no_violation(opened, address, scheme, width):
    page = opened(address, color_scheme=scheme, viewport={"width": width, "height": 900})
    unfold(page)
    result = Axe().run(page)
    assert result.response["passes"]
    found = [(v["id"], v["nodes"][0]["html"][:200]) for v in result.response["violations"]]
    assert found == []


def test_the_index_is_accessible_and_offline(opened, data, tmp_path):
    path = tmp_path / "index.html"
    entry = IndexEntry("demo_disease", data.indication.title, data.ranking)
    path.write_text(render_index([entry]), encoding="utf-8")
    page = opened(path.as_uri())
    assert [v["id"] for v in Axe().run(page).response["violations"]] == []
    assert page.requests == [path.as_uri()]
    assert page.locator(".banner").inner_text() == BANNER


def test_the_banner_stays_visible_while_scrolling(opened, address):
    page = opened(address)
    page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
    box = page.locator(".banner").bounding_box()
    assert 0 <= box["y"] < 5
    assert page.locator(".banner").inner_text() == BANNER


def test_a_broken_link_breaks_nothing_else(opened, address):
    page = opened(address + "#%E0%A4%A")
    assert page.complaints == []
    assert page.locator("#dotplot td[tabindex]").count() == 1


def test_sorting_by_a_column_announces_and_orders(opened, address):
    page = opened(address)
    head = page.locator("#ranking thead th", has_text="Shedding")
    values = (
        "[...document.querySelectorAll('#ranking [data-column=shedding_score]')]"
        ".map(c => +c.querySelector('[data-value]').dataset.value)"
    )
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    up = page.evaluate(values)
    assert up == sorted(up)
    assert page.locator("#ranking th[aria-sort]").count() == 1
    head.locator("button").press("Enter")
    assert head.get_attribute("aria-sort") == "descending"
    assert page.evaluate(values) == up[::-1]
    assert up != up[::-1]


def test_filtering_hides_other_antigens(opened, address):
    page = opened(address)
    page.get_by_label("Filter antigens").fill("gprc")
    assert page.locator("#ranking tbody tr:visible").count() == 1
    assert page.locator(".filtered").inner_text() == "1 of 5 shown"
    page.get_by_label("Filter antigens").fill("")
    assert page.locator("#ranking tbody tr:visible").count() == 5


def test_a_deep_link_opens_below_the_banner(opened, address):
    page = opened(address + "#antigen-GPRC5D")
    banner = page.locator(".banner").bounding_box()
    head = page.locator("#antigen-GPRC5D h3").bounding_box()
    assert banner["y"] + banner["height"] <= head["y"] < 900


@pytest.mark.parametrize(
    "name",
    [
        *("ranking", "components", "evidence", "toxicity"),
        *("coverage", "shedding", "robustness", "outranks"),
    ],
)
def test_saved_tables_equal_the_tables(opened, address, data, tmp_path, name):
    page = opened(address, accept_downloads=True)
    with page.expect_download() as waiting:
        page.locator(f"button[data-table={name}]").click()
    assert waiting.value.suggested_filename == f"demo_disease_{name}.tsv"
    waiting.value.save_as(tmp_path / "saved")
    io.write_tsv(getattr(data, name), tmp_path / "wanted")
    assert (tmp_path / "saved").read_bytes() == (tmp_path / "wanted").read_bytes()


def test_without_javascript_everything_is_there(opened, address, data):
    page = opened(address, java_script_enabled=False)
    assert page.locator("#ranking tbody tr:visible").count() == 5
    assert page.locator("thead button").count() == 0
    assert not page.locator("#filter").is_visible()
    assert page.locator("noscript .note").is_visible()
    page.locator("#patients summary", has_text="Every patient").click()
    assert page.locator("#patient-table").is_visible()
    assert page.locator(".dossier:visible").count() == len(data.ranking)


@pytest.mark.parametrize("width", [390, 640])
def test_a_narrow_page_never_scrolls_sideways(opened, address, width):
    page = opened(address, viewport={"width": width, "height": 844})
    unfold(page)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    regions = page.locator(".scroll")
    wide = [
        i
        for i in range(regions.count())
        if regions.nth(i).evaluate("e => e.scrollWidth > e.clientWidth")
    ]
    assert wide
    for i in wide[:3]:
        regions.nth(i).focus()
        assert regions.nth(i).evaluate("e => e === document.activeElement")


def printed(page):
    content = page.pdf(prefer_css_page_size=True, print_background=True)
    return [p.extract_text() for p in pypdf.PdfReader(BytesIO(content)).pages]


@pytest.mark.parametrize("script", [True, False])
def test_print_has_the_banner_on_every_page_and_opens_all_details(opened, address, script):
    pages = printed(opened(address, java_script_enabled=script))
    assert len(pages) > 5
    assert all("invented cells, not evidence about patients" in p for p in pages)
    whole = "\n".join(pages)
    for inside in (
        "Every patient in numbers",
        "P11",
        "Donors / cells",
        "The same as a table: worst verdict by organ",
        "Downloads",
    ):
        assert inside in whole


def test_print_of_measured_data_has_no_banner(opened, invented, tmp_path):
    path = tmp_path / "measured.html"
    path.write_text(render_report(invented(simulated=False)), encoding="utf-8")
    assert not any("SIMULATED" in p for p in printed(opened(path.as_uri())))


def test_the_reader_is_never_told_that_anything_is_safe(opened, address):
    page = opened(address)
    unfold(page)
    words = page.locator("body").inner_text() + " ".join(
        page.locator("svg title").all_text_contents()
    )
    assert not re.search(r"\bsafe(ly|r|st)?\b", words, flags=re.I)
