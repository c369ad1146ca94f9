"""``targetscore add-atlas``: look at a file, propose its registry row, ask, check, write."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd

from targetscore import ontology
from targetscore.config import AtlasRow, RunConfig
from targetscore.config.load import parse
from targetscore.errors import ConfigError, RegistryError, plain
from targetscore.genes import GeneTable, load_genes
from targetscore.ingest import Ingested, ingest_atlas
from targetscore.ingest.columns import join_labels
from targetscore.io import write_text
from targetscore.propose.ask import NotWrittenError, Person, raise_missing, settings
from targetscore.propose.labels import Label, label_map_text, map_labels, read_map, unmapped
from targetscore.propose.look import Found, look, url_of
from targetscore.propose.row import (
    SETTABLE,
    Draft,
    draft,
    lineage_of,
    missing,
    slug,
    values_of,
)
from targetscore.propose.show import found_text, labels_text, preview_text, row_text
from targetscore.propose.tables import add_row, refuse_known, refuse_unwritable

__all__ = ["AtlasRequest", "add_atlas"]

_LABELS = Path("config/labels")


@dataclass(frozen=True)
class AtlasRequest:
    """What a user asks for.

    Attributes
    ----------
    path
        File or folder of the atlas.
    registry
        The TSV a row is added to.
    name
        Name of the atlas; empty: after the file.
    given
        ``column=value`` arguments.
    labels
        ``label=term`` arguments.
    agreed
        Whether the row may be written without asking.
    """

    path: str
    registry: str = "config/atlases.tsv"
    name: str = ""
    given: Sequence[str] = field(default=())
    labels: Sequence[str] = field(default=())
    agreed: bool = False


def add_atlas(request: AtlasRequest, config: RunConfig, person: Person, asks: bool) -> str:
    """Look at an atlas, show what was found, and add its row to a registry.

    Parameters
    ----------
    request
        What is asked for.
    config
        The run configuration; names the curated tables.
    person
        Is shown what was found, and asked what the file does not tell.
    asks
        Whether there is someone to ask; if not, all that is missing is an error.

    Returns
    -------
    str
        What was written, and what to do next.

    Raises
    ------
    TargetscoreError
        If the file cannot be used, or something is still to be said; then nothing is written.
    """
    given = settings("--set", request.given, SETTABLE)
    terms = settings("--label", request.labels)
    refuse_unwritable(given, "command line")
    name = request.name or slug(request.path)
    for registry in dict.fromkeys([request.registry, *config.registries]):
        refuse_known(registry, name, url_of(request.path))
    if terms and given.get("label_map"):
        remedy = f"write them into {plain(given['label_map'])}"
        raise ConfigError.one("command line", "--label", "a label map is given too", remedy)
    genes = load_genes(config.knowledge, config.gene_reference)
    found = look(request.path, name, given, genes)
    table = genes.identify(found.atlas.gene_ids, found.atlas.gene_symbols)
    cells = found.atlas.cells
    if given.get("cell_labels"):
        cells = join_labels(cells, given["cell_labels"])
    drafted = draft(name, found, cells, given)
    for line in found_text(request.path, found, table, config, drafted):
        person.say(line)
    if asks:
        drafted = _asked(drafted, name, found, cells, given, person)
    else:
        raise_missing(request.path, missing(drafted, cells))
    labels = _labels(drafted, cells, terms, person if asks else None)
    for line in labels_text(labels):
        person.say(line)
    fields = _with_lineage(drafted.fields, cells, labels)
    label_map = _label_map(name, fields, labels)
    if label_map:
        fields["label_map"] = str(label_map)
    refuse_unwritable(fields, request.registry)
    row = parse(AtlasRow, fields, request.registry, RegistryError)
    checked = _checked(row, request, label_map_text(name, labels) if label_map else "", genes)
    for line in [*row_text(fields), *preview_text(checked)]:
        person.say(line)
    if not request.agreed and not (asks and person.agrees(f"Add it to {request.registry}?")):
        remedy = "correct it with --set column=value and --label label=term, or give --yes"
        raise NotWrittenError.one(request.path, "", "looked at, nothing written", remedy)
    _write(request.registry, fields, label_map, label_map_text(name, labels))
    return _written(request, config, row, label_map, labels)


def _asked(
    drafted: Draft,
    name: str,
    found: Found,
    cells: pd.DataFrame,
    given: Mapping[str, str],
    person: Person,
) -> Draft:
    """Ask for what is missing, one thing at a time: an answer may tell other things."""
    answers = dict(given)
    declined: set[str] = set()
    while left := [m for m in missing(drafted, cells) if m.name not in declined]:
        answer = person.answer(left[0])
        if answer:
            answers[left[0].name] = answer
        else:
            declined.add(left[0].name)
        drafted = draft(name, found, cells, answers)
    return drafted


def _labels(
    drafted: Draft, cells: pd.DataFrame, terms: Mapping[str, str], person: Person | None
) -> list[Label]:
    values = values_of(drafted.fields["cell_type"], cells)
    if values is None:
        return []  # the check says which column is not there
    own = drafted.fields.get("label_map")
    labels = map_labels(values, {**terms, **(_usable(read_map(own), values) if own else {})})
    if person is None:
        return labels
    return [_chosen(label, person) if not label.term and label.near else label for label in labels]


def _usable(mapped: Mapping[str, str], values: pd.Series) -> dict[str, str]:
    """Return the lines of a label map that map a label here; the check names those that cannot."""
    here = set(values)
    return {k: v for k, v in mapped.items() if k in here and ontology.find(v, "CL")}


def _chosen(label: Label, person: Person) -> Label:
    options = [f"{ontology.label(t)} {t}" for t in label.near]
    question = f"cell type '{plain(label.text, 60)}' ({label.n_cells:,} cells) is no term:"
    number = person.choose(question, options)
    return label if number is None else replace(label, term=label.near[number], how="given")


def _with_lineage(
    fields: Mapping[str, str], cells: pd.DataFrame, labels: list[Label]
) -> dict[str, str]:
    lineage = fields.get("lineage") or lineage_of(fields, cells, labels)
    return {**fields, "lineage": lineage} if lineage else dict(fields)


def _label_map(name: str, fields: Mapping[str, str], labels: list[Label]) -> Path | None:
    """Return where the label map is written; None if every label is a term, or has one."""
    if fields.get("label_map") or all(label.how == "term" for label in labels):
        return None
    path = _LABELS / f"{name}_cell_types.tsv"
    if path.exists():
        remedy = f"use it (--set label_map={path}), delete it, or give another --name"
        raise ConfigError.one(path, "", "is there already and is not overwritten", remedy)
    return path


def _checked(row: AtlasRow, request: AtlasRequest, label_map: str, genes: GeneTable) -> Ingested:
    """Read the labels as the workflow will, before anything is written."""
    with tempfile.TemporaryDirectory() as folder:
        if label_map:
            path = os.path.join(folder, "labels.tsv")
            write_text(label_map, path)
            row = row.model_copy(update={"label_map": path})
        return ingest_atlas(row, request.path, genes, request.registry, read_matrix=False)


def _write(registry: str, fields: Mapping[str, str], label_map: Path | None, text: str) -> None:
    """Write the row and the label map, or neither."""
    try:
        if label_map:
            write_text(text, label_map)
        try:
            add_row(registry, fields)
        except BaseException:
            if label_map:
                label_map.unlink()
            raise
    except OSError as error:
        wrong = f"cannot be written ({plain(error)})"
        raise NotWrittenError.one(plain(registry), "", wrong, "check permissions") from error


def _written(
    request: AtlasRequest,
    config: RunConfig,
    row: AtlasRow,
    label_map: Path | None,
    labels: list[Label],
) -> str:
    lines = [
        f"{plain(request.registry)}: row '{row.atlas}' added; its labels were read as a run does"
    ]
    if label_map:
        left = len(unmapped(labels))
        lines.append(f"{label_map}: written, {left:,} label(s) left for review")
    if request.registry not in config.registries:
        lines.append(f"next: name {plain(request.registry)} under registries in config/config.yaml")
    side = "--healthy" if row.kind == "healthy" else "--diseased"
    lines.append(f"next: targetscore add-indication NAME … {side} {row.atlas}")
    return "\n".join(lines)
