"""How firmly the order stands: neighbours that cannot be told apart, and other analyses (C7)."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from targetscore.report.text import records, words
from targetscore.report.views import Antigen, Row

APART = 0.95
"""Share of replicates above the other from which on the order is called settled."""
LIKELY = 0.8
"""Share from which on it is called likely; below, the two cannot be told apart."""
TOP = 3
"""Ranks whose neighbours the verdict names."""
CONFIGURED = "as_configured"
"""Kind of the scenario that all others are held against."""


def standing(probability: float | None) -> str | None:
    """Say what the share of replicates in which an antigen is above another amounts to.

    The limits are a choice of this project; ``settled`` is the level of the 5–95 % intervals.

    Returns
    -------
    str or None
        ``settled``, ``likely``, ``level`` (cannot be told apart) or ``reversed``; None where
        there are no replicates.
    """
    if probability is None:
        return None
    if probability >= APART:
        return "settled"
    if probability >= LIKELY:
        return "likely"
    return "level" if probability > 1 - LIKELY else "reversed"


@dataclass(frozen=True)
class Neighbours:
    """A ranked antigen and the next one of the ranking.

    Attributes
    ----------
    first, second
        Their rows of the ranking.
    probability
        Share of replicates in which the first is above the second, ties half; None if there
        are none.
    """

    first: Row
    second: Row
    probability: float | None

    @property
    def standing(self) -> str | None:
        """What the probability amounts to."""
        return standing(self.probability)


def neighbours(ranked: Sequence[Row], outranks: pd.DataFrame) -> list[Neighbours]:
    """Hold each ranked antigen against the next one.

    Parameters
    ----------
    ranked
        Ranked rows of the ranking, best first.
    outranks
        The contract ``score/outranks``.
    """
    pairs = list(itertools.pairwise(ranked))
    asked = pd.DataFrame(
        [(a["gene_id"], b["gene_id"]) for a, b in pairs], columns=["gene_id", "other_gene_id"]
    )
    # Of a large panel the table holds millions of pairs: only those asked for are looked at.
    found = asked.astype(object).merge(outranks.astype(dict.fromkeys(asked, object)), how="left")
    return [
        Neighbours(a, b, row["probability"])
        for (a, b), row in zip(pairs, records(found), strict=True)
    ]


@dataclass(frozen=True)
class Scenario:
    """One other analysis: the rank of each antigen in it, beside the rank as configured.

    Attributes
    ----------
    kind, name
        What it changes, and the scenario in words.
    cells
        Rows of ``score/robustness`` by gene id.
    base
        Rank as configured by gene id; None if it had none.
    """

    kind: str
    name: str
    cells: Mapping[str, Row]
    base: Mapping[str, int | None]

    @property
    def moved(self) -> list[str]:
        """Gene ids whose rank differs from the one as configured, in the order of the base."""
        return [g for g in self.base if g in self.cells and self.cells[g]["rank"] != self.base[g]]

    @property
    def failed(self) -> str | None:
        """Why nothing could be ranked in it; None if something was."""
        if any(row["rank"] is not None for row in self.cells.values()):
            return None
        reasons = {r["reason"] for g, r in self.cells.items() if self.base.get(g) is not None}
        return ", ".join(sorted(filter(None, reasons))) or "no antigen can be ranked"

    @property
    def first(self) -> frozenset[str]:
        """Gene ids of rank 1."""
        return frozenset(g for g, row in self.cells.items() if row["rank"] == 1)


@dataclass(frozen=True)
class Kind:
    """Scenarios of one kind."""

    name: str
    scenarios: Sequence[Scenario]

    @property
    def heading(self) -> str:
        """What is changed: the scenario in words if there is but one."""
        return self.scenarios[0].name if len(self.scenarios) == 1 else words(self.name)

    @property
    def counted(self) -> list[Scenario]:
        """Scenarios in which something could be ranked."""
        return [s for s in self.scenarios if s.failed is None]

    @property
    def moving(self) -> list[Scenario]:
        """Scenarios in which a rank differs."""
        return [s for s in self.counted if s.moved]

    def span(self, gene_id: str) -> tuple[int | None, int | None, int]:
        """Return the best and the worst rank of an antigen, and how often it has none."""
        seen = [s.cells[gene_id]["rank"] for s in self.counted if gene_id in s.cells]
        ranks = [rank for rank in seen if rank is not None]
        return min(ranks, default=None), max(ranks, default=None), len(seen) - len(ranks)


def with_rank(analyses: Mapping[str, Any], shown: Sequence[Antigen]) -> list[Antigen]:
    """Return the antigens that have a rank as configured or in any other analysis."""
    return [
        a
        for a in shown
        if analyses["base"][a.gene_id] is not None
        or any(s.cells[a.gene_id]["rank"] for s in analyses["scenarios"] if a.gene_id in s.cells)
    ]


def other_analyses(table: pd.DataFrame, shown: Sequence[Antigen]) -> dict[str, Any]:
    """Arrange the scenarios by kind; which there are is read from the table.

    Parameters
    ----------
    table
        The contract ``score/robustness``, all antigens.
    shown
        Antigens with a column.

    Returns
    -------
    dict
        ``base``: rank as configured by gene id; ``kinds``; ``scenarios``: those in which
        something could be ranked; ``moving``: of these, where a shown antigen has another
        rank; ``movers``: these antigens; ``failed``: where nothing could be ranked;
        ``first_held``: in how many the first antigen is first.
    """
    ids = {a.gene_id for a in shown}
    rows = [r for r in records(table) if r["gene_id"] in ids]
    configured = {r["gene_id"]: r["rank"] for r in rows if r["kind"] == CONFIGURED}
    base = {a.gene_id: configured.get(a.gene_id) for a in shown}
    cells: dict[tuple[str, str], dict[str, Row]] = {}
    for row in rows:
        if row["kind"] != CONFIGURED:
            cells.setdefault((row["kind"], row["scenario"]), {})[row["gene_id"]] = row
    found = [Scenario(*name, own, base) for name, own in sorted(cells.items())]
    counted = [s for s in found if s.failed is None]
    first = frozenset(g for g, rank in base.items() if rank == 1)
    return {
        "base": base,
        "kinds": [
            Kind(name, [s for s in found if s.kind == name])
            for name in sorted({s.kind for s in found})
        ],
        "scenarios": counted,
        "moving": [s for s in counted if s.moved],
        "movers": [a for a in shown if any(a.gene_id in s.moved for s in counted)],
        "failed": [s for s in found if s.failed is not None],
        "first_held": sum(s.first == first for s in counted),
    }
