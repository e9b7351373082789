"""Reads the name that BuildKit gives a step, and makes it short and readable.

Source of the format: BuildKit's `dockerfile2llb` writes `[linux/arm64 builder 2/5] RUN …` (the
platform only when several are built, the stage only when the Dockerfile has several), and buildx
puts the bake target in front (`[api builder 2/5] RUN …`, `[api internal] load …`,
`[api] exporting to image`) when more than one target is built.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Literal

from msgspec import Struct

# `meta`: a Dockerfile line that is neither RUN, COPY, ADD nor FROM, such as WORKDIR.
StepKind = Literal["run", "copy", "meta", "from", "export", "internal", "cache", "other"]
WORK: frozenset[str] = frozenset({"run", "copy", "meta"})  # what "n of m steps cached" counts

_HEAD = re.compile(r"^\[(?P<head>[^\]]*)\]\s*(?P<rest>.*)$", re.DOTALL)
_INDEX = re.compile(r"^\d+/\d+$")
_PLATFORM = re.compile(r"^(linux|windows|darwin|freebsd)/\w+")
_FLAGS = re.compile(r"^(?:--\w[\w-]*(?:=(?:\"[^\"]*\"|'[^']*'|\S)*)?\s+)+")
_DIGEST = re.compile(r"@sha256:[0-9a-f]{64}")
_STAGE_KINDS: dict[str, StepKind] = {"RUN": "run", "COPY": "copy", "ADD": "copy", "FROM": "from"}
_OTHER_KINDS: tuple[tuple[tuple[str, ...], StepKind], ...] = (
    (("importing cache", "inferred cache", "exporting cache"), "cache"),
    (("exporting", "sending tarball", "pushing", "copying files", "naming"), "export"),
    (("from ", "docker-image://", "pulling"), "from"),
    (("resolve image config", "resolving provenance", "merging manifest"), "internal"),
)


class StepName(Struct, frozen=True):
    """A step's identity for people.

    Attributes:
        digest: BuildKit's digest of the step.
        name: the whole name as BuildKit gave it, redacted.
        number: 1, 2, 3 … in the order in which steps began; 0 for one that has not begun.
        kind: what it does; `internal` steps are housekeeping that a person need not see.
        target: the bake target that showed it first; empty when only one is built.
        stage: the stage of the Dockerfile; empty where it has one stage.
        index: `2/5`, the step's place in the stage; empty for steps outside of stages.
        title: what it does, without mounts and digests: `cargo build --release`.
    """

    digest: str
    name: str
    number: int
    kind: StepKind
    target: str
    stage: str
    index: str
    title: str

    @property
    def internal(self) -> bool:
        """Whether it is housekeeping: shown only when it fails or takes long."""
        return self.kind in {"internal", "cache"}

    @property
    def label(self) -> str:
        """Where it belongs, short: `builder 2/5`; the target where there is no stage."""
        words = [self.stage or self.target, self.index]
        return " ".join(word for word in words if word)


def plain_stage(stage: str) -> str:
    """A stage's name without what says whether it has a network: a person sees one stage."""
    return stage.removesuffix("-online").removesuffix("-offline")


def parse_step_name(
    name: str, *, digest: str = "", number: int = 0, targets: Collection[str] = ()
) -> StepName:
    """Take BuildKit's name of a step apart.

    Args:
        name: the name, already redacted.
        digest: the step's digest.
        number: its place in the order of appearance.
        targets: the bake targets of this build. Only with two or more of them does buildx put
            the target in front of the name.
    """
    match = _HEAD.match(name)
    words = match["head"].split() if match else []
    rest = (match["rest"] if match else name).strip()
    target = index = ""
    if len(targets) > 1 and words and words[0] in targets:
        target = words.pop(0)
    words = [word for word in words if not _PLATFORM.match(word)]
    if words and _INDEX.match(words[-1]):
        index = words.pop()
    internal = "internal" in words or "auth" in words
    stage = plain_stage(words[-1]) if words and index else ""
    kind = _kind(rest, in_stage=bool(index), internal=internal)
    return StepName(digest, name, number, kind, target, stage, index, _title(rest, kind))


def _kind(rest: str, *, in_stage: bool, internal: bool) -> StepKind:
    if internal:
        return "internal"
    if in_stage:
        return _STAGE_KINDS.get(rest.split(" ", 1)[0].upper(), "meta")
    lowered = rest.lower()
    return next((kind for start, kind in _OTHER_KINDS if lowered.startswith(start)), "other")


def _title(rest: str, kind: StepKind) -> str:
    text = " ".join(_DIGEST.sub("", rest).split())
    if kind == "run":
        text = _FLAGS.sub("", text.split(" ", 1)[1] if " " in text else text)
    elif kind == "copy":
        word, _, arguments = text.partition(" ")
        text = f"{word} {_FLAGS.sub('', arguments)}"
    elif kind == "from":
        text = text.replace("docker.io/library/", "").replace("docker.io/", "")
    return text
