"""10x HDF5 matrices: ``matrix/`` with features, or one group per genome before Cell Ranger 3.

The matrix is genes × cells in column order, which is cells × genes in row order.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from targetscore.config.models import AtlasRow
from targetscore.errors import AtlasError, listed, near_matches
from targetscore.formats.base import Names, OpenAtlas, RowBlock, as_counts
from targetscore.formats.chunks import damaged, reading
from targetscore.formats.sparse_h5 import (
    check_sparse,
    open_hdf5,
    row_lengths,
    sparse_rows,
    sparse_sample,
)
from targetscore.formats.tenx_mtx import GENE_TYPES

_EARLY = ("genes", "gene_names", "barcodes", "data", "indices", "indptr", "shape")
_HUMAN = re.compile(r"grch\d|hg\d\d|human|homo.?sapiens", re.IGNORECASE)


@dataclass(frozen=True)
class _Matrix:
    """Where the matrix is, and which of its columns are genes of the chosen genome."""

    place: str
    shown: str
    shape: tuple[int, int]
    gene_ids: list[str]
    gene_symbols: list[str | None]
    gene_of_column: NDArray[np.int32] | None


def open_tenx_h5(row: AtlasRow, location: str) -> OpenAtlas:
    """Open a 10x HDF5 file; antibody and guide features are left out.

    Parameters
    ----------
    row
        Registry row; ``counts`` names the genome if the file holds several.
    location
        The file.

    Raises
    ------
    AtlasError
        If the file is truncated or not of this format, or holds several genomes of which
        none is named and not exactly one is human.
    MatrixError
        If the parts of the matrix do not fit together.
    """
    with open_hdf5(location, "a 10x HDF5 file") as file, reading(location, "matrix"):
        found = _find(file, row.counts, location)
        n_cells = found.shape[0]
        check_sparse(file[found.place], n_cells, location)

    def read_names() -> Names:
        with open_hdf5(location, "a 10x HDF5 file") as file, reading(location, found.place):
            barcodes = _texts(file[found.place], "barcodes", n_cells, location)
        return Names(pd.DataFrame({"cell": barcodes}), found.gene_ids, found.gene_symbols)

    def rows(start: int, stop: int) -> Iterator[RowBlock]:
        file = open_hdf5(location, "a 10x HDF5 file")
        with reading(location, found.place):
            yield from sparse_rows(file[found.place], n_cells, location, start, stop)

    def lengths(start: int, stop: int) -> NDArray[np.int64]:
        with open_hdf5(location, "a 10x HDF5 file") as file, reading(location, found.place):
            return row_lengths(file[found.place], n_cells, location, start, stop)

    def peek() -> None:
        with open_hdf5(location, "a 10x HDF5 file") as file, reading(location, found.place):
            for part in sparse_sample(file[found.place], n_cells, location):
                as_counts(part, location, found.place)

    return OpenAtlas(
        location=location,
        counts=found.shown,
        shape=found.shape,
        read_names=read_names,
        rows=rows,
        peek=peek,
        gene_of_column=found.gene_of_column,
        row_lengths=lengths,
    )


def _find(file: h5py.File, wanted: str, location: str) -> _Matrix:
    if "features" in file.get("matrix", {}):
        return _with_features(file["matrix"], wanted, location)
    groups = [n for n in file if isinstance(file[n], h5py.Group) and set(_EARLY) <= set(file[n])]
    if not groups:
        wrong = f"is HDF5 but not a 10x matrix (it holds {listed(file)})"
        remedy = "give filtered_feature_bc_matrix.h5, or correct the format (AnnData is h5ad)"
        raise AtlasError.one(location, "", wrong, remedy)
    genome, why = _genome(groups, wanted, location)
    matrix = file[genome]
    shape = _shape(matrix, location)
    ids, symbols = (_texts(matrix, n, shape[1], location) for n in ("genes", "gene_names"))
    return _Matrix(genome, genome + why, shape, ids, list(symbols), None)


def _with_features(matrix: h5py.Group, wanted: str, location: str) -> _Matrix:
    shape = _shape(matrix, location)
    n = shape[1]
    kinds, ids, symbols = (
        _texts(matrix, f"features/{name}", n, location) for name in ("feature_type", "id", "name")
    )
    is_gene = np.array([kind in GENE_TYPES for kind in kinds], dtype=bool)
    named = "genome" in matrix["features"]
    genomes = _texts(matrix, "features/genome", n, location) if named else [""] * n
    genome, why = _genome(sorted({genomes[i] for i in np.flatnonzero(is_gene)}), wanted, location)
    is_gene &= np.array([name == genome for name in genomes], dtype=bool)
    if why:
        ids, symbols = ([_bare(v, genome) for v in names] for names in (ids, symbols))
    kept = np.flatnonzero(is_gene)
    gene_of_column = np.where(is_gene, np.cumsum(is_gene) - 1, -1).astype(np.int32)
    return _Matrix(
        place="matrix",
        shown=f"matrix, genome {genome}{why}" if why else "matrix",
        shape=shape,
        gene_ids=[ids[i] for i in kept],
        gene_symbols=[symbols[i] for i in kept],
        gene_of_column=None if is_gene.all() else gene_of_column,
    )


def _genome(found: list[str], wanted: str, location: str) -> tuple[str, str]:
    """Return the genome to read, and why it was chosen if there was a choice."""
    if wanted:
        if wanted not in found:
            near = near_matches(wanted, found)
            hint = f"did you mean '{near[0]}'? " if near else ""
            remedy = f"{hint}its genomes: {listed(found)}; correct the registry column 'counts'"
            raise AtlasError.one(location, wanted, "the file has no such genome", remedy)
        return wanted, f" (named; of {listed(found)})" if len(found) > 1 else ""
    if len(found) < 2:
        return (found or [""])[0], ""
    human = [name for name in found if _HUMAN.search(name)]
    if len(human) != 1:
        wrong = f"holds {len(found)} genomes ({listed(found)}), {len(human)} of them look human"
        remedy = "name the human one in the registry column 'counts'"
        raise AtlasError.one(location, "", wrong, remedy)
    return human[0], f" (the human one of {listed(found)})"


def _bare(name: str, genome: str) -> str:
    """Remove the genome that Cell Ranger writes before names if there are several."""
    return name.removeprefix(f"{genome}_").lstrip("_") if name.startswith(f"{genome}_") else name


def _shape(matrix: h5py.Group, location: str) -> tuple[int, int]:
    """Return cells and features."""
    n_features, n_cells = (int(n) for n in matrix["shape"][:])
    if min(n_features, n_cells) < 0:
        raise damaged(location, f"{matrix.name}/shape".strip("/"), "it is negative")
    return n_cells, n_features


def _texts(matrix: h5py.Group, name: str, n: int, location: str) -> list[str]:
    texts = matrix[name].asstr()[:].tolist()
    if len(texts) != n:
        place = f"{matrix.name}/{name}".strip("/")
        wrong = f"it holds {len(texts):,} names, the matrix has {n:,}"
        raise damaged(location, place, wrong)
    return texts
