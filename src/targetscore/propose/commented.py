"""A commented indication as YAML: its keys, and beside them what the atlases hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import yaml

from targetscore import ontology
from targetscore.errors import plain

__all__ = ["Summary", "cells_of", "indication_lines", "main_types"]

Summary = Mapping[str, Any]
"""What ingest found in an atlas."""

_SHARE = 0.05
_SHOWN = 12
_TOO_WIDE = 0.5
_MOST_LINEAGES = 8


def cells_of(summaries: Iterable[Summary | None], population: str, key: str) -> Counter[str]:
    """Count the cells of a population by cell type id or disease."""
    counts: Counter[str] = Counter()
    for summary in summaries:
        for group in summary["cell_types"] if summary else ():
            if group["population"] == population:
                counts[str(group[key])] += int(group["n_cells"])
    return counts


def main_types(counts: Counter[str]) -> list[str]:
    """Return the terms that hold 5 % of the cells or more, most cells first."""
    total = sum(counts.values())
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [t for t, n in ordered if t.startswith("CL:") and n >= _SHARE * total]


def _scalar(value: object) -> str:
    """Return a value as YAML on one line; what nobody can see is escaped."""
    text = yaml.safe_dump(
        value,
        default_flow_style=True,
        allow_unicode=str(value).isprintable(),
        width=10**9,
        sort_keys=False,
    )
    return text.removesuffix("\n").removesuffix("\n...")


def indication_lines(
    value: Mapping[str, Any], summaries: Mapping[str, Summary | None]
) -> Iterator[str]:
    """Yield the lines of a commented indication.

    Parameters
    ----------
    value
        The indication.
    summaries
        What is in each of its atlases, None for those that are not here.
    """
    diseased = [summaries[a] for a in value["diseased"]["atlases"]]
    healthy = [summaries[a] for a in value["healthy"]["atlases"]]
    yield "# Proposed by targetscore add-indication. Every key: config/README.md"
    for key in ("title", "question", "disease"):
        yield f"{key}: {_scalar(value[key])}"
    yield "diseased:"
    yield f"  atlases: {_scalar(value['diseased']['atlases'])}"
    yield from _seen(diseased, "diseased", "disease", "diseases of the diseased cells")
    yield "  # keep only donors with these diseases; empty: all"
    yield f"  disease: {_scalar(value['diseased']['disease'])}"
    yield from _seen(diseased, "diseased", "cell_type_id", "cell types of the diseased cells")
    yield "  # keep only these cell types, with their descendants; empty: all"
    yield "  cell_types: []"
    yield "  # REVIEW: were cells sorted by an antigen, or patients treated against it? Then:"
    yield "  # selection: [{antigen: SDC1, reason: CD138-sorted}]"
    yield "healthy:"
    yield f"  atlases: {_scalar(value['healthy']['atlases'])}"
    yield from _seen(healthy, "healthy", "cell_type_id", "cell types of the healthy cells")
    yield from _counterpart(value, healthy)
    yield from _tolerated(value, healthy)
    yield "# true: a stem-cell transplant is planned, and stem cells become tier 2"
    yield "hsct_rescue: false"
    yield "candidates:"
    yield f"  panel: {_scalar(value['candidates']['panel'])}"
    yield "# caveats the report prints"
    yield "notes: []"


def _seen(
    summaries: Sequence[Summary | None], population: str, key: str, what: str
) -> Iterator[str]:
    absent = sum(s is None for s in summaries)
    counts = cells_of(summaries, population, key)
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    shown = [f"{_name(k)} {n:,}" for k, n in ordered[:_SHOWN]]
    rest = f"; {len(ordered) - _SHOWN:,} more" if len(ordered) > _SHOWN else ""
    if shown:
        yield f"  # {what} (cells): {'; '.join(shown)}{rest}"
    if absent:
        yield f"  # {what}: {absent:,} of {len(summaries):,} atlases not here yet, not looked at"


def _name(text: str) -> str:
    """Return a term, disease or label as a comment may show it: nothing in it ends the line."""
    term = next((t for o in ("CL", "MONDO") if (t := ontology.find(text, o))), None)
    return f"{ontology.label(term)} {term}" if term else plain(text.removeprefix("label:"), 60)


def _counterpart(value: Mapping[str, Any], healthy: Sequence[Summary | None]) -> Iterator[str]:
    yield "# REVIEW: the normal cells the disease comes from; shown beside, never the worst case."
    if "normal_counterpart" not in value:
        yield "# Nothing says which; for example: normal_counterpart: {cell_types: [plasma cell]}"
        return
    yield "# Proposed: cell types of 5 % or more of the diseased cells, or the registry's lineage."
    here = cells_of(healthy, "healthy", "cell_type_id")
    for term in _counterparts(value):
        n = sum(c for t, c in here.items() if ontology.is_a(t, [term]))
        yield f"#   {ontology.label(term)}: {n:,} healthy cells"
    yield "normal_counterpart:"
    yield f"  cell_types: {_scalar(value['normal_counterpart']['cell_types'])}"


def _counterparts(value: Mapping[str, Any]) -> list[str]:
    names = value.get("normal_counterpart", {}).get("cell_types", [])
    return [term for name in names if (term := ontology.find(name, "CL"))]


def _tolerated(value: Mapping[str, Any], healthy: Sequence[Summary | None]) -> Iterator[str]:
    yield "# REVIEW: lineages this indication accepts to lose. What is tolerated lowers no score,"
    yield "# so a person decides; nothing is tolerated until a name stands here."
    here = cells_of(healthy, "healthy", "cell_type_id")
    lineages = _lineages(_counterparts(value), here)
    if lineages:
        yield "# Lineages of the diseased cells, and the healthy cells each would take in:"
    for term, types in lineages:
        n = sum(here[t] for t in types)
        yield f"#   {ontology.label(term)}: {n:,} cells, {len(types):,} of {len(here):,} cell types"
    yield "tolerated:"
    yield "  cell_types: []"
    yield '  reason: ""'


def _lineages(types: Sequence[str], healthy: Mapping[str, int]) -> list[tuple[str, frozenset[str]]]:
    """Return lineages that hold some cell types, narrowest first, with their healthy cell types.

    Lineages that take in no other healthy cell types than a narrower one, or more than half of
    all, are left out.

    Parameters
    ----------
    types
        Cell Ontology ids.
    healthy
        Healthy cells per cell type id.
    """
    if not types:
        return []
    shared = frozenset.intersection(*(ontology.ancestors(t) for t in types))
    depth = {t: max(ontology.distance(m, t) for m in types) for t in shared if t.startswith("CL:")}
    found: dict[frozenset[str], str] = {}
    for term in sorted(depth, key=lambda t: (depth[t], t)):
        inside = frozenset(t for t in healthy if ontology.is_a(t, [term]))
        if len(inside) <= _TOO_WIDE * max(len(healthy), 1):
            found.setdefault(inside, term)
    return [(term, inside) for inside, term in found.items()][:_MOST_LINEAGES]
