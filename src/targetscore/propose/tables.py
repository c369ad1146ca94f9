"""Write rows of tab-separated tables so that reading them gives the same row."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from targetscore.config import AtlasRow, load_registry
from targetscore.config.edit import set_fields, table_lines
from targetscore.errors import Problem, RegistryError, listed, plain, raise_all
from targetscore.io import write_text

__all__ = ["add_row", "refuse_known", "refuse_unwritable"]


def refuse_unwritable(fields: Mapping[str, str], file: str) -> None:
    """Refuse values that a line of a table cannot hold.

    Raises
    ------
    RegistryError
        With every value that holds tabs, line ends or characters nobody can see.
    """
    raise_all(
        RegistryError,
        [
            Problem(
                file,
                f"column {name}",
                f"'{plain(value)}' holds characters nobody can see",
                "write visible text; rename the column in the file if it is one",
            )
            for name, value in fields.items()
            if not value.isprintable()
        ],
    )


def add_row(registry: str, fields: Mapping[str, str]) -> AtlasRow:
    """Add a row to an atlas registry; the rest of the file keeps its bytes.

    Columns the file lacks are added at its end. A registry that is not there is begun.

    Parameters
    ----------
    registry
        The TSV.
    fields
        Fields of the row, not empty ones only.

    Raises
    ------
    RegistryError
        If a row of that name is there, or the file or the row cannot be used; then nothing
        was written.
    """
    refuse_unwritable(fields, registry)
    filled = {k: v for k, v in fields.items() if v}
    path = Path(registry)
    text = _read(path) if path.exists() else ""
    refuse_known(registry, filled["atlas"], filled["url"])
    longer = _appended(text, filled, registry)
    row = _checked(longer, filled["atlas"], registry)
    write_text(longer, path.resolve())  # a link stays one
    return row


def refuse_known(registry: str, name: str, url: str) -> None:
    """Refuse a name or data that a registry has already.

    Raises
    ------
    RegistryError
        If there is such a row, or the registry cannot be used.
    """
    path = Path(registry)
    if not path.exists() or len(table_lines(_read(path))[1]) < 2:
        return
    present = load_registry([registry])
    if name in present:
        remedy = "give another --name, or delete that row first"
        raise RegistryError.one(registry, name, "an atlas of this name is registered", remedy)
    twice = [a for a, row in present.items() if row.url == url]
    if twice:
        wrong = f"'{listed(twice)}' is the same data ({plain(url)})"
        remedy = "donors must not count twice: use that row, or delete it first"
        raise RegistryError.one(registry, name, wrong, remedy)


def _read(path: Path) -> str:
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            return stream.read()
    except (OSError, UnicodeDecodeError) as error:
        remedy = "check the path, and that the text is UTF-8"
        raise RegistryError.one(path, "", f"cannot be read ({plain(error)})", remedy) from error


def _appended(text: str, fields: Mapping[str, str], registry: str) -> str:
    """Return the registry with the row at its end."""
    end = "\r\n" if "\r\n" in text else "\n"
    text += "" if text.endswith(("\n", "\r")) or not text else end
    lines, table = table_lines(text)
    columns = lines[table[0]].rstrip("\r\n") if table else "\t".join(AtlasRow.model_fields)
    text += "" if table else columns + end
    header = columns.removeprefix("\ufeff").split("\t")
    empty = [fields["atlas"] if h.strip() == "atlas" else "" for h in header]
    text += "\t".join(empty) + end
    return set_fields(text, fields["atlas"], fields, registry)


def _checked(text: str, name: str, registry: str) -> AtlasRow:
    """Return the row as it will be read, before anything is written."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "atlases.tsv"
        with path.open("w", encoding="utf-8", newline="") as stream:
            stream.write(text)
        try:
            return load_registry([str(path)])[name]
        except RegistryError as error:
            problems = [Problem(registry, p.place, p.wrong, p.remedy) for p in error.problems]
            raise RegistryError(problems) from None
