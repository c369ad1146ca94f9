"""What each section shows: score rows selected and put in order, nothing computed anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
from markupsafe import Markup

from targetscore.report import figures
from targetscore.report.data import ReportData
from targetscore.report.text import (
    GAPS,
    VERDICT_WORDS,
    brief,
    label,
    named,
    of_count,
    records,
    rounded,
    slugs,
    source_words,
    words,
)

MAX_DETAILED = 14
"""Antigens with a dossier; the ranking and the downloads hold the others."""
MAX_DRAWN = 50
"""Antigens in the dot plot of healthy tissue."""
MAX_LISTED = 200
"""Rows of the ranking shown in the page."""
MAX_GROUPS = 150
"""Healthy groups drawn, those with the largest harm first."""

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Antigen:
    """One antigen shown in detail; ``part`` is its row of the components."""

    gene_id: str
    symbol: str
    name: str
    short: str
    slug: str
    part: Row


def antigen_slugs(order: pd.DataFrame) -> dict[str, str]:
    """Return the identifier of each antigen drawn, from a ranking put in order."""
    return slugs("antigen", {r["gene_id"]: r["antigen"] for r in records(order)[:MAX_DRAWN]})


def antigens(data: ReportData) -> list[Antigen]:
    """Return the antigens drawn: ranked ones by rank, then the others by symbol."""
    order = data.ranking.sort_values(["rank", "antigen"], kind="stable", na_position="last")
    parts = {row["gene_id"]: row for row in records(data.components)}
    drawn = records(order)[:MAX_DRAWN]
    ids = antigen_slugs(order)
    return [
        Antigen(
            gene_id=row["gene_id"],
            symbol=row["antigen"],
            name=named(row["display"], row["antigen"]),
            short=brief(row["display"], row["antigen"]),
            slug=ids[row["gene_id"]],
            part=parts[row["gene_id"]],
        )
        for row in drawn
    ]


def of_antigens(table: pd.DataFrame, shown: Sequence[Antigen]) -> pd.DataFrame:
    """Return the rows of a score table that belong to some antigens."""
    return table[table["gene_id"].isin([a.gene_id for a in shown])]


@dataclass
class Group:
    """One healthy cell group (or one tier row nothing assesses) with its row per antigen."""

    first: Row
    cells: dict[str, Row] = field(default_factory=dict)

    @property
    def assessed(self) -> bool:
        """Whether it was assessed for at least one antigen."""
        return any(row["verdict"] not in GAPS for row in self.cells.values())

    @property
    def harm(self) -> float:
        """Largest harm over the antigens; 0 only orders groups without any."""
        return max((row["harm"] or 0.0) for row in self.cells.values())

    @property
    def order(self) -> tuple[int, str, str, str, str]:
        """Where it stands in its tissue."""
        row = self.first
        return (row["tier"], row["cell_type"], row["tissue"], row["suspension"], row["assay_class"])

    @property
    def kind(self) -> str:
        """What sets it apart from the usual droplet assay of whole cells."""
        marks = {"nucleus": "nuclei", "full_length": "full-length assay"}
        found = [
            marks[v] for v in (self.first["suspension"], self.first["assay_class"]) if v in marks
        ]
        if self.first["tolerated"]:
            found.append("tolerated")
        return ", ".join(found)

    @property
    def size(self) -> str:
        """Donors and cells, as a range where the antigens were measured in different ones."""
        if not any(row["n_cells"] for row in self.cells.values()):
            return ""
        told = []
        for name in ("n_donors", "n_cells"):
            values = sorted({row[name] for row in self.cells.values()})
            told.append(
                "–".join(rounded(v, "count") for v in dict.fromkeys(values[:1] + values[-1:]))
            )
        return " / ".join(told)


def groups(evidence: Sequence[Row]) -> list[Group]:
    """Gather evidence rows of the same healthy group."""
    found: dict[tuple[str, ...], Group] = {}
    for row in evidence:
        key = tuple(row[k] for k in ("tissue_id", "cell_type_id", "suspension", "assay_class"))
        found.setdefault(key, Group(row)).cells[row["gene_id"]] = row
    return list(found.values())


def mark(row: Row | None) -> Markup:
    """Draw what is known of one antigen in one healthy group, and say it beside."""
    if row is None or row["verdict"] in GAPS or row["fraction_expressing"] is None:
        verdict = VERDICT_WORDS[row["verdict"] if row else "not_assessed"]
        literature = row["literature"] if row else None
        reported = (
            label("; literature reports expression:", source_words(row["literature_source"]))
            if row and literature
            else ""
        )
        seen = (
            f"; {of_count(row['n_cells'], 'cell')} of {of_count(row['n_donors'], 'donor')}"
            if row and row["n_cells"]
            else ""
        )
        return figures.hatch(literature is not None) + _told(f"{verdict}{seen}{reported}")
    upper = row["fraction_expressing_upper"]
    size = f"{of_count(row['n_donors'], 'donor')}, {of_count(row['n_cells'], 'cell')}"
    if row["n_detected"] == 0:
        bound = f"; upper bound {rounded(upper, 'percent')}" if upper is not None else ""
        words = f"no positive cell{bound}; {VERDICT_WORDS[row['verdict']]}; {size}"
        return figures.ring(upper or 0.0) + _told(words)
    low = row["fraction_expressing_lower"]
    spread = (
        f" ({rounded(low, 'percent')}–{rounded(upper, 'percent')})"
        if upper is not None and low is not None
        else ""
    )
    level = f", {rounded(row['mean_cpm'], 'amount')} CPM" if row["mean_cpm"] is not None else ""
    share = rounded(row["fraction_expressing"], "percent")
    words = f"{share}{spread}{level}; {VERDICT_WORDS[row['verdict']]}; {size}"
    return figures.dot(row["fraction_expressing"], row["mean_cpm"]) + _told(words)


def _told(words: str) -> Markup:
    return Markup("<span>{}</span>").format(words)


def healthy(evidence: Sequence[Row]) -> dict[str, Any]:
    """Arrange the healthy groups: tissues by tier, tissues nothing assesses, groups left out."""
    everything = groups(evidence)
    tissues: dict[str, list[Group]] = {}
    for group in everything:
        tissues.setdefault(group.first["tissue"], []).append(group)
    blind = {t for t, members in tissues.items() if not any(g.assessed for g in members)}
    reported = {
        g.first["tissue"] for g in everything if any(r["literature"] for r in g.cells.values())
    } & blind
    drawn = [g for g in everything if g.first["tissue"] not in blind]
    drawn.sort(key=lambda g: (not g.assessed, -g.harm, g.order))
    kept = {id(g) for g in drawn[:MAX_GROUPS]}

    def ordered(names: set[str]) -> list[dict[str, Any]]:
        found = []
        for name in names:
            members = sorted(tissues[name], key=lambda g: g.order)
            shown = members if name in blind else [g for g in members if id(g) in kept]
            if shown:
                found.append(
                    {
                        "tissue": name,
                        "tier": shown[0].first["tier"],
                        "groups": shown,
                        "n_types": len(
                            {g.first["tier_label"] or g.first["cell_type"] for g in shown}
                        ),
                    }
                )
        return sorted(found, key=lambda t: (t["tier"], t["tissue"]))

    return {
        "tissues": ordered(set(tissues) - blind),
        "blind": ordered(reported),
        "silent": ordered(blind - reported),
        "n_left_out": max(0, len(drawn) - MAX_GROUPS),
    }


def blind_mark(members: Sequence[Group], antigen: Antigen) -> Markup:
    """Draw a tissue that no atlas assesses, for one antigen."""
    rows = [g.cells[antigen.gene_id] for g in members if antigen.gene_id in g.cells]
    reported = [r for r in rows if r["literature"]]
    cells = ", ".join(sorted({str(r["cell_type"]) for r in reported}))
    told = label("; literature reports expression in", cells) if reported else ""
    return figures.hatch(bool(reported)) + _told(f"not assessed{told}")


def toxicity(table: pd.DataFrame, evidence: Sequence[Row]) -> list[dict[str, Any]]:
    """Return each toxicity class with its row per antigen, classes of vital tissue first."""
    tiers: dict[str, int] = {}
    tolerated: dict[str, bool] = {}
    for row in evidence:
        name = row["toxicity_class"]
        tiers[name] = min(tiers.get(name, 4), row["tier"])
        tolerated[name] = tolerated.get(name, True) and row["tolerated"]
    classes: dict[str, dict[str, Row]] = {}
    for row in records(table):
        classes.setdefault(row["toxicity_class"], {})[row["gene_id"]] = row
    return [
        {
            "name": words(name),
            "tier": tiers.get(name),
            "tolerated": tolerated.get(name, False),
            "proxy": name.endswith("_proxy"),
            "cells": cells,
        }
        for name, cells in sorted(classes.items(), key=lambda i: (tiers.get(i[0], 5), i[0]))
    ]


def _between(row: Row) -> str:
    """Return the interval of a patient's fraction in words; nothing where there is none."""
    if row["fraction_lower"] is None or row["identifiable"] is not True:
        return ""
    ends = (rounded(row[f"fraction_{end}"], "percent") for end in ("lower", "upper"))
    return f"(95 % {'–'.join(ends)})"


