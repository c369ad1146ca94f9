"""The report in a real Chromium: what a reader sees, can do, prints and saves."""

import re
from io import BytesIO

import pandas as pd
import pytest

from targetscore import io
from targetscore.contracts import COMPONENTS, COVERAGE, RANKING
from targetscore.report import IndexEntry, render_index, render_report

pytestmark = pytest.mark.browser
# In the table that the page offers for download; not yet drawn on it.
UNDRAWN = ("rank_", "probability_", "composite_lower", "composite_upper", "n_replicates")
BANNER = "SIMULATED DATA — invented cells, not evidence about patients"
WATCH = """
window.violations = [];
document.addEventListener("securitypolicyviolation", e => violations.push(e.violatedDirective));
"""


@pytest.fixture(scope="module")
def data(invented):
    return invented()


@pytest.fixture(scope="module")
def address(data, tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "demo_disease.html"
    path.write_text(render_report(data), encoding="utf-8")
    return path.as_uri()


@pytest.fixture
def opened(chromium):
    """Open a page; it remembers what it requested, complained about and ran."""
    contexts = []

    def open_page(url, **options):
        context = chromium.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        contexts.append(context)
        page = context.new_page()
        page.requests, page.complaints = [], []
        page.on("request", lambda r: page.requests.append(r.url))
        page.on("console", lambda m: page.complaints.append(m.text))
        page.on("pageerror", lambda e: page.complaints.append(str(e)))
        page.on("dialog", lambda d: (page.complaints.append(f"dialog {d.message}"), d.dismiss()))
        page.add_init_script(WATCH)
        page.goto(url)
        return page

    yield open_page
    for context in contexts:
        context.close()


def unfold(page):
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")


def exact(cell):
    value = cell.locator("[data-value]").first.get_attribute("data-value")
    return None if value == "NA" else float(value)


def same(shown, wanted):
    return shown is None if pd.isna(wanted) else shown == float(wanted)


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
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    page = opened(address, color_scheme=scheme, viewport={"width": width, "height": 900})
    unfold(page)
    result = axe.Axe().run(page)
    assert result.response["passes"]
    found = [(v["id"], v["nodes"][0]["html"][:200]) for v in result.response["violations"]]
    assert found == []


def test_the_index_is_accessible_and_offline(opened, data, tmp_path):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    path = tmp_path / "index.html"
    entry = IndexEntry("demo_disease", data.indication.title, data.ranking)
    path.write_text(render_index([entry]), encoding="utf-8")
    page = opened(path.as_uri())
    assert [v["id"] for v in axe.Axe().run(page).response["violations"]] == []
    assert page.requests == [path.as_uri()]
    assert page.locator(".banner").inner_text() == BANNER


def test_the_banner_stays_visible_while_scrolling(opened, address):
    page = opened(address)
    page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
    box = page.locator(".banner").bounding_box()
    assert 0 <= box["y"] < 5
    assert page.locator(".banner").inner_text() == BANNER


def test_ranking_numbers_equal_the_table(opened, address, data):
    page = opened(address)
    columns = {c.name for c in RANKING.columns if c.kind in ("int", "float")}
    seen = set()
    for _, row in data.ranking.iterrows():
        shown = page.locator("#ranking tbody tr, #unranked tbody tr").nth(len(seen))
        assert shown.get_attribute("data-antigen") == row["antigen"]
        seen.add(row["antigen"])
        cells = shown.locator("[data-column]")
        names = [cells.nth(i).get_attribute("data-column") for i in range(cells.count())]
        if row["status"] == "ranked":
            drawn = {name for name in columns if not name.startswith(UNDRAWN)}
            assert set(names) == drawn - {"worst_tier", "n_identifiable"}
            bounds = shown.locator(".bounds")
            assert bounds.count() == (row["n_identifiable"] < row["n_patients"])
            if bounds.count():
                few = row["n_patients"] - row["n_identifiable"]
                assert bounds.inner_text().startswith(f"{few} of {row['n_patients']} patients")
        for i, name in enumerate(names):
            assert same(exact(cells.nth(i)), row[name]), (row["antigen"], name)
    assert len(seen) == len(data.ranking)


def test_rounded_text_is_the_exact_value_to_its_last_digit(opened, address):
    page = opened(address)
    pairs = page.evaluate(
        "[...document.querySelectorAll('span[data-value]')]"
        ".map(e => [e.dataset.value, e.textContent])"
    )
    assert len(pairs) > 500
    for value, text in pairs:
        if value == "NA":
            assert text == "NA"
            continue
        text = text.replace("\u202f", "").replace("−", "-")
        digits = re.search(r"-?\d+(?:\.(\d+))?", text)
        scale = 0.01 if text.endswith("%") else 1
        number = float(digits[0]) * scale
        half_a_unit = 0.5 * scale * 10.0 ** -len(digits[1] or "")
        if text.startswith("<"):
            assert 0 < float(value) < number
        elif text.startswith(">"):
            assert number < float(value) < 1
        else:
            assert abs(number - float(value)) <= half_a_unit * (1 + 1e-9), (value, text)


def test_patient_numbers_equal_the_table(opened, address, data):
    page = opened(address)
    rows = page.evaluate(
        """() => [...document.querySelectorAll("#patient-table tbody tr")].map(r => [
          r.cells[0].textContent,
          ...[...r.querySelectorAll("[data-column=fraction] [data-value]")]
            .map(e => e.dataset.value)])"""
    )
    order = data.ranking["gene_id"].tolist()
    wanted = data.coverage.pivot_table(
        index="donor", columns="gene_id", values="fraction", dropna=False
    )
    assert [r[0] for r in rows] == sorted(wanted.index)
    for donor, *values in rows:
        for gene, value in zip(order, values, strict=True):
            assert same(None if value == "NA" else float(value), wanted.loc[donor, gene])
    assert COVERAGE.key[-1] == "donor"


def test_patients_below_the_threshold_are_named(opened, address, data):
    page = opened(address)
    hostile = data.ranking.iloc[4]
    own = data.coverage[(data.coverage["gene_id"] == hostile["gene_id"]) & data.coverage["counted"]]
    low = own[own["fraction"] < 0.2]
    shown = page.locator("#strips tbody tr").nth(4)
    escaped, unsure = shown.inner_text().split("cannot be said:")
    assert 0 < low["identifiable"].sum() < len(low)
    for row in low.itertuples():
        assert (row.donor in escaped, row.donor in unsure) == (
            row.identifiable,
            not row.identifiable,
        )
    assert shown.locator("circle.low").count() == low["identifiable"].sum()
    assert shown.locator("circle.bound").count() == (~own["identifiable"]).sum()
    assert "P03" in page.locator("#patients").inner_text()


def test_every_assessed_group_is_marked_by_its_state(opened, address, data):
    page = opened(address)
    marks = page.evaluate(
        """() => [...document.querySelectorAll("#dotplot svg.m")].map(s => [
          s.querySelector("title").textContent,
          s.querySelector("use") ? "gap" : s.querySelector("path") ? "zero" : "dot",
          s.querySelector("circle")?.dataset.value])"""
    )
    measured = data.evidence[data.evidence["verdict"] != "not_assessed"]
    assert len(measured) > 100
    zero = measured[measured["n_detected"] == 0]
    dots = measured[measured["n_detected"] > 0]

    def values(state):
        return sorted(float(v) for _, s, v in marks if s == state)

    assert values("dot") == sorted(dots["fraction_expressing"])
    assert values("zero") == sorted(zero["fraction_expressing_upper"])
    assert all("donors" in t and "cells" in t for t, s, _ in marks if s != "gap")
    assert all("not assessed" in t for t, s, _ in marks if s == "gap")


def test_the_dossier_shows_the_parts_that_make_the_score(opened, address, data):
    page = opened(address)
    part = data.components.iloc[0]
    section = page.locator("#antigen-TNFRSF17")
    cells = section.locator(".calc").first.locator("[data-column]")
    for i in range(cells.count()):
        name = cells.nth(i).get_attribute("data-column")
        assert name in COMPONENTS.names
        assert same(exact(cells.nth(i)), part[name])
    product = exact(section.locator(".calc").first.locator("tfoot td"))
    assert product == pytest.approx(part["composite_score"], rel=1e-9)


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
    "name", ["ranking", "components", "evidence", "toxicity", "coverage", "shedding"]
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
    page.locator("#patients summary").click()
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
    pypdf = pytest.importorskip("pypdf")
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
        "CPM, donors / cells",
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
