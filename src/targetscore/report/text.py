"""Words and numbers as the reader sees them; every number keeps its exact value."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import pandas as pd
from markupsafe import Markup, escape

from targetscore.errors import plain

VERDICT_WORDS = {
    "clear": "below alert",
    "no_signal_insufficient": "below alert, too little data",
    "possible": "possible",
    "concern": "concern",
    "not_assessed": "not assessed",
    "not_assessable_by_RNA": "not assessable by RNA",
    "not_measured": "gene not measured",
}
GAPS = ("not_assessed", "not_assessable_by_RNA", "not_measured")
"""Verdicts that say nothing was seen."""
_UNCHECKED = {
    "prior knowledge": "recalled, not checked",
    "unverified": "recalled, not checked",
    "mixed": "in part recalled, not checked",
}
_NO_BREAK = "\u202f"


def _known(value: Any) -> Any:
    if value is None or value is pd.NA or value != value or value == "":
        return None
    return value.item() if hasattr(value, "item") else value


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows as dictionaries in which missing and empty values are ``None``."""
    return [
        {str(key): _known(value) for key, value in row.items()}
        for row in table.astype("object").to_dict("records")
    ]


def _percent(value: float) -> str:
    percent = 100 * value
    if percent == 0 or percent >= 9.95:
        shown = f"{percent:.0f}"
    elif percent < 0.05:
        shown = "<0.1"
    else:
        shown = f"{percent:.1f}"
    # A fraction below 1 must not read as all cells.
    if shown == "100" and value < 1:
        shown = ">99"
    return f"{shown}{_NO_BREAK}%"


def _score(value: float) -> str:
    return "<0.01" if 0 < value < 0.005 else f"{value:.2f}"


def _amount(value: float) -> str:
    if value == 0:
        return "0"
    if value < 0.01:
        return "<0.01"
    digits = max(0, 2 - math.floor(math.log10(value)))
    return f"{value:,.{min(digits, 2)}f}".replace(",", _NO_BREAK)


def _count(value: float) -> str:
    return f"{int(value):,}".replace(",", _NO_BREAK)


_KINDS = {
    "percent": _percent,
    "score": _score,
    "amount": _amount,
    "count": _count,
    "points": lambda value: f"{value:.0f}" if float(value).is_integer() else f"{value:.1f}",
    "signed": lambda value: f"{value:+.2f}".replace("-", "−"),
    "factor": lambda value: f"{value:.3f}",
    "plain": lambda value: _count(value) if value >= 1e5 else f"{value:g}",
}


def rounded(value: float, kind: str) -> str:
    """Round a number for reading.

    Parameters
    ----------
    value
        Finite number; a fraction (0–1) for ``percent``.
    kind
        ``percent``, ``score`` (0–1, two decimals), ``amount`` (three digits), ``count``,
        ``points``, ``signed`` (log2), ``factor`` (three decimals) or ``plain``.
    """
    return _KINDS[kind](value)


def number(value: float | int | None, kind: str = "score") -> Markup:
    """Return a number as rounded text whose exact value stands in ``data-value``."""
    if value is None or value != value:
        return Markup('<span class="na" data-value="NA">NA</span>')
    exact = repr(int(value)) if kind == "count" else repr(float(value))
    return Markup('<span data-value="{}">{}</span>').format(exact, rounded(value, kind))


def interval(low: float | None, high: float | None, kind: str = "percent") -> Markup:
    """Return both ends of an interval, each with its exact value."""
    if low is None or high is None:
        return number(None)
    return Markup("{}–{}").format(number(low, kind), number(high, kind))


def isolate(text: object) -> Markup:
    """Escape text from data and isolate its writing direction; ``None`` reads NA."""
    if text is None:
        return Markup('<span class="na">NA</span>')
    return Markup("<bdi>{}</bdi>").format(str(text))


def words(text: object) -> str:
    """Turn a code such as ``T_cell_fratricide`` into words."""
    return str(text).replace("_", " ")


def verdict(code: str | None) -> Markup:
    """Return a verdict as shape, word and colour."""
    if code is None:
        return number(None)
    return Markup('<span class="v v-{0}"><svg><use href="#i-{0}"/></svg> {1}</span>').format(
        code, VERDICT_WORDS[code]
    )


def status(code: str | None) -> str | None:
    """Say in words whether a curated fact was checked against its source."""
    return None if code is None else _UNCHECKED.get(code, code)


def _source_parts(text: str) -> tuple[str, str | None]:
    """Split the status, which score appends to sources that were not checked, from a source."""
    found = re.fullmatch(rf"(.*) \[({'|'.join(_UNCHECKED)})\]", text, flags=re.DOTALL)
    return (found[1], _UNCHECKED[found[2]]) if found else (text, _UNCHECKED.get(text))


def source_words(text: str) -> str:
    """Return the source of a report of expression, and whether it was only recalled."""
    name, doubt = _source_parts(text)
    return f"{name} ({doubt})" if doubt else name


def source(text: str | None) -> Markup:
    """Return the same as escaped markup; ``None`` reads NA."""
    if text is None:
        return isolate(None)
    name, doubt = _source_parts(text)
    beside = Markup(' <span class="unchecked">({})</span>').format(doubt) if doubt else Markup("")
    return isolate(name) + beside


def grade(code: str | None) -> str | None:
    """Turn a shedding grade such as ``low_uncertain`` into words."""
    if code is None:
        return None
    return words(code.removesuffix("_uncertain")) + (
        ", uncertain" if code.endswith("_uncertain") else ""
    )


def named(display: str | None, symbol: str) -> str:
    """Return the name clinicians use, with the symbol behind it unless it holds the symbol."""
    if display is None:
        return symbol
    return display if symbol in re.findall(r"[\w-]+", display) else f"{display} ({symbol})"


def brief(display: str | None, symbol: str) -> str:
    """Return the name clinicians use without the other names in brackets behind it."""
    return (display or symbol).split(" (")[0]


def other_names(display: str | None, symbol: str) -> str:
    """Return what :func:`brief` leaves out: the names in brackets, and the symbol."""
    short = brief(display, symbol)
    inside = (display or "")[len(short) :].strip(" ()")
    known = re.findall(r"[\w-]+", f"{short} {inside}")
    return ", ".join(filter(None, (inside, None if symbol in known else symbol)))


def slugs(prefix: str, names: Mapping[str, str]) -> dict[str, str]:
    """Give each key a unique identifier made from its name: letters, digits, ``_`` and ``-``."""
    given: dict[str, str] = {}
    for key, name in names.items():
        base = f"{prefix}-{re.sub('[^A-Za-z0-9_-]+', '-', name)[:60].strip('-') or 'x'}"
        candidate, n = base, 1
        while candidate in given.values():
            n += 1
            candidate = f"{base}-{n}"
        given[key] = candidate
    return given


def label(*parts: object) -> str:
    """Join text for an SVG title, without control or direction characters."""
    return " ".join(plain(p, 120) for p in parts)


def noun(n: float, singular: str, plural: str | None = None) -> str:
    """Return the form of a noun that goes with a count: ``cell type`` with 1, else its plural."""
    return singular if n == 1 else plural or f"{singular}s"


def of_count(n: float, singular: str, plural: str | None = None) -> str:
    """Return a count with its noun as text, every digit together: ``1 donor``, ``4120 cells``."""
    return f"{n:.0f} {noun(n, singular, plural)}"


def count_words(n: int, singular: str, plural: str | None = None) -> Markup:
    """Return the same as markup: ``1 cell type``, ``3 cell types``."""
    return Markup("{} {}").format(number(n, "count"), escape(noun(n, singular, plural)))
