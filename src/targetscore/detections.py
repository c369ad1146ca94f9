"""Single genes out of a pack: detection bits for pairs, counts gene by gene for panels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from targetscore.packs import ESCAPE, Pack, Rows
from targetscore.threads import in_order

__all__ = ["Detections", "GroupBits", "detection_bits", "gene_counts"]

_PIECE = 1 << 21
_ENTRIES = 1 << 22


@dataclass(frozen=True)
class GroupBits:
    """Which cells of a group were detected with which genes.

    Attributes
    ----------
    group
        Number of the group.
    n_cells
        Its cells.
    bits
        Shape ``(n_genes, ceil(n_cells / 64))``; bit ``i % 64`` of word ``i // 64`` is cell ``i``
        of the group, in the order of the rows of the atlas; bits past the last cell are 0.
    """

    group: int
    n_cells: int
    bits: NDArray[np.uint64]


def detection_bits(
    packs: Sequence[Pack], genes: Sequence[int], threads: int = 1
) -> Iterator[GroupBits]:
    """Yield detection bits of some genes, group by group in order.

    A cell is detected with a gene if it has at least one count. Memory is that of the
    largest group: ``len(genes) / 8`` bytes per cell and thread.

    Parameters
    ----------
    packs
        Packs of consecutive rows of one atlas, in the order of the rows.
    genes
        Numbers of the genes, each once.
    threads
        Threads that read.
    """
    wanted = _wanted(packs[0].n_genes, genes)

    def bits_of(group: int) -> GroupBits:
        sizes = [int(p.group_start[group + 1] - p.group_start[group]) for p in packs]
        bits = np.zeros((len(genes), -(-sum(sizes) // 64)), dtype=np.uint64)
        for pack, first in zip(packs, np.cumsum([0, *sizes]), strict=False):
            begin = int(pack.group_start[group])
            for start, stop in pack.pieces(group, _PIECE):
                cell = int(first) + start - begin
                _set_bits(pack.read(start, stop), wanted, cell, bits)
        return GroupBits(group, sum(sizes), bits)

    groups = range(len(packs[0].group_start) - 1)
    yield from in_order(bits_of, groups, threads, lambda bits: bits)


@dataclass(frozen=True)
class Detections:
    """Counts of some genes, sorted by gene, group and row.

    Attributes
    ----------
    gene
        Position of the gene among those asked for, shape ``(n,)`` like all others.
    group, row
        Group and matrix row of the cell.
    count, library
        Its counts of the gene, and its library size without masked genes.
    """

    gene: NDArray[np.int64]
    group: NDArray[np.int64]
    row: NDArray[np.int64]
    count: NDArray[np.int64]
    library: NDArray[np.int64]


def gene_counts(packs: Sequence[Pack], genes: Sequence[int]) -> Iterator[Detections]:
    """Yield all counts of some genes, gene after gene.

    The packs are read once for every four million counts (or one gene).

    Parameters
    ----------
    packs
        Packs of consecutive rows of one atlas, in the order of the rows.
    genes
        Numbers of the genes, each once.
    """
    n_detected = np.zeros(len(genes), dtype=np.int64)
    everything = _wanted(packs[0].n_genes, genes)
    for pack, _, start, stop in _pieces(packs):
        _count_entries(pack.read(start, stop), everything, n_detected)
    first = 0
    while first < len(genes):
        ends = np.cumsum(n_detected[first:])
        last = first + max(int(np.searchsorted(ends, _ENTRIES, "right")), 1)
        yield _gather(packs, genes[first:last], n_detected[first:last], first)
        first = last


def _gather(
    packs: Sequence[Pack], genes: Sequence[int], sizes: NDArray[np.int64], first: int
) -> Detections:
    cursors = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    wanted = _wanted(packs[0].n_genes, genes)
    out = np.empty((4, int(sizes.sum())), dtype=np.int64)
    for pack, group, start, stop in _pieces(packs):
        numbers = np.asarray(pack.cells["row"][start:stop])
        _collect(pack.read(start, stop), pack.overflow, wanted, group, numbers, cursors, out)
    return Detections(np.repeat(np.arange(len(genes)) + first, sizes), *out)


def _pieces(packs: Sequence[Pack]) -> Iterator[tuple[Pack, int, int, int]]:
    for group in range(len(packs[0].group_start) - 1):
        for pack in packs:
            for start, stop in pack.pieces(group, _PIECE):
                yield pack, group, start, stop


def _wanted(n_genes: int, genes: Sequence[int]) -> NDArray[np.int32]:
    wanted = np.full(n_genes, -1, dtype=np.int32)
    wanted[np.asarray(genes, dtype=np.int64)] = np.arange(len(genes))
    return wanted


@njit(cache=True, nogil=True)
def _set_bits(
    rows: Rows, wanted: NDArray[np.int32], first_cell: int, bits: NDArray[np.uint64]
) -> None:
    width = rows.genes.itemsize
    for i in range(len(rows.places)):
        word = (first_cell + i) >> 6
        bit = np.uint64(1) << np.uint64((first_cell + i) & 63)
        gene_at, byte_at = rows.places[i] // width, rows.places[i] + width * rows.lengths[i]
        for k in range(rows.lengths[i]):
            gene = wanted[rows.genes[gene_at + k]]
            if gene >= 0 and rows.counts[byte_at + k] > 0:
                bits[gene, word] |= bit


@njit(cache=True, nogil=True)
def _count_entries(rows: Rows, wanted: NDArray[np.int32], n_detected: NDArray[np.int64]) -> None:
    width = rows.genes.itemsize
    for i in range(len(rows.places)):
        gene_at, byte_at = rows.places[i] // width, rows.places[i] + width * rows.lengths[i]
        for k in range(rows.lengths[i]):
            gene = wanted[rows.genes[gene_at + k]]
            if gene >= 0 and rows.counts[byte_at + k] > 0:
                n_detected[gene] += 1


@njit(cache=True, nogil=True)
def _collect(
    rows: Rows,
    overflow: NDArray[np.int64],
    wanted: NDArray[np.int32],
    group: int,
    numbers: NDArray[np.int64],
    cursors: NDArray[np.int64],
    out: NDArray[np.int64],
) -> None:
    width = rows.genes.itemsize
    for i in range(len(rows.places)):
        gene_at, byte_at = rows.places[i] // width, rows.places[i] + width * rows.lengths[i]
        for k in range(rows.lengths[i]):
            gene = wanted[rows.genes[gene_at + k]]
            count = int(rows.counts[byte_at + k])
            if gene < 0 or count == 0:
                continue
            if count == ESCAPE:
                for entry in range(rows.overflow_start[i], rows.overflow_stop[i]):
                    if overflow[entry, 0] == k:
                        count = overflow[entry, 1]
            at = cursors[gene]
            cursors[gene] += 1
            out[0, at], out[1, at] = group, numbers[i]
            out[2, at], out[3, at] = count, rows.library[i]