def patients(table: pd.DataFrame, shown: Sequence[Antigen], threshold: float) -> dict[str, Any]:
    """Arrange coverage: one strip per antigen, one row per patient.

    Parameters
    ----------
    table
        Coverage of the antigens shown.
    shown
        The antigens.
    threshold
        Positive fraction (0–1) below which a patient counts as antigen escape. Where dropout
        could not be corrected the fraction is a lower bound: nothing can be said then.
    """
    rows = records(table)
    people: dict[tuple[str, str], dict[str, Any]] = {}
    for row in rows:
        key = (row["atlas"], row["donor"])
        person = people.setdefault(key, {"first": row, "cells": {}})
        person["cells"][row["gene_id"]] = row
    strips = []
    for antigen in shown:
        own = [r for r in rows if r["gene_id"] == antigen.gene_id and r["counted"]]
        valued = [r for r in own if r["fraction"] is not None]
        below = [r for r in valued if r["fraction"] < threshold]
        below.sort(key=lambda r: (r["fraction"], r["atlas"], r["donor"]))
        points = [
            figures.Share(
                r["fraction"],
                r["identifiable"] is True,
                label(
                    r["donor"],
                    f"({r['atlas']}):",
                    "" if r["identifiable"] is True else "lower bound",
                    rounded(r["fraction"], "percent"),
                    _between(r),
                    f"of {of_count(r['n_cells'], 'diseased cell')}",
                ),
                r["fraction_lower"],
                r["fraction_upper"],
            )
            for r in valued
        ]
        strips.append(
            {
                "antigen": antigen,
                "svg": figures.strip(
                    points,
                    threshold,
                    label("Positive fraction of", antigen.short, "by patient"),
                ),
                "n": len(valued),
                "n_missing": len(own) - len(valued),
                "n_bounds": sum(not p.known for p in points),
                "low": [r for r in below if r["identifiable"] is True],
                "unsure": [r for r in below if r["identifiable"] is not True],
            }
        )
    ordered = [people[k] for k in sorted(people)]
    return {
        "strips": strips,
        "people": ordered,
        "too_few": [p["first"] for p in ordered if not p["first"]["counted"]],
    }


