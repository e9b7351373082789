"""Check `secrets`: what looks like a secret and travels to the builder. It is never printed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from rebake.doctor.case import Case, Context
from rebake.doctor.diagnosis import Diagnosis, error, ok, warning
from rebake.doctor.mend import Ignore
from rebake.project.dockerfile import Dockerfile
from rebake.project.dockerfile_words import given_values
from rebake.scan.secret_patterns import by_content, by_name

_LARGEST = 1_000_000  # bytes of a file that is looked into
_MOST = 100_000_000  # bytes of all of them
# Made by tools, full of digests, and never a secret's place.
_LOCKS = frozenset({"Cargo.lock", "bun.lock", "package-lock.json", "yarn.lock", "pnpm-lock.yaml"})
_SECRET_ARGUMENT = re.compile(
    r"(?:^|_)(?:TOKEN|SECRET|PASSWORD|PASSWD|API_?KEY|PRIVATE_KEY|ACCESS_KEY|CREDENTIALS?)(?:_|$)"
)
_WHY = "it is in the builder's cache, and in every image that copies the folder"


def check(case: Case) -> Iterator[Diagnosis]:
    """Look at names and contents of what travels, and at the Dockerfiles' arguments."""
    found = [
        *(finding for context in case.contexts for finding in _in_context(context, case)),
        *(finding for dockerfile in case.dockerfiles for finding in _arguments(dockerfile, case)),
    ]
    yield from found
    if not found:
        files = sum(len(context.files) for context in case.contexts)
        yield ok(f"none of {files} files that travel looks like a secret")


def _in_context(context: Context, case: Case) -> Iterator[Diagnosis]:
    ignore = context.ignore or context.folder / ".dockerignore"
    for path, line, what in travelling(context):
        shown = case.shown(context.folder / path)
        if not line:
            yield error(
                f"{shown} travels to the builder, and files of this name hold secrets",
                why=_WHY,
                fix=f"name it in {case.shown(ignore)}; a build gets secrets by --secret",
                mends=(Ignore(ignore, (_pattern(path),)),),
            )
            continue
        yield error(
            f"{shown}:{line} looks like {what}, and travels to the builder",
            why=_WHY,
            fix="take it out and make it void; a build gets secrets by --secret",
        )


def travelling(context: Context) -> Iterator[tuple[Path, int, str]]:
    """Yield what looks like a secret among the files that travel.

    Yields:
        The file, relative to the folder; its line, or 0 where its name tells; what it looks like.
    """
    budget = _MOST
    for path, size in context.files.items():
        if by_name(path.name):
            yield path, 0, ""
            continue
        if size > _LARGEST or path.name in _LOCKS or budget < size:
            continue
        budget -= size
        for line, what in _look_into(context.folder / path):
            yield path, line, what


def _look_into(file: Path) -> list[tuple[int, str]]:
    try:
        content = b"" if file.is_symlink() else file.read_bytes()
    except OSError:  # gone, or not ours to read: the context's own check says so
        return []
    return list(by_content(file.name, content))


def _pattern(path: Path) -> str:
    """A line of an ignore file for exactly this path."""
    return re.sub(r"([*?\[\]\\!#])", r"\\\1", path.as_posix())


def _arguments(dockerfile: Dockerfile, case: Case) -> Iterator[Diagnosis]:
    for stage in dockerfile.stages:
        for step in stage.instructions:
            if step.word not in {"ARG", "ENV"}:
                continue
            for name in given_values(step):
                if _SECRET_ARGUMENT.search(name.upper()) and not name.upper().endswith("_FILE"):
                    yield warning(
                        f"{case.shown(dockerfile.path)}:{step.line}: {step.word} {name}",
                        why="every argument and variable of a build stands in the image's history",
                        fix="RUN --mount=type=secret,id=…, which leaves no trace",
                    )
