"""Check `context`: how much travels to the builder, and what of it should not."""

from __future__ import annotations

from collections.abc import Iterator

from rebake.doctor.case import Case, Context
from rebake.doctor.diagnosis import Diagnosis, listed, ok, warning
from rebake.doctor.mend import Ignore
from rebake.report import format as fmt

_BIG_CONTEXT = 50_000_000
_BIG_FILE = 10_000_000
# Folders that tools make, and that no build needs from outside.
_MADE = {
    "target": ".rustc_info.json",
    "node_modules": "",
    ".git": "HEAD",
    ".venv": "pyvenv.cfg",
    "__pycache__": "",
}


def check(case: Case) -> Iterator[Diagnosis]:
    """Look at each folder that is sent."""
    for context in case.contexts:
        yield from judge(context, case)


def judge(context: Context, case: Case) -> Iterator[Diagnosis]:
    """Judge one context."""
    total = sum(context.files.values())
    words = f"{context.name}: {len(context.files)} files, {fmt.size(total)} travel"
    largest = sorted(context.files.items(), key=lambda item: (-item[1], item[0]))
    shown = [f"{path.as_posix()} ({fmt.size(size)})" for path, size in largest if size]
    ignore = context.ignore or context.folder / ".dockerignore"
    if context.ignore is None and context.name != "tools":
        yield warning(
            f"{case.shown(context.folder)} has no .dockerignore",
            why="everything in it is sent and looked at in each build, what tools made too",
            fix=f"write {case.shown(ignore)}: target, node_modules, .git, .env*",
        )
    made = made_folders(context)
    if made:
        yield warning(
            f"{context.name}: {', '.join(made)} travel to the builder",
            why="they are made anew in the build, are large, and change all the time",
            fix=f"name them in {case.shown(ignore)}",
            mends=(Ignore(ignore, tuple(made)),),
        )
    big = [path for path, size in largest if size >= _BIG_FILE]
    if total > _BIG_CONTEXT or big:
        yield warning(
            f"{words}; the largest: {listed(shown)}",
            why="each change of them is sent again",
            fix=f"name in {case.shown(ignore)} what the build does not need",
        )
    elif not made:
        most = f"; the largest: {listed(shown[:3])}" if shown else ""
        yield ok(words + most)


def made_folders(context: Context) -> list[str]:
    """The folders among what travels that tools made, as patterns for the ignore file."""
    found = set()
    for path in context.files:
        for depth, part in enumerate(path.parts[:-1]):
            folder = "/".join(path.parts[: depth + 1])
            if part in _MADE and (context.folder / folder / _MADE[part]).exists():
                found.add(folder)
                break
    return sorted(found)
