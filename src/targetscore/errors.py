"""Errors a user can act on: where, what is wrong, what to do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Self


def plain(text: object, limit: int = 200) -> str:
    """Render text from data for a terminal: no control characters, bounded length."""
    shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(text))
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def listed(values: Iterable[object], limit: int = 8) -> str:
    """Render the first values of a collection and say how many are left out."""
    all_values = list(values)
    shown = ", ".join(plain(v, 80) for v in all_values[:limit])
    rest = len(all_values) - limit
    return f"{shown} … and {rest:,} more" if rest > 0 else shown


def near_matches(word: object, known: Iterable[object], n: int = 3) -> list[str]:
    """Return known words that look like a misspelt one, ignoring case, best first."""
    by_folded = {str(k).casefold(): str(k) for k in known}
    return [by_folded[m] for m in get_close_matches(str(word).casefold(), by_folded, n, 0.6)]


@dataclass(frozen=True, order=True)
class Problem:
    """One thing that is wrong in what the user gave.

    Attributes
    ----------
    file
        The file (or table) it was found in.
    place
        Line, key, column or cell inside the file; empty if it is the whole file.
    wrong
        What is wrong, as a clause without a final stop.
    remedy
        What the user can do about it.
    """

    file: str
    place: str
    wrong: str
    remedy: str

    def __str__(self) -> str:
        where = ": ".join(plain(part, 1000) for part in (self.file, self.place) if part)
        return f"{where}: {self.wrong}\n    → {self.remedy}"


class TargetscoreError(Exception):
    """Base of all errors raised on purpose; carries every problem of its kind.

    Parameters
    ----------
    problems
        The problems, at least one.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(str(p) for p in self.problems))

    @classmethod
    def one(cls, file: object, place: object, wrong: str, remedy: str) -> Self:
        """Build an error of this class that carries a single problem."""
        return cls([Problem(str(file), str(place), wrong, remedy)])

    def __reduce__(self) -> tuple[type[TargetscoreError], tuple[list[Problem]]]:
        return type(self), (self.problems,)


class ConfigError(TargetscoreError):
    """The run configuration or an indication file cannot be used."""


class RegistryError(TargetscoreError):
    """A row of an atlas registry cannot be used."""


class KnowledgeError(TargetscoreError):
    """A curated table breaks its contract."""


class GeneError(TargetscoreError):
    """A gene name is unknown or stands for more than one gene."""


class FetchError(TargetscoreError):
    """An atlas could not be brought, or is not the one that was promised."""


class AtlasError(TargetscoreError):
    """The cells, genes or labels of an atlas cannot be used."""


class MatrixError(AtlasError):
    """The matrix of an atlas does not hold raw counts, or cannot be read."""


class StorageError(TargetscoreError):
    """There is no room for a file."""


class ContractError(TargetscoreError):
    """A stage file breaks its contract; a defect of the program or a file from elsewhere."""


def raise_all(kind: type[TargetscoreError], problems: Sequence[Problem]) -> None:
    """Raise one error with all problems, or do nothing if there is none."""
    if problems:
        raise kind(problems)
