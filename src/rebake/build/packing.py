"""Tells what of a recipe can reach the compiling steps: all but stages that only pack an image.

A label, a port or a health check in the last stage is another recipe, but the step that compiles
and the dependency layer are the same ones to BuildKit. To take them for others would compile again,
and bake twice, after an edit that packs in no time.

It decides nothing about an image: only whether a step gets a network, and whether the dependency
layer is looked at again. So it reads lines, which takes no time, and not instructions: where it
takes a stage for one that packs and it is none, that costs a moment later.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Collection, Iterable
from pathlib import Path

from rebake.history.records import FileDigest

_STAGE = re.compile(r"(?im)^(?=[ \t]*FROM[ \t])")
_FROM = re.compile(r"(?i)\s*FROM\s+(?:--\S+\s+)*(?P<base>\S+)(?:\s+AS\s+(?P<name>\S+))?")
_TAKES = re.compile(r"(?i)\bfrom=[\"']?([^\s,\"']+)")
_VARIABLE = re.compile(r"\\\$(?:\w+|\\\{.*?\\\})")
_RUNS = re.compile(r"(?im)^[ \t]*(?:RUN|ONBUILD)\b")


def compiling_part(dockerfile: str) -> str:
    """Return a Dockerfile without the stages that run nothing and that no other one takes in."""
    head, *stages = _STAGE.split(dockerfile)
    kept: list[str] = []  # from the last one: a stage takes in what stands above it
    taken: list[re.Pattern[str]] = []
    for number, stage in reversed(list(enumerate(stages))):
        if _RUNS.search(stage) or _is_taken(stage, number, taken):
            kept.append(stage)
            taken += _takes(stage)
    return "".join([head, *reversed(kept)])


def recipe_of_compiling(
    root: Path, recipe: Iterable[FileDigest], dockerfiles: Collection[Path]
) -> str:
    """Return a digest of what of a recipe can reach the compiling steps.

    Args:
        root: what the paths of the recipe start at.
        recipe: its files.
        dockerfiles: those of its files that are Dockerfiles.
    """
    total = hashlib.sha256()
    for file in recipe:
        digest, path = file.sha256, root / file.path
        if path in dockerfiles:
            with contextlib.suppress(OSError):
                content = path.read_bytes()
                if hashlib.sha256(content).hexdigest() == digest:  # else it was edited since
                    part = compiling_part(content.decode("utf-8", errors="surrogateescape"))
                    digest = hashlib.sha256(part.encode(errors="surrogateescape")).hexdigest()
        total.update(f"{file.kind} {digest} {file.path}\n".encode(errors="surrogateescape"))
    return total.hexdigest()


def _takes(stage: str) -> list[re.Pattern[str]]:
    """What a stage takes in, as patterns: a variable can stand for anything."""
    start = _FROM.match(stage)
    names = [*([start["base"]] if start else []), *_TAKES.findall(stage)]
    return [re.compile(_VARIABLE.sub(".*", re.escape(name.lower()))) for name in names]


def _is_taken(stage: str, number: int, taken: Iterable[re.Pattern[str]]) -> bool:
    start = _FROM.match(stage)
    if start is None:
        return True
    own = {str(number), (start["name"] or "").lower()} - {""}
    return any(pattern.fullmatch(name) for pattern in taken for name in own)
