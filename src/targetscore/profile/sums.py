"""Sums per group and gene, from packs: one group after the other, one slab per thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from targetscore.packs import Pack
from targetscore.profile import kernels
from targetscore.threads import in_order

Done = TypeVar("Done")

__all__ = ["Sums", "sum_groups", "tasks_of"]

_PIECE = 1 << 21
_TASK = 1 << 16
_AHEAD = 8
_COLUMNS = (np.int32, np.int64, np.float64, np.int64, np.float64, np.float64)


@dataclass(frozen=True)
class Sums:
    """Sums of some consecutive groups, sorted by group and gene; only genes detected.

    Attributes
    ----------
    group
        Number of the group, shape ``(n,)``.
    columns
        What :func:`targetscore.profile.kernels.drain` gives, each of shape ``(n,)``: gene,
        detected, thinned, counts, log, log_square.
    n_cells
        Cells they were summed over.
    """

    group: NDArray[np.int32]
    columns: list[NDArray[Any]]
    n_cells: int


def tasks_of(packs: Sequence[Pack], n_values: int) -> list[range]:
    """Cut the groups into ranges that hold about ``n_values`` entries (or one group)."""
    entries = np.sum([pack.entries for pack in packs], axis=0)
    before = np.concatenate([[0], np.cumsum(entries)])[:-1] // n_values
    tasks = []
    for _, groups in groupby(range(len(entries)), key=lambda g: before[g]):
        members = list(groups)
        tasks.append(range(members[0], members[-1] + 1))
    return tasks


def sum_groups(
    packs: Sequence[Pack], threads: int, finish: Callable[[Sums], Done]
) -> Iterator[Done]:
    """Add up the cells of each group over all packs, in order of groups.

    Every sum is an integer, logarithms and thinned detection as multiples of 2^-24, so that
    neither threads nor the cut into packs change it. None can overflow: a group has fewer
    than 2^27 cells (checked), and no term exceeds 2^36.

    Parameters
    ----------
    packs
        Packs of the same groups and genes, for example of consecutive rows of one atlas.
    threads
        Threads that sum.
    finish
        Called in the thread with the sums of some groups; what it returns is yielded.
    """
    own = threading.local()
    n_genes = packs[0].n_genes

    def work(groups: range) -> Done:
        if not hasattr(own, "slab"):
            own.slab = np.zeros((n_genes, kernels.N_SUMS), dtype=np.int64)
            # A task has fewer entries than this before its last group, which adds a slab.
            own.scratch = [np.empty(_TASK + n_genes, dtype=dtype) for dtype in _COLUMNS]
        return finish(_sum(packs, groups, own.slab, own.scratch))

    tasks = tasks_of(packs, _TASK)
    yield from in_order(work, tasks, threads, lambda done: done, _AHEAD)


def _sum(
    packs: Sequence[Pack], groups: range, slab: NDArray[np.int64], scratch: list[NDArray[Any]]
) -> Sums:
    n, found, n_cells = 0, [], 0
    for group in groups:
        for pack in packs:
            for start, stop in pack.pieces(group, _PIECE):
                kernels.accumulate(pack.read(start, stop), pack.overflow, slab)
                n_cells += stop - start
        found.append(kernels.drain(slab, *[column[n:] for column in scratch]))
        n += found[-1]
    number = np.repeat(np.arange(groups.start, groups.stop, dtype=np.int32), found)
    return Sums(number, [column[:n].copy() for column in scratch], n_cells)
