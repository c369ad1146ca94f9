"""Progress of a long transfer: one line on a terminal, few lines in a log."""

from __future__ import annotations

import logging
import shutil
import sys
import time
from collections.abc import Callable
from typing import TextIO

from targetscore.errors import plain
from targetscore.logs import logger

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


class Progress:
    """Shows bytes, rate and time left of one transfer after another.

    On a terminal one line is redrawn, at most five times per second; the log gets a line
    every 30 seconds.

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

    def start(self, label: str, total: int | None, done: int = 0) -> None:
        """Begin a transfer of which some bytes may be there already.

        Parameters
        ----------
        label
            What is transferred.
        total
            Its size in bytes, None if unknown.
        done
            Bytes that are there; they do not count for the rate.
        """
        self._label, self._total, self._done, self._before = plain(label, 60), total, done, done
        self._begun = self._logged = self._clock()
        self._drawn = self._begun - DRAW_EVERY

    def advance(self, n_bytes: int) -> None:
        """Count bytes that arrived, and draw or log if it is time to."""
        self._done += n_bytes
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
        """Return the state of the transfer as one line."""
        seconds = self._clock() - self._begun
        rate = (self._done - self._before) / seconds if seconds > 0 else 0.0
        of = f" of {size_text(self._total)}" if self._total is not None else ""
        text = f"{self._label}: {size_text(self._done)}{of}, {size_text(rate)}/s"
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

    def _clear(self) -> None:
        if self._terminal:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
