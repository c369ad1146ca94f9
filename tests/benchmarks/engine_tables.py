"""The tables of README.md, from what was measured."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

ATLASES = ("quarter", "half", "base", "large")
OWN_NAMES = {
    "sums": "targetscore, statistics, nothing written",
    "whole": "targetscore, pack + sum + Parquet, one process",
    "pack": "targetscore, pack (first of two processes)",
    "merge": "targetscore, sum + Parquet (second of two processes)",
}
PEER_NAMES = {
    "scanpy": "scanpy: read_h5ad, normalize_total, log1p, get.aggregate",
    "backed": "anndata backed, 5,000 rows at a time, indicator @ X",
    "lazy": "read_elem_lazy and dask, 5,000-row chunks, indicator @ X",
}
_CROWDED = 0.3
_PLAN_CELLS = 50_000_000


class Measured:
    """The content of ``measured.json``."""

    def __init__(self, path: Path) -> None:
        self.about: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        self.checks: Mapping[str, Mapping[str, Any]] = self.about["checks"]
        self.files: Mapping[str, Mapping[str, int]] = self.about["files"]

    def runs(self, part: str, way: str, atlas: str = "base") -> list[Mapping[str, Any]]:
        """Return the timed runs of a way, in order of rounds; the first if it did not end."""
        key = (part, way, atlas)
        own = [r for r in self.about["rows"] if (r["part"], r["way"], r["atlas"]) == key]
        stopped = [r for r in own if r["limit"] is not None or "missing" in r["facts"]]
        return stopped or [r for r in own if r["turn"] > 0]

    def values(self, part: str, way: str, name: str, atlas: str = "base") -> list[float]:
        """Return one figure of each timed run; none if the way did not end."""
        runs = [r for r in self.runs(part, way, atlas) if r["turn"] > 0 and r["limit"] is None]
        return [float(r[name] if name in r else r["facts"][name]) for r in runs]

    def two(self, part: str, name: str, atlas: str = "base") -> list[float]:
        """Return the sum over pack and merge, for each round."""
        both = (self.values(part, way, name, atlas) for way in ("pack", "merge"))
        return [sum(values) for values in zip(*both, strict=True)]

    def megabytes(self, part: str, ways: Sequence[str], atlas: str = "base") -> list[float]:
        """Return the peak memory of every run of some ways, in MB."""
        return [peak / 1e6 for way in ways for peak in self.values(part, way, "peak", atlas)]


@dataclass(frozen=True)
class Demand:
    """One figure that is demanded of the engine.

    Attributes
    ----------
    what
        What it is.
    values
        One value per round; none if there was nothing to compare with.
    limit, least
        What is demanded: at least, or at most.
    unit
        ``×`` for ratios, whose median is judged; else the largest value is.
    """

    what: str
    values: Sequence[float]
    limit: float
    least: bool = False
    unit: str = "×"

    def row(self) -> str:
        """Return the line of the table."""
        asked = f"{'≥' if self.least else '≤'} {self.limit:g}{self.unit}"
        if not self.values:
            return f"| {self.what} | nothing to compare with | {asked} | not known |"
        got = median(self.values) if self.unit == "×" else max(self.values)
        met = got >= self.limit if self.least else got <= self.limit
        text = span(self.values, 2 if self.unit == "×" else 0)
        return f"| {self.what} | {text}{self.unit} | {asked} | {'yes' if met else '**no**'} |"


def span(values: Sequence[float], digits: int = 1) -> str:
    """Return median and range as text."""
    low, high = (f"{value:,.{digits}f}" for value in (min(values), max(values)))
    text = f"{median(values):,.{digits}f}"
    return text if low == high else f"{text} ({low}–{high})"


def _ratios(above: Sequence[float], below: Sequence[float]) -> list[float]:
    return [a / b for a, b in zip(above, below, strict=True)] if above else []


def demands(found: Measured) -> list[str]:
    """Return the table of demands."""
    values, two = found.values, found.two
    scanpy = {n: (values("coarse", "scanpy", n), values("coarse", "sums", n)) for n in _TIMES}
    fine = values("fine", "scanpy", "wall")
    floor = values("floor", "inflate", "inner")
    rows = [
        Demand("500 groups: wall time of scanpy over ours", _ratios(*scanpy["wall"]), 4.5, True),
        Demand(
            "500 groups: processor time of scanpy over ours", _ratios(*scanpy["cpu"]), 2.7, True
        ),
        Demand(
            "6,000 groups: wall time of scanpy (writes nothing) over ours (pack, sum, Parquet)",
            _ratios(fine, values("fine", "whole", "wall")),
            2.7,
            True,
        ),
        Demand(
            "the same, ours as two processes, as the workflow runs it",
            _ratios(fine, two("fine", "wall")),
            2.7,
            True,
        ),
        Demand(
            "6,000 groups: peak memory of either process",
            found.megabytes("fine", ["pack", "merge"]),
            400,
            unit=" MB",
        ),
        Demand(
            "main loop of the pack over inflating alone, same library, all cores",
            _ratios(values("floor", "pack", "loop"), floor),
            2.2,
        ),
        Demand(
            f"{_cells(found, 'large')} cells: peak memory, pack and merge",
            found.megabytes("curve", ["pack", "merge"], "large"),
            512,
            unit=" MB",
        ),
        Demand(
            f"{_cells(found, 'large')} cells: wall time over {_cells(found, 'base')}, both steps",
            _ratios(two("curve", "wall", "large"), two("curve", "wall")),
            5.5,
        ),
        Demand(
            "rows in random order: pack over pack in order of samples",
            _ratios(values("floor", "pack", "wall", "shuffled"), values("floor", "pack", "wall")),
            1.25,
        ),
    ]
    table = ["| demand | measured | demanded | met |", "|---|---|---|---|"]
    return [*table, *(row.row() for row in rows), _again(found), *_agreement(found)]


_TIMES = ("wall", "cpu")


def _again(found: Measured) -> str:
    runs = found.runs("fine", "again")
    gone = all(run["facts"]["matrix_gone"] for run in runs)
    read = span([run["facts"]["bytes_read"] / 1e6 for run in runs])
    wall = span([run["wall"] for run in runs])
    what = "second indication: bytes read from the matrix (file moved away meanwhile)"
    return f"| {what} | 0; {read} MB of the profile, {wall} s | 0 | {'yes' if gone else '**no**'} |"


def _agreement(found: Measured) -> list[str]:
    rows = []
    for name, check in found.checks.items():
        if "log_difference" in check:
            groups, _, way = name.rpartition(", ")
            got = f"{check['entries']:,} entries: counts, detections equal; logarithms to "
            got += f"{check['log_difference']:.1e}"
            rows.append(f"| {groups}: same result as {way} | {got} | exact, 1e-6 | yes |")
    return rows


def peers(found: Measured) -> list[str]:
    """Return the table of all contestants on the base atlas."""
    lines = [
        "| groups | way | wall s | processor s | peak MB | cores kept busy by others |",
        "|---|---|---|---|---|---|",
    ]
    for part, groups, ways in (
        ("coarse", "500", ("sums", "scanpy", "backed", "lazy")),
        ("fine", "6,000", ("whole", "pack", "merge", "scanpy", "lazy")),
    ):
        for way in ways:
            name = (OWN_NAMES | PEER_NAMES)[way]
            lines.append(f"| {groups} | {name} | {_took(found.runs(part, way))} |")
    return lines


def _took(runs: Sequence[Mapping[str, Any]]) -> str:
    """Return the cells of wall, processor time, peak and others."""
    if not runs:
        return "not run | | |"
    if missing := runs[0]["facts"].get("missing"):
        return f"{missing} is not installed | | |"
    if limit := runs[0]["limit"]:
        return f"ran out of {limit / 1e9:.0f} GB after {runs[0]['wall']:.0f} s | | |"
    wall, cpu = (span([run[name] for run in runs]) for name in _TIMES)
    peak = f"{max(run['peak'] for run in runs) / 1e6:,.0f}"
    others = max(run["others"] for run in runs)
    return f"{wall} | {cpu} | {peak} | {others:.2f}{' (c)' if others > _CROWDED else ''}"


def sizes(found: Measured) -> list[str]:
    """Return time and memory against cells."""
    names = ["statistics, 500 groups", "pack", "sum + Parquet, by donor", "scanpy, 500 groups"]
    lines = [
        f"| cells | values | {' | '.join(f'{n}: s | MB' for n in names)} |",
        f"|---|---|{'---|---|' * len(names)}",
    ]
    for atlas in ATLASES:
        cells = [_cells(found, atlas), f"{found.files[atlas]['values'] / 1e6:,.0f} M"]
        for way in ("sums", "pack", "merge", "scanpy"):
            part = part_of(way, atlas)
            wall, peak = found.values(part, way, "wall", atlas), found.megabytes(part, [way], atlas)
            cells += [span(wall), f"{max(peak):,.0f}"] if wall else ["–", "–"]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def part_of(way: str, atlas: str) -> str:
    """Return where a point of the curve was measured."""
    return "coarse" if atlas == "base" and way in ("sums", "scanpy") else "curve"


def plan(found: Measured) -> list[str]:
    """Return what 50 million cells would take, carried on from what was measured."""
    large, base = (found.files[a] for a in ("large", "base"))
    times = _PLAN_CELLS / large["cells"]
    cores = found.about["machine"]["cores"]
    wall = {w: median(found.values("curve", w, "wall", "large")) for w in ("pack", "merge")}
    peak = {
        (w, a): max(found.values("curve", w, "peak", a))
        for w in ("pack", "merge")
        for a in ("large", "base")
    }
    slope = (peak["merge", "large"] - peak["merge", "base"]) / (large["cells"] - base["cells"])
    merge_peak = peak["merge", "large"] + slope * (_PLAN_CELLS - large["cells"])
    pack_bytes = median(found.values("curve", "pack", "pack_bytes", "large"))
    written = median(found.values("curve", "merge", "bytes", "large"))
    jobs = f"{times:.0f} jobs of {large['cells'] / 1e6:.1f} M cells"
    hours = wall["pack"] * times / 3600
    return [
        f"| {_PLAN_CELLS / 1e6:.0f} M cells, {cores} cores per job | extrapolated |",
        "|---|---|",
        f"| matrix to read | {large['bytes'] * times / 1e9:,.0f} GB |",
        f"| pack, {jobs}, side by side | {wall['pack'] / 60:.1f} min each |",
        f"| the same one after the other | {hours:.1f} h |",
        f"| peak memory of each | {peak['pack', 'large'] / 1e6:,.0f} MB (as measured) |",
        f"| packs, deleted after the sum | {pack_bytes * times / 1e9:,.0f} GB |",
        f"| sum and write, one job | {wall['merge'] * times / 60:.0f} min |",
        f"| its peak memory ({slope:.0f} bytes per cell more) | {merge_peak / 1e9:.1f} GB |",
        f"| profile, as many cells per group as here | {written * times / 1e9:,.0f} GB |",
    ]


def details(found: Measured) -> list[str]:
    """Return the figures that are not in a table."""
    inflate = found.runs("floor", "inflate")
    floor, packing = (found.values("floor", way, "inner") for way in ("inflate", "pack"))
    loop, peak = (
        found.values("floor", "pack", "loop"),
        median(found.values("fine", "whole", "peak")),
    )
    raw = inflate[0]["facts"]["inflated_bytes"] / median(floor) / 1e6
    values = found.files["base"]["values"]
    pack_bytes = median(found.values("fine", "pack", "pack_bytes"))
    coded = found.runs("fine", "encodings")[0]["facts"]
    merged = found.runs("fine", "merge")[0]["facts"]
    cells = found.files["base"]["cells"]
    return [
        f"- Inflating alone ({inflate[0]['facts']['library']}): {span(floor)} s, {raw:,.0f} MB/s "
        f"of inflated bytes. Main loop of the pack, from the first block to the last: {span(loop)} "
        f"s; with opening the file, sorting the cells and closing: {span(packing)} s, "
        f"{cells / median(packing):,.0f} cells/s.",
        f"- Pack, sum and Parquet in one process instead of two: peak memory {peak / 1e6:,.0f} MB.",
        f"- A pack holds {pack_bytes / values:.2f} bytes per value, the compressed matrix "
        f"{found.files['base']['bytes'] / values:.2f}.",
        f"- Profile at 6,000 groups ({merged['n_groups']:,}): {merged['rows']:,} rows, "
        f"{merged['bytes'] / 1e6:,.0f} MB.",
        f"- Parquet of {coded['rows']:,} of these rows, processor time and size per row: "
        f"{coded['own_ns']:.0f} ns and {coded['own_bytes']:.1f} bytes as written "
        "(`io.write_tables`, its checks included), "
        f"{coded['default_ns']:.0f} ns and {coded['default_bytes']:.1f} bytes with dictionaries "
        "and zstd-3, the default of pyarrow.",
    ]


def _cells(found: Measured, atlas: str) -> str:
    return f"{found.files[atlas]['cells']:,}"
