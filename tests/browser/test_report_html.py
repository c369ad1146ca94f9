"""The text of a report: one file, escaped, complete, the same each time; no browser needed."""

import base64
import dataclasses
import hashlib
import json
import re
import zlib
from html.parser import HTMLParser

import pandas as pd
import pytest

from targetscore import io
from targetscore.contracts import RANKING
from targetscore.report import IndexEntry, render_index, render_report
from targetscore.report.render import embedded


class Elements(HTMLParser):
    """Every start tag with its attributes, and the text of each style and script."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.code = [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        if self.tags and self.tags[-1][0] in ("style", "script") and self.cdata_elem:
            self.code.append((*self.tags[-1], data))


@pytest.fixture(scope="module")
def elements(html):
    return Elements(html)


def without_tables(html):
    return re.sub(r'(id="tables">).*?(</script>)', r"\1\2", html, flags=re.S)


def test_nothing_in_the_page_can_load_or_run_anything_else(elements):
    for tag, attrs in elements.tags:
        assert tag not in {"img", "iframe", "link", "object", "embed", "base", "form"}
        assert not [a for a in attrs if a == "style" or a.startswith("on")]
        assert "src" not in attrs
        assert attrs.get("href", "#").startswith("#")
    style = next(c for tag, _, c in elements.code if tag == "style")
    assert "url(" not in style
    assert "@import" not in style


def test_the_policy_names_exactly_the_style_and_script_of_the_page(elements):
    policy = next(a["content"] for t, a in elements.tags if t == "meta" and "http-equiv" in a)
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    running = [(t, c) for t, a, c in elements.code if a.get("type") != "text/plain"]
    assert [t for t, _ in running] == ["style", "script"]
    for tag, code in running:
        digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
        assert rules[f"{tag}-src"] == f"'sha256-{digest}'"
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data:"


def test_hostile_text_stays_text(html, hostile_texts):
    for text in (hostile_texts["script"], hostile_texts["closing"]):
        assert text not in html
    assert html.count("</script>") == 2
    assert "&lt;img src=x onerror=alert(1)&gt;" in html


def test_every_identifier_is_unique_and_every_link_has_a_target(elements):
    ids = [a["id"] for _, a in elements.tags if "id" in a]
    assert len(ids) == len(set(ids))
    targets = {a["href"][1:] for _, a in elements.tags if a.get("href", "").startswith("#")}
    assert targets <= set(ids)
    assert "antigen-TNFRSF17" in targets


def test_the_same_data_gives_the_same_bytes(invented, html):
    assert render_report(invented()) == html


def test_row_order_does_not_shape_the_page(data, html, stage_tables):
    mixed = dataclasses.replace(
        data,
        **{n: getattr(data, n).sample(frac=1, random_state=3) for n in stage_tables},
    )
    assert without_tables(render_report(mixed)) == without_tables(html)


def test_stage_files_give_the_same_page_as_tables_in_memory(data, html, tmp_path, stage_tables):
    read = {}
    for name, contract in stage_tables.items():
        io.write_table(getattr(data, name), tmp_path / name, contract, {})
        read[name] = io.read_table(tmp_path / name, contract)
    page = render_report(dataclasses.replace(data, **read))
    assert without_tables(page) == without_tables(html)


def test_embedded_tables_equal_the_files(data, elements, tmp_path, stage_tables):
    code = next(c for _, a, c in elements.code if a.get("id") == "tables")
    tables = json.loads(zlib.decompress(base64.b64decode(code)))
    assert set(tables) == set(stage_tables)
    for name, columns in tables.items():
        io.write_tsv(getattr(data, name), tmp_path / name)
        assert put_together(columns).encode() == (tmp_path / name).read_bytes()


def put_together(columns):
    """As the page does it."""
    lines = zip(*(c.split("\n") for c in columns), strict=True)
    return "".join("\t".join(line) + "\n" for line in lines)


@pytest.mark.parametrize("value", ["a\tb", "a\nb", "\n", '"', "a\r\nb", ""])
def test_a_value_that_breaks_lines_survives_embedding(value):
    table = pd.DataFrame({"a": [value, "x"], "b": [1, 2]})
    (columns,) = json.loads(zlib.decompress(base64.b64decode(embedded({"t": table})))).values()
    assert put_together(columns) == io.tsv_text(table)


@pytest.mark.parametrize(
    ("n_antigens", "n_groups", "n_patients", "most"), [(6, 100, 40, 1e6), (50, 150, 40, 3e6)]
)
def test_a_page_stays_small(invented, n_antigens, n_groups, n_patients, most):
    data = invented(n_groups=n_groups, n_patients=n_patients, n_antigens=n_antigens)
    page = render_report(data)
    table = re.search(r'<table id="dotplot".*?</table>', page, flags=re.S)[0]
    assert len(re.findall(r'<th scope="col">(?=<a|<bdi>)', table)) == n_antigens
    assessed = data.evidence[data.evidence["verdict"] != "not_assessed"]
    assert table.count("<circle") == len(assessed)
    assert len(page.encode()) < most


def test_invented_data_is_named_in_title_and_every_caption(html):
    assert "<title>SIMULATED DATA" in html
    captions = re.findall(r"<caption>.*?</caption>", html, flags=re.S)
    assert len(captions) > 20
    assert all("SIMULATED DATA" in c for c in captions)


def test_measured_data_is_never_called_simulated(invented):
    page = Elements(render_report(invented(simulated=False)))
    text = without_tables(render_report(invented(simulated=False)))
    body = text[text.index("<body") :].split("<script>")[0]
    assert "SIMULATED" not in body
    assert not [a for _, a in page.tags if a.get("class") == "simulated"]


def test_one_simulated_atlas_is_enough_for_the_banner(invented):
    data = invented(simulated=False)
    atlases = [{**data.atlases[0], "simulated": True}, data.atlases[1]]
    page = render_report(dataclasses.replace(data, atlases=atlases))
    assert '<body class="simulated">' in page


def test_without_any_ranked_antigen_the_page_says_so(data):
    ranking = data.ranking.assign(
        rank=pd.array([pd.NA] * len(data.ranking), dtype="Int64"),
        composite_score=None,
        status="incomplete",
        reason="nothing healthy was measured",
    )
    page = render_report(dataclasses.replace(data, ranking=ranking))
    assert "No antigen could be ranked" in page
    assert 'id="ranking"' not in page


def test_empty_tables_make_an_honest_page(data, stage_tables):
    kept = ("components", "ranking")
    empty = {n: c.empty() for n, c in stage_tables.items() if n not in kept}
    page = render_report(dataclasses.replace(data, **empty))
    assert "no patient with a value" in page
    assert "No healthy group was assessed." in page
    assert "No other analysis was made" in page


def test_a_long_panel_is_cut_in_the_page_but_not_in_the_ranking(data):
    many = pd.concat(
        [
            data.components.iloc[[0]].assign(gene_id=f"ENSG9{i:010d}", antigen=f"GENE{i}")
            for i in range(30)
        ]
    )
    ranking = many.assign(rank=range(1, 31), data="SIMULATED", n_replicates=0)
    ranking = ranking.reindex(columns=RANKING.names)
    page = render_report(dataclasses.replace(data, components=many, ranking=ranking))
    assert page.count('<section class="dossier"') == 14
    assert page.count('<tr data-antigen="GENE') == 30
    assert "Dossiers are given for the first" in page
    table = re.search(r'<table id="dotplot".*?</table>', page, flags=re.S)[0]
    assert table.count('<th scope="col"><bdi>BCMA</bdi></th>') == 16
    assert table.count('<th scope="col"><a href="#antigen-GENE') == 14


def test_a_score_that_does_not_follow_from_its_parts_is_exposed(data, html):
    assert "Report this as a defect" not in html
    wrong = data.components.copy()
    wrong.loc[0, "composite_score"] = 0.99
    page = render_report(dataclasses.replace(data, components=wrong))
    assert page.count("Report this as a defect") == 1


def test_the_index_links_each_report_beside_it(data, invented):
    measured = invented(simulated=False)
    page = render_index(
        [
            IndexEntry("demo_disease", "Myeloma <b>", data.ranking),
            IndexEntry("measured_disease", "Lupus", measured.ranking),
        ]
    )
    links = [a["href"] for t, a in Elements(page).tags if t == "a"]
    assert [link for link in links if "#" not in link] == [
        "demo_disease.html",
        "measured_disease.html",
    ]
    targets = [link.split("#")[1] for link in links if link.startswith("demo_disease.html#")]
    assert len(targets) == 3
    report = render_report(data)
    assert all(f'<section class="dossier" id="{target}"' in report for target in targets)
    assert "Myeloma &lt;b&gt;" in page
    assert page.count('<strong class="sim">SIMULATED DATA</strong></td>') == 1
    assert "<td>measured</td>" in page


def test_an_empty_index_says_so():
    assert "No report yet." in render_index([])
