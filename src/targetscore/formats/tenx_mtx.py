"""10x matrix-market folders: matrix.mtx, barcodes.tsv and features.tsv (or genes.tsv)."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse as sp

from targetscore.config.models import AtlasRow
from targetscore.errors import AtlasError, MatrixError, listed
from targetscore.formats.base import (
    BLOCK_VALUES,
    Names,
    OpenAtlas,
    as_counts,
    row_ranges,
    stream_rows,
)

GENE_TYPES = frozenset({"Gene Expression", ""})
"""Feature types that are genes; files of early versions name none."""


def open_tenx_mtx(row: AtlasRow, location: str) -> OpenAtlas:
    """Open a 10x matrix-market folder; antibody and guide features are left out.

    Raises
    ------
    AtlasError
        If a file is missing or the three do not fit together.
    """
    del row
    folder = Path(location)
    matrix = _file(folder, ("matrix.mtx", "counts.mtx"))
    barcodes = _table(_file(folder, ("barcodes.tsv",)))[0]
    features = _table(_file(folder, ("features.tsv", "genes.tsv")))
    n_genes, n_cells, _ = _header(matrix)[1]
    for what, given, n in (("features", features, n_genes), ("barcodes", barcodes, n_cells)):
        if len(given) != n:
            wrong = f"{what} has {len(given):,} lines, {matrix.name} says {n:,}"
            remedy = "the files are not of one run, or one is cut short; fetch the folder again"
            raise AtlasError.one(location, what, wrong, remedy)
    kinds = features[2] if 2 in features else pd.Series("", index=features.index)
    is_gene = kinds.isin(GENE_TYPES).to_numpy()
    symbols = features[1] if 1 in features else features[0]
    names = Names(
        pd.DataFrame({"cell": barcodes.astype(str)}),
        features.loc[is_gene, 0].tolist(),
        list(symbols[is_gene]),
    )
    return OpenAtlas(
        location=location,
        counts=matrix.name,
        shape=(n_cells, int(is_gene.sum())),
        read_names=lambda: names,
        rows=lambda start, stop: stream_rows(_blocks(matrix, is_gene), start, stop),
        peek=lambda: _peek(matrix),
    )


def _file(folder: Path, names: tuple[str, ...]) -> Path:
    candidates = [folder / f"{n}{end}" for n in names for end in ("", ".gz")]
    for path in candidates:
        if path.is_file():
            return path
    found = listed(sorted(p.name for p in folder.iterdir())) if folder.is_dir() else "no folder"
    wanted = " or ".join(f"{n}[.gz]" for n in names)
    raise AtlasError.one(
        folder, "", f"has no {wanted} (found: {found})", "give the folder with the three 10x files"
    )


def _table(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path, sep="\t", header=None, dtype=str, keep_default_na=False, quoting=3)
    except (OSError, EOFError, ValueError) as error:
        raise AtlasError.one(path, "", f"cannot be read ({error})", "fetch it again") from error


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
            path, "", f"is not a matrix-market file ({error})", "fetch it again"
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
            yield chunk
            if rows < BLOCK_VALUES:
                return
    except (OSError, EOFError, ValueError) as error:
        raise MatrixError.one(
            path, f"after value {seen:,}", f"cannot be read ({error})", "fetch it again"
        ) from error
    if seen != n_values:
        wrong = f"holds {seen:,} values, its header says {n_values:,}"
        raise MatrixError.one(path, "", wrong, "it is cut short; fetch it again")


def _peek(path: Path) -> None:
    for chunk in _triplets(path, 100_000):
        as_counts(chunk["count"].to_numpy(), str(path), "third column")


def _blocks(path: Path, is_gene: np.ndarray) -> Iterator[tuple[int, sp.csr_matrix]]:
    """Yield row blocks; the values must come cell by cell, as Cell Ranger writes them."""
    _, (n_genes, n_cells, _) = _header(path)
    start, waiting = 0, sp.csr_matrix((0, n_genes), dtype=np.int64)
    last = 0
    for chunk in _triplets(path):
        cells = chunk["cell"].to_numpy() - 1
        genes = chunk["gene"].to_numpy() - 1
        if cells[0] < last or (np.diff(cells) < 0).any():
            raise MatrixError.one(
                path,
                "second column",
                "the values are not ordered by cell",
                "sort them: scipy.io.mmread(file).tocsc(), scipy.io.mmwrite(new file)",
            )
        if cells.max() >= n_cells or genes.min() < 0 or genes.max() >= n_genes:
            raise MatrixError.one(path, "", "a gene or cell number is out of range", "fetch again")
        counts = as_counts(chunk["count"].to_numpy(), str(path), "third column")
        last = int(cells[-1])
        part = sp.csr_matrix(
            (counts, (cells - start, genes)), shape=(last + 1 - start, n_genes), dtype=np.int64
        )
        waiting = _add(waiting, part)
        done = waiting[:-1]
        for a, b in row_ranges(done.indptr.astype(np.int64)):
            yield start + a, done[a:b][:, is_gene]
        start, waiting = start + done.shape[0], waiting[-1:]
    tail = sp.csr_matrix((n_cells - start, n_genes), dtype=np.int64)
    if n_cells > start:
        yield start, _add(waiting, tail)[:, is_gene]


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
