"""Read the table of an aggregated reference as its publisher ships it, wide or long."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from targetscore.config import AtlasRow
from targetscore.errors import AtlasError, Problem, listed, near_matches, plain, raise_all

TAB = b"\t"
HEADERS = "*"
"""In the registry columns tissue and cell_type of a wide table: the column names say it."""

_GENE_IDS = ("ensembl_gene_id", "ensembl", "gene_id", "geneid", "gene", "name")
_GENE_SYMBOLS = ("gene name", "gene_name", "symbol", "gene_symbol", "description", "gene")
_BROKEN = (OSError, EOFError, RuntimeError, ValueError, zlib.error, zipfile.BadZipFile)
_MISSING = ["", "NA", "N/A", "nan", "NaN"]


@dataclass(frozen=True)
class LevelTable:
    """Values of a reference, one per gene row and label, those that are missing left out.

    Attributes
    ----------
    gene_ids, gene_symbols
        Each row of genes as the publisher writes it.
    labels
        Tissue and cell type of each label, empty where none is stated.
    gene, label
        Row and label of each value, shape ``(n_values,)``.
    number
        Value, finite and not negative; empty for protein levels.
    text, text_code, reliability, reliability_code
        Protein level and reliability of each value by number; empty for RNA.
    """

    gene_ids: list[str]
    gene_symbols: list[str | None]
    labels: list[tuple[str, str]]
    gene: NDArray[np.int64]
    label: NDArray[np.int64]
    number: NDArray[np.float64]
    text: list[str]
    text_code: NDArray[np.int64]
    reliability: list[str]
    reliability_code: NDArray[np.int64]


def read_levels(row: AtlasRow, location: str, registry: str) -> LevelTable:
    """Read a table of levels: long if the registry column ``counts`` names one, else wide.

    Parameters
    ----------
    row
        Registry row. Long: ``tissue`` and ``cell_type`` name columns (or ``=value``, or
        nothing). Wide: one of them is ``*``: the column names are tissues, or cell types; both:
        they are ``<cell type>_<tissue>``.
    location
        A text file (may be gzipped, or the only one in a zip), or a folder that holds one. A GCT
        file is read from its third line.
    registry
        Registry file, for messages.

    Raises
    ------
    AtlasError
        If the table cannot be read, lacks a column, or holds a value that is no level.
    """
    text = _text(_only_file(location))
    header = text.header
    if not header:
        raise AtlasError.one(text.path, "", "is empty", "bring it again, or correct the path")
    ids = _gene_column(row, "gene_id", row.gene_id, header, _GENE_IDS, registry)
    symbols = _gene_column(row, "gene_symbol", row.gene_symbol, header, _GENE_SYMBOLS, registry)
    ids = ids or symbols
    if ids is None:
        wrong = "no column names the genes"
        remedy = f"write it under gene_id or gene_symbol; columns found: {listed(header, 20)}"
        raise AtlasError.one(registry, f"{row.atlas}, column gene_id", wrong, remedy)
    symbols = None if symbols == ids else symbols
    if row.counts:
        return _long(row, text, ids, symbols, registry)
    return _wide(row, text, ids, symbols, registry)


def _only_file(location: str) -> str:
    """Return the file of a reference; of a folder the only one in it."""
    place = Path(location)
    if not place.is_dir():
        return location
    files = sorted(p for p in place.rglob("*") if p.is_file() and not p.name.startswith("."))
    if len(files) != 1:
        wrong = f"holds {len(files)} files, one table is expected: {listed(f.name for f in files)}"
        raise AtlasError.one(location, "", wrong, "name the file itself in the registry")
    return str(files[0])


@dataclass(frozen=True)
class _Text:
    """A table as text: where it is from, its column names, and the lines from the header on."""

    path: str
    header: list[str]
    content: bytes


def _text(path: str) -> _Text:
    """Read a file whole and check that every line has the fields of its header.

    A line cut short would otherwise pass as missing values, a longer one as shifted ones.
    """
    try:
        content = _content(path).removeprefix(codecs.BOM_UTF8)
        start = _below_gct(content)
        lines = content[start:].split(b"\n")
        header = lines[0].decode("utf-8")
    except _BROKEN as error:
        raise _unreadable(path, error) from error
    names = [name.strip().strip('"') for name in header.split("\t")] if header.strip() else []
    tabs = lines[0].count(TAB)
    uneven = [n for n, line in enumerate(lines, 1) if line.strip() and line.count(TAB) != tabs]
    if uneven:
        n = uneven[0]
        wrong = (
            f"{len(uneven):,} lines do not have the {tabs + 1} fields of the header: the "
            f"first is line {n} below it with {lines[n - 1].count(TAB) + 1}"
        )
        raise AtlasError.one(path, "", wrong, "it may be cut short or edited: fetch it again")
    return _Text(path, names, content[start:])


def _content(path: str) -> bytes:
    if path.endswith(".zip"):
        with zipfile.ZipFile(path) as archive:
            names = [i for i in archive.infolist() if not i.is_dir()]
            if len(names) != 1:
                raise ValueError(f"{len(names)} files in the archive, one table is expected")
            return archive.read(names[0])
    with open(path, "rb") as stream:
        content = stream.read()
    return gzip.decompress(content) if path.endswith(".gz") else content


def _below_gct(content: bytes) -> int:
    """Return where the header begins: behind two lines in a GCT file, else at once."""
    if not content.startswith(b"#1."):
        return 0
    return content.index(b"\n", content.index(b"\n") + 1) + 1


def _unreadable(path: str, error: Exception) -> AtlasError:
    wrong = f"cannot be read as a table ({plain(error)})"
    remedy = "it may be cut short or of another kind: fetch it again, or correct the registry row"
    return AtlasError.one(path, "", wrong, remedy)


def _gene_column(
    row: AtlasRow,
    place: str,
    named: str,
    header: Sequence[str],
    usual: Sequence[str],
    registry: str,
) -> str | None:
    if named:
        _require(row, registry, [(place, named)], header)
        return named
    folded = {name.casefold(): name for name in reversed(header)}
    return next((folded[name] for name in usual if name in folded), None)


def _require(
    row: AtlasRow, registry: str, wanted: Sequence[tuple[str, str]], header: Sequence[str]
) -> None:
    problems = []
    for place, name in wanted:
        if name not in header:
            near = near_matches(name, header)
            hint = f"did you mean '{near[0]}'? " if near else ""
            problems.append(
                Problem(
                    registry,
                    f"{row.atlas}, column {place}",
                    f"the table has no column '{plain(name)}'",
                    f"{hint}its columns are: {listed(header, 20)}",
                )
            )
    raise_all(AtlasError, problems)


def _read(table: _Text, columns: Sequence[str], numeric: Sequence[str]) -> pd.DataFrame:
    words = [name for name in columns if name not in set(numeric)]
    try:
        return pd.read_csv(
            io.BytesIO(table.content),
            sep="\t",
            header=0,
            names=table.header,
            index_col=False,
            usecols=list(columns),
            dtype=dict.fromkeys(words, "string[pyarrow]"),
            keep_default_na=False,
            na_values=dict.fromkeys(numeric, _MISSING),
            quoting=csv.QUOTE_NONE,
        )
    except _BROKEN as error:
        raise _unreadable(table.path, error) from error


def _stripped(values: pd.Series) -> pd.Series:
    return values.astype(object).fillna("").str.strip().str.strip('"')


def _numbers(path: str, values: pd.DataFrame) -> NDArray[np.float64]:
    """Return values as numbers; what is no number, infinite or negative is refused by column."""
    problems = []
    for name, column in values.items():
        if not len(column):
            continue
        if column.dtype.kind not in "iuf":
            given = column.dropna()
            odd = given[pd.to_numeric(given, errors="coerce").isna()]
            example = (odd if len(odd) else given).iloc[0]
            wrong = f"holds what is no level, for example '{plain(example)}'"
        elif np.isinf(column).any() or (column < 0).any():
            wrong = "holds values that are negative or infinite"
        else:
            continue
        remedy = "a level is a number from 0; look at the columns and the unit of this row"
        problems.append(Problem(path, plain(name), wrong, remedy))
    raise_all(AtlasError, problems[:20])
    return values.to_numpy(np.float64)


def _wide(row: AtlasRow, source: _Text, ids: str, symbols: str | None, registry: str) -> LevelTable:
    said = (row.tissue == HEADERS, row.cell_type == HEADERS)
    if not any(said) or row.unit == "protein":
        wrong = "nothing says what the columns of the table are"
        remedy = (
            "write * under tissue or cell_type (both: columns are <cell type>_<tissue>), or the "
            "column with the levels under counts if it is a long table"
        )
        raise AtlasError.one(registry, f"{row.atlas}, column counts", wrong, remedy)
    genes = [name for name in (ids, symbols) if name]
    columns = [name for name in source.header if name not in genes]
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if not columns or twice or "" in columns:
        wrong = f"columns repeat: {listed(twice)}" if twice else "a column has no name"
        wrong = wrong if columns else "has no column but the genes"
        raise AtlasError.one(
            source.path, "header", wrong, "give each label one column with its name"
        )
    table = _read(source, [*genes, *columns], columns)
    values = _numbers(source.path, table[columns])
    names = _stripped(table[ids])
    again = names[names.str.startswith("ENSG") & names.duplicated()]
    _refuse_twice(source.path, again.tolist(), "")
    gene, label = np.nonzero(np.isfinite(values))
    fixed = [row.tissue.removeprefix("=") if row.tissue.startswith("=") else ""]
    fixed += [row.cell_type.removeprefix("=") if row.cell_type.startswith("=") else ""]
    return LevelTable(
        names.tolist(),
        _symbols(table, symbols),
        [_parts(name, said, fixed) for name in columns],
        gene.astype(np.int64),
        label.astype(np.int64),
        values[gene, label],
        *_no_text(),
    )


def _refuse_twice(path: str, genes: Sequence[str], where: str) -> None:
    """Refuse genes that stand twice: adding their rows up would make a level of its own."""
    if not genes:
        return
    names = sorted(set(genes))
    wrong = f"{len(names):,} genes have several rows {where}".rstrip() + f": {listed(names)}"
    remedy = "keep one row of each, or name the column that tells them apart"
    raise AtlasError.one(path, "", wrong, remedy)


def _parts(name: str, said: tuple[bool, bool], fixed: Sequence[str]) -> tuple[str, str]:
    """Return tissue and cell type of a column name; what it does not say is fixed."""
    if all(said):
        cell_type, _, tissue = name.rpartition("_")
        return tissue.strip(), cell_type.strip()
    return (name, fixed[1]) if said[0] else (fixed[0], name)


def _no_text() -> tuple[list[str], NDArray[np.int64], list[str], NDArray[np.int64]]:
    none = np.zeros(0, dtype=np.int64)
    return [], none, [], none


def _symbols(table: pd.DataFrame, column: str | None) -> list[str | None]:
    if column is None:
        return [None] * len(table)
    return [symbol or None for symbol in _stripped(table[column])]


def _long(row: AtlasRow, source: _Text, ids: str, symbols: str | None, registry: str) -> LevelTable:
    named = [(place, getattr(row, place)) for place in ("tissue", "cell_type")]
    columns = [(place, name) for place, name in named if name and not name.startswith("=")]
    if not any(name for _, name in named):
        wrong = "nothing says which tissue or cell type a level is of"
        remedy = f"name the column under tissue or cell_type; found: {listed(source.header, 20)}"
        raise AtlasError.one(registry, f"{row.atlas}, column tissue", wrong, remedy)
    _require(row, registry, [*columns, ("counts", row.counts)], source.header)
    protein = row.unit == "protein"
    sure = (
        next((n for n in source.header if n.casefold() == "reliability"), None) if protein else None
    )
    wanted = [ids, symbols, row.counts, sure, *(name for _, name in columns)]
    numeric = [] if protein else [row.counts]
    table = _read(source, list(dict.fromkeys(n for n in wanted if n)), numeric)
    key = [table[ids], *([table[symbols]] if symbols else [])]
    gene, first = _numbered(key)
    places = [
        _stripped(table[name]) if name and not name.startswith("=") else None for _, name in named
    ]
    label, example = _numbered([p for p in places if p is not None] or [table[ids] * 0])
    fixed = [name.removeprefix("=") if name.startswith("=") else "" for _, name in named]
    labels = [
        tuple(str(p.iloc[i]) if p is not None else f for p, f in zip(places, fixed, strict=True))
        for i in example
    ]
    genes = table.iloc[first]
    common = (_stripped(genes[ids]).tolist(), _symbols(genes, symbols))
    pairs = [(tissue, cell_type) for tissue, cell_type in labels]
    if protein:
        text_code, text = pd.factorize(_stripped(table[row.counts]))
        given = _stripped(table[sure]) if sure else pd.Series("", index=table.index)
        sure_code, sure_text = pd.factorize(given)
        number = np.zeros(0)
        told = (list(text), text_code.astype(np.int64), list(sure_text), sure_code.astype(np.int64))
        return LevelTable(*common, pairs, gene, label, number, *told)
    values = _numbers(source.path, table[[row.counts]])[:, 0]
    known = np.isfinite(values)
    again = pd.DataFrame({"gene": gene, "label": label})[known].duplicated().to_numpy()
    twice = _stripped(table[ids]).to_numpy(object)[known][again]
    _refuse_twice(source.path, twice.tolist(), "for one label")
    return LevelTable(*common, pairs, gene[known], label[known], values[known], *_no_text())


def _numbered(keys: Sequence[pd.Series]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the number of each row's key in order of appearance, and a row of each number."""
    frame = pd.concat(list(keys), axis=1, keys=range(len(keys)))
    number = frame.groupby(list(frame.columns), sort=False, dropna=False).ngroup()
    codes = number.to_numpy(np.int64)
    _, first = np.unique(codes, return_index=True)
    return codes.astype(np.int64), np.asarray(first, dtype=np.int64)
