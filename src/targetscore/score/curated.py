"""What is known of an antigen before a cell is counted, and how much of its sheddases there is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from targetscore.knowledge import Knowledge
from targetscore.score.shedding import (
    Enzyme,
    Points,
    Shedding,
    sheddase_points,
    shedding_score,
    static_points,
)
from targetscore.score.surface import surface_confidence

Percentile = Callable[[str, str], float | None]


@dataclass(frozen=True)
class Literature:
    """Curated report of an antigen in a tier row."""

    strength: str
    source: str


@dataclass(frozen=True)
class Curated:
    """What does not vary with the cells of an antigen.

    Attributes
    ----------
    display
        Name to show.
    not_scorable
        Why RNA cannot show the target; None if it can.
    literature
        Reports of healthy cells that carry it, by tier label.
    surface
        Surface confidence 0–1 (C6); None without a curated row.
    shedding, shedding_items
        Shedding score (C5), None for a protein that is not in the membrane, and the rows of
        ``score/shedding`` without the antigen.
    """

    display: str
    not_scorable: str | None
    literature: Mapping[str, Literature]
    surface: float | None
    shedding: Shedding | None
    shedding_items: list[dict[str, Any]]


def curated_of(knowledge: Knowledge, symbol: str, percentile: Percentile) -> Curated:
    """Look an antigen up in the curated tables.

    Parameters
    ----------
    knowledge
        Curated tables.
    symbol
        The antigen.
    percentile
        Gives the expression percentile (0–1) of an enzyme in a compartment, None if it was
        not measured.
    """
    own = knowledge.antigens[knowledge.antigens["symbol"] == symbol]
    hidden = own[own["rna_scorable"] == "no"]["not_scorable_reason"]
    items, shedding = shedding_rows(knowledge, symbol, percentile)
    return Curated(
        str(own["display"].iloc[0]) if len(own) and own["display"].iloc[0] else symbol,
        str(hidden.iloc[0] or "RNA does not show it") if len(hidden) else None,
        literature_of(knowledge, symbol),
        surface_of(knowledge, symbol),
        shedding,
        items,
    )


def literature_of(knowledge: Knowledge, symbol: str) -> dict[str, Literature]:
    """Return the curated reports of an antigen by tier label."""
    table = knowledge.healthy_literature
    return {
        row["tier_label"]: Literature(row["strength"], _with_status(row))
        for row in table[table["symbol"] == symbol].to_dict("records")
    }


def _with_status(row: Mapping[Any, Any]) -> str:
    """Return the source, and the status of a report that was not checked against it."""
    source, status = str(row["source"]), str(row["status"])
    return source if status in ("verified", source) else f"{source} [{status}]"


def blinded(knowledge: Knowledge) -> Knowledge:
    """Return the curated tables without what would tell a benchmark its answer.

    Left out are clinical binders (C6: they make an approved target look like a surface
    protein) and reports of healthy cells that carry an antigen (C4: they were collected for
    the targets that somebody tried).
    """
    return replace(
        knowledge,
        surface=knowledge.surface.assign(clinical_binder="none"),
        healthy_literature=knowledge.healthy_literature.iloc[:0],
    )


def surface_of(knowledge: Knowledge, symbol: str) -> float | None:
    """Return the surface confidence of an antigen, 0–1; None without a curated row."""
    rows = knowledge.surface[knowledge.surface["symbol"] == symbol]
    if rows.empty:
        return None
    row = rows.iloc[0]
    return surface_confidence(
        topology=row["topology"],
        tm_helices=row["tm_helices"],
        clinical_binder=row["clinical_binder"],
        cspa=row["cspa"],
        uniprot=row["uniprot"] == 1,
        go=row["go"],
        hpa=row["hpa"] == 1,
        surfy_score=row["surfy_score"],
    )


def _ectodomain(knowledge: Knowledge, symbol: str) -> float:
    rows = knowledge.surface.loc[knowledge.surface["symbol"] == symbol, "ectodomain_aa"]
    return float("nan") if rows.empty else float(rows.iloc[0])


def shedding_rows(
    knowledge: Knowledge, symbol: str, percentile: Percentile
) -> tuple[list[dict[str, Any]], Shedding | None]:
    """Return the items of the shedding score and the score; parameters as for ``curated_of``.

    Returns
    -------
    rows
        Columns of ``score/shedding`` without the antigen. The sheddase item is there only if
        an enzyme is named.
    score
        None for a protein that is not in the membrane: there is nothing to shed.
    """
    table = knowledge.shedding[knowledge.shedding["symbol"] == symbol].set_index("item")
    values = dict(table["value"])
    points = static_points(values, _ectodomain(knowledge, symbol))
    rows = [_static_row(item, p, table) for item, p in points.items()]
    enzymes = knowledge.sheddases[knowledge.sheddases["symbol"] == symbol]
    if len(enzymes):
        row, points["sheddase_expression"] = _sheddase_row(enzymes, percentile)
        rows.append(row)
    inside = values.get("topology", "").startswith("not_membrane")
    return rows, None if inside else shedding_score(points.values())


def _row(item: str, points: Points, finding: str, source: str | None, status: str) -> dict:
    return {
        "item": item,
        "finding": finding,
        "points_low": points.low,
        "points_mid": points.mid,
        "points_high": points.high,
        "points_max": points.most,
        "known": points.known,
        "source": source,
        "status": status,
    }


def _static_row(item: str, points: Points, table: pd.DataFrame) -> dict:
    if item not in table.index:
        return _row(item, points, "not curated", None, "unknown")
    fact = table.loc[item].to_dict()
    if points.known:
        return _row(item, points, fact["finding"], fact["source"] or None, fact["status"])
    return _row(item, points, fact["finding"] or "unknown", None, "unknown")


def _sheddase_row(enzymes: pd.DataFrame, percentile: Percentile) -> tuple[dict, Points]:
    found, words = [], []
    for enzyme in enzymes.to_dict("records"):
        level = percentile(enzyme["enzyme"], enzyme["compartment"])
        found.append(Enzyme(enzyme["pathway"], enzyme["rule"] == "all", level))
        shown = "not measured" if level is None else f"percentile {100 * level:.0f}"
        where = "tumour" if enzyme["compartment"] == "tumour" else "tumour and microenvironment"
        words.append(f"{enzyme['enzyme']} ({enzyme['pathway']}, {where}): {shown}")
    points = sheddase_points(found)
    sources = "; ".join(dict.fromkeys(s for s in enzymes["source"] if s))
    known = points.known
    row = _row(
        "sheddase_expression",
        points,
        "; ".join(words),
        (sources or None) if known else None,
        "computed" if known else "unknown",
    )
    return row, points
