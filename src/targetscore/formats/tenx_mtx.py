"""10x matrix-market folders: one sample, or a folder of samples as GEO archives unpack to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from targetscore.config.models import AtlasRow
from targetscore.errors import AtlasError, Problem, plain, raise_all
from targetscore.formats.base import Names, OpenAtlas, stream_rows
from targetscore.formats.mtx import mtx_blocks, mtx_peek, mtx_shape
from targetscore.formats.mtx_samples import Sample, find_samples, shared_genes, unread

GENE_TYPES = frozenset({"Gene Expression", ""})
"""Feature types that are genes; files of early versions name none."""


def open_tenx_mtx(row: AtlasRow, location: str) -> OpenAtlas:
    """Open a folder of 10x matrix-market files; antibody and guide features are left out.

    With several samples each name becomes the column ``sample``, and stands before the
    barcodes, which repeat from sample to sample.

    Raises
    ------
    AtlasError
        If a file is missing, the three of a sample do not fit together, or the samples share
        no gene.
    MatrixError
        If a matrix cannot be read.
    """
    del row
    samples = find_samples(Path(location))
    cells: list[pd.DataFrame] = []
    tables: list[pd.DataFrame] = []
    table_of: list[int] = []
    problems: list[Problem] = []
    for sample in samples:
        barcodes = _table(sample.barcodes)[0].astype(str)
        features = _features(sample.features)
        problems += _misfits(sample, len(features), len(barcodes))
        number = next((i for i, t in enumerate(tables) if t.equals(features)), len(tables))
        if number == len(tables):
            tables.append(features)
        table_of.append(number)
        cells.append(_cells(sample, barcodes))
    raise_all(AtlasError, problems)
    genes = shared_genes(tables, location)
    parts = [
        (sample.matrix, len(part), genes.columns[number])
        for sample, part, number in zip(samples, cells, table_of, strict=True)
    ]
    names = Names(pd.concat(cells, ignore_index=True), genes.ids, genes.symbols)
    of = f" of {len(samples)} samples" if samples[0].name else ""
    return OpenAtlas(
        location=location,
        counts=samples[0].matrix.name + of,
        shape=(len(names.cells), len(genes.ids)),
        read_names=lambda: names,
        rows=lambda start, stop: stream_rows(_blocks(parts, start, stop), start, stop),
        peek=lambda: _peek(samples),
        notes=tuple(filter(None, (genes.note, unread(Path(location), samples)))),
    )


def _table(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path, sep="\t", header=None, dtype=str, keep_default_na=False, quoting=3)
    except (OSError, EOFError, ValueError) as error:
        raise AtlasError.one(
            path, "", f"cannot be read ({plain(error)})", "fetch it again"
        ) from error


def _features(path: Path) -> pd.DataFrame:
    table = _table(path)
    kinds = table[2] if 2 in table else pd.Series("", index=table.index)
    symbols = table[1] if 1 in table else table[0]
    return pd.DataFrame({"id": table[0], "symbol": symbols, "is_gene": kinds.isin(GENE_TYPES)})


def _misfits(sample: Sample, n_features: int, n_barcodes: int) -> list[Problem]:
    n_genes, n_cells = mtx_shape(sample.matrix)
    if (n_features, n_barcodes) == (n_genes, n_cells):
        return []
    folder, name = str(sample.matrix.parent), sample.matrix.name
    if (n_features, n_barcodes) == (n_cells, n_genes):
        wrong = f"{name} is cells × genes ({n_genes:,} × {n_cells:,})"
        remedy = "transpose it: scipy.io.mmwrite(new file, scipy.io.mmread(file).T.tocsc())"
        return [Problem(folder, name, wrong, remedy)]
    remedy = "the files are not of one run, or one is cut short; fetch the folder again"
    return [
        Problem(folder, what, f"{what} has {given:,} lines, {name} says {n:,}", remedy)
        for what, given, n in (
            ("features", n_features, n_genes),
            ("barcodes", n_barcodes, n_cells),
        )
        if given != n
    ]


def _cells(sample: Sample, barcodes: pd.Series) -> pd.DataFrame:
    if not sample.name:
        return pd.DataFrame({"cell": barcodes})
    return pd.DataFrame({"cell": f"{sample.name}_" + barcodes, "sample": sample.name})


def _peek(samples: Sequence[Sample]) -> None:
    for sample in samples:
        mtx_peek(sample.matrix)


def _blocks(
    parts: Sequence[tuple[Path, int, NDArray[np.int64]]], start: int, stop: int
) -> Iterator[tuple[int, sp.csr_matrix]]:
    first = 0
    for path, n_cells, genes in parts:
        if first < stop and first + n_cells > start:
            for a, counts in mtx_blocks(path, genes):
                yield first + a, counts
        first += n_cells
