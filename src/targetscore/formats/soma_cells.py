"""Which cells of a TileDB-SOMA experiment are wanted, as a query of its cell table."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from targetscore.errors import AtlasError, Problem, listed, near_matches, plain, raise_all

__all__ = ["cell_filter"]

_PRIMARY = "is_primary_data"
_SEVERAL = " || "


class _UnknownError(Exception):
    """What is wrong with a filter, and what to do."""


def cell_filter(obs: Any, filters: tuple[tuple[str, tuple[str, ...]], ...], location: str) -> str:
    """Return the query that TileDB answers, empty if all cells are wanted.

    Cells that stand in for others (``is_primary_data`` false) are left out unless a filter
    asks for them. A value is also found among several that are joined by ``||``.

    Parameters
    ----------
    obs
        The cell table.
    filters
        Column and wanted values.
    location
        The store, for messages.

    Raises
    ------
    AtlasError
        With every column and value that is not there; near matches are offered.
    """
    schema = {field.name: field.type for field in obs.schema}
    wanted = dict(filters)
    if _PRIMARY in schema:
        wanted.setdefault(_PRIMARY, ("true",))
    parts: list[str] = []
    problems: list[Problem] = []
    for column, values in sorted(wanted.items()):
        try:
            parts.append(_clause(obs, schema, column, values))
        except _UnknownError as error:
            problems.append(Problem(location, f"obs, filter {plain(column)}", *error.args))
    raise_all(AtlasError, problems)
    return " and ".join(parts)


def _clause(obs: Any, schema: dict[str, pa.DataType], column: str, values: tuple[str, ...]) -> str:
    if column not in schema:
        near = near_matches(column, schema)
        hint = f"did you mean '{near[0]}'? " if near else ""
        raise _UnknownError("there is no such column", f"{hint}columns: {listed(schema, 30)}")
    kind = schema[column]
    if pa.types.is_boolean(kind):
        if len(values) > 1 or values[0].casefold() not in ("true", "false"):
            raise _UnknownError(f"got {listed(values)}", "write true or false")
        return f"{column} == {values[0].casefold() == 'true'}"
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        try:
            numbers = [int(v) if pa.types.is_integer(kind) else float(v) for v in values]
        except ValueError:
            raise _UnknownError(f"got {listed(values)}", "write numbers") from None
        if min(numbers) < 0:
            raise _UnknownError(f"got {listed(values)}", "TileDB-SOMA cannot ask for less than 0")
        return f"{column} in {numbers!r}"
    if pa.types.is_dictionary(kind):
        known = obs.get_enumeration_values([column])[column].to_pylist()
    else:
        known = obs.read(column_names=[column]).concat()[column].unique().to_pylist()
    return f"{column} in {_wanted([str(v) for v in known if v is not None], values)!r}"


def _wanted(known: list[str], values: tuple[str, ...]) -> list[str]:
    """Return the values of a column that are, or hold, one of those asked for."""
    found = [k for k in known if not {k, *k.split(_SEVERAL)}.isdisjoint(values)]
    absent = sorted(set(values) - {part for k in found for part in (k, *k.split(_SEVERAL))})
    if absent:
        near = near_matches(absent[0], known)
        hint = f"did you mean '{near[0]}'? " if near else ""
        remedy = f"{hint}values of the column: {listed(known, 20)}"
        raise _UnknownError(f"no cell has {listed(absent)}", remedy)
    return found
