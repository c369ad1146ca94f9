"""Loom files (HDF5, specification 3.0.0): a dense matrix of genes × cells, layers, attributes."""

from __future__ import annotations

import html
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
from targetscore.formats.sparse_h5 import open_hdf5, three_ranges

_PEEK_CELLS = 64
_CELL_NAMES = ("CellID", "obs_names", "cell_names", "barcode", "Barcode")
_GENE_NAMES = ("Accession", "Gene", "var_names", "gene_names", "Name")


def open_loom(row: AtlasRow, location: str) -> OpenAtlas:
    """Open a loom file.

    Parameters
    ----------
    row
        Registry row; ``counts`` (``matrix`` or ``layers/<name>``), ``gene_id`` and
        ``gene_symbol`` (names of row attributes) are honoured.
    location
        The file.

    Raises
    ------
    AtlasError
        If the file is truncated or no loom file, or cells or genes have no names.
    MatrixError
        If no matrix of the file holds raw counts, or one has another shape.
    """
    with _open(location) as file:
        shape = file["matrix"].shape
        place = choose_counts(
            _matrices(file), row.counts, lambda p: _sample(file, p, location), location
        )
        stored = _stored(file, place, location)
        if stored.shape != shape:
            wrong = f"it is {stored.shape[0]:,} × {stored.shape[1]:,}, /matrix is another shape"
            raise damaged(location, place, wrong)
    n_genes, n_cells = stored.shape

    def read_names() -> Names:
        with _open(location) as file:
            cells = _attributes(file["col_attrs"], n_cells, location)
            genes = _attributes(file["row_attrs"], n_genes, location)
        _refuse_swapped(cells, genes, location)
        barcodes = cells[_first(_CELL_NAMES, cells, location, "col_attrs")]
        genes.index = pd.Index(genes[_first(_GENE_NAMES, genes, location, "row_attrs")])
        cells = cells.rename(columns={"cell": "cell_column"})
        cells.insert(0, "cell", barcodes.astype(str))
        return Names(cells, *gene_names(genes, row, location, "row_attrs"))

    def rows(start: int, stop: int) -> Iterator[RowBlock]:
        file = _open(location)
        with reading(location, place):
            matrix = _stored(file, place, location)

            def cells(first: int, last: int) -> NDArray[Any]:
                return matrix.read_columns(first, last).T

            together = matrix.columns_per_chunk
            yield from dense_rows(cells, n_genes, together, (location, place), start, stop)

    def peek() -> None:
        with _open(location) as file:
            need_counts(_sample(file, place, location), location, place)

    return OpenAtlas(
        location=location,
        counts=place,
        shape=(n_cells, n_genes),
        read_names=read_names,
        rows=rows,
        peek=peek,
    )


def _open(location: str) -> h5py.File:
    file = open_hdf5(location, "a loom file")
    parts = [
        name
        for name, kind in (
            ("matrix", h5py.Dataset),
            ("row_attrs", h5py.Group),
            ("col_attrs", h5py.Group),
        )
        if not isinstance(file.get(name), kind)
    ]
    if parts:
        wrong = f"is HDF5 but no loom file (it has no {listed(parts)}, it holds {listed(file)})"
        file.close()
        remedy = "correct the format (AnnData is h5ad, 10x HDF5 is tenx_h5), or fetch it again"
        raise AtlasError.one(location, "", wrong, remedy)
    return file


def _matrices(file: h5py.File) -> list[str]:
    layers = file.get("layers", {})
    return ["matrix", *(f"layers/{n}" for n in sorted(layers) if hasattr(layers[n], "shape"))]


def _stored(file: h5py.File, place: str, location: str) -> Stored:
    return Stored(file[place], location, 2)


def _sample(file: h5py.File, place: str, location: str) -> list[NDArray[Any]]:
    with reading(location, place):
        stored = _stored(file, place, location)
        ranges = three_ranges(stored.shape[1], _PEEK_CELLS)
        return [stored.read_columns(a, b).ravel() for a, b in ranges]


def _attributes(group: h5py.Group, n: int, location: str) -> pd.DataFrame:
    """Return the attributes with one value per row (or column); embeddings have several."""
    columns: dict[str, NDArray[Any]] = {}
    for name in sorted(group):
        values = group[name]
        if not isinstance(values, h5py.Dataset) or values.ndim != 1:
            continue
        place = str(values.name).strip("/")
        if len(values) != n:
            wrong = f"it holds {len(values):,} values, the matrix has {n:,}"
            raise damaged(location, plain(place), wrong)
        columns[name] = _values(values)
    return pd.DataFrame(columns, index=range(n))


def _values(dataset: h5py.Dataset) -> NDArray[Any]:
    text = h5py.check_string_dtype(dataset.dtype)
    if text is None:
        return np.asarray(dataset[:])
    texts = dataset.asstr()[:]
    if text.length is None:
        return np.asarray(texts)
    # Before version 3 of the format, text is ASCII of fixed length with XML entities.
    return np.array([html.unescape(v) for v in texts], dtype=object)


def _refuse_swapped(cells: pd.DataFrame, genes: pd.DataFrame, location: str) -> None:
    if "CellID" in genes and "CellID" not in cells:
        wrong = "its rows are cells and its columns genes (row_attrs holds CellID)"
        remedy = "a loom matrix is genes × cells: write it again, transposed"
        raise AtlasError.one(location, "row_attrs/CellID", wrong, remedy)


def _first(names: tuple[str, ...], table: pd.DataFrame, location: str, place: str) -> str:
    for name in names:
        if name in table:
            return name
    wrong = f"it names no {'cells' if place == 'col_attrs' else 'genes'}: it holds "
    remedy = f"write one of {listed(names)} into {place}"
    raise AtlasError.one(location, place, wrong + (listed(table.columns) or "nothing"), remedy)
