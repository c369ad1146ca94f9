"""Pack the rows of an atlas: one pass over the matrix, several threads, bounded memory."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from targetscore.errors import MatrixError, StorageError
from targetscore.formats import OpenAtlas, RowBlock, as_counts, check_columns
from targetscore.io import atomic_path
from targetscore.packs import CELL_ARRAYS, gene_dtype, row_bytes, write_end
from targetscore.profile import kernels
from targetscore.profile.groups import number_groups
from targetscore.profile.layout import Layout, layout_of
from targetscore.progress import Progress, cells_text, size_text
from targetscore.threads import in_order

__all__ = ["pack_rows", "rows_of_shard", "write_pack"]

_OVERFLOW = 1 << 14
_AHEAD = 2
_COMPILED = (np.dtype(np.float32), np.dtype(np.int32), np.dtype(np.int64))


def rows_of_shard(n_rows: int, shard: int, n_shards: int) -> tuple[int, int]:
    """Return the rows of the matrix that shard 1 … ``n_shards`` packs, from and up to."""
    return n_rows * (shard - 1) // n_shards, n_rows * shard // n_shards


def pack_rows(
    atlas: OpenAtlas,
    cells: Iterable[pd.DataFrame],
    genes: pd.DataFrame,
    path: str | os.PathLike[str],
    *,
    shard: int = 1,
    n_shards: int = 1,
    threads: int = 1,
    progress: Progress | None = None,
) -> None:
    """Pack one shard of an atlas: its raw counts once more, in the order of their groups.

    Parameters
    ----------
    atlas
        The atlas.
    cells, genes
        Contracts ``ingest/cells`` (at least ``row`` and the group key; whole or in pieces) and
        ``ingest/genes``.
    path
        Where the pack is written, atomically.
    shard, n_shards
        Which of how many equal ranges of rows, from 1.
    threads
        Threads that read and pack.
    progress
        Where cells, bytes and time left are shown.

    Raises
    ------
    MatrixError
        If the matrix cannot be read, does not hold counts, or is not the one ingested.
    StorageError
        If there is no room for the pack.
    """
    start, stop = rows_of_shard(atlas.shape[0], shard, n_shards)
    groups, group_of_row, n_rows = number_groups(cells, start, stop)
    if n_rows > atlas.shape[0]:
        raise _changed(atlas.location, f"has {atlas.shape[0]:,} rows, {n_rows:,} were ingested")
    layout = layout_of(genes)
    write_pack(
        atlas,
        group_of_row,
        len(groups),
        layout,
        path,
        layout.digest(groups),
        start=start,
        threads=threads,
        progress=progress,
    )


def write_pack(
    atlas: OpenAtlas,
    group_of_row: NDArray[np.int32],
    n_groups: int,
    layout: Layout,
    path: str | os.PathLike[str],
    made_of: str,
    *,
    start: int = 0,
    threads: int = 1,
    progress: Progress | None = None,
) -> None:
    """Write the pack of some consecutive rows of an atlas, atomically.

    Parameters
    ----------
    atlas
        The atlas.
    group_of_row
        Group of each row from ``start`` on, -1 for rows left out.
    n_groups
        Groups of the whole atlas.
    layout
        Genes of the matrix columns.
    path
        Where the pack is written.
    made_of
        Digest of groups and genes, see :meth:`Layout.digest`.
    start
        First row.
    threads
        Threads that read and pack.
    progress
        Where cells, bytes and time left are shown.

    Raises
    ------
    MatrixError
        If the matrix cannot be read, does not hold counts, or is not the one ingested.
    StorageError
        If there is no room for the pack.
    """
    kept = np.flatnonzero(group_of_row >= 0)
    order = kept[np.argsort(group_of_row[kept], kind="stable")]
    group_start = np.concatenate([[0], np.cumsum(np.bincount(group_of_row[kept], None, n_groups))])
    shown = progress or Progress()
    shown.start(f"reading {Path(atlas.location).name}", len(group_of_row), text=cells_text)
    with (
        atomic_path(path) as temporary,
        temporary.open("wb+") as file,
        tempfile.TemporaryFile(dir=temporary.parent) as spill,
    ):
        packer = _Packer(atlas, layout, order, start, len(group_of_row), file, spill)
        del kept, order  # with 50 million cells each would take 400 MB more
        for n_rows, n_bytes in in_order(packer.pack, packer.blocks(), threads, packer.note, _AHEAD):
            shown.advance(n_rows, n_bytes)
        shown.conclude()
        arrays = packer.cells | {"group_start": group_start}
        facts = {"n_genes": len(layout.gene_ids), "made_of": made_of}
        write_end(file, packer.end, spill, arrays, facts)


def _changed(where: str, wrong: str) -> MatrixError:
    """Return the error for a matrix that is not the one that was ingested."""
    return MatrixError.one(
        where, "matrix", wrong, "the file changed after ingest; run again from the start"
    )


class _Packer:
    """Places rows, and packs blocks of them from any thread."""

    def __init__(
        self,
        atlas: OpenAtlas,
        layout: Layout,
        order: NDArray[np.int64],
        start: int,
        n_rows: int,
        file: BinaryIO,
        spill: BinaryIO,
    ) -> None:
        self._atlas, self._start, self._stop = atlas, start, start + n_rows
        self._genes = _gene_of_column(atlas, layout)
        repeated = len(layout.gene_of_column) > len(layout.gene_ids)
        self._distinct = not repeated and bool((self._genes >= 0).all())
        self._counted = (~layout.masked).astype(np.int8)
        self._dtype = gene_dtype(len(layout.gene_ids))
        self._file, self._spill = file.fileno(), spill
        self._n_overflow = 0
        self._cell_of_row = np.full(n_rows, -1, dtype=np.int64)
        self._cell_of_row[order] = np.arange(len(order))
        self.cells = {name: np.zeros(len(order), dtype=np.int64) for name in CELL_ARRAYS}
        self.cells["row"][:] = order + start
        self.end = 0
        if atlas.row_lengths is not None:
            lengths = atlas.row_lengths(start, self._stop)
            self._place(np.arange(len(order)), lengths[order])
            _need_room(Path(file.name).parent, self.end)

    def _place(self, cells: NDArray[np.int64], lengths: NDArray[np.int64]) -> None:
        ends = self.end + np.cumsum(row_bytes(lengths, self._dtype))
        self.cells["length"][cells] = lengths
        self.cells["place"][cells] = np.concatenate([[self.end], ends[:-1]])
        self.end = int(ends[-1]) if len(ends) else self.end

    def blocks(self) -> Iterator[RowBlock]:
        """Yield the blocks to pack, their rows placed."""
        n_read = self._start
        for block in self._atlas.rows(self._start, self._stop):
            if self._atlas.row_lengths is None:
                rows, cells = self._kept(block)
                self._place(cells, np.diff(block.indptr)[rows])
            n_read += len(block.indptr) - 1
            yield block
        if n_read < self._stop:
            wrong = f"has {n_read:,} rows, {self._stop:,} were ingested"
            raise _changed(self._atlas.location, wrong)

    def _kept(self, block: RowBlock) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the rows of a block that are kept, in order of their place, and their cells."""
        first = block.start - self._start
        cells = self._cell_of_row[first : first + len(block.indptr) - 1]
        rows = np.flatnonzero(cells >= 0)
        if self._atlas.row_lengths is not None:
            rows = rows[np.argsort(cells[rows], kind="stable")]
        return rows, cells[rows]

    def pack(self, block: RowBlock) -> tuple[RowBlock, NDArray[np.int64], NDArray[np.int64]]:
        """Read and pack a block; return it with the cells and entries of its overflow."""
        rows, cells = self._kept(block)
        if not len(rows):
            return block, cells, np.zeros((0, 2), dtype=np.int64)
        columns, values = block.load()
        if values.dtype not in _COMPILED:
            values = as_counts(values, self._atlas.location, self._atlas.counts)
        place, length = self.cells["place"][cells], self.cells["length"][cells]
        local = np.concatenate([[0], np.cumsum(row_bytes(length, self._dtype))])
        memory = np.empty(local[-1] // self._dtype.itemsize, dtype=self._dtype)
        memory[local[1:][length > 0] // self._dtype.itemsize - 1] = 0  # may end in padding
        total, library = np.empty(len(rows), np.int64), np.empty(len(rows), np.int64)
        n_overflow, room = _OVERFLOW, 0
        while n_overflow > room:
            room = n_overflow
            overflow = np.empty((room, 3), dtype=np.int64)
            fault, n_overflow = kernels.pack_rows(
                rows,
                block.indptr,
                columns,
                values,
                self._genes,
                self._distinct,
                self._counted,
                local[:-1],
                memory,
                memory.view(np.uint8),
                total,
                library,
                overflow,
            )
            if fault:
                raise self._fault(columns, values)
        self.cells["total"][cells], self.cells["library"][cells] = total, library
        view = memory.view(np.uint8).data
        breaks = np.flatnonzero(np.diff(place) != np.diff(local[:-1])) + 1
        for a, b in pairwise([0, *breaks.tolist(), len(rows)]):
            _write(self._file, view[local[a] : local[b]], int(place[a]))
        found = overflow[:n_overflow]
        return block, cells[found[:, 0]], found[:, 1:]

    def _fault(self, columns: NDArray[Any], values: NDArray[Any]) -> MatrixError:
        where = (self._atlas.location, self._atlas.counts)
        try:
            check_columns(columns, self._atlas.shape[1], *where)
            as_counts(values, *where)
        except MatrixError as error:
            return error
        return _changed(where[0], "cannot be packed: its columns are not those ingested")

    def note(
        self, packed: tuple[RowBlock, NDArray[np.int64], NDArray[np.int64]]
    ) -> tuple[int, int]:
        """Keep the overflow of a block; blocks are noted in order. Return its rows and bytes."""
        block, cells, entries = packed
        if len(cells):
            edges = np.flatnonzero(np.diff(cells, prepend=-1, append=-1))
            self.cells["overflow_start"][cells[edges[:-1]]] = edges[:-1] + self._n_overflow
            self.cells["overflow_stop"][cells[edges[:-1]]] = edges[1:] + self._n_overflow
            self._spill.write(np.ascontiguousarray(entries).tobytes())
            self._n_overflow += len(cells)
        return len(block.indptr) - 1, block.n_bytes


def _gene_of_column(atlas: OpenAtlas, layout: Layout) -> NDArray[np.int32]:
    given = atlas.gene_of_column
    genes = np.arange(atlas.shape[1]) if given is None else given
    n_genes = int((genes >= 0).sum())
    if n_genes != len(layout.gene_of_column):
        wrong = f"has {n_genes:,} columns, {len(layout.gene_of_column):,} were ingested"
        raise _changed(atlas.location, wrong)
    return np.where(genes >= 0, layout.gene_of_column[genes], -1).astype(np.int32)


def _need_room(folder: Path, n_bytes: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < n_bytes:
        wrong = f"{size_text(n_bytes)} are needed for the packed counts, {size_text(free)} are free"
        remedy = "make room there, or name another folder for results (snakemake --directory)"
        raise StorageError.one(folder, "", wrong, remedy)


def _write(descriptor: int, view: memoryview, place: int) -> None:
    while len(view):
        done = os.pwrite(descriptor, view, place)
        view, place = view[done:], place + done
