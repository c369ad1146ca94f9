"""The drawings and words of a report, without a browser."""

import math
import re
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from targetscore.contracts import VERDICTS
from targetscore.report import figures, text
from targetscore.report.dossier import composite

HOSTILE = "</title><script>alert(1)</script>\" ' &"
FRACTIONS = st.floats(0, 1)
LEVEL = figures.Level(0.4, 0.3, 0.5)


def percent(length):
    assert length.endswith("%")
    return float(length[:-1])


def parsed(svg):
    return ET.fromstring(str(svg))


@given(FRACTIONS, FRACTIONS)
def test_a_larger_fraction_never_has_a_smaller_mark(a, b):
    low, high = sorted((a, b))
    assert 0 < figures.radius(low) <= figures.radius(high) <= figures.RADIUS


@given(FRACTIONS, st.floats(0, 1e5))
def test_a_dot_has_the_size_of_its_fraction_and_the_colour_of_its_level(fraction, cpm):
    circle = parsed(figures.dot(fraction, cpm)).find("circle")
    assert float(circle.get("r")) == pytest.approx(figures.radius(fraction), abs=0.051)
    assert circle.get("class") == f"c{sum(cpm >= edge for edge in (1, 3, 10, 30, 100, 300))}"


@pytest.mark.parametrize(
    "svg",
    [
        figures.dot(0.4, 12.0),
        figures.ring(0.01),
        figures.hatch(True),
        figures.strip([figures.Share(0.5, True, HOSTILE, 0.4, 0.6)], 0.2, HOSTILE),
        figures.bar(0.3, 0.2, 0.4),
        figures.step(0.9, 0.3, 0.01),
        figures.window([(1, LEVEL, LEVEL, HOSTILE), (2, LEVEL, None, HOSTILE)], HOSTILE),
    ],
    ids=["dot", "ring", "hatch", "strip", "bar", "step", "window"],
)
def test_drawings_are_well_formed_and_carry_no_styling_or_handlers(svg):
    root = parsed(svg)
    for element in root.iter():
        assert element.tag in {"svg", "title", "circle", "rect", "path", "use", "text", "g"}
        assert not [a for a in element.attrib if a == "style" or a.startswith("on")]
    titles = [t.text for t in root.iter("title")]
    assert all(t == HOSTILE for t in titles)


def test_marks_of_the_three_states_differ_in_shape():
    shapes = [
        {e.tag for e in parsed(svg).iter()} - {"svg", "title"}
        for svg in (figures.dot(0, 0), figures.ring(0), figures.hatch(False))
    ]
    assert shapes == [{"circle"}, {"circle", "path"}, {"use"}]


@given(st.lists(st.tuples(FRACTIONS, st.booleans()), max_size=60))
def test_a_strip_shows_every_patient_in_its_place(patients):
    points = [figures.Share(v, known, "p", v / 2, (1 + v) / 2) for v, known in patients]
    root = parsed(figures.strip(points, 0.2, "strip"))
    circles = root.findall("circle")
    kinds = [("bound" if not k else "low" if v < 0.2 else "pt", v) for v, k in patients]
    assert sorted((c.get("class"), float(c.get("data-value"))) for c in circles) == sorted(kinds)
    _, _, width, height = map(float, root.get("viewBox").split())
    for circle in circles:
        value = float(circle.get("data-value"))
        assert float(circle.get("cx")) == pytest.approx(8 + (width - 16) * value, abs=0.06)
        assert 0 < float(circle.get("cy")) < height
    (reach,) = [p for p in root.findall("path") if p.get("class") == "reach"]
    lines = re.findall(r"M(\d+) \d+H(\d+)", reach.get("d"))
    ends = [(v / 2, (1 + v) / 2 if known else v) for v, known in patients]
    wanted = [tuple(round(8 + (width - 16) * e) for e in pair) for pair in ends]
    assert sorted((int(a), int(b)) for a, b in lines) == sorted(wanted)


@given(st.floats(-1, 2))
def test_a_bar_stays_on_its_rail(value):
    (width,) = (percent(r.get("width")) for r in parsed(figures.bar(value)).findall("rect"))
    assert width == pytest.approx(100 * min(1, max(0, value)), abs=0.06)
    assert 0 <= width <= 100


