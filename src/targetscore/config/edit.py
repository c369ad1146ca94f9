"""Change single fields of a registry that people keep by hand; everything else stays."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping

from targetscore.errors import RegistryError

__all__ = ["field_text", "set_fields", "table_lines"]


def field_text(value: object) -> str:
    """Return one field as TSV: quoted where it would not be read back as it is."""
    text = str(value)
    if text.startswith(("#", "\ufeff")):  # would begin a comment
        return '"' + text.replace('"', '""') + '"'
    out = io.StringIO()
    csv.writer(out, delimiter="\t", lineterminator="").writerow([text, ""])
    return out.getvalue().removesuffix("\t")


def table_lines(text: str) -> tuple[list[str], list[int]]:
    """Return the lines of a TSV with their ends, and which of them are its header and rows.

    A line ends where reading the file ends it: at a line feed or carriage return, not at a
    vertical tab or U+2028 inside a field.
    """
    lines = list(io.StringIO(text, newline=""))
    bare = [line.removeprefix("\ufeff") for line in lines]
    return lines, [n for n, t in enumerate(bare) if t.strip() and not t.startswith("#")]


def set_fields(text: str, atlas: str, changes: Mapping[str, str], file: str) -> str:
    """Return a registry with some fields of one row replaced.

    Comments, blank lines, the order of columns and rows, line ends and all other fields stay
    byte for byte. A column the table does not have yet is added on the right.

    Parameters
    ----------
    text
        The registry.
    atlas
        Name of the row; of several rows with it the last is changed.
    changes
        New value per column, without tabs and line ends.
    file
        Name of the registry, for messages.

    Raises
    ------
    RegistryError
        If the registry has no row of that name.
    """
    lines, table = table_lines(text)
    header = _fields(lines[table[0]].removeprefix("\ufeff")) if table else []
    place = header.index("atlas") if "atlas" in header else len(lines)
    own = [n for n in table[1:] if atlas in _fields(lines[n])[place : place + 1]]
    if not own:
        remedy = "add it; config/README.md explains the columns"
        raise RegistryError.one(file, atlas, "there is no row of this name", remedy)
    missing = [column for column in changes if column not in header]
    if missing:
        for n in table:
            body, end = _split(lines[n])
            names = missing if n == table[0] else [""] * len(missing)
            lines[n] = "\t".join([body, *names]) + end
        header += missing
    body, end = _split(lines[own[-1]])
    fields = [
        field_text(changes[c]) if c in changes else old
        for c, old in zip(header, _raw(body), strict=True)
    ]
    lines[own[-1]] = "\t".join(fields) + end
    return "".join(lines)


def _split(line: str) -> tuple[str, str]:
    body = line.rstrip("\r\n")
    return body, line[len(body) :]


def _fields(line: str) -> list[str]:
    return [field.strip() for field in next(csv.reader([line.rstrip("\r\n")], delimiter="\t"))]


def _raw(body: str) -> list[str]:
    """Split a line at its tabs; quoted fields, which may hold tabs, are written anew."""
    if '"' not in body:
        return body.split("\t")
    return [field_text(field) for field in next(csv.reader([body], delimiter="\t"))]
