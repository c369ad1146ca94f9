"""Every number on the page is the number of the table; a real Chromium reads them."""

import re

import pandas as pd
import pytest

from targetscore.contracts import COMPONENTS, COVERAGE, INTERVAL_CAVEATS, RANKING
from targetscore.report.figures import radius
from targetscore.report.text import VERDICT_WORDS, rounded

pytestmark = pytest.mark.browser
BOUNDS = "told as how many patients are lower bounds"
# Numbers that stand in the downloads only, and why the page does not draw them.
UNDRAWN = {
    "ranking": {"n_identifiable": BOUNDS},
    "components": {
        "n_identifiable": BOUNDS,
        "n_patients_escaping": "the strips name them, and who cannot be said",
        "n_patients_escape_untold": "the strips name them",
    },
    "evidence": {
        "fraction_observed": "n_detected of n_cells is told",
        "median_cpm": "the mean decides about harm and is drawn",
        "q75_log2_cpm": "enters the fold change, which is drawn",
    },
    "robustness": {
        "composite_score": "other analyses are compared by rank: their composites differ in scale"
    },
}
DRAWN_IN = {
    "ranking": ("#ranking", ".dossier .standing"),
    "components": ("#ranking", "#residual", ".dossier .calc", ".dossier .facts"),
    "coverage": (".dossier .by-patient",),
    "robustness": ("#scenarios",),
    "outranks": (".dossier .standing",),
    "evidence": (".dossier table:not(.by-patient)",),
    "toxicity": (".dossier table:not(.by-patient)",),
    "shedding": (".dossier table:not(.by-patient)",),
}
IN_DOSSIER = (
    *("probability_top1", "probability_top5", "n_replicates"),
    *("rank_weights_lower", "rank_weights_upper"),
)


def exact(cell):
    value = cell.locator("[data-value]").first.get_attribute("data-value")
    return None if value == "NA" else float(value)


def same(shown, wanted):
    return shown is None if pd.isna(wanted) else shown == float(wanted)


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
            drawn = columns - {*UNDRAWN["ranking"], *IN_DOSSIER}
            if not row["n_replicates"]:
                assert row["no_interval_reason"] in shown.inner_text()
                drawn -= {"composite_lower", "composite_upper", "rank_lower", "rank_upper"}
            assert set(names) == drawn
            bounds = shown.locator(".bounds")
            assert bounds.count() == (row["n_identifiable"] < row["n_patients"])
            if bounds.count():
                few = row["n_patients"] - row["n_identifiable"]
                assert bounds.inner_text().startswith(f"{few} of {row['n_patients']} patients")
        for i, name in enumerate(names):
            assert same(exact(cells.nth(i)), row[name]), (row["antigen"], name)
    assert len(seen) == len(data.ranking)


def test_every_number_of_a_stage_file_is_drawn_or_named_with_a_reason(
    opened, address, stage_tables
):
    page = opened(address)
    for name, where in DRAWN_IN.items():
        drawn = set(
            page.evaluate(
                "where => [...document.querySelectorAll(where)]"
                ".flatMap(e => e.dataset.column.split(' '))",
                ", ".join(f"{place} [data-column]" for place in where),
            )
        )
        numbers = {c.name for c in stage_tables[name].columns if c.kind in ("int", "float")}
        left_out = UNDRAWN.get(name, {})
        assert numbers - drawn == set(left_out), name
        assert all(left_out.values())


def test_neighbours_that_cannot_be_told_apart_are_named_in_a_sentence(opened, address, data):
    page = opened(address)
    said = page.locator("#firm").inner_text()
    ranked = data.ranking.dropna(subset="rank").set_index("rank")
    second, third = ranked.loc[2, "display"], ranked.loc[3, "display"]
    assert re.search(rf"{second} \(0\.\d\d\) and {third} \(0\.\d\d\) cannot be told apart", said)
    assert f"{second} is above in 49" in said
    assert said.count("told apart") == 1
    told = [page.locator(f"#ranking tbody tr:nth-child({i}) th").inner_text() for i in range(1, 6)]
    assert [("likely above" in t, "not told apart" in t) for t in told] == [
        (True, False),
        (False, True),
        (False, False),
        (False, False),
        (False, False),
    ]
    assert "(above in 49" in told[1]
    assert not any("above" in t for t in told[2:])


@pytest.mark.parametrize("heading", ["Rank, resampled", "Among first 3", "Composite"])
def test_the_new_columns_sort_by_their_first_figure(opened, address, heading):
    page = opened(address)
    head = page.locator("#ranking thead th", has_text=heading)
    column = head.evaluate("e => e.cellIndex")
    values = (
        f"[...document.querySelectorAll('#ranking tbody tr')]"
        f".map(r => r.cells[{column}].querySelector('[data-value]').dataset.value)"
    )
    head.locator("button").click()
    shown = page.evaluate(values)
    numbers = [float(v) for v in shown if v != "NA"]
    assert len(numbers) >= 4
    assert numbers == sorted(numbers)
    assert shown[len(numbers) :] == ["NA"] * (5 - len(numbers))


