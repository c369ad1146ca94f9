"""AnnData files (.h5ad): raw counts from X, raw/X or a layer, read in row blocks."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from targetscore.config.models import AtlasRow
from targetscore.errors import AtlasError, MatrixError, listed, near_matches
from targetscore.formats.base import (
    BLOCK_VALUES,
    Names,
    OpenAtlas,
    RowBlock,
    as_counts,
    row_ranges,
    stream_rows,
)
from targetscore.formats.chunks import Vector, damaged
from targetscore.formats.turn import turned_rows

_PEEK_ROWS = 200


def open_h5ad(row: AtlasRow, location: str) -> OpenAtlas:
    """Open an AnnData file.

    Parameters
    ----------
    row
        Registry row; ``counts``, ``gene_id`` and ``gene_symbol`` are honoured.
    location
        The file.

    Raises
    ------
    AtlasError
        If the file is truncated, is not AnnData, or a named column is not there.
    MatrixError
        If no matrix of the file holds raw counts.
    """
    with _open(location) as file:
        place = _find_counts(file, row.counts, location)
        shape = _shape(file[place])
    return OpenAtlas(
        location=location,
        counts=place,
        shape=shape,
        read_names=lambda: _names(row, location, place, shape),
        peek=lambda: _peek(location, place),
        **_reads(location, place),
    )


def _names(row: AtlasRow, location: str, place: str, shape: tuple[int, int]) -> Names:
    with _open(location) as file:
        genes = _frame(
            file["raw/var"] if place.startswith("raw/") else file["var"], location, "var"
        )
        cells = _frame(file["obs"], location, "obs")
    for what, table, n in (("obs", cells, shape[0]), ("var", genes, shape[1])):
        if len(table) != n:
            wrong = f"{what} has {len(table):,} rows, the matrix has {n:,}"
            raise AtlasError.one(location, place, wrong, "the file is damaged; fetch it again")
    cells = cells.rename(columns={"cell": "cell_column"})
    cells.insert(0, "cell", cells.index.astype(str))
    return Names(
        cells.reset_index(drop=True),
        _gene_ids(genes, row.gene_id, location),
        _gene_symbols(genes, row.gene_symbol, location),
    )


def _open(location: str) -> h5py.File:
    if Path(location).is_dir():
        raise AtlasError.one(
            location, "", "is a folder, not an h5ad file", "name the file, or correct the format"
        )
    try:
        file = h5py.File(location, "r")
    except OSError as error:
        size = Path(location).stat().st_size if Path(location).is_file() else 0
        raise AtlasError.one(
            location,
            "",
            f"cannot be opened as an h5ad file of {size:,} bytes ({error})",
            "it is probably truncated or not HDF5; delete it and fetch it again",
        ) from error
    if "obs" not in file or "var" not in file:
        found = listed(file)
        file.close()
        raise AtlasError.one(
            location, "", f"is HDF5 but not AnnData (it holds {found})", "give an .h5ad file"
        )
    return file


def _frame(group: Any, location: str, name: str) -> pd.DataFrame:
    from anndata.io import read_elem

    try:
        table = read_elem(group)
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise AtlasError.one(
            location, name, f"the table cannot be read ({error})", "fetch the file again"
        ) from error
    if not isinstance(table, pd.DataFrame):
        remedy = "it was written by an old anndata: read it with a current one and write it again"
        raise AtlasError.one(location, name, "is not a table", remedy)
    return table


def _matrices(file: h5py.File) -> list[str]:
    found = [p for p in ("raw/X", "layers/counts", "X") if p in file]
    layers = file.get("layers", {})
    return found + sorted(f"layers/{n}" for n in layers if f"layers/{n}" not in found)


def _find_counts(file: h5py.File, wanted: str, location: str) -> str:
    """Return the matrix with raw counts: the named one, or the first that holds counts."""
    present = _matrices(file)
    if wanted:
        if wanted not in present:
            near = near_matches(wanted, present)
            hint = f"did you mean '{near[0]}'? " if near else ""
            raise AtlasError.one(
                location,
                wanted,
                "the file has no such matrix",
                f"{hint}matrices of the file: {listed(present)}; correct the registry column "
                "'counts'",
            )
        return wanted
    refused: list[str] = []
    for place in present:
        try:
            _sample(file, place, location)
        except MatrixError as error:
            refused.append(f"{place}: {error.problems[0].wrong.split(' (', 1)[0]}")
        else:
            return place
    raise MatrixError.one(
        location,
        "",
        f"no matrix holds raw counts ({'; '.join(refused) or 'there is none'})",
        "get the file with raw counts from its publisher",
    )


def _shape(matrix: Any) -> tuple[int, int]:
    if isinstance(matrix, h5py.Dataset):
        return int(matrix.shape[0]), int(matrix.shape[1])
    shape = matrix.attrs.get("shape", matrix.attrs.get("h5sparse_shape"))
    return int(shape[0]), int(shape[1])


def _encoding(matrix: Any) -> str:
    if isinstance(matrix, h5py.Dataset):
        return "dense"
    kind = matrix.attrs.get("encoding-type", matrix.attrs.get("h5sparse_format", "csr"))
    return "csc" if str(kind).startswith("csc") else "csr"


def _sample(file: h5py.File, place: str, location: str) -> None:
    matrix = file[place]
    if isinstance(matrix, h5py.Dataset):
        n = matrix.shape[0]
        spots = [(a, min(a + _PEEK_ROWS, n)) for a in sorted({0, n // 2, max(n - _PEEK_ROWS, 0)})]
        values = [matrix[a:b].ravel() for a, b in spots]
    else:
        n, few = matrix["data"].shape[0], 200_000
        spots = [(a, min(a + few, n)) for a in sorted({0, n // 2, max(n - few, 0)})]
        values = [matrix["data"][a:b] for a, b in spots]
    for part in values:
        as_counts(part, location, place)


def _peek(location: str, place: str) -> None:
    with _open(location) as file:
        try:
            _sample(file, place, location)
        except (OSError, RuntimeError) as error:
            raise damaged(location, place, error) from error


def _reads(location: str, place: str) -> dict[str, Any]:
    """Return how the rows of the matrix are read: the fields of an open atlas."""
    with _open(location) as file:
        encoding = _encoding(file[place])
    source = {"dense": _dense, "csr": _csr, "csc": _csc}[encoding]

    def rows(start: int, stop: int) -> Iterator[RowBlock]:
        # Closed when the last block that reads from it is gone, maybe after this generator.
        file = _open(location)
        try:
            yield from source(file[place], (location, place), start, stop)
        except (OSError, RuntimeError, IndexError, ValueError) as error:
            raise damaged(location, place, error) from error

    def row_lengths(start: int, stop: int) -> NDArray[np.int64]:
        with _open(location) as file:
            return np.diff(row_pointer(file[place], _shape(file[place])[0], start, stop))

    return {"rows": rows, "row_lengths": row_lengths if encoding == "csr" else None}


def row_pointer(matrix: Any, n_rows: int, start: int, stop: int) -> NDArray[np.int64]:
    """Return where rows begin among the values of an HDF5 group, shape ``(stop - start + 1,)``.

    Raises
    ------
    ValueError
        If the pointer does not fit the matrix.
    """
    stored, n_values = matrix["indptr"], matrix["data"].shape[0]
    if stored.shape[0] != n_rows + 1:
        raise ValueError(f"the row pointer holds {stored.shape[0]:,} numbers for {n_rows:,} rows")
    if matrix["indices"].shape[0] != n_values:
        raise ValueError("there are not as many column numbers as values")
    pointer = stored[start : stop + 1].astype(np.int64)
    if (np.diff(pointer) < 0).any() or pointer[0] < 0 or pointer[-1] > n_values:
        raise ValueError("the row pointer is inconsistent")
    return pointer


def sparse_rows(
    matrix: Any, n_rows: int, location: str, start: int, stop: int
) -> Iterator[RowBlock]:
    """Yield rows of an HDF5 group with indptr, indices and data in row order (CSR).

    Parameters
    ----------
    matrix
        The group.
    n_rows
        Rows of the whole matrix.
    location
        The file.
    start, stop
        Rows wanted.
    """
    pointer = row_pointer(matrix, n_rows, start, stop)
    indices, data = Vector(matrix["indices"], location), Vector(matrix["data"], location)
    for low, high in row_ranges(pointer):
        a, b = int(pointer[low]), int(pointer[high])
        n_bytes = indices.stored_bytes(a, b) + data.stored_bytes(a, b)
        load = partial(_load, indices, data, a, b)
        yield RowBlock(start + low, pointer[low : high + 1] - a, n_bytes, load)


def _load(indices: Vector, data: Vector, a: int, b: int) -> tuple[NDArray[Any], NDArray[Any]]:
    return indices.read(a, b), data.read(a, b)


def _csr(matrix: Any, where: tuple[str, str], start: int, stop: int) -> Iterator[RowBlock]:
    return sparse_rows(matrix, _shape(matrix)[0], where[0], start, stop)


def _dense(matrix: Any, where: tuple[str, str], start: int, stop: int) -> Iterator[RowBlock]:
    step = max(1, BLOCK_VALUES // max(matrix.shape[1], 1))
    for first in range(start, stop, step):
        rows = matrix[first : min(first + step, stop)]
        counts = as_counts(rows.ravel(), *where).reshape(rows.shape)
        yield from stream_rows([(first, sp.csr_matrix(counts))], start, stop)


def _csc(matrix: Any, where: tuple[str, str], start: int, stop: int) -> Iterator[RowBlock]:
    shape, n_values = _shape(matrix), matrix["data"].shape[0]
    indptr = matrix["indptr"][:].astype(np.int64)
    consistent = len(indptr) == shape[1] + 1 and indptr[0] == 0 and indptr[-1] == n_values
    if not consistent or (np.diff(indptr) < 0).any() or matrix["indices"].shape[0] != n_values:
        raise ValueError("the column pointer is inconsistent")
    indices, data = (Vector(matrix[name], where[0]) for name in ("indices", "data"))
    yield from turned_rows(
        indptr,
        indices.read,
        data.read,
        shape,
        start,
        stop,
    )


def _column(table: pd.DataFrame, name: str, location: str, field: str) -> pd.Series:
    if name not in table.columns:
        near = near_matches(name, table.columns)
        hint = f"did you mean '{near[0]}'? " if near else ""
        raise AtlasError.one(
            location,
            f"var, column '{name}'",
            "there is no such column",
            f"{hint}columns of var: {listed(table.columns, 20)}; correct the registry column "
            f"'{field}'",
        )
    return table[name]


def _gene_ids(genes: pd.DataFrame, named: str, location: str) -> list[str]:
    if named:
        return [str(v) for v in _column(genes, named, location, "gene_id")]
    index = [str(v) for v in genes.index]
    for candidate in ("gene_ids", "ensembl_id", "gene_id", "ensembl_gene_id"):
        if candidate in genes.columns and not any(v.startswith("ENSG") for v in index[:50]):
            return [str(v) for v in genes[candidate]]
    return index


def _gene_symbols(genes: pd.DataFrame, named: str, location: str) -> list[str | None]:
    if named:
        column = _column(genes, named, location, "gene_symbol")
    else:
        name = next(
            (c for c in ("feature_name", "gene_symbol", "gene_symbols", "gene_name") if c in genes),
            None,
        )
        if name is None:
            return [None if str(v).startswith("ENSG") else str(v) for v in genes.index]
        column = genes[name]
    return [None if pd.isna(v) or not str(v) else str(v) for v in column]
