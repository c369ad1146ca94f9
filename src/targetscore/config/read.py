"""Read what users write: YAML mappings and tab-separated tables."""

from __future__ import annotations

import csv
import gzip
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from targetscore.errors import ConfigError, Problem, TargetscoreError, listed, raise_all


class _Loader(yaml.SafeLoader):
    """YAML in which a repeated key is an error instead of the last one winning."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[Any] = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, str | int | float | bool | None):
            raise yaml.MarkedYAMLError(
                problem="a key must be a word", problem_mark=key_node.start_mark
            )
        if key in seen:
            raise yaml.MarkedYAMLError(
                problem=f"the key '{key}' repeats", problem_mark=key_node.start_mark
            )
        seen.add(key)
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def read_yaml(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a YAML mapping.

    Raises
    ------
    ConfigError
        If the file is missing, not YAML, not a mapping, or repeats a key.
    """
    try:
        value = yaml.load(Path(path).read_text(encoding="utf-8"), _Loader)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError.one(
            path, "", f"cannot be read ({error})", "check the path and the file's encoding (UTF-8)"
        ) from error
    except RecursionError as error:
        raise ConfigError.one(path, "", "is nested too deeply", "correct the brackets") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1}" if mark else ""
        wrong = getattr(error, "problem", None) or str(error)
        raise ConfigError.one(
            path, place, f"not valid YAML: {wrong}", "correct the line"
        ) from error
    if not isinstance(value, dict):
        raise ConfigError.one(path, "", "holds no 'key: value' lines", "see config/README.md")
    return value


def tsv_lines(
    path: str | os.PathLike[str], kind: type[TargetscoreError]
) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Read a TSV as its header and numbered rows; lines that start with '#' are comments."""
    opener = gzip.open if str(path).endswith(".gz") else open
    try:
        with opener(path, "rt", encoding="utf-8-sig") as stream:
            # Not splitlines: a vertical tab or U+2028 inside a field ends no line.
            lines = stream.read().split("\n")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        remedy = "check the path, and that the text is UTF-8"
        raise kind.one(path, "", f"cannot be read ({error})", remedy) from error
    try:
        numbered = [
            (n, [field.strip() for field in next(csv.reader([text], delimiter="\t"))])
            for n, text in enumerate(lines, 1)
            if text.strip() and not text.startswith("#")
        ]
    except csv.Error as error:
        raise kind.one(path, "", f"is not a table ({error})", "shorten the field") from error
    if not numbered:
        raise kind.one(path, "", "is empty", "it needs a header line and rows")
    header = numbered[0][1]
    if header.count("") > 1:
        wrong = f"{header.count('')} of {len(header)} columns have no name"
        remedy = "name them, or delete the tabs at the end of every line"
        raise kind.one(path, f"line {numbered[0][0]}", wrong, remedy)
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        wrong = f"columns repeat: {listed(twice)}"
        raise kind.one(path, f"line {numbered[0][0]}", wrong, "give each column its own name")
    uneven = [
        Problem(
            str(path),
            f"line {n}",
            f"{len(fields)} fields where the header has {len(header)}",
            "separate fields by tabs, also the empty ones",
        )
        for n, fields in numbered[1:]
        if len(fields) != len(header)
    ]
    raise_all(kind, uneven)
    return header, numbered[1:]


def read_tsv(
    path: str | os.PathLike[str], kind: type[TargetscoreError], required: Sequence[str]
) -> list[dict[str, str]]:
    """Read a curated or user TSV as records; an empty field is the empty string.

    Raises
    ------
    TargetscoreError
        Of the given kind, if the file cannot be read or lacks a required column.
    """
    header, rows = tsv_lines(path, kind)
    remedy = f"columns found: {listed(header, 20)}"
    missing = [c for c in required if c not in header]
    raise_all(kind, [Problem(str(path), c, "the column is missing", remedy) for c in missing])
    return [dict(zip(header, fields, strict=True)) for _, fields in rows]
