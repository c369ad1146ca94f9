"""The pack: raw counts once more, loss-free, small, and in the order of their groups.

One file holds the packed rows (gene numbers, then a byte per count), the counts a byte
cannot hold, and per cell where its row is. Rows go straight to their final place, because
the order of the cells is known from their labels before a count is read.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from targetscore.errors import ContractError

__all__ = [
    "CELL_ARRAYS",
    "ESCAPE",
    "Pack",
    "Rows",
    "gene_dtype",
    "open_pack",
    "row_bytes",
    "write_end",
]

ESCAPE = 255
"""Byte that stands for a count kept among the overflow entries."""

_MAGIC = b"targetscore pack 1\n"
_TAIL = 8
_PER_ROW = ("library", "overflow_start", "overflow_stop")

CELL_ARRAYS = ("row", "place", "length", "library", "total", "overflow_start", "overflow_stop")
"""Per cell, in the order of the groups, as int64: row of the matrix, byte its packed row begins
at, its entries, counts without and with masked genes, where its overflow entries are."""


def gene_dtype(n_genes: int) -> np.dtype[Any]:
    """Return the smallest type that numbers the genes."""
    return np.dtype(np.uint16 if n_genes <= 1 << 16 else np.uint32)


def row_bytes(lengths: NDArray[np.int64], dtype: np.dtype[Any]) -> NDArray[np.int64]:
    """Return the bytes that packed rows take; each begins at a multiple of the gene's width."""
    width = dtype.itemsize
    return -(-lengths * (width + 1) // width) * width


class Rows(NamedTuple):
    """Packed rows in memory; compiled loops take it as it is.

    Attributes
    ----------
    genes, counts
        The rows, as genes and as bytes: two views of the same memory.
    places, lengths
        Byte at which each row begins in this memory, and its entries, shape ``(n,)``.
    library
        Masked library size of each row.
    overflow_start, overflow_stop
        Where the overflow entries of each row are.
    """

    genes: NDArray[Any]
    counts: NDArray[np.uint8]
    places: NDArray[np.int64]
    lengths: NDArray[np.int64]
    library: NDArray[np.int64]
    overflow_start: NDArray[np.int64]
    overflow_stop: NDArray[np.int64]


@dataclass(frozen=True)
class Pack:
    """An open pack.

    Attributes
    ----------
    path
        The file.
    n_genes
        Genes that entries may name.
    group_start
        First cell of each group, shape ``(n_groups + 1,)``.
    made_of
        Digest of the groups and genes it was made with.
    cells
        The arrays of :data:`CELL_ARRAYS`, mapped from the file.
    overflow
        (position in the row, count) of counts a byte cannot hold, shape ``(n, 2)``.
    """

    path: Path
    n_genes: int
    group_start: NDArray[np.int64]
    made_of: str
    cells: Mapping[str, NDArray[np.int64]]
    overflow: NDArray[np.int64]
    _descriptor: int = field(repr=False)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    @cached_property
    def entries(self) -> NDArray[np.int64]:
        """Entries of each group, shape ``(n_groups,)``."""
        before = np.concatenate([[0], np.cumsum(self.cells["length"])])
        return np.diff(before[self.group_start])

    def pieces(self, group: int, n_values: int) -> list[tuple[int, int]]:
        """Cut the cells of a group into ranges of at most ``n_values`` entries (or one cell)."""
        start, stop = int(self.group_start[group]), int(self.group_start[group + 1])
        ends = np.cumsum(self.cells["length"][start:stop])
        pieces, first, before = [], 0, 0
        while first < stop - start:
            last = max(int(np.searchsorted(ends, before + n_values, "right")), first + 1)
            pieces.append((start + first, start + last))
            first, before = last, int(ends[last - 1])
        return pieces

    def read(self, start: int, stop: int) -> Rows:
        """Read the packed rows of some consecutive cells.

        Raises
        ------
        ContractError
            If the file ends early.
        """
        dtype = gene_dtype(self.n_genes)
        place = np.asarray(self.cells["place"][start:stop])
        length = np.asarray(self.cells["length"][start:stop])
        size = row_bytes(length, dtype)
        local = np.concatenate([[0], np.cumsum(size)])
        memory = np.empty(local[-1] // dtype.itemsize, dtype=dtype)
        view = memory.view(np.uint8).data
        together = np.flatnonzero(place[1:] != place[:-1] + size[:-1]) + 1
        edges = np.concatenate([[0], together, [stop - start]])
        for a, b in pairwise(edges.tolist()):
            part = view[local[a] : local[b]]
            if len(part) and os.preadv(self._descriptor, [part], int(place[a])) != len(part):
                raise _broken(self.path, "it ends early")
        return Rows(
            genes=memory,
            counts=memory.view(np.uint8),
            places=local[:-1],
            lengths=length,
            **{n: np.asarray(self.cells[n][start:stop]) for n in _PER_ROW},
        )


def write_end(
    file: BinaryIO,
    end: int,
    overflow: BinaryIO,
    arrays: Mapping[str, NDArray[np.int64]],
    facts: Mapping[str, object],
) -> None:
    """Write what comes behind the rows of a pack.

    Parameters
    ----------
    file
        The pack, its rows written.
    end
        Where the rows end.
    overflow
        File with the overflow entries, as pairs of int64.
    arrays
        Arrays of the pack, int64.
    facts
        ``n_genes`` and ``made_of``.
    """
    n_overflow = overflow.tell() // 16
    overflow.seek(0)
    file.seek(-(-end // 8) * 8)
    index: dict[str, list[int]] = {"overflow": [file.tell(), n_overflow, 2]}
    shutil.copyfileobj(overflow, file)
    for name, values in arrays.items():
        index[name] = [file.tell(), *values.shape]
        file.write(np.ascontiguousarray(values, dtype=np.int64).data)
    text = json.dumps({"arrays": index, **facts}, sort_keys=True).encode()
    file.write(text + len(text).to_bytes(_TAIL, "little") + _MAGIC)


def open_pack(path: str | os.PathLike[str]) -> Pack:
    """Open a pack.

    Raises
    ------
    ContractError
        If the file is not a pack or was cut short.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError as error:
        raise _broken(path, error.strerror or str(error)) from error
    try:
        end = os.fstat(descriptor).st_size - len(_MAGIC)
        if end < _TAIL or os.pread(descriptor, len(_MAGIC), end) != _MAGIC:
            raise _broken(path, "it does not end like one")
        length = int.from_bytes(os.pread(descriptor, _TAIL, end - _TAIL), "little")
        facts = json.loads(os.pread(descriptor, length, end - _TAIL - length))
    except BaseException:
        os.close(descriptor)
        raise

    def array(name: str) -> NDArray[np.int64]:
        place, *shape = facts["arrays"][name]
        if 0 in shape:
            return np.zeros(shape, dtype=np.int64)
        return np.memmap(path, np.int64, "r", place, tuple(shape))

    return Pack(
        path=Path(path),
        n_genes=facts["n_genes"],
        group_start=np.asarray(array("group_start")),
        made_of=facts["made_of"],
        cells={name: array(name) for name in CELL_ARRAYS},
        overflow=array("overflow"),
        _descriptor=descriptor,
    )


def _broken(path: str | os.PathLike[str], why: str) -> ContractError:
    return ContractError.one(path, "", f"is not a pack ({why})", "delete it and run again")
