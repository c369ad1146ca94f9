"""AnnData files (.h5ad): raw counts from X, raw/X or a layer, read in row blocks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import scipy.sparse as sp

from targetscore.config.models import AtlasRow
from targetscore.errors import AtlasError, MatrixError, listed, near_matches
from targetscore.formats.base import BLOCK_VALUES, OpenAtlas, as_counts, row_ranges

_PEEK_ROWS = 200
_WHOLE_CSC = 200_000_000


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
        names = file["raw/var"] if place.startswith("raw/") else file["var"]
        genes = _frame(names, location, "var")
        cells = _frame(file["obs"], location, "obs")
        n_cells, n_genes = _shape(file[place])
    for what, table, n in (("obs", cells, n_cells), ("var", genes, n_genes)):
        if len(table) != n:
            wrong = f"{what} has {len(table):,} rows, the matrix has {n:,}"
            raise AtlasError.one(location, place, wrong, "the file is damaged; fetch it again")
    cells = cells.rename(columns={"cell": "cell_column"})
    cells.insert(0, "cell", cells.index.astype(str))
    cells = cells.reset_index(drop=True)
    return OpenAtlas(
        location=location,
        cells=cells,
        gene_ids=_gene_ids(genes, row.gene_id, location),
        gene_symbols=_gene_symbols(genes, row.gene_symbol, location),
        counts=place,
        blocks=lambda: _blocks(location, place),
        peek=lambda: _peek(location, place),
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
            raise _damaged(location, place, error) from error


def _damaged(location: str, place: str, error: Exception) -> MatrixError:
    return MatrixError.one(
        location,
        place,
        f"the matrix cannot be read ({error})",
        "delete the file and fetch it again",
    )


def _blocks(location: str, place: str) -> Iterator[tuple[int, sp.csr_matrix]]:
    with _open(location) as file:
        matrix = file[place]
        encoding = _encoding(matrix)
        source = {"dense": _dense, "csr": _csr, "csc": _csc}[encoding]
        try:
            yield from source(matrix, location, place)
        except (OSError, RuntimeError, IndexError) as error:
            raise _damaged(location, place, error) from error


def _csr(matrix: Any, location: str, place: str) -> Iterator[tuple[int, sp.csr_matrix]]:
    n_genes = _shape(matrix)[1]
    indptr = matrix["indptr"][:].astype(np.int64)
    if (len(indptr) and (np.diff(indptr) < 0).any()) or indptr[-1] > matrix["data"].shape[0]:
        raise _damaged(location, place, ValueError("the row pointer is inconsistent"))
    for start, end in row_ranges(indptr):
        a, b = int(indptr[start]), int(indptr[end])
        indices = matrix["indices"][a:b].astype(np.int64)
        if len(indices) and (int(indices.min()) < 0 or int(indices.max()) >= n_genes):
            raise _damaged(location, place, ValueError("a column index is out of range"))
        data = as_counts(matrix["data"][a:b], location, place)
        pointer = indptr[start : end + 1] - a
        yield start, sp.csr_matrix((data, indices, pointer), shape=(end - start, n_genes))


def _dense(matrix: Any, location: str, place: str) -> Iterator[tuple[int, sp.csr_matrix]]:
    n_cells, n_genes = matrix.shape
    step = max(1, BLOCK_VALUES // max(n_genes, 1))
    for start in range(0, n_cells, step):
        rows = matrix[start : start + step]
        counts = as_counts(rows.ravel(), location, place).reshape(rows.shape)
        yield start, sp.csr_matrix(counts)


def _csc(matrix: Any, location: str, place: str) -> Iterator[tuple[int, sp.csr_matrix]]:
    n_values = matrix["data"].shape[0]
    if n_values > _WHOLE_CSC:
        raise MatrixError.one(
            location,
            place,
            f"is stored gene by gene (CSC) with {n_values:,} values, too many to turn in memory",
            "write it cell by cell: anndata.read_h5ad(file), X.tocsr(), write_h5ad(new file)",
        )
    n_cells, n_genes = _shape(matrix)
    data = as_counts(matrix["data"][:], location, place)
    indices = matrix["indices"][:].astype(np.int64)
    indptr = matrix["indptr"][:].astype(np.int64)
    consistent = len(indptr) == n_genes + 1 and indptr[0] == 0 and indptr[-1] == len(data)
    if not consistent or (np.diff(indptr) < 0).any() or len(indices) != len(data):
        raise _damaged(location, place, ValueError("the column pointer is inconsistent"))
    if len(indices) and (int(indices.min()) < 0 or int(indices.max()) >= n_cells):
        raise _damaged(location, place, ValueError("a row index is out of range"))
    turned = sp.csc_matrix((data, indices, indptr), shape=(n_cells, n_genes)).tocsr()
    for start, end in row_ranges(turned.indptr.astype(np.int64)):
        yield start, turned[start:end]


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
