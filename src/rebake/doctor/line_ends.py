"""Check `line-ends`: scripts that run in containers, and end their lines with CRLF."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rebake.doctor.case import Case
from rebake.doctor.diagnosis import Diagnosis, error, ok
from rebake.doctor.mend import LineEnds

_SUFFIXES = frozenset({".sh", ".bash"})
_WINDOWS = frozenset({".ps1", ".cmd", ".bat"})  # these run outside of containers
_LARGEST = 1_000_000


def check(case: Case) -> Iterator[Diagnosis]:
    """Look at every script that travels to the builder, the tools' folder among it."""
    scripts = [
        context.folder / path
        for context in case.contexts
        for path, size in context.files.items()
        if size <= _LARGEST
    ]
    bad = 0
    looked = 0
    for file in scripts:
        content = read_script(file)
        if content is None:
            continue
        looked += 1
        if b"\r\n" in content:
            bad += 1
            yield error(
                f"{case.shown(file)} has CRLF line ends",
                why="in a container its first line names a program that ends in CR: `not found`",
                fix="write it with LF; for good: `* text=auto eol=lf` in .gitattributes",
                mends=(LineEnds(file),),
            )
    if not bad:
        yield ok(f"{looked} scripts end their lines with LF")


def read_script(file: Path) -> bytes | None:
    """The content of a file that is a script for containers; None for any other."""
    if file.suffix in _WINDOWS or file.is_symlink():
        return None
    try:
        with file.open("rb") as opened:
            head = opened.read(2)
            if head != b"#!" and file.suffix not in _SUFFIXES:
                return None
            return head + opened.read()
    except OSError:
        return None
