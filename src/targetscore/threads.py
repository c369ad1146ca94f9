"""Work in threads whose results come in order, with bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

__all__ = ["in_order"]

Task = TypeVar("Task")
Done = TypeVar("Done")
Noted = TypeVar("Noted")


def in_order(
    work: Callable[[Task], Done],
    tasks: Iterable[Task],
    threads: int,
    note: Callable[[Done], Noted],
    ahead: int = 1,
) -> Iterator[Noted]:
    """Do tasks in threads, and note their results in the order of the tasks in this one.

    Parameters
    ----------
    work
        Done in a thread.
    tasks
        Taken one by one, only so many before their turn that memory stays bounded.
    threads
        Number of threads, at least 1.
    note
        Called here with each result, in order; what it returns is yielded.
    ahead
        Tasks begun or finished before their turn, per thread. More than one lets threads go on
        while the caller is busy with a result.
    """
    waiting: deque[Future[Done]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for task in tasks:
                waiting.append(pool.submit(work, task))
                if len(waiting) > threads * ahead:
                    yield note(waiting.popleft().result())
            while waiting:
                yield note(waiting.popleft().result())
        finally:
            for future in waiting:
                future.cancel()