def test_every_scenario_is_a_row_with_the_ranks_of_the_table(opened, address, data):
    page = opened(address)
    rows = page.evaluate(
        """() => [...document.querySelectorAll("#scenarios tbody tr:not(.tissue)")].map(r => [
          r.cells[0].textContent,
          ...[...r.querySelectorAll("td")].map(c =>
            [c.querySelector("[data-value]").dataset.value, c.className, c.textContent])])"""
    )
    table = data.robustness[data.robustness["kind"] != "as_configured"]
    ranked = data.ranking.dropna(subset="rank")
    base = ranked.set_index("gene_id")["rank"]
    able = table[table.groupby("scenario")["rank"].transform("count") > 0]
    wanted = able.pivot_table(
        index="scenario", columns="gene_id", values="rank", dropna=False, observed=True
    )[ranked["gene_id"]]
    assert sorted(r[0] for r in rows) == sorted(wanted.index)
    for name, *cells in rows:
        for gene, (value, kind, text) in zip(wanted.columns, cells, strict=True):
            rank = wanted.loc[name, gene]
            assert same(None if value == "NA" else float(value), rank)
            moved = "down" if pd.isna(rank) or rank > base[gene] else "up"
            assert (moved in kind) == (pd.isna(rank) or rank != base[gene])
            assert (f"was {base[gene]}" in text) == (pd.isna(rank) or rank != base[gene])
    said = page.locator("#held").inner_text()
    assert "BCMA stays first in 3 of 4; the whole order stays in 2." in said
    assert (
        "changes the order: patient left out (in 1 of 2), alert_fraction × 0.5 (in 1 of 1); "
        in said
    )
    assert "What does not: dropout_dispersion = 6 (1)." in said
    assert "without demo_healthy (no atlas is left" in page.locator("#failed").inner_text()


def test_dossier_figures_equal_the_tables(opened, address, data):
    page = opened(address)
    found = page.evaluate(
        """() => [...document.querySelectorAll(".dossier")].map(d =>
          [...d.querySelectorAll("p.facts [data-column]")].map(e =>
            [e.dataset.column, e.querySelector("[data-value]").dataset.value]))"""
    )
    order = data.ranking["gene_id"].tolist()
    assert len(found) == len(order)
    for gene, fields in zip(order, found, strict=True):
        part = data.components.set_index("gene_id").loc[gene]
        row = data.ranking.set_index("gene_id").loc[gene]
        names = {name for name, _ in fields}
        assert {"log_fold_change_tier1", "detection_gap_thinned", "shedding_low"} <= names
        assert (set(IN_DOSSIER) <= names) == bool(row["n_replicates"])
        for name, value in fields:
            if name != "probability":
                wanted = part[name] if name in part else row[name]
                assert same(None if value == "NA" else float(value), wanted), name
        chance = data.outranks[data.outranks["gene_id"] == gene].set_index("other_gene_id")
        chance = chance.reindex([g for g in order if g in chance.index])["probability"]
        shown = [value for name, value in fields if name == "probability"]
        assert len(shown) == (len(chance) if row["n_replicates"] else 0)
        for value, wanted in zip(shown, chance, strict=False):
            assert same(None if value == "NA" else float(value), wanted)


def test_what_a_car_would_leave_equals_the_table(opened, address, data):
    page = opened(address)
    rows = page.evaluate(
        """() => [...document.querySelectorAll("#residual tbody tr")].map(r => [
          ...r.querySelectorAll("[data-column]")].map(e =>
            [e.dataset.column, e.querySelector("[data-value]").dataset.value]))"""
    )
    parts = data.components.set_index("gene_id").loc[data.ranking["gene_id"]]
    assert len(rows) == len(parts)
    for fields, (_, part) in zip(rows, parts.iterrows(), strict=True):
        assert len(fields) >= 10
        for name, value in fields:
            assert same(None if value == "NA" else float(value), part[name]), name


def test_patients_of_a_dossier_equal_the_table(opened, address, data):
    page = opened(address)
    table = page.locator("#antigen-GPRC5D .by-patient")
    heads, rows = table.evaluate(
        """t => [[...t.tHead.rows[0].cells].slice(1).map(c => c.dataset.column),
          [...t.tBodies[0].rows].map(r => [...r.cells].slice(1).map(
            c => [...c.querySelectorAll("[data-value]")].map(v => v.dataset.value)))]"""
    )
    own = data.coverage[data.coverage["antigen"] == "GPRC5D"].sort_values("donor")
    assert len(rows) == len(own) == 12
    for cells, (_, patient) in zip(rows, own.iterrows(), strict=True):
        names = [name.split() for name in heads]
        assert ["fraction_lower", "fraction_upper"] in names
        for columns, values in zip(names, cells, strict=True):
            for name, value in zip(columns, values, strict=True):
                assert same(None if value == "NA" else float(value), patient[name]), name


def test_clones_and_selection_are_told_and_escaped(opened, address, data):
    page = opened(address)
    page.locator("#clones summary").click()
    table = page.locator("#clone-table tbody tr")
    assert table.count() == 2
    assert "lambda IGLC2" in table.nth(0).inner_text()
    assert "no clone" in table.nth(1).inner_text()
    assert "31 two light chains" in table.nth(1).inner_text()
    assert "CD138-sorted <img" in page.locator("#selection-1").inner_text()


