"""Dense matrices, read some cells at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from numpy.typing import NDArray

from targetscore.formats import base
from targetscore.formats.base import RowBlock, as_counts, stream_rows

__all__ = ["dense_rows"]

_MOST_BLOCKS = 32


def dense_rows(
    read: Callable[[int, int], NDArray[Any]],
    n_columns: int,
    n_together: int,
    where: tuple[str, str],
    start: int,
    stop: int,
) -> Iterator[RowBlock]:
    """Yield rows of a dense matrix in order, as checked counts.

    Parameters
    ----------
    read
        ``read(first, last)`` gives those rows, shape ``(last - first, n_columns)``.
    n_columns
        Columns of the matrix.
    n_together
        Rows that are stored in the same pieces of the file, which are best read at once.
    where
        File and place, for messages.
    start, stop
        Rows wanted.

    Raises
    ------
    MatrixError
        If the values are no raw counts.
    """
    from scipy.sparse import csr_matrix  # slow to import, and most matrices are sparse

    step = max(1, base.BLOCK_VALUES // max(n_columns, 1))
    # Pieces hold many rows of few columns: read as many at once, or inflate them again.
    at_once = max(step, min(n_together, _MOST_BLOCKS * step))
    at_once -= at_once % n_together if at_once > n_together else 0
    first = start
    while first < stop:
        last = min(first - first % at_once + at_once, stop)
        rows = read(first, last)
        for a in range(0, len(rows), step):
            part = rows[a : a + step]
            counts = as_counts(part.ravel(), *where).reshape(part.shape)
            yield from stream_rows([(first + a, csr_matrix(counts))], start, stop)
        first = last
