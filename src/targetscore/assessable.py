"""Which toxicity classes the healthy atlases of an indication can assess, before any is fetched.

Of an atlas that is here its cells are counted; of another only the tissues are known that its
publisher states. A tissue never stands for a rare cell type in it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from textwrap import wrap
from typing import Any

from targetscore import ontology
from targetscore.config import AtlasRow, Indication, is_store, parse_store, read_tsv
from targetscore.errors import Problem, RegistryError, listed, plain
from targetscore.knowledge import Knowledge
from targetscore.score.tiers import TierRow, credited_rows, tier_rows

NUCLEI = "(nuclei)"

SEEN = "seen"
STATED = "stated"
FEW = "few"
OPEN = "open"
SILENT = "silent"
LEVELS = "levels"
LITERATURE = "literature"
NOTHING = "nothing"
_BEST_FIRST = (SEEN, STATED, FEW, OPEN, SILENT, LEVELS, LITERATURE, NOTHING)

ASSESSABLE = "assessable"
PROMISED = "assessable as stated"
PARTLY = "partly"
LATER = "known after the fetch"
ONLY_LEVELS = "only by levels without cells"
ONLY_LITERATURE = "only by literature"
NO_ATLAS = "not by any atlas named"

_SAYS = {
    FEW: "seen in too few cells",
    OPEN: "tissue covered; whether the cell type is in it is known after the fetch",
    SILENT: "known after the fetch, as not every atlas states its tissues",
    LEVELS: "levels of whole tissues or clusters only",
    LITERATURE: "in no atlas named, as far as is known; reported in the literature",
    NOTHING: "in no atlas named, as far as is known",
}
_WIDTH = 100
_MAPPED = ("tissue_id", "cell_type_id", "tier_label")


@dataclass(frozen=True)
class Statement:
    """A tissue that a publisher says an atlas covers.

    Attributes
    ----------
    tissue_id
        UBERON id.
    nuclei
        Whether nuclei were read, not whole cells.
    cell_types
        Cell Ontology ids that the row asks a store for; empty: all that are there.
    """

    tissue_id: str
    nuclei: bool
    cell_types: tuple[str, ...] = ()


@dataclass(frozen=True)
class RowState:
    """What is known of the cells of one tier row.

    Attributes
    ----------
    row
        The tier row.
    state
        One of ``seen`` (enough cells in an atlas that is here), ``stated`` (a common cell type of
        a tissue that an atlas covers as stated), ``few``, ``open`` (its tissue is covered, its
        cells are rare or hard to capture), ``silent`` (an atlas that is not here states no
        tissue), ``levels``, ``literature``, ``nothing``.
    why
        What is in its way, empty if nothing special.
    atlases
        Atlases that the state rests on, sorted.
    n_cells
        Cells seen in atlases that are here.
    reported
        Candidates that the literature reports on these cells.
    """

    row: TierRow
    state: str
    why: str
    atlases: tuple[str, ...]
    n_cells: int
    reported: tuple[str, ...]


@dataclass(frozen=True)
class ClassState:
    """What can be said of one toxicity class: the verdict, and each of its rows."""

    toxicity_class: str
    verdict: str
    rows: tuple[RowState, ...]


def statements(row: AtlasRow) -> list[Statement]:
    """Return the tissues a registry row states; those the ontology lacks are left out."""
    wanted = _asked_for(row)
    found = []
    for text, nuclei in _entries(row):
        tissue = ontology.find(text, "UBERON")
        if tissue is not None:
            found.append(Statement(tissue, nuclei, wanted))
    return found


def _by_levels(reference: AtlasRow, rows: list[TierRow]) -> frozenset[str]:
    """Return the tier rows that levels of a reference may count for, as the score credits them.

    That of a whole tissue counts for the row its label map names, else nowhere.
    """
    lines: list[dict[str, str]] = []
    if reference.label_map:
        with suppress(RegistryError):  # reported when the reference is read
            lines = read_tsv(reference.label_map, RegistryError, _MAPPED)
    found: set[str] = set()
    for tissue, cell_type, named in ([line[c] for c in _MAPPED] for line in lines):
        told = (reference.tissue and tissue) or (reference.cell_type and cell_type)
        if told and named:
            found.add(named)
        elif told and ontology.is_term(cell_type, "CL"):
            place = tissue if ontology.is_term(tissue, "UBERON") else "label:"
            found |= {row.label for row in credited_rows(cell_type, place, rows)[:1]}
    return frozenset(found)


def _asked_for(row: AtlasRow) -> tuple[str, ...]:
    """Return the cell types that the query of a store is restricted to."""
    filters = dict(parse_store(row.url).filters) if is_store(row.url) else {}
    asked = [*filters.get("cell_type", ()), *filters.get("cell_type_ontology_term_id", ())]
    return tuple(ontology.find(text, "CL") or f"label:{text}" for text in asked)


def _entries(row: AtlasRow) -> Iterator[tuple[str, bool]]:
    for entry in row.tissues.split(";"):
        text = entry.strip()
        if text:
            yield text.removesuffix(NUCLEI).strip(), text.endswith(NUCLEI)


def tissue_problems(row: AtlasRow, registry: str) -> list[Problem]:
    """Return the stated tissues that are no UBERON term."""
    problems = []
    for text, _ in _entries(row):
        if ontology.find(text, "UBERON") is None:
            near = ontology.suggest(text, "UBERON")
            hint = f"did you mean {listed(near)}?" if near else "write the name or id of the term"
            place = f"{row.atlas}, column tissues"
            problems.append(Problem(registry, place, f"'{plain(text)}' is no UBERON term", hint))
    return problems


def assess_classes(
    indication: Indication,
    panel: Iterable[str],
    knowledge: Knowledge,
    registry: Mapping[str, AtlasRow],
    summaries: Mapping[str, Mapping[str, Any]],
    min_cells: int,
) -> list[ClassState]:
    """Tell for each toxicity class what the healthy atlases of an indication can assess.

    Parameters
    ----------
    indication
        The indication.
    panel
        Symbols of its candidates.
    knowledge
        Curated tables: the tier rows (C4) and what is reported.
    registry
        Rows of the atlases.
    summaries
        What ingest says of the atlases that are here, by name.
    min_cells
        Cells from which a group counts as assessed (``scoring.min_cells_assessed``).

    Returns
    -------
    list of ClassState
        Sorted by class. A class is ``assessable`` if every tier row of it is seen, and
        ``assessable as stated`` if the others are common cell types of stated tissues.
    """
    counterpart = indication.normal_counterpart  # is lost with the disease, as scoring has it
    names = [*indication.tolerated.cell_types, *(counterpart.cell_types if counterpart else [])]
    tolerated = {ontology.find(name, "CL") or name for name in names}
    rows = tier_rows(knowledge, tolerated, indication.hsct_rescue, indication.disease.id)
    kind = knowledge.tissue_tiers.set_index("label")["assessable"].to_dict()
    healthy = indication.healthy.atlases
    cells = _seen(rows, [a for a in healthy if a in summaries], summaries)
    told = {a: statements(registry[a]) for a in healthy if a not in summaries}
    levels = {a: _by_levels(registry[a], rows) for a in indication.references}
    reported = _reported(knowledge, panel)
    states = [
        _state(row, kind[row.label], cells, told, levels, reported.get(row.label, ()), min_cells)
        for row in rows
    ]
    classes = sorted({row.toxicity_class for row in rows})
    return [_class(c, [s for s in states if s.row.toxicity_class == c]) for c in classes]


Seen = Mapping[str, Mapping[tuple[str, str, str], Counter[str]]]


def _seen(
    rows: list[TierRow], atlases: Sequence[str], summaries: Mapping[str, Mapping[str, Any]]
) -> Seen:
    """Return per tier row the healthy groups credited to it, with their cells per atlas."""
    found: dict[str, dict[tuple[str, str, str], Counter[str]]] = {}
    for atlas in atlases:
        for group in summaries[atlas].get("healthy_groups", ()):
            key = (group["tissue_id"], group["cell_type_id"], group["suspension"])
            for row in credited_rows(group["cell_type_id"], group["tissue_id"], rows):
                groups = found.setdefault(row.label, {})
                groups.setdefault(key, Counter())[atlas] += group["n_cells"]
    return found


def _reported(knowledge: Knowledge, panel: Iterable[str]) -> dict[str, tuple[str, ...]]:
    known = knowledge.healthy_literature
    own = known[known["symbol"].isin(sorted(panel))]
    return {str(label): tuple(sorted(part["symbol"])) for label, part in own.groupby("tier_label")}


def _state(
    row: TierRow,
    kind: str,
    cells: Seen,
    told: Mapping[str, Sequence[Statement]],
    levels: Mapping[str, Collection[str]],
    reported: tuple[str, ...],
    min_cells: int,
) -> RowState:
    groups = cells.get(row.label, {})
    n_cells = sum(sum(group.values()) for group in groups.values())
    here = sorted({atlas for group in groups.values() for atlas in group})
    if row.by_rna and any(sum(group.values()) >= min_cells for group in groups.values()):
        return RowState(row, SEEN, "", tuple(here), n_cells, reported)
    covering = {a: [s for s in said if _covers(s, row)] for a, said in told.items()}
    named = sorted(a for a, said in covering.items() if said)
    possible = row.by_rna and kind != "absent_from_atlases"
    why = _hindrance(row, kind, [s for said in covering.values() for s in said])
    if possible and named and not why:
        return RowState(row, STATED, "", tuple(named), n_cells, reported)
    if row.by_rna and n_cells:
        return RowState(row, FEW, f"{n_cells:,} cells", tuple(here), n_cells, reported)
    if possible and named:
        return RowState(row, OPEN, why, tuple(named), n_cells, reported)
    unseen = "RNA cannot show it" if not row.by_rna else ""
    known = sorted(a for a, labels in levels.items() if row.label in labels)
    silent = sorted(a for a, said in told.items() if not said)
    if possible and silent:
        return RowState(row, SILENT, "", tuple(silent), n_cells, reported)
    if known:
        return RowState(row, LEVELS, unseen, tuple(known), n_cells, reported)
    why = unseen or _around(row, [s for said in told.values() for s in said])
    return RowState(row, LITERATURE if reported else NOTHING, why, (), n_cells, reported)


def _around(row: TierRow, stated: Sequence[Statement]) -> str:
    """Name the smallest stated tissue that the row's tissue is a part of."""
    if not row.tissue_id:
        return ""
    above = ontology.ancestors(row.tissue_id) & {s.tissue_id for s in stated}
    nearest = min(above, key=lambda t: (ontology.distance(row.tissue_id, t), t), default=None)
    return f"of {ontology.label(nearest)} only the whole is stated" if nearest else ""