@given(st.lists(st.floats(-0.5, 1.5), min_size=2, max_size=2).map(sorted))
def test_an_interval_lies_on_the_rail_where_it_belongs(ends):
    _, spread = parsed(figures.bar(0.5, *ends)).findall("rect")
    low, high = (100 * min(1, max(0, e)) for e in ends)
    assert percent(spread.get("x")) == pytest.approx(low, abs=0.06)
    assert percent(spread.get("width")) == pytest.approx(high - low, abs=0.06)


@given(st.lists(st.floats(0.01, 1), min_size=1, max_size=5))
def test_steps_of_a_product_end_where_the_next_begins(factors):
    """The steps run from 1 down to the product, on an axis that holds it."""
    product = math.prod(factors)
    lowest = figures.decade([product])
    assert lowest <= product * (1 + 1e-9)
    assert product < 10 * lowest * (1 + 1e-9) or lowest == 0.1
    before, place = 1.0, 100.0
    for factor in factors:
        rect = parsed(figures.step(before, before * factor, lowest)).find("rect")
        left, width = percent(rect.get("x")), percent(rect.get("width"))
        assert left == pytest.approx(place + 100 * math.log(factor) / -math.log(lowest), abs=0.02)
        assert width == pytest.approx(max(0.4, place - left), abs=0.02)
        before, place = before * factor, left
    assert place == pytest.approx(100 * (1 - math.log(product) / math.log(lowest)), abs=0.06)


def test_a_part_that_is_missing_has_no_step_and_zero_stays_on_the_axis():
    assert figures.step(None, 0.5, 0.1) == figures.step(0.5, None, 0.1) == ""
    rect = parsed(figures.step(1, 0, 0.01)).find("rect")
    assert (percent(rect.get("x")), percent(rect.get("width"))) == (0, 100)
    assert figures.decade([]) == figures.decade([None, 0.0]) == 0.1


@given(FRACTIONS, FRACTIONS)
def test_the_window_has_equal_scales_and_one_diagonal(tumour, healthy):
    drawn = figures.window(
        [(1, figures.Level(tumour, None, None), figures.Level(healthy, None, None), "x")], "t"
    )
    point = parsed(drawn).find("g").get("transform")
    x, y = map(float, re.fullmatch(r"translate\((\S+) (\S+)\)", point).groups())
    diagonal = next(p for p in parsed(drawn).findall("path") if p.get("class") == "diagonal")
    x0, y0, x1, y1 = map(float, re.findall(r"[\d.]+", diagonal.get("d")))
    assert (y0 - y1) == (x1 - x0)
    on_line = y0 - (x - x0)
    assert (tumour > healthy) == (y < on_line) or abs(y - on_line) < 0.3
    assert 0 < x <= x1
    assert y1 <= y <= y0


def test_an_antigen_without_an_assessed_group_stands_beside_the_plot():
    drawn = parsed(figures.window([(3, LEVEL, None, "x")], "t"))
    x = float(re.match(r"translate\((\S+)", drawn.find("g").get("transform"))[1])
    lane = next(r for r in drawn.findall("rect") if r.get("class") == "lane")
    assert float(lane.get("x")) < x < float(lane.get("x")) + float(lane.get("width"))
    whiskers = [p for p in drawn.findall("path") if p.get("class") == "whisker"]
    assert len(whiskers) == 1


def test_a_missing_value_has_no_bar_and_reads_na():
    assert figures.bar(None) == ""
    assert 'data-value="NA"' in text.number(None)
    assert 'data-value="NA"' in text.number(float("nan"))


@given(st.floats(0, 1e6), st.sampled_from(["score", "amount", "percent", "factor", "points"]))
def test_a_number_keeps_its_exact_value(value, kind):
    shown = re.fullmatch(r'<span data-value="([^"]+)">(.+)</span>', text.number(value, kind))
    assert float(shown[1]) == value


@pytest.mark.parametrize(
    ("value", "kind", "shown"),
    [
        (0.0, "percent", "0\u202f%"),
        (0.0001, "percent", "<0.1\u202f%"),
        (0.0234, "percent", "2.3\u202f%"),
        (0.0999, "percent", "10\u202f%"),
        (0.1234, "percent", "12\u202f%"),
        (0.9999, "percent", ">99\u202f%"),
        (1.0, "percent", "100\u202f%"),
        (0.0001, "score", "<0.01"),
        (12345, "count", "12\u202f345"),
        (0.004, "amount", "<0.01"),
        (3.14159, "amount", "3.14"),
        (31.4159, "amount", "31.4"),
        (3141.59, "amount", "3\u202f142"),
        (-1.239, "signed", "−1.24"),
        (1.239, "signed", "+1.24"),
        (90.0, "points", "90"),
        (37.84, "points", "37.8"),
    ],
)
def test_numbers_round_as_a_reader_expects(value, kind, shown):
    assert text.rounded(value, kind) == shown


