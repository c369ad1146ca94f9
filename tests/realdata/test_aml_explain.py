"""``targetscore explain`` on the leukaemia run: every printed sum and product, redone by hand.

Printed figures are rounded; a result must lie between what the smallest and the largest numbers
behind the printed ones give.
"""

import csv
import math
import re

import pytest

pytestmark = [pytest.mark.realdata, pytest.mark.workflow, pytest.mark.xdist_group("realdata")]

PANEL = ("CD33", "IL3RA", "CLEC12A", "FLT3", "CD38", "CSF1R", "CD86")
PANEL += ("CD70", "FCRL5", "TNFRSF17", "SLAMF7", "GPRC5D", "CD19", "SDC1")
NUMBER = r"(-?\d+(?:\.\d+)?)"


def ends(printed: str) -> tuple[float, float]:
    """Return the smallest and the largest number that is printed like this."""
    half = 0.5 * 10.0 ** -len(printed.partition(".")[2])
    return float(printed) - half, float(printed) + half


def agrees(printed: str, low: float, high: float) -> bool:
    a, b = ends(printed)
    return a <= high + 1e-9 and low - 1e-9 <= b


def clip(x: float) -> float:
    return min(1.0, max(0.0, x))


@pytest.fixture(scope="module", params=PANEL)
def told(request, explained) -> str:
    return explained(request.param)


def test_composite_is_the_product(told):
    total = re.search(rf"^composite {NUMBER} =", told, re.MULTILINE)[1]
    lines = re.findall(
        rf"^  \S.*? +{NUMBER}(?:, counts as {NUMBER})? \^ {NUMBER} = {NUMBER}$", told, re.MULTILINE
    )
    assert len(lines) == 5
    low = high = 1.0
    for value, counts_as, weight, power in lines:
        a, b = (float(counts_as),) * 2 if counts_as else ends(value)
        a, b = max(a, 0.0) ** float(weight), b ** float(weight)
        assert agrees(power, a, b)
        low, high = low * a, high * b
    assert agrees(total, low, high)
    assert high - low < 0.002 * high
    assert sum(float(line[2]) for line in lines) == pytest.approx(1)


def test_specificity_is_the_weighted_sum(told):
    total = re.search(rf"^specificity {NUMBER} =", told, re.MULTILINE)[1]
    ways = (
        (rf"0\.5 \+ log2 fold change {NUMBER} / 6", lambda x: clip(0.5 + x / 6)),
        (rf"detection gap {NUMBER}", clip),
        (rf"2 × \(smallest AUC {NUMBER} − 0\.5\)", lambda x: clip(2 * (x - 0.5))),
    )
    low = high = 0.0
    for pattern, way in ways:
        weight, part, seen = re.search(rf"^  {NUMBER} × {NUMBER} = {pattern}$", told, re.M).groups()
        a, b = map(way, ends(seen))
        assert agrees(part, a, b), pattern
        low, high = low + float(weight) * a, high + float(weight) * b
    weight, part, tau = re.search(rf"^  {NUMBER} × {NUMBER} = tau {NUMBER};", told, re.M).groups()
    assert part in ("0.000", tau)
    a, b = ends(part)
    low, high = low + float(weight) * max(a, 0.0), high + float(weight) * b
    assert agrees(total, low, high)


def test_coverage_is_the_weighted_sum(told):
    total = re.search(rf"^coverage {NUMBER} = 0\.5 f \+ 0\.3 share \+ 0\.2 p10", told, re.M)[1]
    parts = [
        re.search(rf"^  {name} +(?:≥ )?{NUMBER} {words}", told, re.MULTILINE)[1]
        for name, words in (("f", "expressing fraction"), ("share", "of"), ("p10", "10th"))
    ]
    low, high = (
        sum(w * ends(p)[side] for w, p in zip((0.5, 0.3, 0.2), parts, strict=True))
        for side in (0, 1)
    )
    assert agrees(total, low, high)


def test_safety_is_the_product_of_the_classes(told, repository):
    with open(repository / "config/knowledge/tiers.tsv", encoding="utf-8") as stream:
        rows = csv.DictReader((x for x in stream if not x.startswith("#")), delimiter="\t")
        tiers = {row["tier"]: row for row in rows}
    groups = {}
    for tier, name, fraction, cpm, harm in re.findall(
        rf"^    tier (\d) (.+?), bone marrow: {NUMBER} \(.*?\), {NUMBER} CPM, .*?"
        r"harm (NA|[\d.]+): ",
        told,
        re.MULTILINE,
    ):
        names = ("weight", "saturation_fraction", "saturation_cpm")
        weight, full, full_cpm = (float(tiers[tier][name]) for name in names)
        a, b = (
            weight * min(1.0, max(f / full, c / full_cpm))
            for f, c in zip(ends(fraction), ends(cpm), strict=True)
        )
        if harm != "NA":
            assert agrees(harm, a, b), name
            groups[name] = harm
    assert groups
    total = re.search(rf"^safety {NUMBER} =", told, re.MULTILINE)[1]
    low = high = 1.0
    classes = re.findall(
        rf"^  {NUMBER}  \w+: harm (NA|[\d.]+), gap (NA|[\d.]+) \((\w+); (.+); "
        r"\d+ assessed, \d+ not\)(?:: .*)?$",
        told,
        re.M,
    )
    assert classes
    for factor, harm, gap, _, name in classes:
        costs = [ends(x) for x in (harm, gap) if x != "NA"]
        assert agrees(factor, 1 - max(b for _, b in costs), 1 - max(a for a, _ in costs))
        if harm != "NA" and float(harm) > 0:
            assert groups[name] == harm
        a, b = ends(factor)
        low, high = low * max(a, 0.0), high * b
    assert agrees(total, low, high)
    assert high - low < 0.01 * high + 1e-4


def test_gaps_cost_what_the_tier_weighs(told):
    """Strong reports cost the weight of the tier, contested ones a fifth of it."""
    costs = {
        "strong": {"0.900", "0.700", "0.350", "0.100"},
        "contested": {"0.180", "0.140", "0.070", "0.020"},
    }
    for strength, cost in re.findall(
        rf"not assessed: .*?; literature (\w+), gap {NUMBER} \(", told
    ):
        assert cost in costs[strength]


def test_shedding_is_the_sum_of_the_points(told):
    score, total = re.search(
        rf"^shedding {NUMBER} of 100 .* = points / {NUMBER} × 100 \(C5\)$", told, re.MULTILINE
    ).groups()
    items = re.findall(
        rf"^ +{NUMBER} of {NUMBER}  (?:mechanism|soluble|topology|isoform|sheddase)", told, re.M
    )
    assert len(items) in (4, 5)
    assert sum(float(most) for _, most in items) == float(total)
    low, high = (100 * sum(ends(p)[side] for p, _ in items) / float(total) for side in (0, 1))
    assert agrees(score, low, high)


def test_what_burden_leaves(told):
    f = re.search(rf"^  f +(?:≥ )?{NUMBER} expressing fraction", told, re.MULTILINE)[1]
    left, power, cells = re.search(
        rf"R = 1 − f = (?:≤ )?{NUMBER} .*?R × 10\^{NUMBER} = 10\^{NUMBER} cells left", told
    ).groups()
    a, b = ends(f)
    assert agrees(left, 1 - b, 1 - a)
    low, high = (float(power) + math.log10(x) for x in ends(left))
    assert agrees(cells, low, high)