def test_how_far_intervals_hold_is_said_where_they_are_printed(opened, address):
    page = opened(address)
    healthy, coverage = INTERVAL_CAVEATS
    for section, caveat in (
        ("#healthy", healthy),
        ("#window", healthy),
        ("#patients", coverage),
        ("#methods", healthy),
        ("#methods", coverage),
    ):
        assert caveat in re.sub(r"\s+", " ", page.locator(section).inner_text())
    assert page.locator("#verdict a[href='#intervals']").count() == 1


def test_the_window_places_antigens_on_equal_scales(opened, address, data):
    page = opened(address)
    points = page.locator("#window .point")
    assert points.count() == 5
    rows = page.locator("#window-table tbody tr")
    assert rows.count() == 5
    transform = re.compile(r"translate\(([\d.]+) ([\d.]+)\)")
    ranked = data.ranking.dropna(subset="rank")
    for i in range(5):
        x, y = map(float, transform.match(points.nth(i).get_attribute("transform")).groups())
        level = ranked.iloc[i]["fraction_expressing"]
        assert 456 - y == pytest.approx(48 + 360 * level ** (1 / 3), abs=0.1)
        healthy = rows.nth(i).locator("td").nth(2).locator("[data-value]").first
        if healthy.count():
            value = float(healthy.get_attribute("data-value"))
            assert x == pytest.approx(48 + 360 * value ** (1 / 3), abs=0.1)
        else:
            assert x > 408


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
        """() => [...document.querySelectorAll("#dotplot td svg")].map(s => [
          s.nextElementSibling.textContent,
          s.querySelector("use") ? "gap" : s.querySelector("path") ? "zero" : "dot",
          s.querySelector("circle")?.getAttribute("r")])"""
    )
    measured = data.evidence[data.evidence["verdict"] != "not_assessed"]
    assert len(measured) > 100
    zero = measured[measured["n_detected"] == 0]
    dots = measured[measured["n_detected"] > 0]

    def sizes(state):
        return sorted(float(r) for _, s, r in marks if s == state)

    assert sizes("dot") == [round(radius(f), 1) for f in sorted(dots["fraction_expressing"])]
    rings = [max(3.0, radius(f)) for f in sorted(zero["fraction_expressing_upper"])]
    assert sizes("zero") == [round(r, 1) for r in rings]
    assert all("donor" in t and "cell" in t for t, s, _ in marks if s != "gap")
    assert all("not assessed" in t for t, s, _ in marks if s == "gap")


def test_the_words_of_each_mark_are_the_figures_of_the_table(opened, address, data):
    """Each mark stands in the row of its group and the column of its antigen."""
    page = opened(address)
    names, rows = page.evaluate(
        """() => { const t = document.getElementById("dotplot");
          const rows = [...t.tBodies].flatMap(b => [...b.rows].slice(1).map(r =>
            [b.rows[0].textContent, ...[...r.cells].map(c =>
              c.querySelector("svg") ? c.querySelector("span").textContent : c.textContent)]));
          return [[...t.tHead.rows[0].cells].slice(3).map(c => c.textContent), rows]; }"""
    )
    order = data.ranking["display"].tolist()
    assert names == order
    seen = 0
    genes = data.ranking["gene_id"].tolist()
    own = data.evidence[data.evidence["verdict"] != "not_assessed"]
    by = {
        (r.tissue, r.cell_type, r.suspension == "nucleus", r.gene_id): r for r in own.itertuples()
    }
    for tissue, cell_type, tier, size, *marks in rows:
        nuclei = "nuclei" in cell_type
        name = re.sub(r" (nuclei, tolerated|nuclei|tolerated)$", "", cell_type)
        for gene, words in zip(genes, marks, strict=True):
            row = by.get((tissue, name, nuclei, gene))
            if row is None:
                assert words.startswith("not assessed")
                continue
            seen += 1
            assert tier == str(row.tier)
            if row.n_detected:
                low, high = row.fraction_expressing_lower, row.fraction_expressing_upper
                spread = f"{rounded(low, 'percent')}–{rounded(high, 'percent')}"
                wanted = f"{rounded(row.fraction_expressing, 'percent')} ({spread}), "
                wanted += f"{rounded(row.mean_cpm, 'amount')} CPM; "
            else:
                bound = rounded(row.fraction_expressing_upper, "percent")
                wanted = f"no positive cell; upper bound {bound}; "
            donors = "1 donor" if row.n_donors == 1 else f"{row.n_donors} donors"
            wanted += f"{VERDICT_WORDS[row.verdict]}; {donors}, {row.n_cells} cells"
            assert words == wanted
            spans = zip(
                size.replace("\u202f", "").split(" / "), (row.n_donors, row.n_cells), strict=True
            )
            for shown, n in spans:
                ends = [int(v) for v in shown.split("–")]
                assert ends[0] <= n <= ends[-1]
    assert seen == len(own)


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
