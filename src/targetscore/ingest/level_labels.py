"""Tissues and cell types that the labels of an aggregated reference stand for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from targetscore import ontology
from targetscore.config import AtlasRow, read_tsv
from targetscore.errors import AtlasError, Problem, listed, plain, raise_all

COLUMNS = ("label", "tissue_id", "cell_type_id", "tier_label", "note")
WHOLE = "label:whole tissue"
ANY = "label:any tissue"
_BLANKS = re.compile(r"[\s_-]+")
_NUMBER = re.compile(r"([\s_-]*\d+)+$")
_MARKER = re.compile(r"\s*_.*(high|low)\s*$")


@dataclass(frozen=True)
class Label:
    """What a label stands for; ids are ontology ids, ``label:<text>`` where there is none.

    Attributes
    ----------
    tissue_id, cell_type_id
        ``label:whole tissue`` where the values are of a tissue as a whole, ``label:any tissue``
        where no tissue is stated.
    tier_label
        Row of the tissue tiers whose tier and class hold, where a reviewer named one.
    note
        Why it is not used, or a caveat.
    used
        Whether its values are of any tissue or cell type at all.
    """

    tissue_id: str = ANY
    cell_type_id: str = WHOLE
    tier_label: str | None = None
    note: str = ""
    used: bool = False

    @property
    def scope(self) -> str:
        """Whether the values are of a whole tissue or of one cell type."""
        return "tissue" if self.cell_type_id == WHOLE else "cell_type"

    @property
    def tissue(self) -> str:
        """Tissue name."""
        return ontology.label(self.tissue_id)

    @property
    def cell_type(self) -> str:
        """Cell type name."""
        return ontology.label(self.cell_type_id)


@dataclass(frozen=True)
class LabelMap:
    """The reviewed lines of a label map by their folded label, and terms given in the registry."""

    lines: Mapping[str, Mapping[str, str]]
    terms: Mapping[str, str]

    def label(self, tissue: str, cell_type: str) -> Label | None:
        """Return what the tissue and the cell type of a label stand for; None if unmapped.

        A line about both together goes before lines about each. Of a tissue a running number at
        the end is left out (``skin 1``), of a cell type a marker (``Macrophage_SPP1 high``), if
        there is no line with it.

        Parameters
        ----------
        tissue, cell_type
            As the publisher writes them; empty where none is stated.
        """
        if tissue and cell_type:
            places = (_folded(tissue), _folded(_NUMBER.sub("", tissue.strip())))
            for place in places:
                together = self.lines.get(f"{place} / {_folded(cell_type)}")
                if together is not None:
                    return self._of_both(tissue, together)
        parts = [
            self._line(text, tail)
            for text, tail in ((tissue, _NUMBER), (cell_type, _MARKER))
            if text
        ]
        if any(part is None for part in parts):
            return None
        lines = [part for part in parts if part is not None]
        if len(lines) == 1:
            return _label(lines[0]["tissue_id"], lines[0]["cell_type_id"], lines[0])
        here, who = lines
        if not here["tissue_id"] or not who["cell_type_id"]:
            return Label(note=here["note"] if not here["tissue_id"] else who["note"])
        return _label(here["tissue_id"], who["cell_type_id"], who)

    def _of_both(self, tissue: str, together: Mapping[str, str]) -> Label | None:
        """Return what a line about tissue and cell type says; the tissue may have its own line."""
        here = self._line(tissue, _NUMBER) or {"tissue_id": ""}
        return _label(
            together["tissue_id"] or here["tissue_id"], together["cell_type_id"], together
        )

    def _line(self, text: str, tail: re.Pattern[str]) -> Mapping[str, str] | None:
        if text in self.terms:
            found = self.terms[text]
            empty = dict.fromkeys(COLUMNS, "")
            return empty | {"tissue_id" if found.startswith("UBERON") else "cell_type_id": found}
        short = tail.sub("", text.strip())
        return self.lines.get(_folded(text)) or self.lines.get(_folded(short))


def _label(tissue_id: str, cell_type_id: str, line: Mapping[str, str]) -> Label:
    nothing = not cell_type_id and not tissue_id
    if nothing or (_both(line) and not line["cell_type_id"]):
        return Label(note=line["note"])
    return Label(
        tissue_id or ANY, cell_type_id or WHOLE, line["tier_label"] or None, line["note"], True
    )


def _both(line: Mapping[str, str]) -> bool:
    """Tell whether a line is about tissue and cell type together."""
    return " / " in line["label"]


def _folded(text: str) -> str:
    """Return a label without case; '_' and '-' count as a blank."""
    return _BLANKS.sub(" ", text).strip().casefold()


def read_label_map(row: AtlasRow, registry: str) -> LabelMap:
    """Read the label map of a reference, and the terms its registry row gives as ``=value``.

    Raises
    ------
    AtlasError
        With every id that is no current term, label that repeats, and value of the registry
        that is no term.
    """
    lines: dict[str, Mapping[str, str]] = {}
    problems: list[Problem] = []
    for record in read_tsv(row.label_map, AtlasError, COLUMNS) if row.label_map else []:
        for column, name in (("tissue_id", "UBERON"), ("cell_type_id", "CL")):
            if record[column] and not ontology.is_term(record[column], name):
                wrong = f"'{plain(record[column])}' is no current term of {name}"
                near = listed(ontology.suggest(record[column], name)) or "none"
                remedy = f"names that look alike: {near}"
                problems.append(Problem(row.label_map, plain(record["label"]), wrong, remedy))
        first, *rest = (_folded(part) for part in record["label"].split(" / "))
        key = " / ".join([first, *rest])
        if lines.setdefault(key, record) is not record:
            wrong = "the label has a line already ('_', '-' and case make no difference)"
            problems.append(
                Problem(row.label_map, plain(record["label"]), wrong, "keep one of the lines")
            )
    terms: dict[str, str] = {}
    for column, text, name in (
        ("tissue", row.tissue, "UBERON"),
        ("cell_type", row.cell_type, "CL"),
    ):
        if text.startswith("="):
            term = ontology.find(text[1:], name)
            if term is None:
                near = listed(ontology.suggest(text[1:], name)) or "none"
                wrong = f"'{plain(text[1:])}' is no term of {name}"
                remedy = f"names that look alike: {near}"
                problems.append(Problem(registry, f"{row.atlas}, column {column}", wrong, remedy))
            else:
                terms[text[1:]] = term
    raise_all(AtlasError, problems)
    return LabelMap(lines, terms)