def _covers(stated: Statement, row: TierRow) -> bool:
    """Whether a stated tissue is that of the row or a part of it; any is, if it has none."""
    wanted = stated.cell_types
    if wanted and not any(row.cell_type_id in ontology.ancestors(cell) for cell in wanted):
        return False
    return not row.tissue_id or row.tissue_id in ontology.ancestors(stated.tissue_id)


def _hindrance(row: TierRow, kind: str, stated: Sequence[Statement]) -> str:
    """Return why the tissue alone does not promise these cells; empty if it does."""
    if not row.tissue_id:
        return "in some tissues only"
    if kind == "rare":
        return "rare"
    if kind == "poorly_captured":
        return "poorly captured"
    if kind == "snRNA" and not any(s.nuclei for s in stated):
        return "better seen in nuclei"
    return ""


def _class(name: str, states: list[RowState]) -> ClassState:
    found = {state.state for state in states}
    if found <= {SEEN, STATED}:
        verdict = PROMISED if STATED in found else ASSESSABLE
    elif found & {SEEN, STATED, FEW}:
        verdict = PARTLY
    elif found & {OPEN, SILENT}:
        verdict = LATER
    elif LEVELS in found:
        verdict = ONLY_LEVELS
    else:
        verdict = ONLY_LITERATURE if LITERATURE in found else NO_ATLAS
    order = sorted(states, key=lambda s: (_BEST_FIRST.index(s.state), s.row.tier, s.row.label))
    return ClassState(name, verdict, tuple(order))


