"""Progress of long work: one line on a terminal, few lines in a log."""

from __future__ import annotations

import logging
import shutil
import sys
import time
from collections.abc import Callable
from typing import TextIO

from targetscore.errors import plain
from targetscore.logs import logger

__all__ = ["Progress", "antigens_text", "cells_text", "size_text", "time_text"]

DRAW_EVERY = 0.2
LOG_EVERY = 30.0


def size_text(n_bytes: float) -> str:
    """Return a size for people, in decimal units."""
    for unit in ("B", "kB", "MB", "GB"):
        if n_bytes < 1000:
            return f"{n_bytes:.0f} {unit}" if unit == "B" else f"{n_bytes:.1f} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.1f} TB"


def time_text(seconds: float) -> str:
    """Return a duration as ``h:mm:ss``."""
    minutes, second = divmod(round(seconds), 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour}:{minute:02d}:{second:02d}"


def cells_text(n_cells: float) -> str:
    """Return a number of cells for people."""
    return f"{n_cells:,.0f} cells"


def antigens_text(n_antigens: float) -> str:
    """Return a number of antigens for people."""
    return f"{n_antigens:.3g} antigens"


class Progress:
    """Shows amount, rate and time left of one piece of work after another.

    On a terminal one line is redrawn, at most five times per second; the log gets a line
    every 30 seconds. Work is counted in bytes, or in other units with the bytes beside.

    Parameters
    ----------
    stream
        Where the line is drawn if it is a terminal; standard error by default.
    clock
        Seconds that never run backwards.
    """

    def __init__(
        self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._terminal = self._stream.isatty()
        self._clock = clock
        self.start("", None)

    def start(
        self,
        label: str,
        total: int | None,
        done: int = 0,
        text: Callable[[float], str] = size_text,
    ) -> None:
        """Begin work of which some may be done already.

        Parameters
        ----------
        label
            What is worked on.
        total
            Its amount, in bytes unless ``text`` says otherwise; None if unknown.
        done
            The amount that is there; it does not count for the rate.
        text
            How an amount is written for people.
        """
        self._label, self._total, self._done, self._before = plain(label, 60), total, done, done
        self._text, self._bytes = text, 0
        self._begun = self._logged = self._clock()
        self._drawn = self._begun - DRAW_EVERY

    def advance(self, amount: int, n_bytes: int = 0) -> None:
        """Count what was done, and draw or log if it is time to.

        Parameters
        ----------
        amount
            What was added, in the unit of ``total``.
        n_bytes
            Bytes read for it, where the amount is not in bytes itself.
        """
        self._done += amount
        self._bytes += n_bytes
        now = self._clock()
        if self._terminal and now - self._drawn >= DRAW_EVERY:
            self._drawn = now
            width = shutil.get_terminal_size().columns - 1
            self._stream.write(f"\r{self.line()[:width]}\x1b[K")
            self._stream.flush()
        if now - self._logged >= LOG_EVERY:
            self._logged = now
            self.say(self.line())

    def line(self) -> str:
        """Return the state of the work as one line."""
        seconds = self._clock() - self._begun
        rate = (self._done - self._before) / seconds if seconds > 0 else 0.0
        of = f" of {self._text(self._total)}" if self._total is not None else ""
        text = f"{self._label}: {self._text(self._done)}{of}{self._rates()}"
        if self._total is not None and rate > 0:
            text += f", {time_text((self._total - self._done) / rate)} left"
        return text

    def say(self, text: str, level: int = logging.INFO) -> None:
        """Log a line; a progress line on the terminal gives way to it."""
        self._clear()
        logger.log(level, "%s", text)

    def finish(self) -> None:
        """Remove the progress line."""
        self._clear()

    def conclude(self) -> None:
        """Log what was done, in which time and at which rate."""
        seconds = self._clock() - self._begun
        self.say(f"{self._label}: {self._text(self._done)} in {time_text(seconds)}{self._rates()}")

    def _rates(self) -> str:
        seconds = self._clock() - self._begun
        if seconds <= 0:
            return ""
        text = f", {self._text((self._done - self._before) / seconds)}/s"
        return text + (f", {size_text(self._bytes / seconds)}/s" if self._bytes else "")

    def _clear(self) -> None:
        if self._terminal:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
