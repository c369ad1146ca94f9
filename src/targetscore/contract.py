"""The record of a stage file: its columns, unique key and order, and what breaks it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa

from targetscore.errors import ContractError, Problem, listed, plain, raise_all

_ARROW = {
    "string": pa.string(),
    "label": pa.dictionary(pa.int32(), pa.string()),
    "int": pa.int64(),
    "int32": pa.int32(),
    "float": pa.float64(),
    "bool": pa.bool_(),
    "ints": pa.list_(pa.int64()),
}


@dataclass(frozen=True)
class Column:
    """One column of a stage file.

    Attributes
    ----------
    name
        Column name; it carries the unit where there is one.
    kind
        ``string``, ``label`` (dictionary-coded string), ``int``, ``int32``, ``float``,
        ``bool`` or ``ints`` (list of integers).
    meaning
        What the value says, with unit and which end is good.
    nullable
        Whether a value may be missing. Missing is never 0.
    low, high
        Smallest and largest value allowed.
    values
        The only values allowed.
    """

    name: str
    kind: str
    meaning: str
    nullable: bool = False
    low: float | None = None
    high: float | None = None
    values: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Contract:
    """One stage file: its columns, unique key and sort order (the key, unless ``sort``)."""

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    sort: tuple[str, ...] | None = None

    @property
    def names(self) -> list[str]:
        """The column names in file order."""
        return [c.name for c in self.columns]

    def schema(self) -> pa.Schema:
        """Return the Arrow schema without metadata."""
        return pa.schema([pa.field(c.name, _ARROW[c.kind], c.nullable) for c in self.columns])

    def empty(self) -> pd.DataFrame:
        """Return a table without rows that satisfies the contract."""
        return self.schema().empty_table().to_pandas()

    def problems(self, table: pd.DataFrame, file: str) -> list[Problem]:
        """List every way in which a table breaks the contract."""
        fix = f"this file is written by targetscore; delete {file} and run again"
        found = [
            Problem(file, name, "the column is missing", fix)
            for name in self.names
            if name not in table.columns
        ]
        extra = [c for c in table.columns if c not in self.names]
        if extra:
            found.append(Problem(file, "columns", f"not in the contract: {listed(extra)}", fix))
        for column in self.columns:
            if column.name in table.columns:
                found += [
                    Problem(file, column.name, wrong, fix)
                    for wrong in _faults(column, table[column.name])
                ]
        key = [k for k in self.key if k in table.columns]
        if key and len(key) == len(self.key) and len(table) and table.duplicated(key).any():
            row = table.loc[table.duplicated(key), key].iloc[0].tolist()
            found.append(Problem(file, "+".join(key), f"the key repeats: {plain(row)}", fix))
        return found

    def check(self, table: pd.DataFrame, file: str) -> None:
        """Raise :class:`~targetscore.errors.ContractError` if the table breaks the contract."""
        raise_all(ContractError, self.problems(table, file))


def _faults(column: Column, values: pd.Series) -> Iterable[str]:
    present = values.dropna() if column.kind != "ints" else values
    if not column.nullable and len(present) < len(values):
        yield f"{len(values) - len(present):,} values are missing"
    if column.kind in ("int", "int32", "float") and len(present):
        if not pd.api.types.is_numeric_dtype(present):
            yield f"holds text where numbers are expected, for example {plain(present.iloc[0])}"
            return
        numbers = present.to_numpy(dtype=np.float64)
        if not np.isfinite(numbers).all():
            yield "holds infinite values"
        if column.low is not None and numbers.min() < column.low:
            yield f"the smallest value {numbers.min():g} is below {column.low:g}"
        if column.high is not None and numbers.max() > column.high:
            yield f"the largest value {numbers.max():g} is above {column.high:g}"
    if column.values is not None:
        odd = sorted(set(map(str, present.unique())) - set(column.values))
        if odd:
            yield f"unknown values {listed(odd)}; allowed are {listed(column.values)}"


def text(name: str, meaning: str, nullable: bool = False) -> Column:
    """Describe a dictionary-coded string."""
    return Column(name, "label", meaning, nullable)


def fraction(name: str, meaning: str, nullable: bool = True) -> Column:
    """Describe a share, 0–1."""
    return Column(name, "float", meaning, nullable, 0.0, 1.0)


def amount(name: str, meaning: str, nullable: bool = True) -> Column:
    """Describe a number that is never negative."""
    return Column(name, "float", meaning, nullable, 0.0)


def number(name: str, meaning: str) -> Column:
    """Describe a number of either sign, which may be missing."""
    return Column(name, "float", meaning, nullable=True)


def count(name: str, meaning: str, nullable: bool = False) -> Column:
    """Describe a whole number, 0 or more."""
    return Column(name, "int", meaning, nullable, 0)


def choice(name: str, meaning: str, values: Sequence[str], nullable: bool = False) -> Column:
    """Describe a dictionary-coded string with given values."""
    return Column(name, "label", meaning, nullable, values=tuple(values))
