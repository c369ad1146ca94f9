"""Draw time and memory against cells, readable on light and on dark ground."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullLocator

Point = tuple[float, float, float, float]
"""Cells, median, smallest, largest."""

_INK = "#7a7a7a"
_STYLES = (("#d55e00", "o"), ("#0a7cc1", "s"), ("#0a9a72", "^"), ("#b0659b", "D"))


def draw(
    time: Mapping[str, Sequence[Point]], memory: Mapping[str, Sequence[Point]], path: Path
) -> None:
    """Write the figure; equal figures give equal bytes.

    Parameters
    ----------
    time, memory
        Seconds, and peak memory in MB, by name of the line.
    path
        The SVG file.
    """
    settings: Any = {
        "svg.hashsalt": "targetscore",
        "svg.fonttype": "none",
        "font.family": "sans-serif",
        "font.size": 10,
        "text.color": _INK,
        "axes.labelcolor": _INK,
        "axes.edgecolor": _INK,
        "xtick.color": _INK,
        "ytick.color": _INK,
    }
    with plt.rc_context(settings):
        figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.9), layout="constrained")
        _panel(left, time, "wall time, s")
        _panel(right, memory, "peak memory, MB")
        labels = left.get_legend_handles_labels()
        figure.legend(*labels, loc="outside upper center", ncols=len(time), frameon=False)
        figure.savefig(path, transparent=True, metadata={"Date": None, "Creator": None})
        plt.close(figure)


def _panel(axes: Axes, lines: Mapping[str, Sequence[Point]], label: str) -> None:
    for (colour, marker), (name, points) in zip(_STYLES, lines.items(), strict=False):
        cells, median, low, high = zip(*points, strict=True)
        below = [m - a for m, a in zip(median, low, strict=True)]
        above = [b - m for m, b in zip(median, high, strict=True)]
        axes.errorbar(
            cells, median, (below, above), color=colour, marker=marker, markersize=5, label=name
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("cells")
    axes.set_ylabel(label)
    axes.set_xticks(sorted({point[0] for points in lines.values() for point in points}))
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda value, _: f"{value:,.10g}")
        axis.set_minor_locator(NullLocator())
    axes.grid(visible=True, color=_INK, alpha=0.3, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
