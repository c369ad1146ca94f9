"""Matrix-market files of genes × cells, ordered by cell, read in row blocks of cells."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from targetscore.errors import MatrixError, plain
from targetscore.formats.base import BLOCK_VALUES, as_counts, row_ranges

__all__ = ["mtx_blocks", "mtx_peek", "mtx_shape"]

_FEW = 100_000


def mtx_shape(path: Path) -> tuple[int, int]:
    """Return genes and cells as the file's header says.

    Raises
    ------
    MatrixError
        If it is no matrix-market file.
    """
    genes, cells, _ = _header(path)[1]
    return genes, cells


def _header(path: Path) -> tuple[int, tuple[int, int, int]]:
    """Return the number of header lines and (genes, cells, values)."""
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rt") as stream:
            first = stream.readline()
            n_lines, line = 2, stream.readline()
            while line.startswith("%"):
                n_lines, line = n_lines + 1, stream.readline()
            if not first.startswith("%%MatrixMarket matrix coordinate"):
                raise ValueError("it does not start with '%%MatrixMarket matrix coordinate'")
            genes, cells, values = (int(v) for v in line.split())
    except (OSError, EOFError, ValueError) as error:
        raise MatrixError.one(
            path, "", f"is not a matrix-market file ({plain(error)})", "fetch it again"
        ) from error
    return n_lines, (genes, cells, values)


def _triplets(path: Path, rows: int = BLOCK_VALUES) -> Iterator[pd.DataFrame]:
    n_header, (_, _, n_values) = _header(path)
    seen = 0
    try:
        reader = pd.read_csv(
            path,
            sep=r"\s+",
            header=None,
            skiprows=n_header,
            names=["gene", "cell", "count"],
            dtype={"gene": np.int64, "cell": np.int64},
            chunksize=rows,
        )
        for chunk in reader:
            seen += len(chunk)
            if len(chunk):
                yield chunk
            if rows < BLOCK_VALUES:
                return
    except (OSError, EOFError, ValueError) as error:
        raise MatrixError.one(
            path, f"after value {seen:,}", f"cannot be read ({plain(error)})", "fetch it again"
        ) from error
    if seen != n_values:
        wrong = f"holds {seen:,} values, its header says {n_values:,}"
        raise MatrixError.one(path, "", wrong, "it is cut short; fetch it again")


def mtx_peek(path: Path) -> None:
    """Read the first values of a file.

    Raises
    ------
    MatrixError
        If they cannot be read or are no raw counts.
    """
    for chunk in _triplets(path, _FEW):
        as_counts(chunk["count"].to_numpy(), str(path), "third column")


def mtx_blocks(path: Path, genes: NDArray[np.int64]) -> Iterator[tuple[int, sp.csr_matrix]]:
    """Yield ``(first cell, counts)`` in order, cells × genes.

    Parameters
    ----------
    path
        The file; its values must come cell by cell, as Cell Ranger writes them.
    genes
        Rows of the file that are wanted, in the order wanted.

    Raises
    ------
    MatrixError
        If the file is cut short, not ordered by cell, or holds no raw counts.
    """
    _, (n_genes, n_cells, _) = _header(path)
    start, waiting = 0, sp.csr_matrix((0, n_genes), dtype=np.int64)
    last = 0
    for chunk in _triplets(path):
        cells = chunk["cell"].to_numpy() - 1
        rows = chunk["gene"].to_numpy() - 1
        if cells[0] < last or (np.diff(cells) < 0).any():
            raise MatrixError.one(
                path,
                "second column",
                "the values are not ordered by cell",
                "sort them: scipy.io.mmread(file).tocsc(), scipy.io.mmwrite(new file)",
            )
        if cells.max() >= n_cells or rows.min() < 0 or rows.max() >= n_genes:
            raise MatrixError.one(path, "", "a gene or cell number is out of range", "fetch again")
        counts = as_counts(chunk["count"].to_numpy(), str(path), "third column")
        last = int(cells[-1])
        part = sp.csr_matrix(
            (counts, (cells - start, rows)), shape=(last + 1 - start, n_genes), dtype=np.int64
        )
        waiting = _add(waiting, part)
        done = waiting[:-1]
        for a, b in row_ranges(done.indptr.astype(np.int64)):
            yield start + a, done[a:b][:, genes]
        start, waiting = start + done.shape[0], waiting[-1:]
    tail = sp.csr_matrix((n_cells - start, n_genes), dtype=np.int64)
    if n_cells > start:
        yield start, _add(waiting, tail)[:, genes]


def _add(upper: sp.csr_matrix, part: sp.csr_matrix) -> sp.csr_matrix:
    """Add two matrices of different height, both starting at the same row."""
    n = max(upper.shape[0], part.shape[0])
    grown = []
    for matrix in (upper, part):
        indptr = np.concatenate(
            [matrix.indptr, np.full(n - matrix.shape[0], matrix.indptr[-1], matrix.indptr.dtype)]
        )
        grown.append(sp.csr_matrix((matrix.data, matrix.indices, indptr), shape=(n, part.shape[1])))
    return sp.csr_matrix(grown[0] + grown[1])
