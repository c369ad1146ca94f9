"""Single genes out of a pack: detection bits for pairs, counts gene by gene for panels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from targetscore.packs import ESCAPE, Pack
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
                rows = pack.read(start, stop)
                cell = int(first) + start - begin
                _set_bits(rows.genes, rows.counts, rows.places, rows.lengths, wanted, cell, bits)
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
        rows = pack.read(start, stop)
        _count_entries(rows.genes, rows.counts, rows.places, rows.lengths, everything, n_detected)
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
        rows = pack.read(start, stop)
        _collect(
            rows.genes,
            rows.counts,
            rows.places,
            rows.lengths,
            rows.library,
            rows.overflow_start,
            rows.overflow_stop,
            pack.overflow,
            wanted,
            group,
            np.asarray(pack.cells["row"][start:stop]),
            cursors,
            out,
        )
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
    genes: NDArray[Any],
    counts: NDArray[np.uint8],
    places: NDArray[np.int64],
    lengths: NDArray[np.int64],
    wanted: NDArray[np.int32],
    first_cell: int,
    bits: NDArray[np.uint64],
) -> None:
    width = genes.itemsize
    for i in range(len(places)):
        gene_at, byte_at = places[i] // width, places[i] + width * lengths[i]
        word = (first_cell + i) >> 6
        bit = np.uint64(1) << np.uint64((first_cell + i) & 63)
        for k in range(lengths[i]):
            row = wanted[genes[gene_at + k]]
            if row >= 0 and counts[byte_at + k] > 0:
                bits[row, word] |= bit


@njit(cache=True, nogil=True)
def _count_entries(
    genes: NDArray[Any],
    counts: NDArray[np.uint8],
    places: NDArray[np.int64],
    lengths: NDArray[np.int64],
    wanted: NDArray[np.int32],
    n_detected: NDArray[np.int64],
) -> None:
    width = genes.itemsize
    for i in range(len(places)):
        gene_at, byte_at = places[i] // width, places[i] + width * lengths[i]
        for k in range(lengths[i]):
            row = wanted[genes[gene_at + k]]
            if row >= 0 and counts[byte_at + k] > 0:
                n_detected[row] += 1


@njit(cache=True, nogil=True)
def _collect(
    genes: NDArray[Any],
    counts: NDArray[np.uint8],
    places: NDArray[np.int64],
    lengths: NDArray[np.int64],
    library: NDArray[np.int64],
    overflow_start: NDArray[np.int64],
    overflow_stop: NDArray[np.int64],
    overflow: NDArray[np.int64],
    wanted: NDArray[np.int32],
    group: int,
    numbers: NDArray[np.int64],
    cursors: NDArray[np.int64],
    out: NDArray[np.int64],
) -> None:
    width = genes.itemsize
    for i in range(len(places)):
        gene_at, byte_at = places[i] // width, places[i] + width * lengths[i]
        for k in range(lengths[i]):
            row = wanted[genes[gene_at + k]]
            count = int(counts[byte_at + k])
            if row < 0 or count == 0:
                continue
            if count == ESCAPE:
                for entry in range(overflow_start[i], overflow_stop[i]):
                    if overflow[entry, 0] == k:
                        count = overflow[entry, 1]
            at = cursors[row]
            cursors[row] += 1
            out[0, at], out[1, at] = group, numbers[i]
            out[2, at], out[3, at] = count, library[i]
