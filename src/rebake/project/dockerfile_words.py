"""Reads what stands in one instruction of a Dockerfile: words, flags, mounts, variables. Pure.

Written from the Dockerfile reference (https://docs.docker.com/reference/dockerfile/): the JSON
form, flags, mounts, `ENV` and `ARG`, and the substitution of variables.
"""

from __future__ import annotations

import functools
import json
import re
import shlex
from collections.abc import Mapping

from msgspec import Struct

_FLAG = re.compile(r"--([a-z][a-z-]*)(?:=((?:\"[^\"]*\"|'[^']*'|\S)*))?(?:\s+|$)")
_QUOTES = "\"'"
_MOUNT_NAMES = {"src": "source", "dst": "target", "destination": "target"}
_VARIABLE = re.compile(
    r"(?P<escaped>\\\$)|\$(?:(?P<plain>\w+)|\{(?P<name>\w+)(?:(?P<how>:?[-+?])(?P<word>[^}]*))?\})"
)


class Instruction(Struct, frozen=True):
    """One instruction.

    Attributes:
        word: `RUN`, `COPY`, … in capital letters.
        flags: in order, as name and value; the value as it stands, empty for a flag without one.
        rest: what follows the flags, continuation lines joined, without comments.
        line: its first line, from 1.
        body: the text of its here-documents.
    """

    word: str
    flags: tuple[tuple[str, str], ...]
    rest: str
    line: int
    body: str = ""

    @property
    def text(self) -> str:
        """All that it says: two instructions that are the same to the builder have the same text.

        White space counts in a `RUN`, whose command is handed to a shell as it is.
        """
        flags = " ".join(
            f"--{name}={value}" if value else f"--{name}" for name, value in self.flags
        )
        rest = self.rest if self.word == "RUN" else " ".join(self.rest.split())
        words = " ".join(part for part in (self.word, flags, rest) if part)
        return f"{words}\n{self.body}" if self.body else words

    @property
    def words(self) -> list[str]:
        """The arguments: of the JSON form, or split at white space."""
        return split_words(self.rest)

    @property
    def commands(self) -> list[list[str]]:
        """The shell commands of a `RUN`, each as its words."""
        if self.rest.startswith("["):
            return [self.words]
        lines = re.split(r"&&|\|\||[;\n|]", f"{self.rest}\n{self.body}")
        return [words for line in lines if (words := _split(line, comments=True))]

    def flag(self, name: str) -> str | None:
        """The value of a flag (empty for one without), or None when it is not given."""
        found = (value.strip(_QUOTES) for key, value in self.flags if key == name)
        return next(found, None)

    def mounts(self, values: Mapping[str, str] | None = None) -> list[dict[str, str]]:
        """The mounts of a `RUN`: each as its options by name, in short spelling.

        Args:
            values: variables that stand in them; when None, they are left as they are.
        """
        given = [value.strip(_QUOTES) for name, value in self.flags if name == "mount"]
        return [_mount(one if values is None else expand(one, values)) for one in given]


def take_flags(text: str) -> tuple[tuple[tuple[str, str], ...], str]:
    """Return the flags at the start of an instruction's arguments, and what follows them."""
    flags = []
    while match := _FLAG.match(text):
        flags.append((match[1], match[2] or ""))
        text = text[match.end() :]
    return tuple(flags), text.strip()


def split_words(text: str) -> list[str]:
    """Split arguments: of the JSON form, or at white space where they are no JSON."""
    if text.startswith("["):
        try:
            return [str(word) for word in json.loads(text)]
        except ValueError:
            pass
    return text.split()


def assignments(instruction: Instruction) -> list[tuple[str, str | None]]:
    """The names and values of an `ARG` or `ENV`; None for an `ARG` without a default."""
    words = _split(instruction.rest)
    if instruction.word == "ENV" and words and "=" not in words[0]:
        name, *_ = instruction.rest.split(None, 1)  # the old form, one variable
        value = instruction.rest.removeprefix(name).strip()
        return [(name, re.sub(r"\\(.)|[\"']", r"\1", value))]
    found: list[tuple[str, str | None]] = []
    for word in words:
        name, sign, value = word.partition("=")
        found.append((name, value if sign else None))
    return found


def given_values(instruction: Instruction) -> dict[str, str]:
    """What an `ARG` or `ENV` sets, by name; empty for an `ARG` without a default."""
    return {name: value or "" for name, value in assignments(instruction)}


def expand(text: str, values: Mapping[str, str]) -> str:
    """Substitute variables, as a Dockerfile does: `$A`, `${A}`, `${A:-x}`, `${A:+x}`."""
    return _expand(text, values, keep=False)


def expand_known(text: str, values: Mapping[str, str]) -> str:
    """Substitute the variables that have a value, and leave the others as they stand.

    For a reader who does not know what a build is called with: an empty value counts as none.
    """
    return _expand(text, {name: value for name, value in values.items() if value}, keep=True)


def _expand(text: str, values: Mapping[str, str], *, keep: bool) -> str:
    def value(match: re.Match[str]) -> str:
        if match["escaped"]:
            return "$"
        name, how = match["plain"] or match["name"], match["how"] or ""
        found = values.get(name)
        there = found is not None and (not how.startswith(":") or found != "")
        if how.endswith("+"):
            return _expand(match["word"], values, keep=keep) if there else ""
        if how.endswith("-") and not there:
            return _expand(match["word"], values, keep=keep)
        return found or (match[0] if keep else "")

    return _VARIABLE.sub(value, text)


def _split(text: str, *, comments: bool = False) -> list[str]:
    """Split as a shell does; at white space where a quote is not closed."""
    return list(_split_once(text, comments))


@functools.lru_cache(maxsize=4096)  # one instruction is asked for once for each target and stage
def _split_once(text: str, comments: bool) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(text, comments=comments))
    except ValueError:
        return tuple(text.split())


def _mount(value: str) -> dict[str, str]:
    options = {}
    for part in value.split(","):
        name, _, text = part.partition("=")
        name = name.strip().lower()
        options[_MOUNT_NAMES.get(name, name)] = text.strip()
    return options
