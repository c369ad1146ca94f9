"""Read and check the curated tables; every problem at once.

:data:`targetscore.knowledge.TABLES` describes each table once; a table that breaks its
description is refused. ``config/knowledge/README.md`` explains the tables to the people
who edit them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from targetscore import ontology
from targetscore.config import read_tsv
from targetscore.errors import KnowledgeError, Problem, listed, near_matches, plain, raise_all
from targetscore.knowledge.tables import SHEDDING_VALUES, TABLES, Field, Table

Record = Mapping[str, str]


@dataclass(frozen=True)
class Knowledge:
    """The curated tables, one frame each, rows in file order.

    Text is ``str`` with ``''`` for unknown; numbers, 0/1 flags and tiers are ``float`` with
    NaN for unknown. :data:`TABLES` names the columns.
    """

    genes: pd.DataFrame
    typos: pd.DataFrame
    antigens: pd.DataFrame
    surface: pd.DataFrame
    shedding: pd.DataFrame
    sheddases: pd.DataFrame
    soluble_levels: pd.DataFrame
    clinical: pd.DataFrame
    tiers: pd.DataFrame
    tissue_tiers: pd.DataFrame
    healthy_literature: pd.DataFrame
    outcomes: pd.DataFrame


def _number_of(text: str) -> float | None:
    try:
        return float(text) if text else float("nan")
    except ValueError:
        return None


def _fault(field: Field, value: str) -> tuple[str, str] | None:
    """Return what is wrong with a value and the remedy; None if it is well formed."""
    if not value:
        return ("is empty", "fill it in") if field.required else None
    if field.values and value not in field.values:
        near = near_matches(value, field.values, 1)
        hint = f"did you mean '{near[0]}'? " if near else ""
        return f"unknown value '{plain(value, 60)}'", f"{hint}allowed: {listed(field.values, 20)}"
    if field.pattern and not re.fullmatch(field.pattern, value):
        return f"'{plain(value, 60)}' is not well formed", f"write for example {field.example}"
    if field.number and not field.values:
        number = _number_of(value)
        high = float("inf") if field.high is None else field.high
        if number is None or not 0 <= number <= high or number == float("inf"):
            upper = "" if field.high is None else f" to {field.high:g}"
            return f"'{plain(value, 60)}' is not a number from 0{upper}", "correct the number"
    if field.term and not ontology.is_term(value, field.term):
        return (
            f"'{plain(value, 60)}' is not a current term of {field.term}",
            "look the term up and correct it",
        )
    return None


def _place(row: int, table: Table, record: Record, column: str) -> str:
    name = ", ".join(plain(record[k], 60) for k in table.key if record[k])
    return f"row {row} ({name}), {column}"


def _own_problems(file: str, table: Table, records: Sequence[Record]) -> Iterator[Problem]:
    names = [f.name for f in table.fields]
    for column in [c for c in (records[0] if records else {}) if c not in names]:
        near = near_matches(column, names)
        hint = f"did you mean {listed(near)}? " if near else ""
        yield Problem(file, plain(column), "unknown column", f"{hint}columns: {listed(names, 20)}")
    seen: dict[tuple[str, ...], int] = {}
    for row, record in enumerate(records, 1):
        for field in table.fields:
            fault = _fault(field, record[field.name])
            if fault:
                yield Problem(file, _place(row, table, record, field.name), *fault)
        key = tuple(record[k] for k in table.key)
        if key in seen:
            place = _place(row, table, record, "+".join(table.key))
            yield Problem(file, place, f"repeats row {seen[key]}", "keep one of the rows")
        seen.setdefault(key, row)


def _references(
    name: str,
    file: str,
    records: Sequence[Record],
    all_records: Mapping[str, Sequence[Record]],
) -> Iterator[Problem]:
    table = TABLES[name]
    for field in (f for f in table.fields if f.refers):
        target, _, column = field.refers.partition(".")
        if target not in all_records:
            continue
        known = {r[column] for r in all_records[target]}
        for row, record in enumerate(records, 1):
            value = record[field.name]
            if value and value not in known and (not field.values or value in field.values):
                near = near_matches(value, sorted(known))
                hint = f"did you mean {listed(near)}? " if near else ""
                yield Problem(
                    file,
                    _place(row, table, record, field.name),
                    f"'{plain(value, 60)}' is not in {target}.tsv",
                    f"{hint}add it to {target}.tsv or correct it",
                )


def _names(text: str) -> list[str]:
    return [part.strip() for part in text.split("|") if part.strip()]


def _gene_name_problems(file: str, records: Sequence[Record]) -> Iterator[Problem]:
    """Yield names that cannot lead to one gene: resolving must never depend on row order."""
    table = TABLES["genes"]
    symbols = {r["symbol"].casefold() for r in records}
    ids: dict[str, str] = {}
    owner: dict[str, str] = {}
    ambiguous = {
        entry.partition(":")[0]: r["symbol"]
        for r in records
        for entry in _names(r["ambiguous_aliases"])
    }
    for row, record in enumerate(records, 1):
        symbol, gene_id = record["symbol"], record["ensembl_gene_id"]
        if gene_id and ids.setdefault(gene_id, symbol) != symbol:
            wrong = f"{plain(gene_id)} is the id of {plain(ids[gene_id])} already"
            place = _place(row, table, record, "ensembl_gene_id")
            yield Problem(file, place, wrong, "give each gene its own id")
        for column in ("aliases", "previous_symbols"):
            place = _place(row, table, record, column)
            for name in _names(record[column]):
                if name.casefold() in symbols:
                    wrong = f"'{plain(name)}' is the approved symbol of a gene of this table"
                    yield Problem(file, place, wrong, "remove it here")
                elif name in ambiguous or owner.setdefault(name, symbol) != symbol:
                    wrong = f"'{plain(name)}' stands for more than one gene"
                    yield Problem(file, place, wrong, "move it to ambiguous_aliases with all genes")
        for entry in _names(record["ambiguous_aliases"]):
            alias, _, others = entry.partition(":")
            if symbol not in others.split("/"):
                place = _place(row, table, record, "ambiguous_aliases")
                wrong = f"'{plain(alias)}' does not list {plain(symbol)} itself"
                yield Problem(file, place, wrong, f"write {plain(alias)}:{plain(symbol)}/…")


def _shedding_problems(file: str, records: Sequence[Record]) -> Iterator[Problem]:
    for row, record in enumerate(records, 1):
        allowed = SHEDDING_VALUES.get(record["item"])
        if allowed and record["value"] and record["value"] not in allowed:
            place = _place(row, TABLES["shedding"], record, "value")
            wrong = f"unknown {record['item']} '{plain(record['value'], 60)}'"
            yield Problem(file, place, wrong, f"allowed: {listed(allowed, 20)}")


def _tier_problems(file: str, records: Sequence[Record]) -> Iterator[Problem]:
    """Yield rows no healthy cell could be matched to, or that any would match, or no disease."""
    for row, record in enumerate(records, 1):
        for entry in _names(record["tier_by_disease"]):
            disease = entry.partition("=")[0]
            if disease.startswith("MONDO:") and not ontology.is_term(disease, "MONDO"):
                place = _place(row, TABLES["tissue_tiers"], record, "tier_by_disease")
                wrong = f"'{plain(disease, 60)}' is not a current term of MONDO"
                yield Problem(file, place, wrong, "look the term up and correct it")
        by_tissue = record["tissue_required"] == "yes"
        if record["tissue_id" if by_tissue else "cell_type_id"]:
            continue
        place = _place(row, TABLES["tissue_tiers"], record, "tissue_required")
        wrong = "there is nothing to find the cells by"
        yield Problem(file, place, wrong, "give a cell type, or a tissue with tissue_required yes")


def _frame(table: Table, records: Sequence[Record]) -> pd.DataFrame:
    columns: dict[str, pd.Series[Any]] = {}
    for field in table.fields:
        texts = [r[field.name] for r in records]
        if field.number:
            columns[field.name] = pd.Series([_number_of(t) for t in texts], dtype="float64")
        else:
            columns[field.name] = pd.Series(texts, dtype="object")
    return pd.DataFrame(columns)


_MORE_CHECKS = {
    "genes": _gene_name_problems,
    "shedding": _shedding_problems,
    "tissue_tiers": _tier_problems,
}


def knowledge_files(folder: str) -> list[str]:
    """Return the paths of all curated tables in a folder."""
    return [f"{folder}/{name}.tsv" for name in TABLES]


def load_knowledge(folder: str) -> Knowledge:
    """Read and check the curated tables.

    Parameters
    ----------
    folder
        Folder with one ``<table>.tsv`` per entry of :data:`TABLES`.

    Returns
    -------
    Knowledge
        One frame per table, columns as :data:`TABLES` names them.

    Raises
    ------
    KnowledgeError
        With every problem of every table: a missing file, a missing or unknown column, a row
        without source or status, a value that is unknown or ill formed, a repeated key, a
        gene or tier label that its table does not hold, a name that stands for two genes, a
        term the ontology does not have.
    """
    problems: list[Problem] = []
    records: dict[str, Sequence[Record]] = {}
    for name, table in TABLES.items():
        try:
            file = str(Path(folder) / f"{name}.tsv")
            records[name] = read_tsv(file, KnowledgeError, [f.name for f in table.fields])
        except KnowledgeError as error:
            problems += error.problems
    for name, rows in records.items():
        file = str(Path(folder) / f"{name}.tsv")
        problems += _own_problems(file, TABLES[name], rows)
        problems += _references(name, file, rows, records)
        if name in _MORE_CHECKS:
            problems += _MORE_CHECKS[name](file, rows)
    raise_all(KnowledgeError, problems)
    return Knowledge(**{name: _frame(TABLES[name], rows) for name, rows in records.items()})
