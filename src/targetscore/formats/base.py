"""What every format gives: a table of cells, names of genes, and raw counts in row blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from targetscore.errors import MatrixError, plain

BLOCK_VALUES = 2_000_000
"""Non-zero counts a block may hold; a single row may exceed it."""

_HIGHEST_LOG = 20


@dataclass(frozen=True)
class OpenAtlas:
    """An atlas as its publisher ships it, opened but not read.

    Attributes
    ----------
    location
        File or folder, for messages.
    cells
        One row per matrix row, in matrix order: ``cell`` (barcode) and the publisher's
        columns.
    gene_ids
        Identifier of each matrix column as the publisher wrote it.
    gene_symbols
        Symbol of each matrix column, None where the format has none.
    counts
        Where the raw counts were found, for example ``raw/X``.
    blocks
        Yields ``(first row, counts)``; counts are checked CSR matrices of int64, shape
        ``(n_rows, n_genes)``, in row order, at most :data:`BLOCK_VALUES` values each.
    peek
        Reads and checks a few rows only, and raises what :attr:`blocks` would raise.
    """

    location: str
    cells: pd.DataFrame
    gene_ids: list[str]
    gene_symbols: list[str | None]
    counts: str
    blocks: Callable[[], Iterator[tuple[int, sp.csr_matrix]]]
    peek: Callable[[], None]


def row_ranges(indptr: NDArray[np.int64], limit: int = BLOCK_VALUES) -> Iterator[tuple[int, int]]:
    """Cut rows into ranges that hold at most ``limit`` values each (or one row).

    Parameters
    ----------
    indptr
        CSR row pointer, shape ``(n_rows + 1,)``.
    limit
        Values a range may hold.
    """
    start, n_rows = 0, len(indptr) - 1
    while start < n_rows:
        end = int(np.searchsorted(indptr, indptr[start] + limit, side="right")) - 1
        end = min(max(end, start + 1), n_rows)
        yield start, end
        start = end


def as_counts(values: NDArray[np.generic], file: str, place: str) -> NDArray[np.int64]:
    """Return values as int64 counts.

    Raises
    ------
    MatrixError
        If a value is negative, not a number or not whole; the message says what the matrix
        looks like instead (specification C0).
    """
    if values.dtype.kind in "ui":
        if values.dtype.kind == "i" and len(values) and int(values.min()) < 0:
            raise _not_counts(values, file, place, "negative")
        if len(values) and int(values.max()) >= 2**53:
            raise _not_counts(values[[values.argmax()]], file, place, "too large to be counts")
        return values.astype(np.int64, copy=False)
    if values.dtype.kind not in "fb":
        raise _not_counts(values[:0], file, place, "text instead of numbers")
    if values.dtype.kind == "b":
        raise _not_counts(values, file, place, "true/false instead of numbers")
    numbers = values.astype(np.float64, copy=False)
    if not np.isfinite(numbers).all():
        odd = numbers[~np.isfinite(numbers)]
        raise _not_counts(odd, file, place, "not finite (NaN or infinite)")
    if len(numbers) and numbers.min() < 0:
        raise _not_counts(numbers, file, place, "negative")
    whole = np.rint(numbers)
    if not np.array_equal(whole, numbers):
        looks = "log-normalised" if numbers.max() <= _HIGHEST_LOG else "normalised"
        raise _not_counts(
            numbers[whole != numbers], file, place, f"not whole numbers: the matrix looks {looks}"
        )
    if len(numbers) and numbers.max() >= 2**53:
        odd = numbers[numbers >= 2**53]
        raise _not_counts(odd, file, place, "too large to be exact counts")
    return whole.astype(np.int64)


def _not_counts(values: NDArray[np.generic], file: str, place: str, what: str) -> MatrixError:
    example = plain(values[np.argsort(values, kind="stable")[0]]) if len(values) else ""
    return MatrixError.one(
        file,
        place,
        f"the values are {what} (for example {example}), raw UMI counts are needed",
        "name the raw counts in the registry column 'counts' (X, raw/X or layers/<name>), or "
        "get the count matrix from the publisher; rounding normalised values is not a way out",
    )
