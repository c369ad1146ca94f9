"""Small drawings made on the server: marks, bars and strips; colour comes from the style sheet."""

from __future__ import annotations

import itertools
import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from markupsafe import Markup

CPM_EDGES = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
"""Edges of the colour classes of mean CPM, about half a decade each."""
RADIUS = 10.0
"""Radius of a mark in which every cell expresses, in SVG units."""
_SMALLEST = 1.5
_SMALLEST_RING = 3.0
_STRIP_WIDTH = 420
_STRIP_PAD = 8
_WINDOW_PAD = 48
_WINDOW_SPAN = 360
_WINDOW_LANE = 30
_WINDOW_TICKS = (0.0, 0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0)


def colour_class(cpm: float | None) -> int:
    """Return the colour class of a mean CPM: 0 below 1 CPM … 6 from 300 CPM on."""
    return 0 if cpm is None else bisect_right(CPM_EDGES, cpm)


def colour_words() -> list[str]:
    """Return what each colour class means."""
    inner = [f"{a:g}–{b:g}" for a, b in itertools.pairwise(CPM_EDGES)]
    return [f"<{CPM_EDGES[0]:g}", *inner, f"≥{CPM_EDGES[-1]:g}"]


def radius(fraction: float) -> float:
    """Return the radius of a fraction (0–1): its cube root, never invisible.

    A plain area scale would make the 2–10 % that decide about healthy tissue unreadable.
    """
    return max(_SMALLEST, RADIUS * math.cbrt(fraction))


def _short(length: float) -> str:
    return f"{length:.1f}".removesuffix(".0")


def dot(fraction: float, cpm: float | None) -> Markup:
    """Draw a measured group: size is the expressing fraction, colour the mean CPM.

    The middle of a mark is its origin, which the style sheet puts into the middle of the cell;
    the words stand beside it. Both hold for :func:`ring` and :func:`hatch` too.
    """
    return Markup('<svg><circle class="c{}" r="{}"/></svg>').format(
        colour_class(cpm), _short(radius(fraction))
    )


def ring(upper: float) -> Markup:
    """Draw a group without any positive cell: an open, crossed ring at the upper bound."""
    size = max(_SMALLEST_RING, radius(upper))
    return Markup('<svg><path d="M-{0} 0H{0}"/><circle r="{0}"/></svg>').format(_short(size))


def hatch(literature: bool) -> Markup:
    """Draw a group that was not assessed; ``literature`` marks a curated report of expression."""
    letter = Markup('<text y="4">L</text>') if literature else Markup("")
    return Markup('<svg><use href="#i-hatch"/>{}</svg>').format(letter)


def _percent(fraction: float) -> float:
    return 100 * min(1.0, max(0.0, fraction))


def bar(fraction: float | None, low: float | None = None, high: float | None = None) -> Markup:
    """Draw a fraction (0–1) as a bar on its full length, and its interval if it has one.

    The numbers stand beside it.
    """
    if fraction is None:
        return Markup("")
    spread = Markup("")
    if low is not None and high is not None:
        spread = Markup('<rect class="spread" x="{:.1f}%" width="{:.1f}%"/>').format(
            _percent(low), _percent(high) - _percent(low)
        )
    return Markup('<svg class="bar"><rect class="fill" width="{:.1f}%"/>{}</svg>').format(
        _percent(fraction), spread
    )


def decade(values: Sequence[float | None]) -> float:
    """Return the power of ten at or below the smallest positive value, at most 0.1."""
    positive = [v for v in values if v]
    return min(0.1, 10.0 ** math.floor(math.log10(min(positive, default=1.0))))


def step(before: float | None, after: float | None, lowest: float) -> Markup:
    """Draw what one factor takes from a product, on a log axis from ``lowest`` to 1."""
    if before is None or after is None:
        return Markup("")
    right, left = (100 * (1 - math.log(max(v, lowest)) / math.log(lowest)) for v in (before, after))
    return Markup(
        '<svg class="step"><rect class="fill" x="{:.2f}%" width="{:.2f}%"/></svg>'
    ).format(left, max(0.4, right - left))


@dataclass(frozen=True)
class Level:
    """A fraction (0–1) with its interval; a bound that is not known is None."""

    value: float
    low: float | None
    high: float | None


def _place(fraction: float) -> float:
    return _WINDOW_PAD + _WINDOW_SPAN * math.cbrt(min(1.0, max(0.0, fraction)))


def _line(kind: str, *ends: float) -> Markup:
    return Markup('<path class="{}" d="M{:.1f} {:.1f}L{:.1f} {:.1f}"/>').format(kind, *ends)


