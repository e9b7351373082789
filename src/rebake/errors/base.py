"""What all errors have in common: fields, words, and the exit codes."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import ClassVar

from msgspec import Struct

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_NO_ENGINE = 69
EXIT_BUSY = 75
EXIT_TIMEOUT = 124
EXIT_INTERRUPTED = 130


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the entry of `known` that looks most like `word`, or None when none is close."""
    matches = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return matches[0] if matches else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `did you mean X?`, or the list of what is known when nothing is close."""
    options = sorted(known)
    match = nearest(word, options)
    if match:
        return f"did you mean {match}?"
    return f"known: {', '.join(options)}" if options else ""


class RebakeError(Exception):
    """The base of all errors that reach a person; raised with fields, shown by `cli`.

    A class says its words as templates over its fields: `says` (what happened) and `advises`
    (what to do next). One whose words need more than that has properties of its own.
    """

    exit_code: ClassVar[int] = EXIT_FAILED
    code: ClassVar[str] = "failed"
    says: ClassVar[str] = ""
    advises: ClassVar[str] = ""

    @property
    def what(self) -> str:
        """One line: what happened."""
        return self.says.format_map(vars(self)) if self.says else str(self.args[0])

    @property
    def hint(self) -> str:
        """What to do next."""
        return self.advises.format_map(vars(self))

    @property
    def details(self) -> Sequence[str]:
        """Lines of evidence, such as the end of a failed step's output."""
        return ()

    def __str__(self) -> str:
        parts = [self.what, *(f"  | {line}" for line in self.details)]
        if self.hint:
            parts.append(f"  next: {self.hint}")
        return "\n".join(parts)


class WithTail:
    """Errors whose evidence is the end of some output."""

    tail: Sequence[str]

    @property
    def details(self) -> Sequence[str]:
        """The last lines."""
        return self.tail


class Problem(Struct, frozen=True):
    """One fault of a configuration file: where it stands and what was expected."""

    file: Path
    key: str
    message: str
    expected: str = ""
    line: int | None = None
    suggestion: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else str(self.file)
        text = f"{place}: {self.key}: {self.message}"
        if self.expected:
            text += f"; expected {self.expected}"
        if self.suggestion:
            text += f"; {self.suggestion}"
        return text