def class_lines(name: str, classes: Sequence[ClassState], absent: Sequence[str]) -> list[str]:
    """Render the table of one indication for a terminal.

    Parameters
    ----------
    name
        The indication.
    classes
        As :func:`assess_classes` gives them.
    absent
        Healthy atlases that are not here, of which only stated tissues are known.
    """
    lines = [f"{plain(name)}: which toxicity classes its healthy atlases can assess"]
    if absent:
        text = f"not here yet, known by the tissues they state: {listed(absent, 60)}"
        lines += wrap(text, _WIDTH, initial_indent="  ", subsequent_indent="    ")
    width = max((len(c.toxicity_class) for c in classes), default=0)
    for one in classes:
        count = Counter(state.state for state in one.rows)
        known = [f"{count[s]} {s}" for s in (SEEN, STATED) if count[s]]
        types = "cell type" if len(one.rows) == 1 else "cell types"
        tail = f"{', '.join(known) or 'none'} of {len(one.rows)} {types}"
        if all(state.row.tolerated for state in one.rows):
            tail += "; tolerated here"
        lines.append(f"  {one.toxicity_class:<{width}}  {one.verdict:<28}  {tail}")
        lines += _missing(one)
    return lines


def _missing(one: ClassState) -> Iterator[str]:
    """Name every cell type of a class that is neither seen nor promised, by what is known."""
    for state, says in _SAYS.items():
        rows = [s for s in one.rows if s.state == state]
        if rows:
            text = f"{says}: {', '.join(_named(s) for s in rows)}"
            yield from wrap(text, _WIDTH, initial_indent="      ", subsequent_indent="        ")


