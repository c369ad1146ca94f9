"""Small drawings made on the server: marks, bars and strips; colour comes from the style sheet."""

from __future__ import annotations

import itertools
import math
from bisect import bisect_right
from collections.abc import Sequence

from markupsafe import Markup

CPM_EDGES = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
"""Edges of the colour classes of mean CPM, about half a decade each."""
RADIUS = 10.0
"""Radius of a mark in which every cell expresses, in SVG units."""
_SMALLEST = 1.5
_SMALLEST_RING = 3.0
_STRIP_WIDTH = 420
_STRIP_PAD = 8


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


def dot(fraction: float, cpm: float | None, title: str) -> Markup:
    """Draw a measured group: size is the expressing fraction, colour the mean CPM."""
    return Markup(
        '<svg class="m" viewBox="-11 -11 22 22" role="img"><title>{}</title>'
        '<circle class="c{}" r="{:.1f}" data-value="{!r}"/></svg>'
    ).format(title, colour_class(cpm), radius(fraction), float(fraction))


def ring(upper: float, title: str) -> Markup:
    """Draw a group without any positive cell: an open, crossed ring at the upper bound."""
    size = max(_SMALLEST_RING, radius(upper))
    return Markup(
        '<svg class="m" viewBox="-11 -11 22 22" role="img"><title>{}</title>'
        '<path class="ring" d="M{:.1f} 0H{:.1f}"/>'
        '<circle class="ring" r="{:.1f}" data-value="{!r}"/></svg>'
    ).format(title, -size, size, size, float(upper))


def hatch(title: str, literature: bool) -> Markup:
    """Draw a group that was not assessed; ``literature`` marks a curated report of expression."""
    letter = Markup('<text y="4">L</text>') if literature else Markup("")
    return Markup(
        '<svg class="m" viewBox="-11 -11 22 22" role="img"><title>{}</title>'
        '<use href="#i-hatch"/>{}</svg>'
    ).format(title, letter)


def bar(fraction: float | None) -> Markup:
    """Draw a fraction (0–1) as a bar on a full-length rail; the number stands beside it."""
    if fraction is None:
        return Markup("")
    return Markup(
        '<svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">'
        '<rect class="rail" width="100" height="8"/>'
        '<rect class="fill" width="{:.1f}" height="8"/></svg>'
    ).format(100 * min(1.0, max(0.0, fraction)))


def strip(points: Sequence[tuple[float, bool, str]], threshold: float, title: str) -> Markup:
    """Draw one fraction per patient on an axis from 0 to 1.

    Parameters
    ----------
    points
        Fraction (0–1), whether it is known (else it is a lower bound, drawn hollow) and label
        of each patient.
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
    for fraction, known, name in sorted(points):
        place = round(fraction * 50)
        level = stacked.get(place, 0)
        stacked[place] = level + 1
        kind = "bound" if not known else "low" if fraction < threshold else "pt"
        marks.append((fraction, level, kind, name))
    top = max((level for _, level, _, _ in marks), default=0)
    step = min(9.0, 36.0 / top) if top else 0.0
    base = 10 + step * top
    drawn = Markup("").join(
        Markup(
            '<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="4.5" data-value="{!r}">'
            "<title>{}</title></circle>"
        ).format(
            kind,
            _STRIP_PAD + span * fraction,
            base - step * level,
            float(fraction),
            name,
        )
        for fraction, level, kind, name in marks
    )
    cut = _STRIP_PAD + span * threshold
    return Markup(
        '<svg class="strip" viewBox="0 0 {w} {h:.0f}" role="group" aria-label="{title}">'
        '<path class="axis" d="M{pad} {y:.1f}H{end}"/>'
        '<path class="cut" d="M{cut:.1f} 0V{y2:.1f}"/>{drawn}</svg>'
    ).format(
        w=_STRIP_WIDTH,
        h=base + 10,
        title=title,
        pad=_STRIP_PAD,
        end=_STRIP_WIDTH - _STRIP_PAD,
        y=base + 6,
        y2=base + 9,
        cut=cut,
        drawn=drawn,
    )
