"""What all errors have in common: fields, words, and the exit codes."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import ClassVar, dataclass_transform

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


@dataclass_transform(eq_default=False)
class RebakeError(Exception):
    """The base of all errors that reach a person; raised with fields, shown by `cli`.

    A class declares its fields as a dataclass does, and is read as one by a type checker; but it
    is not one, since dataclasses compile their methods at each start of the program (0.3 ms each)
    and few starts raise anything. It says its words as templates over its fields: `says` (what
    happened) and `advises` (what to do next). One whose words need more has properties of its own.
    """

    exit_code: ClassVar[int] = EXIT_FAILED
    code: ClassVar[str] = "failed"
    says: ClassVar[str] = ""
    advises: ClassVar[str] = ""

    def __init__(self, *values: object, **named: object) -> None:
        """Take a value for each field, in the order in which they stand.

        Raises:
            TypeError: a field without a value, a value without a field, or two for one field.
        """
        fields = self.field_names()
        if fields and len(values) > len(fields):
            raise TypeError(f"{type(self).__name__} has {len(fields)} fields, not {len(values)}")
        given = dict(zip(fields, values, strict=False))
        if twice := given.keys() & named.keys():
            raise TypeError(f"{type(self).__name__}: two values for {', '.join(sorted(twice))}")
        if unknown := named.keys() - set(fields):
            raise TypeError(f"{type(self).__name__} has no field {', '.join(sorted(unknown))}")
        given |= named
        for name in fields:
            if name not in given:
                if not hasattr(type(self), name):
                    raise TypeError(f"{type(self).__name__}: no value for {name}")
                given[name] = getattr(type(self), name)
        super().__init__(*values)
        vars(self).update(given)

    @classmethod
    def field_names(cls) -> list[str]:
        """Return the names of the fields, those of the classes above first."""
        classes = [one for one in reversed(cls.__mro__) if issubclass(one, RebakeError)]
        names = {
            name: None
            for one in classes
            for name, written in one.__annotations__.items()
            if not str(written).startswith("ClassVar")
        }
        return list(names)

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