def _named(state: RowState) -> str:
    more = [state.why] if state.why else []
    if state.reported and state.state in (LITERATURE, LEVELS):
        more.append(", ".join(state.reported))
    return plain(state.row.label) + (f" ({'; '.join(more)})" if more else "")


def shared_donors(
    indication: Indication, registry: Mapping[str, AtlasRow]
) -> Iterator[tuple[str, str, list[str]]]:
    """Yield pairs of healthy atlases that may hold the same donors, and the tissues of both.

    They are of one publication, or one is a query of the CELLxGENE Census and the other a
    dataset of CELLxGENE Discover, from which the Census is made. Such donors would count twice.
    """
    named = [registry[a] for a in indication.healthy.atlases]
    stated = {row.atlas: {s.tissue_id for s in statements(row)} for row in named}
    for n, one in enumerate(named):
        for other in named[n + 1 :]:
            both = _overlap(stated[one.atlas], stated[other.atlas])
            if both and (one.doi == other.doi != "" or _census_of(one, other)):
                yield one.atlas, other.atlas, sorted(ontology.label(t) for t in both)


def _overlap(one: Iterable[str], other: Iterable[str]) -> set[str]:
    """Return the tissues of one list that are, or are a part of, one of the other."""
    pairs = [(a, b) for a in one for b in other]
    return {a for a, b in pairs if b in ontology.ancestors(a)} | {
        b for a, b in pairs if a in ontology.ancestors(b)
    }


def _census_of(one: AtlasRow, other: AtlasRow) -> bool:
    """Whether one row is a query of the Census and the other a dataset the Census may hold."""
    census = [is_store(row.url) and row.url.strip().startswith("census:") for row in (one, other)]
    dataset = [row.dataset or row.url.startswith("cellxgene:") for row in (one, other)]
    return bool((census[0] and dataset[1]) or (census[1] and dataset[0]))
