"""The body map: each organ by the worst verdict among its healthy cells, and the same as a table.

The drawing is this project's own. An organ gathers the tissues that are a kind or a part of it
(UBERON); a tissue of no organ stands under ``other tissues``, so that none is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from targetscore import ontology
from targetscore.contracts import VERDICTS
from targetscore.report.text import GAPS, VERDICT_WORDS, label, of_count
from targetscore.report.views import Antigen, Row

LETTERS = {"clear": "B", "no_signal_insufficient": "F", "possible": "P", "concern": "C"}
"""Letter of each verdict on cells that were seen."""
TOLERATED = "tolerated"
_WIDTH, _HEIGHT = 560, 560
_FIRST, _STEP = 22, 38
_LEFT, _RIGHT, _BOX = 132, 404, 24
_OUTLINE = (
    "M266 84V100Q240 106 220 116 206 124 202 150L190 240 180 300Q176 316 186 318 194 318 197 304"
    "L212 236 222 176 226 250Q220 290 224 330L232 430 236 520Q230 536 240 538H260Q266 530 262 518"
    "L270 420 278 332H282L290 420 298 518Q294 530 300 538H320Q330 536 324 520L328 430 336 330"
    "Q340 290 334 250L338 176 348 236 363 304Q366 318 374 318 384 316 380 300L370 240 358 150"
    "Q354 124 340 116 320 106 294 100V84Z"
)
_HEAD = "M250 52a30 38 0 1 0 60 0a30 38 0 1 0-60 0Z"


@dataclass(frozen=True)
class Organ:
    """One organ of the drawing.

    Attributes
    ----------
    key, name
        Identifier, and the words printed.
    roots
        UBERON ids; a tissue belongs here if it is one of them, a kind of one or a part of one.
    side
        ``left`` or ``right``: where its label stands.
    place
        Where the line to its label ends, in SVG units; None without a shape.
    shape
        Path of its outline.
    """

    key: str
    name: str
    roots: tuple[str, ...]
    side: str
    place: tuple[float, float] | None
    shape: str


def _oval(x: float, y: float, rx: float, ry: float) -> str:
    return f"M{x - rx:g} {y:g}a{rx:g} {ry:g} 0 1 0 {2 * rx:g} 0a{rx:g} {ry:g} 0 1 0-{2 * rx:g} 0Z"


def _twice(dx: float, y: float, rx: float, ry: float) -> str:
    return _oval(280 - dx, y, rx, ry) + _oval(280 + dx, y, rx, ry)


def _organ(
    key: str, name: str, roots: str, side: str, place: tuple[float, float], shape: str
) -> Organ:
    ids = tuple(f"UBERON:{number:0>7}" for number in roots.split())
    return Organ(key, name, ids, side, place, shape)


_LUNGS = "M264 118Q244 120 242 172 244 180 264 174ZM296 118Q316 120 318 172 316 180 296 174Z"
_HEART = "M284 146Q298 138 302 152 302 166 286 176 272 166 272 154 274 142 284 146Z"
_LIVER = "M238 190Q256 180 290 190 284 206 244 214 236 208 238 190Z"
_STOMACH = "M294 188Q312 184 316 196 314 212 296 214 300 204 292 198Z"
_PANCREAS = "M258 218Q284 212 312 220L310 227Q284 224 260 226Z"
_ADRENALS = "M244 222L250 213 256 222ZM304 222L310 213 316 222Z"
_INTESTINE = "M250 246Q280 236 310 246L312 276Q300 288 280 286 258 288 248 276Z"
ORGANS = (
    _organ("eye", "eye", "970 966 964", "right", (292, 54), _twice(10, 54, 4.5, 3.5)),
    _organ("brain", "brain, spinal cord", "955 2240", "left", (264, 30), _oval(280, 32, 23, 14)),
    _organ(
        "mouth", "mouth, saliva", "165 1723 1044 1833", "left", (270, 74), _oval(280, 74, 10, 5)
    ),
    _organ("thyroid", "thyroid gland", "2046 1132", "right", (288, 97), _twice(5, 97, 5, 6)),
    _organ("oesophagus", "oesophagus", "1043", "left", (278, 112), _oval(280, 122, 3, 18)),
    _organ(
        "lung", "lung, airways, pleura", "2048 1005 2185 3126 977 4", "left", (250, 140), _LUNGS
    ),
    _organ("heart", "heart", "948", "right", (298, 150), _HEART),
    _organ("breast", "breast", "310 1911", "right", (322, 168), _twice(42, 168, 8, 7)),
    _organ("liver", "liver, bile ducts", "2107 2394 2110", "left", (240, 200), _LIVER),
    _organ("stomach", "stomach", "945", "right", (312, 192), _STOMACH),
    _organ("spleen", "spleen", "2106", "right", (325, 206), _oval(323, 206, 5, 10)),
    _organ("pancreas", "pancreas", "1264", "right", (310, 222), _PANCREAS),
    _organ("adrenal", "adrenal gland", "2369", "left", (247, 219), _ADRENALS),
    _organ("kidney", "kidney", "2113", "left", (243, 234), _twice(30, 235, 8, 10)),
    _organ("intestine", "intestine", "160 1155 2108 1052", "right", (311, 262), _INTESTINE),
    _organ("bladder", "urinary bladder", "1255 56 57", "left", (272, 299), _oval(280, 299, 10, 7)),
    _organ("prostate", "prostate gland", "2367", "right", (284, 312), _oval(280, 312, 6, 4)),
    _organ("testis", "testis", "473 1301", "right", (286, 324), _twice(5, 324, 5, 5)),
    _organ(
        "womb",
        "ovary, uterus, placenta",
        "992 995 1987 3889 996",
        "left",
        (256, 296),
        _twice(22, 296, 6, 5),
    ),
    _organ(
        "skin",
        "skin, hair, nails",
        "2097 14 1003 2073 2283",
        "left",
        (190, 270),
        _oval(193, 262, 5, 24),
    ),
    _organ("muscle", "skeletal muscle", "1134 14892", "left", (240, 380), _oval(246, 378, 9, 34)),
    _organ("marrow", "bone marrow", "2371", "right", (316, 380), _oval(312, 380, 5, 38)),
    _organ(
        "bone", "bone, cartilage", "1474 2481 2418 982", "right", (313, 470), _oval(311, 470, 4, 34)
    ),
    _organ(
        "lymph", "lymph nodes, thymus", "29 2370 2372", "left", (228, 130), _twice(50, 130, 5, 6)
    ),
    _organ("blood", "blood", "178 12168", "right", (370, 262), _oval(367, 262, 5, 24)),
    _organ("vessels", "blood vessels", "2049 1981", "left", (247, 470), _oval(249, 470, 3.5, 34)),
    _organ("fat", "fat", "1013", "left", (232, 318), _twice(46, 318, 5, 14)),
    _organ("nerve", "nerves", "1021 10", "right", (354, 190), _oval(351, 190, 2.5, 26)),
    Organ("other", "other tissues", (), "below", None, ""),
)
"""Organs, those that must be asked first before those they are part of."""


def organ_of(tissue_id: str) -> Organ:
    """Return the organ a tissue is part of; ``other tissues`` if none is drawn."""
    above = ontology.ancestors(tissue_id) if ":" in tissue_id else frozenset()
    return next((o for o in ORGANS if not above.isdisjoint(o.roots)), ORGANS[-1])


@dataclass(frozen=True)
class Seen:
    """What is known of one antigen in one organ.

    Attributes
    ----------
    code
        Worst verdict of the groups assessed, a gap verdict if none was, or ``tolerated`` if
        only lineages were found that this indication accepts to lose.
    letters
        One letter for the code; ``?`` behind it: some cell types were not assessed, ``L``: of
        these the literature reports expression. A gap is ``?`` or ``L`` alone.
    words
        The same in words, with the cell type.
    """

    code: str
    letters: str
    words: str


def seen(rows: Sequence[Row]) -> Seen:
    """Sum up the evidence rows of one antigen in one organ.

    The order of the verdicts is that of :data:`targetscore.contracts.VERDICTS`; tolerated
    lineages do not count, and what was not assessed never makes an organ look better.
    """
    own = [r for r in rows if not r["tolerated"]]
    assessed = [r for r in own if r["verdict"] not in GAPS]
    missing = [r for r in own if r["verdict"] in GAPS]
    reported = sorted({r["tier_label"] or r["cell_type"] for r in missing if r["literature"]})
    open_ = "L" if reported else "?" if missing else ""
    told = f"; literature reports expression in {', '.join(reported)}" if reported else ""
    if not own:
        return Seen(TOLERATED, "T", f"{of_count(len(rows), 'group')} of tolerated lineages only")
    if not assessed:
        code = min((r["verdict"] for r in missing), key=VERDICTS.index)
        words = f"{VERDICT_WORDS[code]}: {len(missing)} of {len(missing)}{told}"
        return Seen(code, open_, label(words))
    worst = max(assessed, key=lambda r: (VERDICTS.index(r["verdict"]), r["harm"] or 0.0))
    where = f"{VERDICT_WORDS[worst['verdict']]}: {worst['cell_type']}"
    gaps = f"; {len(missing)} of {len(own)} not assessed" if missing else ""
    return Seen(worst["verdict"], LETTERS[worst["verdict"]] + open_, label(where, gaps + told))


def organs(evidence: Sequence[Row], shown: Sequence[Antigen]) -> list[dict[str, Any]]:
    """Arrange what is known by organ, organs with vital cells first.

    Parameters
    ----------
    evidence
        Evidence rows of the antigens shown.
    shown
        The antigens.

    Returns
    -------
    list of dict
        ``organ``, ``tier`` (best of its rows, 1 vital), ``n_types`` rows, and ``cells``: what
        is known by gene id. Organs of which the run knows no row are left out.
    """
    found: dict[str, dict[str, list[Row]]] = {}
    where = {tissue_id: organ_of(tissue_id) for tissue_id in {r["tissue_id"] for r in evidence}}
    for row in evidence:
        own = found.setdefault(where[row["tissue_id"]].key, {})
        own.setdefault(row["gene_id"], []).append(row)
    drawn = [
        {
            "organ": organ,
            "tier": min(r["tier"] for rows in found[organ.key].values() for r in rows),
            "cells": {
                a.gene_id: seen(found[organ.key][a.gene_id])
                for a in shown
                if a.gene_id in found[organ.key]
            },
        }
        for organ in ORGANS
        if organ.key in found
    ]
    return sorted(drawn, key=lambda o: (o["tier"], o["organ"].name))


def _mark(organ: Organ, known: Seen | None, y: float) -> Markup:
    """Draw one organ, its line and its label."""
    code = known.code if known else "absent"
    words = f"{organ.name}: {known.words if known else 'no row in this run'}"
    if organ.side == "below":
        box, name, anchor = _WIDTH / 2 - 60, _WIDTH / 2 - 30, "name"
    elif organ.side == "left":
        box, name, anchor = _LEFT, _LEFT - 6, "name left"
    else:
        box, name, anchor = _RIGHT, _RIGHT + _BOX + 6, "name"
    line = Markup("")
    if organ.place is not None:
        edge = box + _BOX if organ.side == "left" else box
        line = Markup('<path class="leader" d="M{:g} {:g}L{:g} {:g}"/>').format(
            edge, y, *organ.place
        )
    both = Markup("")
    if organ.shape:
        both = Markup(
            '<path class="fill" d="{0}"/><path class="over" fill="url(#hatching)" d="{0}"/>'
        ).format(organ.shape)
    return Markup(
        '<g class="o o-{}" data-organ="{}"><title>{}</title>{}{}'
        '<rect class="fill" x="{:g}" y="{:g}" width="24" height="17"/>'
        '<rect class="over" fill="url(#hatching)" x="{:g}" y="{:g}" width="24" height="17"/>'
        '<text class="letters" x="{:g}" y="{:g}">{}</text>'
        '<text class="{}" x="{:g}" y="{:g}">{}</text></g>'
    ).format(
        code,
        organ.key,
        words,
        line,
        both,
        *(box, y - 8.5, box, y - 8.5, box + _BOX / 2, y + 4.5, known.letters if known else ""),
        *(anchor, name, y + 4, organ.name),
    )


def body(found: Sequence[Mapping[str, Any]], antigen: Antigen) -> Markup:
    """Draw the body map of one antigen.

    Parameters
    ----------
    found
        What :func:`organs` returned.
    antigen
        The antigen.

    Returns
    -------
    markupsafe.Markup
        SVG; an organ without a row in this run is drawn as an outline.
    """
    known = {o["organ"].key: o["cells"].get(antigen.gene_id) for o in found}
    marks = []
    for side in ("left", "right"):
        own = [o for o in ORGANS if o.side == side]
        slots = sorted(own, key=lambda o: o.place[1] if o.place else 0.0)
        height = {o.key: _FIRST + _STEP * i for i, o in enumerate(slots)}
        marks += [_mark(o, known.get(o.key), height[o.key]) for o in own]
    marks.append(_mark(ORGANS[-1], known.get(ORGANS[-1].key), _HEIGHT + 6))
    return Markup(
        '<svg class="body" viewBox="-20 0 {} {}" role="img" aria-label="{}">'
        '<pattern id="hatching" width="5" height="5" patternUnits="userSpaceOnUse" '
        'patternTransform="rotate(45)"><path class="hatch" d="M0 0V5"/></pattern>'
        '<path class="figure" d="{}{}"/>{}</svg>'
    ).format(
        _WIDTH + 20,
        _HEIGHT + 20,
        label("Body map of", antigen.short, "; the table says the same"),
        _HEAD,
        _OUTLINE,
        Markup("").join(marks),
    )
