"""One pattern of `.dockerignore`: from a line of the file to a test of paths."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from typing import Self

from msgspec import Struct

_SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000"  # as Go\'s TrimSpace
_WILD = frozenset("*?[\\")
_GO_CLASSES = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "blank": r"\t ",
    "digit": "0-9",
    "lower": "a-z",
    "punct": r"!-/:-@\[-`{-~",
    "space": r"\t\n\v\f\r ",
    "upper": "A-Z",
    "word": "0-9A-Za-z_",
    "xdigit": "0-9A-Fa-f",
}
_GO_ESCAPES = frozenset("dDsSwWbBafnrtvA")  # mean the same in Go's regexp and in Python's


class BadPattern(ValueError):
    """A pattern that the builder refuses."""


class Pattern(Struct, frozen=True):
    """One line of the file.

    Attributes:
        text: the cleaned pattern, without `!`.
        exception: whether it takes files back in.
        prefix: what every path that it matches starts with.
        wild: whether it holds anything but plain characters.
        match: tells whether it matches a path (not the folders above it).
    """

    text: str
    exception: bool
    prefix: str
    wild: bool
    match: Callable[[str], bool]

    @classmethod
    def of(cls, text: str, *, exception: bool) -> Self:
        """Compile a cleaned pattern.

        Raises:
            BadPattern: the builder refuses it.
        """
        _check_syntax(text)
        end = next((i for i, char in enumerate(text) if char in _WILD), len(text))
        return cls(text, exception, text[:end], end < len(text), _compile(text))

    def may_match_below(self, folder: str) -> bool:
        """Whether it could match something below `folder`, by the start of its text."""
        inside = folder + "/"
        return self.prefix.startswith(inside) or (self.wild and inside.startswith(self.prefix))


def parse_line(line: str, *, windows: bool) -> Pattern | None:
    """Read one line; None when it holds nothing.

    Raises:
        BadPattern: the builder refuses it.
    """
    text = line.strip(_SPACE)
    if not text:
        return None
    exception = text.startswith("!")
    if exception:
        text = text[1:].strip(_SPACE)
    if windows:
        text = text.replace("\\", "/")
    if text:
        text = _clean(text)
        if len(text) > 1 and text.startswith("/"):
            text = text[1:]
    if exception and text in {"", "/"}:
        raise BadPattern("an exception that names nothing")
    return Pattern.of(text, exception=exception)


def _clean(path: str) -> str:
    """Go's `path.Clean`."""
    rooted = path.startswith("/")
    kept: list[str] = []
    for part in path.split("/"):
        if part in {"", "."}:
            continue
        if part != "..":
            kept.append(part)
        elif kept and kept[-1] != "..":
            kept.pop()
        elif not rooted:
            kept.append(part)
    text = ("/" if rooted else "") + "/".join(kept)
    return text or "."


def _check_syntax(text: str) -> None:
    """Refuse what Go's `filepath.Match` refuses."""
    i = 0
    while i < len(text):
        if text[i] == "\\":
            if i + 1 == len(text):
                raise BadPattern("it ends with a lone backslash")
            i += 2
        elif text[i] == "[":
            i = _check_class(text, i + 1)
        else:
            i += 1


def _check_class(text: str, i: int) -> int:
    """Check a character class whose content starts at `i`; return where it ends."""
    if text[i : i + 1] == "^":
        i += 1
    ranges = 0
    while not (text[i : i + 1] == "]" and ranges):
        i = _check_member(text, i)
        if text[i] == "-":
            i = _check_member(text, i + 1)
        ranges += 1
    return i + 1


def _check_member(text: str, i: int) -> int:
    if i >= len(text) or text[i] in "-]":
        raise BadPattern("a character class that is empty, open or misplaces '-'")
    if text[i] == "\\":
        i += 1
    if i + 1 >= len(text):
        raise BadPattern("a character class without its ']'")
    return i + 1


def _compile(text: str) -> Callable[[str], bool]:
    """Make the test for a pattern, with the builder's special cases for `**`."""
    name = text.removeprefix("**/")
    before, star, after = name.partition("*")
    if star and "/" not in name and not _WILD & {*before, *after}:
        return _one_star(before, after, anywhere=name != text)
    kind, body = "exact", ""
    i = 0
    while i < len(text):
        if text.startswith("**", i):
            end = i + 3 if text.startswith("**/", i) else i + 2
            if end < len(text):
                body, kind = body + "(.*/)?", "regex"
            elif kind == "exact":
                kind = "prefix"
            else:
                body, kind = body + ".*", "regex"
            if i == 0:
                kind = "suffix"
            i = end
        else:
            end = i + 2 if text[i] == "\\" else i + 1
            piece, wild = _piece(text[i:end])
            body += piece
            kind = "regex" if wild else kind
            i = end
    return _test(kind, text, body)


def _one_star(before: str, after: str, *, anywhere: bool) -> Callable[[str], bool]:
    """The test of `before*after`, with or without `**/`: most patterns that are no plain name.

    A regular expression says the same, but takes as long to compile as all these tests together.
    """
    shortest = len(before) + len(after)

    def test(path: str) -> bool:
        folder, _, name = path.rpartition("/")
        if folder and (not anywhere or "\n" in folder):  # which `.` does not match
            return False
        return len(name) >= shortest and name.startswith(before) and name.endswith(after)

    return test


def _piece(part: str) -> tuple[str, bool]:
    """Return the regular expression of one character, and whether it makes the pattern wild."""
    if part == "*":
        return "[^/]*", True
    if part == "?":
        return "[^/]", True
    if part in ".+()|{}$":
        return "\\" + part, False
    return part, part in "[]" or part.startswith("\\")


def _test(kind: str, text: str, body: str) -> Callable[[str], bool]:
    if kind == "exact":
        return text.__eq__
    if kind == "prefix":
        start = text[: text.rindex("**")]
        return lambda path: path.startswith(start)
    if kind == "suffix":
        end = text[2:]
        return lambda path: path.endswith(end) or (end[:1] == "/" and path == end[1:])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            expression = re.compile(_to_python(body), re.ASCII)
    except (re.error, Warning) as error:
        raise BadPattern(str(error)) from None
    return lambda path: expression.fullmatch(path) is not None


def _to_python(body: str) -> str:
    """Turn the regular expression that the builder would give to Go into Python's."""
    out: list[str] = []
    i = 0
    while i < len(body):
        if body[i] == "\\":
            out.append(_escape(body[i + 1]))
            i += 2
        elif body[i] == "[":
            i = _class_to_python(body, i + 1, out)
        else:
            out.append(body[i])
            i += 1
    return "".join(out)


def _class_to_python(body: str, i: int, out: list[str]) -> int:
    out.append("[")
    if body[i : i + 1] == "^":
        out.append("^")
        i += 1
    first = True
    while i < len(body) and (body[i] != "]" or first):
        first = False
        named = re.match(r"\[:(\^?)(\w+):\]", body[i:])
        if named:
            if named[1] or named[2] not in _GO_CLASSES:
                raise BadPattern(f"the class {named[0]} is not supported")
            out.append(_GO_CLASSES[named[2]])
            i += len(named[0])
        elif body[i] == "\\":
            out.append(_escape(body[i + 1]))
            i += 2
        else:
            out.append("\\" + body[i] if body[i] in "[&|~]" else body[i])
            i += 1
    out.append("]")
    return i + 1


def _escape(char: str) -> str:
    if char.isascii() and char.isalnum():
        if char not in _GO_ESCAPES:
            raise BadPattern(f"the builder does not know the escape \\{char}")
        return "\\" + char
    return re.escape(char)
