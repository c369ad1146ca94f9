"""The registry row of an atlas: what the file tells, what follows from it, what is missing."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from targetscore import ontology
from targetscore.config import AtlasRow
from targetscore.errors import listed, plain
from targetscore.ingest.populations import MALIGNANT
from targetscore.propose.ask import Missing
from targetscore.propose.columns import NAMES, Choice, choose
from targetscore.propose.labels import Label
from targetscore.propose.look import Found

__all__ = ["SETTABLE", "Draft", "draft", "lineage_of", "missing", "slug"]

SETTABLE = tuple(f for f in AtlasRow.model_fields if f not in ("atlas", "url"))
"""Columns of the registry a user may set; the others come from the command itself."""

_OF_LINEAGE = 0.05
_NEEDED = ("donor", "tissue", "cell_type", "disease")


@dataclass(frozen=True)
class Draft:
    """A registry row in the making.

    Attributes
    ----------
    fields
        Fields of the row that are known.
    choices
        How each label column was chosen.
    """

    fields: dict[str, str]
    choices: dict[str, Choice]


def slug(path: str) -> str:
    """Return a registry name for a file: lower case letters, digits and underscores."""
    stem = re.sub(r"\.(h5ad|h5|loom|zarr)$", "", Path(path).absolute().name, flags=re.IGNORECASE)
    return re.sub(r"[^a-z0-9]+", "_", stem.casefold()).strip("_") or "atlas"


def draft(name: str, found: Found, cells: pd.DataFrame, given: Mapping[str, str]) -> Draft:
    """Propose the row of an atlas.

    Parameters
    ----------
    name
        Its name.
    found
        The opened atlas.
    cells
        Its cells, with joined labels.
    given
        Fields the user has set.
    """
    told = {k: v for k, v in given.items() if k in NAMES}
    choices = choose(cells, told)
    fields = {"atlas": name, "format": found.format, "url": found.url}
    fields |= found.said | found.reading
    fields |= {k: c.column for k, c in choices.items() if c.column}
    fields |= given
    if not fields.get("disease") and fields.get("kind") == "healthy":
        fields["disease"] = "=normal"
        choices["disease"] = Choice("=normal", "the kind is healthy")
    healthy = _healthy(fields.get("disease", ""), cells)
    if healthy is not None:
        fields.setdefault("kind", _kind(healthy))
        if healthy == 1 and "malignancy" not in given:
            fields.pop("malignancy", None)
            choices["malignancy"] = Choice("", "no patient is there")
    return Draft(fields, choices)


def values_of(column: str, cells: pd.DataFrame) -> pd.Series | None:
    """Return the value of each cell for a field of the row; None if there is no such column."""
    if column.startswith("="):
        return pd.Series(column[1:], index=cells.index, dtype=object)
    if column not in cells.columns:
        return None
    values = cells[column].astype(object)
    return values.where(values.notna(), "").astype(str).str.strip()


def _healthy(column: str, cells: pd.DataFrame) -> float | None:
    """Return the share of healthy cells, 0–1; None if nothing says so."""
    values = values_of(column, cells)
    return None if values is None else float(values.map(ontology.is_normal).mean())


def _kind(healthy: float) -> str:
    return "healthy" if healthy == 1 else "tumour" if healthy == 0 else "mixed"


def missing(drafted: Draft, cells: pd.DataFrame) -> list[Missing]:
    """Return what the row still lacks; what is optional is asked on a terminal only."""
    fields = drafted.fields
    found = [
        Missing(
            "licence",
            "under which licence the data may be used",
            ["--set licence='CC BY 4.0'", "--set licence=unknown"],
        ),
        Missing("version", "which version of the data this is", ["--set version=2024-05-01"]),
        *(_label(name, drafted.choices[name], cells) for name in _NEEDED),
        _kind_missing(),
        Missing("doi", "the DOI of the publication", ["--set doi=10.…"], optional=True),
        Missing("note", "a caveat the report shall print", ["--set note='…'"], optional=True),
    ]
    left = [m for m in found if not fields.get(m.name)]
    if any(m.name == "disease" for m in left):  # the kind says it, or follows from it
        left = [m for m in left if m.name != "kind"]
    healthy = _healthy(fields.get("disease", ""), cells)
    if healthy is not None and healthy < 1 and not _has_calls(fields):
        left.append(_calls_missing(fields))
    return left


def _has_calls(fields: Mapping[str, str]) -> bool:
    if fields.get("malignancy", "").startswith("="):
        return bool(fields.get("lineage"))
    return bool(fields.get("malignancy") or fields.get("lineage"))


def _kind_missing() -> Missing:
    why = "whether the cells are of patients, of healthy donors or of both"
    flags = ["--set kind=tumour", "--set kind=healthy", "--set kind=mixed"]
    return Missing("kind", why, flags, among=("tumour", "healthy", "mixed"))


def _calls_missing(fields: Mapping[str, str]) -> Missing:
    why = (
        "patients' cells are there, and nothing says which are diseased: the cell types the "
        "disease arises in, ';' between them"
    )
    flags = ["--set lineage='plasma cell'"]
    hints = [
        "with it, --set malignancy==light_chain calls the patients' clones (myeloma)",
        "--set malignancy==lineage takes every cell of the lineage as diseased (autoimmunity)",
    ]
    return Missing("lineage", why, flags, [] if fields.get("malignancy") else hints)


_ONE_VALUE = {
    "donor": "'=P1'",
    "tissue": "'=bone marrow'",
    "cell_type": "'=plasma cell'",
    "disease": "'=plasma cell myeloma'",
}


def _label(name: str, choice: Choice, cells: pd.DataFrame) -> Missing:
    hints = [f"columns that could be: {'; '.join(choice.others)}"] if choice.others else []
    hints += [f"not taken: {'; '.join(choice.refused)}"] if choice.refused else []
    flags = [f"--set {name}=COLUMN", f"--set {name}={_ONE_VALUE[name]} (one for all cells)"]
    if name == "disease":
        flags.append("--set kind=healthy")
    if list(cells.columns) == ["cell"]:
        hints.append("the format holds barcodes only")
        flags.insert(0, "--set cell_labels=TABLE.tsv (columns cell, donor, tissue, cell_type, …)")
    why = f"nothing says the {name.replace('_', ' ')} of a cell: a column, or =value for all cells"
    return Missing(name, why, flags, hints, among=[str(c) for c in cells.columns])


def lineage_of(fields: Mapping[str, str], cells: pd.DataFrame, labels: Sequence[Label]) -> str:
    """Return the cell types of malignant cells, for the column ``lineage``.

    Parameters
    ----------
    fields
        The row; ``malignancy`` names a column of calls.
    cells
        Its cells.
    labels
        Its cell types.

    Returns
    -------
    str
        Names that hold 5 % of the malignant cells or more, ``;`` between them; empty if
        nothing is known of them.
    """
    calls = values_of(fields.get("malignancy", ""), cells)
    types = values_of(fields.get("cell_type", ""), cells)
    if calls is None or types is None or fields["malignancy"].startswith("="):
        return ""
    terms = {label.text: label.term for label in labels if label.term}
    of_malignant = types[calls.str.casefold().isin(MALIGNANT)].map(terms).value_counts()
    total = int(calls.str.casefold().isin(MALIGNANT).sum())
    chosen = sorted(str(t) for t, n in of_malignant.items() if n >= _OF_LINEAGE * total)
    return ";".join(map(ontology.label, chosen))


_WITHOUT = {
    "sample": "nothing says it: each donor is one sample",
    "assay": "nothing says it: unknown",
    "suspension": "nothing says it: unknown",
}


def choices_text(choices: Mapping[str, Choice], fields: Mapping[str, str]) -> list[str]:
    """Return a line per label column: what was chosen, why, and what else could be meant."""
    lines = []
    for name, choice in choices.items():
        shown = plain(fields.get(name, ""), 40) or "-"
        why = choice.why or _WITHOUT.get(name, "")
        lines.append(f"  {name:<11} {shown:<28} {why}".rstrip())
        if choice.others:
            what = "also possible" if choice.column else "could be"
            lines.append(f"  {'':<11} {what}: {listed(choice.others)}")
        if choice.refused:
            lines.append(f"  {'':<11} not taken: {'; '.join(choice.refused)}")
    return lines