def window(
    ranked: Sequence[Row], shown: Sequence[Antigen], worst: Mapping[str, Row | None]
) -> list[dict[str, Any]]:
    """Hold the ranked antigens' tumour fraction against the healthy group that costs most.

    Parameters
    ----------
    ranked
        Ranked rows of the ranking, best first.
    shown
        Antigens shown in detail.
    worst
        Per gene id the evidence row behind the worst healthy cell type, or None.

    Returns
    -------
    list of dict
        ``row`` of the ranking, ``part`` of the components, ``healthy`` evidence row (None if
        it was not assessed).
    """
    parts = {a.gene_id: a.part for a in shown}
    found = []
    for row in ranked:
        if row["gene_id"] not in parts or row["fraction_expressing"] is None:
            continue
        healthy = worst[row["gene_id"]]
        if healthy is not None and healthy["fraction_expressing"] is None:
            healthy = None
        found.append({"row": row, "part": parts[row["gene_id"]], "healthy": healthy})
    return found


def window_svg(points: Sequence[Mapping[str, Any]]) -> Markup:
    """Draw the therapeutic window of the antigens from :func:`window`."""

    def level(row: Row) -> figures.Level:
        names = (f"fraction_expressing{end}" for end in ("", "_lower", "_upper"))
        return figures.Level(*(row[name] for name in names))

    drawn = [
        (
            int(p["row"]["rank"]),
            level(p["part"]),
            level(p["healthy"]) if p["healthy"] else None,
            label(
                brief(p["row"]["display"], p["row"]["antigen"]),
                ":",
                rounded(p["part"]["fraction_expressing"], "percent"),
                "of diseased cells,",
                f"{rounded(p['healthy']['fraction_expressing'], 'percent')} of healthy ones"
                if p["healthy"]
                else "worst healthy cells not assessed",
            ),
        )
        for p in points
    ]
    return figures.window(drawn, "Diseased against worst healthy cells, numbers are ranks")
