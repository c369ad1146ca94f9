"""A page with levels of aggregated references: readable by all, and nothing in it made up."""

import dataclasses
import re

import invented_references
import pytest
from axe_playwright_python.sync_playwright import Axe

from targetscore import io
from targetscore.contracts import LEVELS
from targetscore.report import render_report


@pytest.fixture(scope="module")
def levelled(data):
    """Give the invented report with levels of two references."""
    antigens = list(data.components[["gene_id", "antigen"]].itertuples(index=False, name=None))
    levels = invented_references.levels(antigens)
    LEVELS.check(levels, "invented levels")
    names = ("some_levels", "some_proteins")
    return dataclasses.replace(
        data, levels=levels, references=[invented_references.reference(n) for n in names]
    )


@pytest.fixture(scope="module")
def levels_address(levelled, tmp_path_factory):
    """Give the address of its page."""
    path = tmp_path_factory.mktemp("levels") / "levelled.html"
    path.write_text(render_report(levelled), encoding="utf-8")
    return path.as_uri()


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_levels_are_accessible_and_fit_the_page(opened, levels_address, scheme, width):
    page = opened(levels_address, color_scheme=scheme, viewport={"width": width, "height": 900})
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert page.locator("#levels").is_visible()
    result = Axe().run(page)
    assert result.response["passes"]
    found = [(v["id"], v["nodes"][0]["html"][:200]) for v in result.response["violations"]]
    assert found == []
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.complaints == []


@pytest.mark.browser
def test_levels_can_be_saved_as_they_are(opened, levels_address, levelled, tmp_path):
    page = opened(levels_address, accept_downloads=True)
    with page.expect_download() as waiting:
        page.locator("button[data-table=levels]").click()
    waiting.value.save_as(tmp_path / "saved")
    io.write_tsv(levelled.levels, tmp_path / "wanted")
    assert (tmp_path / "saved").read_bytes() == (tmp_path / "wanted").read_bytes()


def cells(levelled):
    """Text of the cells of each row of the table of levels."""
    html = render_report(levelled)
    table = re.search(r'<table id="levels-table">.*?</table>', html, flags=re.S)[0]
    rows = re.findall(r"<tr>(.*?)</tr>", table.split("</thead>")[1], flags=re.S)
    return [
        [re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", c)) for c in re.split(r"</t[dh]>", row)[:-1]]
        for row in rows
    ]


def test_what_no_reference_says_never_reads_as_a_number(levelled):
    rows = {row[0].split("not measured")[0]: row for row in cells(levelled)}
    assert rows["GPRC5D"][-1] == "gene not measured"
    assert "not measured in some_levels" in rows["GPRC5D"][0]
    assert rows["CS1"][-1] == "no level reaches the floor"
    unsaid = next(row for row in cells(levelled) if "no tier row" in row[-1])
    assert "donors not stated" in " ".join(unsaid)
    assert not re.search(r"\d %", unsaid[-1])


def test_row_order_does_not_shape_the_levels(levelled):
    mixed = levelled.levels.sample(frac=1, random_state=3)
    assert cells(dataclasses.replace(levelled, levels=mixed)) == cells(levelled)


def test_levels_survive_their_file(levelled, tmp_path):
    io.write_table(levelled.levels, tmp_path / "levels.parquet", LEVELS, {})
    read = io.read_table(tmp_path / "levels.parquet", LEVELS)
    assert cells(dataclasses.replace(levelled, levels=read)) == cells(levelled)


def test_one_donor_is_one_donor(levelled):
    told = [" ".join(row) for row in cells(levelled)]
    assert any("1 donor as stated" in row for row in told)
    assert any("3 donors as stated" in row for row in told)


def test_a_class_that_a_level_lowers_says_so_beside_its_factor(levelled, html):
    page = render_report(levelled)
    wanted = {"TNFRSF17": "0.70", "CD38": "0.10"}
    for antigen in ("TNFRSF17", "GPRC5D", "SLAMF7", "CD38"):
        dossier = page[page.index(f'id="antigen-{antigen}"') :].split("<h4>Worst healthy")[0]
        rows = re.findall(r"<tr>.*?</tr>", dossier, flags=re.S)
        lost = [re.sub(r"<[^>]+>", "", row) for row in rows if "lost to a level" in row]
        assert [("gut epithelium" in row) for row in lost] == [True] * (antigen in wanted)
        assert all(f"{wanted[antigen]} lost to a level without cells" in row for row in lost)
    assert "lost to a level" not in html
