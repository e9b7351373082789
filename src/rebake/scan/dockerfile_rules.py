"""The rules for Dockerfiles that hold whatever their images are for. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

from rebake.project.dockerfile import Dockerfile, Stage
from rebake.project.dockerfile_words import Instruction, expand_known, given_values
from rebake.scan.findings import Finding

_SECRET = re.compile(
    r"(?:^|_)(?:TOKEN|SECRET|PASSWORD|PASSWD|API_?KEY|PRIVATE_KEY|ACCESS_KEY|CREDENTIALS?)(?:_|$)"
)
# What is known of a base image that has no digest in the Dockerfile itself: empty when it is pinned
# elsewhere, else what is wrong.
Pinned = Callable[[str], str]


def check(
    dockerfile: Dockerfile,
    shown: str,
    pinned: Pinned,
    contexts: frozenset[str] = frozenset(),
    arguments: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[Finding]:
    """Yield what is wrong with a Dockerfile.

    Args:
        dockerfile: the file, taken apart.
        shown: its path in the repository.
        pinned: tells whether a base image has its digest elsewhere.
        contexts: named contexts that builds are given.
        arguments: build arguments that builds are given.
    """
    seen: set[str] = set()
    for number, stage in enumerate(dockerfile.stages):
        for base, line in _bases(dockerfile, number, contexts, arguments):
            fault = "" if base in seen else pinned(base)
            seen.add(base)
            if fault:
                yield Finding(
                    "dockerfile", "dockerfile-unpinned", "high", shown, fault,
                    f"FROM {base}@sha256:… (docker buildx imagetools inspect {base})", line=line,
                )  # fmt: skip
        for step in stage.instructions:
            yield from _step(step, shown)
    for step in dockerfile.globals:
        yield from _step(step, shown)


def _bases(
    dockerfile: Dockerfile,
    number: int,
    contexts: frozenset[str],
    arguments: Mapping[str, str],
) -> Iterator[tuple[str, int]]:
    """The images that a stage takes something from, each with its line."""
    stage = dockerfile.stages[number]
    before = {one.name for one in dockerfile.stages[:number]}
    named = before | {str(n) for n in range(number)} | contexts | {"scratch", ""}
    start = expand_known(stage.base, dockerfile.global_values(arguments))
    for base, line in ((start, stage.line), *_copied(stage)):
        if base.lower() not in named and "@sha256:" not in base:
            yield base, line


def _copied(stage: Stage) -> Iterator[tuple[str, int]]:
    for step in stage.instructions:
        if step.word in {"COPY", "ADD"} and (source := step.flag("from")):
            yield source, step.line
        if step.word == "RUN":
            for mount in step.mounts():
                if mount.get("from"):
                    yield mount["from"], step.line


def _step(step: Instruction, shown: str) -> Iterator[Finding]:
    if step.word == "ADD":
        yield Finding(
            "dockerfile", "dockerfile-add", "high", shown, f"ADD {step.rest}",
            "COPY: it neither downloads nor unpacks", line=step.line,
        )  # fmt: skip
    if step.word in {"ARG", "ENV"}:
        for name in given_values(step):
            if _SECRET.search(name.upper()) and not name.upper().endswith("_FILE"):
                yield Finding(
                    "dockerfile", "dockerfile-secret", "high", shown, f"{step.word} {name}",
                    "RUN --mount=type=secret,id=…, which leaves no trace", line=step.line,
                )  # fmt: skip
