"""Shedding and surface of one antigen, from the curated tables and the sheddases' level."""

from __future__ import annotations

from collections.abc import Callable

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
) -> tuple[pd.DataFrame, Shedding | None]:
    """Return the items of the shedding score and the score.

    Parameters
    ----------
    knowledge
        Curated tables.
    symbol
        The antigen.
    percentile
        Gives the expression percentile (0–1) of an enzyme in a compartment, None if it was
        not measured.

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
    return pd.DataFrame(rows), None if inside else shedding_score(points.values())


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
