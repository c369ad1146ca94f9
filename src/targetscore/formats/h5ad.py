"""AnnData files (.h5ad): raw counts from X, raw/X or a layer, read in row blocks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from targetscore.config.models import AtlasRow
from targetscore.errors import AtlasError, listed, plain
from targetscore.formats.base import Names, OpenAtlas, RowBlock
from targetscore.formats.choice import choose_counts, need_counts
from targetscore.formats.chunks import Stored, damaged, reading
from targetscore.formats.dense import dense_rows
from targetscore.formats.gene_names import gene_names
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
_ORGANISM = "organism_ontology_term_id"


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
        place = choose_counts(
            _matrices(file), row.counts, lambda p: _sample(file[p], location, p), location
        )
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
        organism = _organism(file)
    for what, table, n in (("obs", cells, shape[0]), ("var", genes, shape[1])):
        if len(table) != n:
            wrong = f"{what} has {len(table):,} rows, the matrix has {n:,}"
            raise AtlasError.one(location, place, wrong, "the file is damaged; fetch it again")
    cells = cells.rename(columns={"cell": "cell_column"})
    cells.insert(0, "cell", cells.index.astype(str))
    if organism is not None and _ORGANISM not in cells:
        cells[_ORGANISM] = organism
    return Names(cells.reset_index(drop=True), *gene_names(genes, row, location, "var"))


def _organism(file: h5py.File) -> str | None:
    """Return what uns says of all cells: CELLxGENE writes it there since schema 6.0."""
    stored = file.get(f"uns/{_ORGANISM}")
    if not isinstance(stored, h5py.Dataset) or stored.shape != ():
        return None
    value = stored[()]
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


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


def _peek(location: str, place: str) -> None:
    with _open(location) as file:
        need_counts(_sample(file[place], location, place), location, place)


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
    stored = Stored(matrix, where[0], 2)
    together = stored.rows_per_chunk
    return dense_rows(stored.read, stored.shape[1], together, where, start, stop)
