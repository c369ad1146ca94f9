"""What a contestant of the engine benchmark is given, and how it says what it found."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Facts = dict[str, object]


@dataclass(frozen=True)
class Job:
    """One run of one contestant.

    Attributes
    ----------
    matrix
        The h5ad file.
    cells, genes
        Stage files of the contracts ``ingest/cells`` and ``ingest/genes``.
    groups
        The same groups for those who do not read stage files: number of each row (``.npy``).
    out
        Folder for what it writes.
    threads
        Threads it may use.
    check
        Whether it must write its whole result, for comparing; such a run is not timed.
    """

    matrix: str
    cells: str
    genes: str
    groups: str
    out: str
    threads: int
    check: bool


def contest(ways: Mapping[str, Callable[[Job], Facts]]) -> None:
    """Run the way named on the command line with the job beside it; print its facts as JSON."""
    print(json.dumps(ways[sys.argv[1]](Job(**json.loads(sys.argv[2])))))