def window(points: Sequence[tuple[int, Level, Level | None, str]], title: str) -> Markup:
    """Draw tumour level against worst healthy level, both on a cube-root scale from 0 to 1.

    Parameters
    ----------
    points
        Number shown in the mark, tumour, worst healthy (None if it was not assessed: the mark
        stands in a lane beside the plot) and label of each antigen.
    title
        What the plot shows.

    Returns
    -------
    markupsafe.Markup
        SVG; above the diagonal the antigen is on more diseased than healthy cells.
    """
    far = _WINDOW_PAD + _WINDOW_SPAN
    height = far + _WINDOW_PAD
    parts = [
        Markup('<rect class="lane" x="{}" y="{}" width="{}" height="{}"/>').format(
            far + 14, _WINDOW_PAD, _WINDOW_LANE, _WINDOW_SPAN
        ),
        _line("diagonal", _WINDOW_PAD, far, far, _WINDOW_PAD),
    ]
    for tick in _WINDOW_TICKS:
        x, y = _place(tick), height - _place(tick)
        parts.append(_line("grid", x, _WINDOW_PAD, x, far))
        parts.append(_line("grid", _WINDOW_PAD, y, far, y))
        words = f"{100 * tick:g}"
        parts.append(Markup('<text x="{:.1f}" y="{}">{}</text>').format(x, far + 15, words))
        parts.append(
            Markup('<text class="left" x="{}" y="{:.1f}">{}</text>').format(
                _WINDOW_PAD - 6, y + 4, words
            )
        )
    middle = _WINDOW_PAD + _WINDOW_SPAN / 2
    parts.append(
        Markup(
            '<text class="axis-name" x="{}" y="{}">worst healthy cells positive, %</text>'
        ).format(middle, far + 32)
    )
    parts.append(
        Markup(
            '<text class="axis-name" transform="translate({} {}) rotate(-90)">'
            "diseased cells positive, %</text>"
        ).format(_WINDOW_PAD - 34, middle)
    )
    lane = far + 14 + _WINDOW_LANE / 2
    parts.append(Markup('<text x="{}" y="{}">?</text>').format(lane, far + 15))
    for _, tumour, healthy, _ in points:
        x = lane if healthy is None else _place(healthy.value)
        y = height - _place(tumour.value)
        if healthy is not None and healthy.low is not None and healthy.high is not None:
            parts.append(_line("whisker", _place(healthy.low), y, _place(healthy.high), y))
        if tumour.low is not None and tumour.high is not None:
            ends = (height - _place(tumour.low), height - _place(tumour.high))
            parts.append(_line("whisker", x, ends[0], x, ends[1]))
    for number, tumour, healthy, label in points:
        x = lane if healthy is None else _place(healthy.value)
        parts.append(
            Markup(
                '<g class="point" transform="translate({:.1f} {:.1f})"><title>{}</title>'
                '<circle r="9"/><text y="4">{}</text></g>'
            ).format(x, height - _place(tumour.value), label, number)
        )
    return Markup(
        '<svg class="window" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>'
    ).format(far + 18 + _WINDOW_LANE, height, title, Markup("").join(parts))


class Share(NamedTuple):
    """The positive fraction of one patient, 0–1, with its interval.

    Attributes
    ----------
    fraction
        Where the mark stands.
    known
        Whether it is known; else it is a lower bound, drawn hollow.
    name
        What the mark says.
    lower, upper
        Ends of the line behind the mark; None draws none.
    """

    fraction: float
    known: bool
    name: str
    lower: float | None = None
    upper: float | None = None


def strip(points: Sequence[Share], threshold: float, title: str) -> Markup:
    """Draw one fraction per patient on an axis from 0 to 1.

    Parameters
    ----------
    points
        The patients. Of a lower bound the line ends at the mark: nothing is known above it.
    threshold
        Fraction below which a known one is marked as antigen escape.
    title
        What the strip shows.

    Returns
    -------
    markupsafe.Markup
        SVG; patients that share a place on the axis are stacked.
    """
    span = _STRIP_WIDTH - 2 * _STRIP_PAD
    stacked: dict[int, int] = {}
    marks = []
    for point in sorted(points, key=lambda p: (p.fraction, p.known, p.name)):
        place = round(point.fraction * 50)
        level = stacked.get(place, 0)
        stacked[place] = level + 1
        kind = "bound" if not point.known else "low" if point.fraction < threshold else "pt"
        marks.append((point, level, kind))
    top = max((level for _, level, _ in marks), default=0)
    step = min(9.0, 36.0 / top) if top else 0.0
    base = 10 + step * top
    drawn = Markup("").join(
        Markup(
            '<circle class="{}" cx="{:.1f}" cy="{:.1f}" data-value="{!r}">'
            "<title>{}</title></circle>"
        ).format(
            kind,
            _STRIP_PAD + span * point.fraction,
            base - step * level,
            float(point.fraction),
            point.name,
        )
        for point, level, kind in marks
    )
    lines = "".join(
        f"M{_STRIP_PAD + span * point.lower:.0f} {base - step * level:.0f}"
        f"H{_STRIP_PAD + span * (point.upper if point.known else point.fraction):.0f}"
        for point, level, _ in marks
        if point.lower is not None and point.upper is not None
    )
    cut = _STRIP_PAD + span * threshold
    return Markup(
        '<svg class="strip" viewBox="0 0 {w} {h:.0f}" role="group" aria-label="{title}">'
        '<path class="axis" d="M{pad} {y:.1f}H{end}"/>'
        '<path class="cut" d="M{cut:.1f} 0V{y2:.1f}"/>'
        '<path class="reach" d="{lines}"/>{drawn}</svg>'
    ).format(
        w=_STRIP_WIDTH,
        h=base + 10,
        title=title,
        pad=_STRIP_PAD,
        end=_STRIP_WIDTH - _STRIP_PAD,
        y=base + 6,
        y2=base + 9,
        cut=cut,
        lines=lines,
        drawn=drawn,
    )
