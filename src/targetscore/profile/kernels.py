"""The loops over counts, compiled. Sums are integers, so no order of adding matters."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from targetscore.packs import ESCAPE, Rows

__all__ = [
    "BAD_COLUMN",
    "BAD_COUNT",
    "FIXED_POINT",
    "N_SUMS",
    "THINNED_UMI",
    "accumulate",
    "drain",
    "pack_rows",
    "thinned_detection",
]

THINNED_UMI = 2000
"""Depth N0 that detection is thinned to (C1)."""

FIXED_POINT = 1 << 24
"""One, in the fixed point that logarithms and thinned detection are summed in."""

N_SUMS = 5
"""Sums per gene: cells detected, thinned detection, log1p, log1p squared, counts."""

BAD_COLUMN, BAD_COUNT = 1, 2

_TABLE = 32
_WHOLE = 2.0**53


@njit(cache=True, nogil=True)
def pack_rows(
    rows: NDArray[np.int64],
    indptr: NDArray[np.int64],
    columns: NDArray[Any],
    values: NDArray[Any],
    gene_of_column: NDArray[np.int32],
    distinct: bool,
    counted: NDArray[np.int8],
    places: NDArray[np.int64],
    genes_out: NDArray[Any],
    bytes_out: NDArray[np.uint8],
    total: NDArray[np.int64],
    library: NDArray[np.int64],
    overflow: NDArray[np.int64],
) -> tuple[int, int]:
    """Write rows as gene numbers followed by one byte per count.

    Parameters
    ----------
    rows
        Rows of the block to write, shape ``(n,)``.
    indptr, columns, values
        The block, as stored; columns may repeat and come in any order.
    gene_of_column
        Gene of each column, -1 for a column that is no gene.
    distinct
        Whether every column is a gene, and no two the same.
    counted
        1 for genes that count for the library size, else 0, shape ``(n_genes,)``.
    places
        Byte of the output at which each row begins, shape ``(n,)``.
    genes_out, bytes_out
        The output, as genes and as bytes: two views of the same memory.
    total, library
        Set to the counts of each row, all and without masked genes, shape ``(n,)``.
    overflow
        Filled with (row, position, count) of counts that a byte cannot hold, shape ``(m, 3)``.

    Returns
    -------
    fault
        0, :data:`BAD_COLUMN` or :data:`BAD_COUNT`.
    n_overflow
        Counts that a byte cannot hold; if they are more than ``m``, call again with room.
    """
    n_columns, width = len(gene_of_column), genes_out.itemsize
    seen = np.full(len(counted), -1, dtype=np.int64)
    first = np.zeros(len(counted), dtype=np.int64)
    merged = np.zeros(1, dtype=np.int64)
    n_overflow = 0
    for i in range(len(rows)):
        begin, end = indptr[rows[i]], indptr[rows[i] + 1]
        length = end - begin
        gene_at, byte_at = places[i] // width, places[i] + width * length
        # Slices, and loops without branches: so they are compiled to vector instructions.
        own, stored = columns[begin:end], values[begin:end]
        own_genes = genes_out[gene_at : gene_at + length]
        own_bytes = bytes_out[byte_at : byte_at + length]
        n_back = np.int64(0)
        for k in range(length - 1):
            n_back += own[k + 1] <= own[k]
        if length and n_back == 0 and (own[0] < 0 or own[length - 1] >= n_columns):
            return BAD_COLUMN, 0
        n_large, n_wrong, row_total = np.int64(0), np.int64(0), np.int64(0)
        for k in range(length):
            count = np.int64(stored[k])
            n_wrong += (count != stored[k]) | (count < 0) | (stored[k] >= _WHOLE)
            n_large += count >= ESCAPE
            row_total += count
            own_bytes[k] = count if count < ESCAPE else ESCAPE
        if n_wrong:
            return BAD_COUNT, 0
        once = distinct and n_back == 0
        row_library = np.int64(0)
        if once:
            for k in range(length):
                gene = gene_of_column[np.uint32(own[k])]
                own_genes[k] = gene
                row_library += np.int64(stored[k]) * counted[np.uint32(gene)]
        else:
            # A gene may occur twice: all its counts go to where it came first, 0 elsewhere.
            if len(merged) < length:
                merged = np.zeros(length, dtype=np.int64)
            row_total, n_large = np.int64(0), np.int64(length)
            for k in range(length):
                if own[k] < 0 or own[k] >= n_columns:
                    return BAD_COLUMN, 0
                gene, count = gene_of_column[own[k]], np.int64(stored[k])
                merged[k] = 0
                own_genes[k] = max(gene, 0)
                if gene < 0:
                    continue
                if seen[gene] != i:
                    seen[gene], first[gene] = i, k
                merged[first[gene]] += count
                row_total += count
                row_library += counted[gene] * count
            for k in range(length):
                own_bytes[k] = min(merged[k], ESCAPE)
        if n_large:
            for k in range(length):
                count = np.int64(stored[k]) if once else merged[k]
                if count >= ESCAPE:
                    if n_overflow < len(overflow):
                        overflow[n_overflow, 0] = i
                        overflow[n_overflow, 1] = k
                        overflow[n_overflow, 2] = count
                    n_overflow += 1
        total[i], library[i] = row_total, row_library
    return 0, n_overflow


@njit(cache=True, nogil=True)
def thinned_detection(count: Any, library: Any) -> float:
    """Return the chance to detect a gene had the cell been read to :data:`THINNED_UMI` (C1).

    ``q = 1 - (1 - N0/s)^x`` if the library ``s`` exceeds ``N0``, else 1 where ``x > 0``.

    Parameters
    ----------
    count
        UMI counts ``x`` of the gene in the cell.
    library
        Masked library size ``s`` of the cell.
    """
    if library <= THINNED_UMI:
        return 1.0 if count > 0 else 0.0
    return 1.0 - (1.0 - THINNED_UMI / library) ** count


@njit(cache=True, nogil=True)
def _add(sums: NDArray[np.int64], count: Any, library: Any) -> None:
    log = np.log1p(count * (1e4 / max(library, 1)))
    sums[0] += 1
    sums[1] += np.int64(np.rint(thinned_detection(count, library) * FIXED_POINT))
    sums[2] += np.int64(np.rint(log * FIXED_POINT))
    sums[3] += np.int64(np.rint(log * log * FIXED_POINT))
    sums[4] += count


@njit(cache=True, nogil=True)
def accumulate(rows: Rows, overflow: NDArray[np.int64], sums: NDArray[np.int64]) -> None:
    """Add cells to the sums of their group.

    Parameters
    ----------
    rows
        Packed rows of the cells.
    overflow
        (position, count) of counts that a byte cannot hold.
    sums
        Added to, shape ``(n_genes, N_SUMS)``.
    """
    width = rows.genes.itemsize
    table = np.zeros((_TABLE, N_SUMS), dtype=np.int64)
    for i in range(len(rows.places)):
        library, length = rows.library[i], rows.lengths[i]
        for count in range(1, _TABLE):
            table[count] = 0
            _add(table[count], count, library)
        gene_at, byte_at = rows.places[i] // width, rows.places[i] + width * length
        own_genes = rows.genes[gene_at : gene_at + length]
        own_counts = rows.counts[byte_at : byte_at + length]
        for k in range(length):
            entry, gene = np.uint32(own_counts[k]), np.uint32(own_genes[k])
            if entry < _TABLE:
                s0, s1, s2 = sums[gene, 0], sums[gene, 1], sums[gene, 2]
                s3, s4 = sums[gene, 3], sums[gene, 4]
                sums[gene, 0] = s0 + table[entry, 0]
                sums[gene, 1] = s1 + table[entry, 1]
                sums[gene, 2] = s2 + table[entry, 2]
                sums[gene, 3] = s3 + table[entry, 3]
                sums[gene, 4] = s4 + table[entry, 4]
            elif entry < ESCAPE:
                _add(sums[gene], int(entry), library)
        for k in range(rows.overflow_start[i], rows.overflow_stop[i]):
            _add(sums[own_genes[overflow[k, 0]]], overflow[k, 1], library)


@njit(cache=True, nogil=True)
def drain(
    sums: NDArray[np.int64],
    gene: NDArray[np.int32],
    detected: NDArray[np.int64],
    thinned: NDArray[np.float64],
    counts: NDArray[np.int64],
    log: NDArray[np.float64],
    log_square: NDArray[np.float64],
) -> int:
    """Move the sums of detected genes out, in order of genes, and set them to zero.

    Parameters
    ----------
    sums
        Shape ``(n_genes, N_SUMS)``; all zero afterwards.
    gene, detected, thinned, counts, log, log_square
        Filled from the start: number of the gene, and its sums as numbers of their own.

    Returns
    -------
    int
        Genes moved.
    """
    n = 0
    for g in range(len(sums)):
        if sums[g, 0] > 0:
            gene[n] = g
            detected[n] = sums[g, 0]
            thinned[n] = sums[g, 1] / FIXED_POINT
            log[n] = sums[g, 2] / FIXED_POINT
            log_square[n] = sums[g, 3] / FIXED_POINT
            counts[n] = sums[g, 4]
            sums[g] = 0
            n += 1
    return n
