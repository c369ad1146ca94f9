"""What only a person knows: asked on a terminal, or listed all at once with the flags to give."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from targetscore.errors import (
    ConfigError,
    Problem,
    TargetscoreError,
    listed,
    near_matches,
    plain,
    raise_all,
)

__all__ = ["Missing", "NotWrittenError", "Person", "raise_missing", "settings"]


class NotWrittenError(TargetscoreError):
    """Something is still to be said before anything can be written."""


@dataclass(frozen=True)
class Missing:
    """A field of the row that the file does not tell.

    Attributes
    ----------
    name
        Field of the registry row.
    why
        What is not known.
    flags
        What to give, ready to be copied.
    hints
        What it may be.
    optional
        Whether an empty answer will do.
    among
        The only answers, besides ``=value``; empty: any.
    """

    name: str
    why: str
    flags: Sequence[str]
    hints: Sequence[str] = field(default=())
    optional: bool = False
    among: Sequence[str] = field(default=())

    def refusal(self, answer: str) -> str:
        """Return why an answer will not do, empty if it will."""
        if not answer:
            return "" if self.optional else "something must be said"
        if not self.among or answer.startswith("=") or answer in self.among:
            return ""
        near = near_matches(answer, self.among)
        return f"did you mean '{near[0]}'?" if near else f"one of: {listed(self.among, 20)}"


def raise_missing(path: str, missing: Iterable[Missing]) -> None:
    """Say everything that is missing at once, or do nothing.

    Raises
    ------
    NotWrittenError
        With one problem per field that is not optional.
    """
    problems = []
    for m in missing:
        if not m.optional:
            hints = f" ({'; '.join(m.hints)})" if m.hints else ""
            problems.append(Problem(path, m.name, m.why + hints, f"give {' or '.join(m.flags)}"))
    raise_all(NotWrittenError, problems)


@dataclass(frozen=True)
class Person:
    """Someone at a terminal.

    Attributes
    ----------
    read
        Shows a prompt and returns the line that was typed.
    say
        Shows a line.
    """

    read: Callable[[str], str]
    say: Callable[[str], None]

    def answer(self, missing: Missing) -> str:
        """Ask until there is an answer; an empty one is taken if the field is optional."""
        self.say(f"{missing.name}: {missing.why}")
        for hint in missing.hints:
            self.say(f"    {hint}")
        while True:
            answer = self._line(f"  {missing.name}{' (Enter: none)' * missing.optional} = ")
            refusal = missing.refusal(answer)
            if not refusal:
                return answer
            self.say(f"    {refusal}")

    def choose(self, question: str, options: Sequence[str]) -> int | None:
        """Let one of some options be chosen by number; None if none of them."""
        self.say(question)
        for n, option in enumerate(options, 1):
            self.say(f"    {n} {option}")
        while True:
            answer = self._line("  number (Enter: none of them) = ")
            if not answer:
                return None
            if answer.isdecimal() and 1 <= int(answer) <= len(options):
                return int(answer) - 1

    def agrees(self, question: str) -> bool:
        """Ask a question that only ``y`` or ``yes`` answers with yes."""
        return self._line(f"{question} [y/N] ").casefold() in ("y", "yes")

    def _line(self, prompt: str) -> str:
        try:
            return self.read(prompt).strip()
        except (EOFError, KeyboardInterrupt):
            wrong = "the answers ended before the last question"
            raise NotWrittenError.one("terminal", "", wrong, "start again") from None


def settings(flag: str, given: Sequence[str], known: Iterable[str] | None = None) -> dict[str, str]:
    """Read ``key=value`` arguments; the first ``=`` divides, so ``donor==P1`` says ``=P1``.

    Parameters
    ----------
    flag
        The option they were given with, for messages.
    given
        The arguments.
    known
        The only keys allowed; None: any.

    Raises
    ------
    ConfigError
        With every argument that is none, or names an unknown or repeated key.
    """
    found: dict[str, str] = {}
    problems = []
    allowed = None if known is None else list(known)
    for text in given:
        key, divided, value = (part.strip() for part in text.partition("="))
        place = f"{flag} {plain(shlex.quote(text))}"
        if not divided or not key or not value:
            problems.append(Problem("command line", place, "is not key=value", f"{flag} key=value"))
        elif key in found:
            problems.append(Problem("command line", place, "is said twice", "keep one of them"))
        elif allowed is not None and key not in allowed:
            near = near_matches(key, allowed)
            hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(allowed)}"
            problems.append(Problem("command line", place, "there is no such column", hint))
        found[key] = value
    raise_all(ConfigError, problems)
    return found
