"""TileDB-SOMA experiments: a local or remote store, or a release of the CELLxGENE Census.

Needs the extra ``census``. The cells wanted are found by a query of the cell table; of the
matrix only their rows are read.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from targetscore.config.models import AtlasRow
from targetscore.config.stores import parse_store
from targetscore.errors import AtlasError, listed
from targetscore.formats import base
from targetscore.formats.base import Names, OpenAtlas, RowBlock, row_ranges, stream_rows
from targetscore.formats.choice import choose_counts, need_counts
from targetscore.formats.chunks import damaged, reading
from targetscore.formats.gene_names import gene_names
from targetscore.formats.soma_cells import cell_filter
from targetscore.formats.sparse_h5 import three_ranges

_HUMAN = "homo_sapiens"
_LAYERS = ("RNA/raw", "raw/data", "RNA/counts", "RNA/data")
_PRESENCE = "feature_dataset_presence_matrix"
_BUFFER_BYTES = 1 << 25
_PEEK_CELLS = 100
_FIRST_CELLS, _MOST_CELLS = 512, 16_384
# Since TileDB 2.28 a finished read may leave a thread of its tile merge at work on memory already
# freed, which aborted one job in a hundred (TileDB pull request 5723); 0 merges without threads.
_NO_PARALLEL_MERGE = {"sm.query.sparse_global_order.preprocess_tile_merge": "0"}


def open_soma(row: AtlasRow, location: str) -> OpenAtlas:
    """Open a TileDB-SOMA experiment.

    Parameters
    ----------
    row
        Registry row; the filter of ``url``, ``counts`` (``<measurement>/<layer>``), ``gene_id``
        and ``gene_symbol`` are honoured.
    location
        Folder or URI of the experiment, or of a Census, of which the human one is read.

    Raises
    ------
    AtlasError
        If the extra ``census`` is not installed, the store is no experiment, or the filter
        names no column, no value or no cell.
    MatrixError
        If no matrix holds raw counts.
    """
    store = parse_store(row.url)
    with _experiment(location) as (experiment, census), reading(location, ""):
        wanted = cell_filter(experiment.obs, store.filters, location)
        cells = _cells(experiment, wanted, location)
        joinids = cells["soma_joinid"].to_numpy(np.int64)

        def sample(place: str) -> list[NDArray[Any]]:
            with reading(location, place):
                matrix = _matrix(experiment, place)
                ranges = three_ranges(len(joinids), _PEEK_CELLS)
                return [_entries(matrix, joinids[a:b])[2] for a, b in ranges]

        place = choose_counts(_matrices(experiment), row.counts, sample, location)
        measurement = place.split("/", 1)[0]
        genes = _table(experiment.ms[measurement].var)
        kept = _measured_everywhere(experiment, census, measurement, cells, genes)
        n_columns = int(_matrix(experiment, place).shape[1])
    columns = genes["soma_joinid"].to_numpy(np.int64)
    if len(columns) and not 0 <= columns.min() <= columns.max() < n_columns:
        raise damaged(location, place, "its columns are not those of the gene table")
    notes = [f"only cells with {wanted} were read"] if wanted else []
    if len(kept) < len(genes):
        n_datasets = cells["dataset_id"].nunique()
        notes.append(
            f"{len(kept):,} of {len(genes):,} genes were measured in each of the {n_datasets} "
            "datasets these cells are from and are used, the others count as not measured"
        )
    genes, columns = genes.iloc[kept], columns[kept]
    gene_of_column = np.full(n_columns, -1, dtype=np.int32)
    gene_of_column[columns] = np.arange(len(columns), dtype=np.int32)

    def read_names() -> Names:
        index = next((c for c in ("feature_id", "var_id", "index") if c in genes), "soma_joinid")
        return Names(_named(cells), *gene_names(genes.set_index(index), row, location, "var"))

    def rows(start: int, stop: int) -> Iterator[RowBlock]:
        with _experiment(location) as (experiment, _), reading(location, place):
            matrix = _matrix(experiment, place)
            yield from stream_rows(_blocks(matrix, joinids, start, stop), start, stop)

    def peek() -> None:
        with _experiment(location) as (experiment, _), reading(location, place):
            matrix = _matrix(experiment, place)
            ranges = three_ranges(len(joinids), _PEEK_CELLS)
            parts = [_entries(matrix, joinids[a:b])[2] for a, b in ranges]
        need_counts(parts, location, place)

    return OpenAtlas(
        location=location,
        counts=place,
        shape=(len(joinids), n_columns),
        read_names=read_names,
        rows=rows,
        peek=peek,
        gene_of_column=gene_of_column,
        notes=tuple(notes),
    )


@contextmanager
def _experiment(location: str) -> Iterator[tuple[Any, Any]]:
    """Open the experiment, and the Census it is part of, if it is."""
    try:
        import tiledbsoma
    except ImportError as error:
        remedy = "install the extra: pip install 'targetscore[census]'"
        wrong = f"cannot be read without the package tiledbsoma ({error})"
        raise AtlasError.one(location, "", wrong, remedy) from error
    settings: dict[str, str | float] = {"soma.init_buffer_bytes": str(_BUFFER_BYTES)}
    settings |= _NO_PARALLEL_MERGE
    if location.startswith("s3://cellxgene-census-public-us-west-2/"):
        settings |= {"vfs.s3.region": "us-west-2", "vfs.s3.no_sign_request": "true"}
    uri = location
    if "://" not in location:
        if not Path(location).is_dir():
            remedy = "give the folder of the experiment"
            raise AtlasError.one(location, "", "there is no such folder", remedy)
        uri = str(Path(location).resolve())  # TileDB remembers the folder it was started in
    try:
        opened: Any = tiledbsoma.open(
            uri, context=tiledbsoma.SOMATileDBContext(tiledb_config=settings)
        )
    except (tiledbsoma.SOMAError, OSError, RuntimeError, TypeError, ValueError) as error:
        wrong = f"cannot be opened as a TileDB-SOMA store ({error})"
        remedy = "check the folder or URI; it may be cut short: bring it again"
        raise AtlasError.one(location, "", wrong, remedy) from error
    with opened:
        census = opened if "census_data" in _members(opened) else None
        experiment = census["census_data"].get(_HUMAN) if census is not None else opened
        if not isinstance(experiment, tiledbsoma.Experiment):
            wrong = f"is no TileDB-SOMA experiment (it holds {listed(_members(opened))})"
            remedy = "give the folder of the experiment itself"
            raise AtlasError.one(location, "", wrong, remedy)
        try:
            yield experiment, census
        except tiledbsoma.SOMAError as error:
            raise damaged(location, "", error) from error


def _members(opened: Any) -> list[str]:
    return sorted(opened.keys()) if hasattr(opened, "keys") else []


def _table(stored: Any, wanted: str = "") -> pd.DataFrame:
    """Return rows of a table in the order of the matrix."""
    read = stored.read(value_filter=wanted) if wanted else stored.read()
    table = read.concat().to_pandas()
    return table.sort_values("soma_joinid", kind="stable").reset_index(drop=True)


def _cells(experiment: Any, wanted: str, location: str) -> pd.DataFrame:
    cells = _table(experiment.obs, wanted)
    if cells.empty:
        wrong = f"no cell passes the filter {wanted}" if wanted else "it holds no cell"
        raise AtlasError.one(location, "obs", wrong, "widen the filter of the column url")
    return cells


def _named(cells: pd.DataFrame) -> pd.DataFrame:
    index = next((c for c in ("obs_id", "index") if c in cells), "soma_joinid")
    named = cells.rename(columns={"cell": "cell_column"})
    named.insert(0, "cell", cells[index].astype(str))
    return named


def _matrices(experiment: Any) -> list[str]:
    found = [
        f"{name}/{layer}"
        for name in sorted(experiment.ms)
        for layer in sorted(experiment.ms[name].X)
        if experiment.ms[name].X[layer].soma_type == "SOMASparseNDArray"
    ]
    return sorted(found, key=lambda p: _LAYERS.index(p) if p in _LAYERS else len(_LAYERS))


def _matrix(experiment: Any, place: str) -> Any:
    measurement, layer = place.split("/", 1)
    return experiment.ms[measurement].X[layer]


def _measured_everywhere(
    experiment: Any, census: Any, measurement: str, cells: pd.DataFrame, genes: pd.DataFrame
) -> NDArray[np.int64]:
    """Return which genes every dataset of the cells measured: elsewhere 0 means nothing."""
    if census is None or _PRESENCE not in experiment.ms[measurement]:
        return np.arange(len(genes))
    datasets = census["census_info"]["datasets"].read().concat().to_pandas()
    used = datasets.loc[datasets["dataset_id"].isin(cells["dataset_id"].unique()), "soma_joinid"]
    presence = experiment.ms[measurement][_PRESENCE]
    table = presence.read((used.to_numpy(np.int64),)).tables().concat()
    present = table["soma_dim_1"].to_numpy()[table["soma_data"].to_numpy().astype(bool)]
    n_in = pd.Series(present).value_counts().reindex(genes["soma_joinid"], fill_value=0)
    return np.flatnonzero(n_in.to_numpy() == cells["dataset_id"].nunique())


def _entries(
    matrix: Any, joinids: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[Any]]:
    """Read the values of some cells: position among them, column and value of each."""
    table = matrix.read((joinids,)).tables().concat()
    cells, columns, values = (
        table[name].to_numpy() for name in ("soma_dim_0", "soma_dim_1", "soma_data")
    )
    return np.searchsorted(joinids, cells), columns, values


def _blocks(
    matrix: Any, joinids: NDArray[np.int64], start: int, stop: int
) -> Iterator[tuple[int, sp.csr_matrix]]:
    """Yield the rows of some cells, as many at a time as hold about one block of values."""
    n_cells = _FIRST_CELLS
    while start < stop:
        wanted = joinids[start : min(start + n_cells, stop)]
        shape = (len(wanted), int(matrix.shape[1]))
        cells, columns, values = _entries(matrix, wanted)
        order = np.lexsort((columns, cells))
        pointer = np.concatenate([[0], np.cumsum(np.bincount(cells, minlength=len(wanted)))])
        band = sp.csr_matrix((values[order], columns[order], pointer), shape=shape)
        for a, b in row_ranges(band.indptr.astype(np.int64)):
            yield start + a, band[a:b]
        start += len(wanted)
        per_cell = max(1, len(values) // len(wanted))
        n_cells = min(_MOST_CELLS, max(1, base.BLOCK_VALUES // per_cell))
