"""How long a server is waited for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Patience:
    """How long a server is waited for.

    Attributes
    ----------
    tries
        Tries in a row that may fail; one that brought the file 1 MiB further than ever before
        does not count.
    first_wait, longest_wait
        Seconds before the second try, doubled for each further one up to the longest. A
        Retry-After of the server (up to 300 s) goes before.
    timeout
        Seconds without a byte after which a connection counts as stalled.
    """

    tries: int = 6
    first_wait: float = 1.0
    longest_wait: float = 60.0
    timeout: float = 60.0

    def wait(self, failed: int, asked: float | None) -> float:
        """Return the seconds before the next try, after some failed; what was asked goes first."""
        return (
            min(self.first_wait * 2 ** max(failed - 1, 0), self.longest_wait)
            if asked is None
            else asked
        )
