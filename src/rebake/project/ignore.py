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
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from msgspec import Struct

from rebake.errors import ProjectError
from rebake.project.ignore_pattern import BadPattern, Pattern, parse_line

Matched = tuple[bool, ...]  # for each pattern, whether it matched this folder


class IgnoreMatcher(Struct, frozen=True):
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
                pattern = parse_line(line, windows=windows)
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


def walk_folders(root: Path, matcher: IgnoreMatcher) -> list[str]:
    """Return the folders below `root` that travel to the builder by themselves, empty ones too.

    Those that are excluded and hold something that is not are left out.

    Raises:
        ProjectError: a folder can't be read.
    """
    found: list[str] = []
    _walk(str(root), "", (), matcher, [], found)
    return found


def _walk(  # noqa: PLR0917 - it calls itself
    folder: str,
    prefix: str,
    parent: Matched,
    matcher: IgnoreMatcher,
    out: list[str],
    folders: list[str] | None = None,
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
            if not excluded and folders is not None:
                folders.append(path)
            if not (excluded and matcher.can_prune(path)):
                _walk(entry.path, path + "/", matched, matcher, out, folders)
        elif not excluded and (entry.is_symlink() or entry.is_file(follow_symlinks=False)):
            out.append(path)


def _is_junction(entry: os.DirEntry[str]) -> bool:
    if os.name != "nt":
        return False
    attributes = getattr(entry.stat(follow_symlinks=False), "st_file_attributes", 0)
    return bool(attributes & stat.FILE_ATTRIBUTE_REPARSE_POINT)


# from a line to a pattern


def included(matcher: IgnoreMatcher, paths: Sequence[str]) -> list[str]:
    """Return the paths of a list (such as `git ls-files`) that travel to the builder."""
    return [path for path in paths if not matcher.excludes(path)]


__all__ = [
    "BadPattern",
    "IgnoreMatcher",
    "Matched",
    "Pattern",
    "ignore_file",
    "included",
    "walk",
    "walk_folders",
]