@given(st.floats(0, 1))
def test_a_percentage_never_claims_none_or_all_unless_it_is_so(value):
    shown = text.rounded(value, "percent")
    assert (shown == "0\u202f%") == (value == 0)
    assert (shown == "100\u202f%") == (value == 1)


@pytest.mark.parametrize("code", VERDICTS)
def test_a_verdict_has_a_shape_and_a_word(code):
    html = str(text.verdict(code))
    assert f'href="#i-{code}"' in html
    assert text.VERDICT_WORDS[code] in html
    assert not re.search(r"\bsafe\b", html)


@given(st.dictionaries(st.integers(), st.text(max_size=80), max_size=12))
def test_identifiers_are_unique_and_plain(names):
    given_ids = list(text.slugs("antigen", names).values())
    assert len(set(given_ids)) == len(names)
    assert all(re.fullmatch(r"antigen-[A-Za-z0-9_-]+", i) for i in given_ids)


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("Doe 2020", "Doe 2020"),
        ("Doe 2020 [unverified]", "Doe 2020 (recalled, not checked)"),
        ("Doe [b] 2020 [prior knowledge]", "Doe [b] 2020 (recalled, not checked)"),
        ("Doe 2020 [mixed]", "Doe 2020 (in part recalled, not checked)"),
        ("prior knowledge", "prior knowledge (recalled, not checked)"),
        ("Doe 2020 [in press]", "Doe 2020 [in press]"),
    ],
)
def test_a_source_that_was_not_checked_says_so(source, shown):
    assert text.source_words(source) == shown
    assert re.sub("<[^>]+>", "", text.source(source)) == shown


def test_a_hostile_source_is_escaped():
    assert "<script" not in text.source(f"{HOSTILE} [mixed]")


@given(FRACTIONS)
def test_a_part_enters_with_the_floor_it_is_given(floor):
    row = dict.fromkeys(
        ("specificity_score", "coverage_score", "safety_score", "surface_confidence"), 0.5
    )
    weights = dict.fromkeys(("specificity", "coverage", "safety", "surface", "shedding"), 0.2)
    made = composite({**row, "shedding_score": 0.0, "composite_score": None}, weights, floor)
    used = [r["used"] for r in made["rows"]]
    assert used == [max(0.5, floor)] * 4 + [1.0]


def test_a_plain_symbol_is_its_own_identifier():
    assert text.slugs("antigen", {"ENSG1": "TNFRSF17"}) == {"ENSG1": "antigen-TNFRSF17"}


def test_labels_hold_no_direction_marks():
    assert "\u202e" not in text.label("a\u202eb")


@given(st.lists(st.floats(0, 1), min_size=4, max_size=4), st.floats(0, 100))
def test_the_composite_can_be_redone_by_logarithms(parts, shedding):
    names = ("specificity_score", "coverage_score", "safety_score", "surface_confidence")
    weights = {
        "specificity": 0.35,
        "coverage": 0.25,
        "safety": 0.25,
        "surface": 0.1,
        "shedding": 0.05,
    }
    row = {**dict(zip(names, parts, strict=True)), "shedding_score": shedding}
    values = [max(p, 1e-3) for p in (*parts, 1 - 0.5 * shedding / 100)]
    wanted = math.exp(sum(w * math.log(v) for w, v in zip(weights.values(), values, strict=True)))
    made = composite({**row, "composite_score": wanted}, weights, 1e-3)
    assert made["product"] == pytest.approx(wanted, rel=1e-12)
    assert made["agrees"]
    assert not composite({**row, "composite_score": wanted * 1.01}, weights, 1e-3)["agrees"]


def test_a_missing_part_leaves_no_product():
    row = dict.fromkeys(
        (
            "specificity_score",
            "coverage_score",
            "safety_score",
            "surface_confidence",
            "shedding_score",
            "composite_score",
        ),
        None,
    )
    row["coverage_score"] = 0.5
    weights = dict.fromkeys(("specificity", "coverage", "safety", "surface", "shedding"), 0.2)
    assert composite(row, weights, 1e-3)["product"] is None
