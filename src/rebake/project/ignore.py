r"""Decides which files of a folder travel to the builder: `.dockerignore`, as BuildKit reads it.

Written from the rules that docs.docker.com documents and from what the builder does (checked
against real builds by `tests/e2e/test_ignore.py`):

- A line that starts with `#` is a comment; white space around a pattern is dropped; a leading
  `/` means nothing; `.`, `..` and doubled or trailing slashes are cleaned away.
- Patterns are Go's `filepath.Match` (`*` and `?` stop at `/`; `[a-z]`, `[^a]`; `\` escapes)
  plus `**`, which takes any number of folders. They match from the context's root.
- `!` makes an exception; the last line that matches wins.
- A pattern that matches a folder holds for all below it. An exception that was not needed when
  the folder was looked at is tested again for each path below it by that path alone.
- Symbolic links are not followed. Sockets, pipes and devices are left out.
"""

from __future__ import annotations

import os
import re
import stat
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from rebake.errors import ProjectError

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

Matched = tuple[bool, ...]  # for each pattern, whether it matched this folder


class BadPattern(ValueError):
    """A pattern that the builder refuses."""


@dataclass(frozen=True)
class Pattern:
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
    match: Callable[[str], bool] = field(compare=False, repr=False)

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


@dataclass(frozen=True)
class IgnoreMatcher:
    """The patterns of one file, in order. Paths are relative, with `/`."""

    patterns: tuple[Pattern, ...] = ()

    @classmethod
    def parse(cls, text: str, *, file: Path = Path(".dockerignore"), windows: bool = False) -> Self:
        """Read the text of an ignore file.

        Args:
            text: the file's content.
            file: its path, for the error.
            windows: take a backslash as a separator, as buildx does on Windows.

        Raises:
            ProjectError: a pattern that the builder refuses, with its line.
        """
        patterns = []
        for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), start=1):
            if line.startswith("#"):
                continue
            try:
                pattern = _parse_line(line, windows=windows)
            except BadPattern as error:
                raise ProjectError(
                    file,
                    f"{line.strip()!r}: {error}",
                    "write it as https://docs.docker.com/build/concepts/context describes",
                    number,
                ) from None
            if pattern is not None:
                patterns.append(pattern)
        return cls(tuple(patterns))

    @classmethod
    def load(cls, file: Path | None) -> Self:
        """Read an ignore file; None, or a file that is not there, ignores nothing.

        Raises:
            ProjectError: it can't be read, or holds a pattern that the builder refuses.
        """
        if file is None:
            return cls()
        try:
            text = file.read_bytes().decode("utf-8", errors="surrogateescape")
        except FileNotFoundError:
            return cls()
        except OSError as error:
            raise ProjectError(file, f"can't be read: {error.strerror}") from error
        return cls.parse(text, file=file, windows=os.name == "nt")

    def excludes(self, path: str) -> bool:
        """Whether a path stays behind, with the folders above it taken into account."""
        matched: Matched = ()
        excluded = False
        parts = path.split("/")
        for end in range(1, len(parts) + 1):
            excluded, matched = self.step("/".join(parts[:end]), matched)
        return excluded

    def step(self, path: str, parent: Matched = ()) -> tuple[bool, Matched]:
        """Test one path, given what matched the folder that it is in.

        Args:
            path: the path; each folder above it was tested before it.
            parent: the second result for the folder above; empty at the root.

        Returns:
            Whether it is excluded, and what to hand on to the paths below it.
        """
        excluded = False
        results = []
        for i, pattern in enumerate(self.patterns):
            hit = bool(parent) and parent[i]
            # A pattern that can't change the outcome is not tested: that is how the builder
            # does it, and it shows in the paths below.
            if not hit and pattern.exception == excluded:
                hit = pattern.match(path)
            if hit:
                excluded = not pattern.exception
            results.append(hit)
        return excluded, tuple(results)

    def can_prune(self, folder: str) -> bool:
        """Whether nothing below an excluded folder can come back by an exception."""
        return not any(p.exception and p.may_match_below(folder) for p in self.patterns)


def ignore_file(context: Path, dockerfile: Path | None = None) -> Path | None:
    """Return the ignore file that the builder uses, or None.

    `<Dockerfile>.dockerignore` beside the Dockerfile goes before the context's `.dockerignore`.
    """
    candidates = [context / ".dockerignore"]
    if dockerfile is not None:
        candidates.insert(0, dockerfile.with_name(dockerfile.name + ".dockerignore"))
    return next((file for file in candidates if file.is_file()), None)


def walk(root: Path, matcher: IgnoreMatcher) -> list[Path]:
    """Return the files and symbolic links below `root` that travel to the builder.

    Args:
        root: the context's folder.
        matcher: what to leave out.

    Returns:
        Relative paths, sorted by the bytes of their text with `/`.

    Raises:
        ProjectError: the folder is not there or can't be read.
    """
    found: list[str] = []
    _walk(str(root), "", (), matcher, found)
    found.sort(key=os.fsencode)
    return [Path(path) for path in found]


def _walk(
    folder: str, prefix: str, parent: Matched, matcher: IgnoreMatcher, out: list[str]
) -> None:
    try:
        with os.scandir(folder) as entries:
            listed = list(entries)
    except OSError as error:
        raise ProjectError(
            Path(folder), f"can't be read: {error.strerror}", "mend its rights, or ignore it"
        ) from error
    for entry in listed:
        path = prefix + entry.name
        excluded, matched = matcher.step(path, parent)
        if entry.is_dir(follow_symlinks=False) and not _is_junction(entry):
            if not (excluded and matcher.can_prune(path)):
                _walk(entry.path, path + "/", matched, matcher, out)
        elif not excluded and (entry.is_symlink() or entry.is_file(follow_symlinks=False)):
            out.append(path)


def _is_junction(entry: os.DirEntry[str]) -> bool:
    if os.name != "nt":
        return False
    attributes = getattr(entry.stat(follow_symlinks=False), "st_file_attributes", 0)
    return bool(attributes & stat.FILE_ATTRIBUTE_REPARSE_POINT)


# from a line to a pattern


def _parse_line(line: str, *, windows: bool) -> Pattern | None:
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


def included(matcher: IgnoreMatcher, paths: Sequence[str]) -> list[str]:
    """Return the paths of a list (such as `git ls-files`) that travel to the builder."""
    return [path for path in paths if not matcher.excludes(path)]
