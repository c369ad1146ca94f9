"""Write README.md and engine.svg: ``python engine_report.py MEASURED.json FOLDER``."""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

from engine_figure import Point, draw
from engine_tables import ATLASES, Measured, demands, details, part_of, peers, plan, sizes

PACKAGES = ["numpy", "numba", "scipy", "h5py", "isal", "pyarrow", "anndata", "scanpy"]
DEMANDED_CELLS = 200_000
LINES = {
    "scanpy": "scanpy, 500 groups",
    "sums": "statistics, 500 groups",
    "pack": "pack",
    "merge": "sum + Parquet, by donor",
}

HEAD = """\
# Benchmarks

Written by `make bench`; do not edit. The atlases are simulated, not data.
Other scripts here: `calibration.py` (do intervals hold the truth?) and `acceptance.py` (the
acceptance tests of the score); each writes its results beside itself.

## The engine beside its peers

{about}

Ratios are taken round by round: median of {runs} rounds, smallest and largest in brackets.
Each contestant is a process of its own and is timed whole, from start to exit, imports
included; in a round they take turns. Before them goes a round that is not timed.
"""

METHOD = """\
### How it is measured

- Atlas: `python -m targetscore.simulate 'simulate:myeloma?cells={cells}&genes=33000'`, gzip-4.
  Two smaller ones are simulated in the same way. The largest repeats it five times, donors
  renamed. In the shuffled one the rows are permuted, and their labels with them.
- "500 groups": tissue × cell type × disease × population, donors pooled, cut into 15 parts by
  the cell's serial number. "6,000 groups": the same by donor, cut into 30. The parts stand for
  samples; the largest atlas has five times as many groups by donor.
- No gene is masked, so that the library size is that of `normalize_total`.
- targetscore runs the functions the workflow calls, on a cell table of its contract, with all
  cores. scanpy's recipe gives two of its five sums, and writes nothing.
- Inflating and packing are held against each other without imports; all else is whole processes.
- All read from the disk cache. `(c)`: others kept more than 0.3 cores busy, the time is not
  to be trusted.
- A contestant is stopped at 90 % of the memory that is free when it starts.
- dask is pinned in `dask.lock` and installed by `make bench` beside the environment, not in it.
  scanpy 1.11 has no aggregate for dask arrays, hence an indicator matrix per chunk, sums kept
  sparse.
- Four parts (500 groups; 6,000 groups; inflating and order of rows; the curve) are measured one
  after the other, or one alone (`--only`) and the others kept. A ratio never spans two parts.
- Equal: in the first round every entry of every contestant is compared, in the others one
  weighted sum per contestant; Parquet files of all rounds, of one and of two processes, and of
  shuffled rows have the same bytes; the groups of the largest atlas equal those they repeat.
"""


def readme(found: Measured) -> str:
    """Return README.md as text."""
    parts = [
        HEAD.format(about=_about(found.about), runs=found.about["runs"]),
        "### Demands\n",
        _table(demands(found)),
        "### Beside its peers\n",
        f"{found.files['base']['cells']:,} cells, {found.files['base']['values'] / 1e6:,.0f} M "
        "values. Peak memory is the largest of the rounds.\n",
        _table(peers(found)),
        _table(details(found)),
        "### Time and memory against cells\n",
        "![time and memory against cells](engine.svg)\n",
        _table(sizes(found)),
        "### 50 million cells, on paper\n",
        "Nothing here was run: the largest atlas measured, carried on in proportion.\n",
        _table(plan(found)),
        METHOD.format(cells=found.about["cells"]).rstrip(),
    ]
    return "\n".join(parts) + "\n"


def _table(lines: list[str]) -> str:
    return "\n".join(lines) + "\n"


def _about(about: Mapping[str, Any]) -> str:
    machine = about["machine"]
    used = [f"Python {platform.python_version()}", *filter(None, map(_version, PACKAGES))]
    text = (
        f"{about['date']}; {machine['processor']}, {machine['cores']} cores, "
        f"{machine['memory'] / 1e9:.0f} GB of memory; {', '.join(used)}."
    )
    if about["cells"] != DEMANDED_CELLS:
        text += f"\n\n**A trial with {about['cells']:,} cells**; demands are for 200,000."
    return text


def _version(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return ""


def points(found: Measured, name: str, scale: float) -> dict[str, list[Point]]:
    """Return the lines of one panel of the figure."""
    lines: dict[str, list[Point]] = {}
    for way, label in LINES.items():
        for atlas in ATLASES:
            values = [v / scale for v in found.values(part_of(way, atlas), way, name, atlas)]
            if values:
                point = (found.files[atlas]["cells"], median(values), min(values), max(values))
                lines.setdefault(label, []).append(point)
    return lines


if __name__ == "__main__":
    measured, folder = Measured(Path(sys.argv[1])), Path(sys.argv[2])
    draw(points(measured, "wall", 1), points(measured, "peak", 1e6), folder / "engine.svg")
    written = readme(measured)
    (folder / "README.md").write_text(written, encoding="utf-8")
    print(written)
