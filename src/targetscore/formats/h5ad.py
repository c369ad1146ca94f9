"""AnnData files (.h5ad): raw counts from X, raw/X or a layer, read in row blocks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from targetscore.config.models import AtlasRow
from targetscore.errors import AtlasError, MatrixError, listed, near_matches, plain
from targetscore.formats import base
from targetscore.formats.base import Names, OpenAtlas, RowBlock, as_counts, stream_rows
from targetscore.formats.chunks import Stored, damaged, reading
from targetscore.formats.sparse_h5 import (
    check_sparse,
    open_hdf5,
    row_lengths,
    sparse_columns,
    sparse_rows,
    sparse_sample,
    three_ranges,
)

_PEEK_ROWS = 200
_DENSE_BLOCKS = 32


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
        with reading(location, place):
            shape = _check(file[place], location, place)
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
    file = open_hdf5(location, "an h5ad file")
    if "obs" not in file or "var" not in file:
        found = listed(file)
        file.close()
        remedy = "give an .h5ad file, or correct the format (10x HDF5 files are tenx_h5)"
        wrong = f"is HDF5 but not AnnData (it holds {found})"
        raise AtlasError.one(location, "", wrong, remedy)
    return file


def _frame(group: Any, location: str, name: str) -> pd.DataFrame:
    from anndata.io import read_elem

    try:
        table = read_elem(group)
    except Exception as error:
        remedy = "fetch the file again; if a later anndata wrote it, write it with an earlier one"
        wrong = f"the table cannot be read ({plain(error)})"
        raise AtlasError.one(location, name, wrong, remedy) from error
    if not isinstance(table, pd.DataFrame):
        remedy = "it was written by an old anndata: read it with a current one and write it again"
        raise AtlasError.one(location, name, "is not a table", remedy)
    return table


def _matrices(file: h5py.File) -> list[str]:
    found = [p for p in ("raw/X", "layers/counts", "X") if p in file]
    found += sorted(f"layers/{n}" for n in file.get("layers", {}) if n != "counts")
    return [p for p in found if not isinstance(file[p], h5py.Dataset) or file[p].shape]


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
        values = _sample(file[place], location, place)
        try:
            _need_counts(values, location, place)
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
        shape = matrix.shape
    else:
        shape = matrix.attrs.get("shape", matrix.attrs.get("h5sparse_shape"))
    n_rows, n_columns = shape
    return int(n_rows), int(n_columns)


def _encoding(matrix: Any) -> str:
    if isinstance(matrix, h5py.Dataset):
        return "dense"
    kind = matrix.attrs.get("encoding-type", matrix.attrs.get("h5sparse_format", "csr"))
    return "csc" if str(kind).startswith("csc") else "csr"


def _n_major(matrix: Any) -> int:
    return _shape(matrix)[1 if _encoding(matrix) == "csc" else 0]


def _check(matrix: Any, location: str, place: str) -> tuple[int, int]:
    """Return the shape of a matrix after a look at its parts."""
    shape = _shape(matrix)
    if min(shape) < 0:
        raise damaged(location, place, f"its shape is {shape}")
    if isinstance(matrix, h5py.Dataset):
        Stored(matrix, location, 2)
    else:
        check_sparse(matrix, _n_major(matrix), location)
    return shape


def _sample(matrix: Any, location: str, place: str) -> list[NDArray[Any]]:
    with reading(location, place):
        n_rows = _check(matrix, location, place)[0]
        if isinstance(matrix, h5py.Dataset):
            stored = Stored(matrix, location, 2)
            return [stored.read(a, b).ravel() for a, b in three_ranges(n_rows, _PEEK_ROWS)]
        return sparse_sample(matrix, _n_major(matrix), location)


def _need_counts(values: list[NDArray[Any]], location: str, place: str) -> None:
    for part in values:
        as_counts(part, location, place)


def _peek(location: str, place: str) -> None:
    with _open(location) as file:
        _need_counts(_sample(file[place], location, place), location, place)


def _reads(location: str, place: str) -> dict[str, Any]:
    """Return how the rows of the matrix are read: the fields of an open atlas."""
    with _open(location) as file:
        encoding = _encoding(file[place])
    source = {"dense": _dense, "csr": _csr, "csc": _csc}[encoding]

    def rows(start: int, stop: int) -> Iterator[RowBlock]:
        # Closed when the last block that reads from it is gone, maybe after this generator.
        file = _open(location)
        with reading(location, place):
            yield from source(file[place], (location, place), start, stop)

    def lengths(start: int, stop: int) -> NDArray[np.int64]:
        with _open(location) as file, reading(location, place):
            return row_lengths(file[place], _shape(file[place])[0], location, start, stop)

    return {"rows": rows, "row_lengths": lengths if encoding == "csr" else None}


def _csr(matrix: Any, where: tuple[str, str], start: int, stop: int) -> Iterator[RowBlock]:
    return sparse_rows(matrix, _shape(matrix)[0], where[0], start, stop)


def _csc(matrix: Any, where: tuple[str, str], start: int, stop: int) -> Iterator[RowBlock]:
    return sparse_columns(matrix, _shape(matrix), where[0], start, stop)


def _dense(matrix: Any, where: tuple[str, str], start: int, stop: int) -> Iterator[RowBlock]:
    from scipy.sparse import csr_matrix  # slow to import, and most matrices are sparse

    stored = Stored(matrix, where[0], 2)
    step = max(1, base.BLOCK_VALUES // max(stored.shape[1], 1))
    # Chunks hold many rows of few columns: read as many at once, or inflate them again.
    n_read = max(step, min(stored.rows_per_chunk, _DENSE_BLOCKS * step))
    for first in range(start, stop, n_read):
        rows = stored.read(first, min(first + n_read, stop))
        for a in range(0, len(rows), step):
            part = rows[a : a + step]
            counts = as_counts(part.ravel(), *where).reshape(part.shape)
            yield from stream_rows([(first + a, csr_matrix(counts))], start, stop)


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
