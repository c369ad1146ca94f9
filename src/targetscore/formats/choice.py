"""Which matrix of an atlas holds the raw counts: the named one, or the first that does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from numpy.typing import NDArray

from targetscore.errors import AtlasError, MatrixError, listed, near_matches
from targetscore.formats.base import as_counts

__all__ = ["choose_counts", "need_counts"]

Samples = list[NDArray[Any]]


def need_counts(samples: Samples, location: str, place: str) -> None:
    """Raise :class:`~targetscore.errors.MatrixError` unless all values are raw counts."""
    for values in samples:
        as_counts(values, location, place)


def choose_counts(
    present: Sequence[str], wanted: str, sample: Callable[[str], Samples], location: str
) -> str:
    """Return the matrix with raw counts: the named one, or the first that holds counts.

    Parameters
    ----------
    present
        Matrices of the atlas, the likeliest first.
    wanted
        What the registry column ``counts`` says, empty if nothing.
    sample
        Reads some values of a matrix.
    location
        The atlas, for messages.

    Raises
    ------
    AtlasError
        If the named one is not there.
    MatrixError
        If none is named and none holds raw counts.
    """
    if wanted:
        if wanted not in present:
            near = near_matches(wanted, present)
            hint = f"did you mean '{near[0]}'? " if near else ""
            raise AtlasError.one(
                location,
                wanted,
                "the file has no such matrix",
                f"{hint}matrices of the file: {listed(present)}; correct the registry column "
                "'counts'",
            )
        return wanted
    refused: list[str] = []
    for place in present:
        values = sample(place)
        try:
            need_counts(values, location, place)
        except MatrixError as error:
            refused.append(f"{place}: {error.problems[0].wrong.split(' (', 1)[0]}")
        else:
            return place
    raise MatrixError.one(
        location,
        "",
        f"no matrix holds raw counts ({'; '.join(refused) or 'there is none'})",
        "get the file with raw counts from its publisher",
    )
