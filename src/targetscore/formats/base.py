"""What every format gives: a table of cells, names of genes, and raw counts in row blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from targetscore.errors import MatrixError, plain

if TYPE_CHECKING:
    import scipy.sparse as sp

BLOCK_VALUES = 2_000_000
"""Non-zero counts a block may hold; a single row may exceed it."""

BROKEN = (
    OSError,
    RuntimeError,
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
    EOFError,
    OverflowError,
)
"""What libraries raise when they read a damaged file."""

RowLengths = Callable[[int, int], NDArray[np.int64]]

_HIGHEST_LOG = 20


@dataclass(frozen=True)
class RowBlock:
    """Some consecutive rows of a matrix, not yet read.

    Attributes
    ----------
    start
        First row.
    indptr
        Where each row begins among the block's values, from 0, shape ``(n_rows + 1,)``.
    n_bytes
        Bytes of the file that hold it, 0 if the format cannot say.
    load
        Reads column numbers and counts as stored, both of shape ``(n_values,)``; it may be
        called from any thread while the blocks are iterated over.
    """

    start: int
    indptr: NDArray[np.int64]
    n_bytes: int
    load: Callable[[], tuple[NDArray[Any], NDArray[Any]]]


class Names(NamedTuple):
    """Who the rows and columns of a matrix are.

    Attributes
    ----------
    cells
        One row per matrix row, in matrix order: ``cell`` (barcode) and the publisher's
        columns.
    gene_ids
        Identifier of each gene as the publisher wrote it.
    gene_symbols
        Symbol of each gene, None where the format has none.
    """

    cells: pd.DataFrame
    gene_ids: list[str]
    gene_symbols: list[str | None]


@dataclass(frozen=True)
class OpenAtlas:
    """An atlas as its publisher ships it, opened but not read.

    Attributes
    ----------
    location
        File or folder, for messages.
    counts
        Where the raw counts were found, for example ``raw/X``.
    shape
        Rows and columns of the matrix.
    read_names
        Reads the names of rows and columns; :attr:`cells`, :attr:`gene_ids` and
        :attr:`gene_symbols` call it once.
    rows
        ``rows(start, stop)`` yields the rows from ``start`` to ``stop`` in order, in blocks of
        at most :data:`BLOCK_VALUES` values (or one row).
    peek
        Reads and checks a few rows only, and raises what reading them all would raise.
    gene_of_column
        Position among the genes of each matrix column, -1 for a column that is no gene;
        None if every column is a gene, in order.
    row_lengths
        ``row_lengths(start, stop)`` gives the stored values of each row without reading
        them; None where rows are known only once they were read, in order.
    notes
        What a reader of the results must know of how the atlas was read.
    """

    location: str
    counts: str
    shape: tuple[int, int]
    read_names: Callable[[], Names]
    rows: Callable[[int, int], Iterator[RowBlock]]
    peek: Callable[[], None]
    gene_of_column: NDArray[np.int32] | None = None
    row_lengths: RowLengths | None = None
    notes: tuple[str, ...] = ()

    @cached_property
    def _names(self) -> Names:
        return self.read_names()

    @property
    def cells(self) -> pd.DataFrame:
        """Names and labels of the rows, see :class:`Names`."""
        return self._names.cells

    @property
    def gene_ids(self) -> list[str]:
        """Identifiers of the genes, see :class:`Names`."""
        return self._names.gene_ids

    @property
    def gene_symbols(self) -> list[str | None]:
        """Symbols of the genes, see :class:`Names`."""
        return self._names.gene_symbols

    def blocks(self) -> Iterator[tuple[int, sp.csr_matrix]]:
        """Yield ``(first row, counts)`` in row order, counts as checked CSR of int64.

        Raises
        ------
        MatrixError
            If the matrix cannot be read or does not hold raw counts.
        """
        from scipy.sparse import csr_matrix  # slow to import, and packing does without

        columns, n_columns = self.gene_of_column, self.shape[1]
        for block in self.rows(0, self.shape[0]):
            indices, values = block.load()
            counts = as_counts(values, self.location, self.counts)
            check_columns(indices, n_columns, self.location, self.counts)
            shape = (len(block.indptr) - 1, n_columns)
            matrix = csr_matrix((counts, indices, block.indptr), shape=shape)
            yield block.start, matrix if columns is None else matrix[:, columns >= 0]


def stream_rows(
    blocks: Iterable[tuple[int, sp.csr_matrix]], start: int, stop: int
) -> Iterator[RowBlock]:
    """Turn matrices that come in row order into row blocks, leaving out rows outside a range."""
    for first, matrix in blocks:
        low, high = max(start - first, 0), min(stop - first, matrix.shape[0])
        if low < high:
            part = matrix[low:high] if high - low < matrix.shape[0] else matrix
            loaded = (part.indices, part.data)
            yield RowBlock(first + low, part.indptr.astype(np.int64), 0, partial(given, loaded))


def given(loaded: tuple[NDArray[Any], NDArray[Any]]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return what was read already (the ``load`` of a block that is in memory)."""
    return loaded


def row_ranges(indptr: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Cut rows into ranges that hold at most :data:`BLOCK_VALUES` values each (or one row).

    Parameters
    ----------
    indptr
        CSR row pointer, shape ``(n_rows + 1,)``.
    """
    start, n_rows = 0, len(indptr) - 1
    while start < n_rows:
        end = int(np.searchsorted(indptr, indptr[start] + BLOCK_VALUES, side="right")) - 1
        end = min(max(end, start + 1), n_rows)
        yield start, end
        start = end


def check_columns(columns: NDArray[Any], n_columns: int, file: str, place: str) -> None:
    """Raise :class:`~targetscore.errors.MatrixError` if a column number is out of range."""
    if len(columns) and (int(columns.min()) < 0 or int(columns.max()) >= n_columns):
        odd = next(int(v) for v in (columns.min(), columns.max()) if not 0 <= v < n_columns)
        raise MatrixError.one(
            file,
            place,
            f"the matrix cannot be read (a column index is out of range: {odd:,} of {n_columns:,})",
            "delete the file and fetch it again",
        )


def as_counts(values: NDArray[np.generic], file: str, place: str) -> NDArray[np.int64]:
    """Return values as int64 counts.

    Raises
    ------
    MatrixError
        If a value is negative, not a number or not whole; the message says what the matrix
        looks like instead (specification C0).
    """
    if not len(values):
        return np.zeros(0, dtype=np.int64)
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
