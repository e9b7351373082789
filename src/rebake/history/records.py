"""What the history keeps about one build, as frozen records.

`FileDigest` is here, and not with the code that makes it, because the builder (above) and the
store both need it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Literal

from msgspec import Struct, field

from rebake.history.evidence import Evidence
from rebake.results import Mode, StepUsage

Outcome = Literal["done", "failed", "interrupted"]
_WORK = frozenset({"run", "copy", "meta"})  # the kinds of the Dockerfiles' own steps
FileKind = Literal["file", "exec", "link"]


class FileDigest(Struct, frozen=True):
    """One file of a build's context.

    Attributes:
        path: relative to the context, with `/`.
        sha256: hex digest of the content; of the target's text and a line end for a link.
        size: bytes of the content, or of the target's text.
        kind: `exec` is a file with the owner's execute bit; `link` a symbolic link.
    """

    path: str
    sha256: str
    size: int
    kind: FileKind = "file"


class StepRecord(Struct, frozen=True):
    """One step of the build. Times in seconds from the build's first step.

    Digests of steps that need the build's context differ from build to build: compare names.
    `target` holds the bake targets that share it, with commas; `inputs` the digests of the steps
    that it is made from; `usage` what it took, where its own tools told that. `attempt` is the bake
    that it belongs to, from 1: a build bakes again where something is amiss that another bake
    mends. 0 is the dependency layer, which is made after the images.
    """

    digest: str
    name: str
    kind: str = "other"
    stage: str = ""
    target: str = ""
    started_s: float | None = None
    ended_s: float | None = None
    cached: bool = False
    error: str = ""
    bytes: int = 0
    inputs: tuple[str, ...] = ()
    usage: StepUsage | None = None
    attempt: int = 1

    @property
    def place(self) -> tuple[str, str, str]:
        """Its stage, its number there and its line: the same in each bake of a build."""
        head, _, line = self.name.partition("]")
        return self.stage, head.rpartition(" ")[2], line

    @property
    def ran(self) -> bool:
        """Whether it ran, to its end or not."""
        return not self.cached and self.started_s is not None

    @property
    def seconds(self) -> float:
        """How long it ran; 0 for a step that did not run."""
        if self.started_s is None or self.ended_s is None:
            return 0.0
        return self.ended_s - self.started_s


def each_once(steps: Iterable[StepRecord]) -> list[StepRecord]:
    """Return the Dockerfiles' own steps of a build: each time that one ran; once if it never did.

    What one bake made, the next one finds in the builder's cache, and tells again. The dependency
    layer is left out.
    """
    work = [step for step in steps if step.kind in _WORK and step.attempt]
    if all(step.attempt == 1 for step in work):
        return work
    ran = {step.place for step in work if step.ran}
    last = {step.place: step for step in work}
    return [s for s in work if s.ran or (s.place not in ran and s is last[s.place])]


def count_work(steps: Iterable[StepRecord]) -> tuple[int, int]:
    """Return how many of the Dockerfiles' own steps there are, and how many were cached."""
    work = each_once(steps)
    return len(work), sum(step.cached for step in work)


class LayerRecord(Struct, frozen=True):
    """One layer of an image, the lowest first: digest of its content, and its bytes unpacked.

    `created_by` is the line of the Dockerfile that made it. The digest is empty where the engine
    does not tell which line made which layer.
    """

    digest: str
    bytes: int = 0
    created_by: str = ""


class ImageRecord(Struct, frozen=True):
    """One service's image after the build. `built` is false where an older one was kept."""

    service: str
    ref: str
    digest: str
    bytes: int
    build_id: str
    built: bool = True
    seconds: float = 0.0
    layers: tuple[LayerRecord, ...] = ()


class BuildRecord(Struct, frozen=True):
    """One build: what went in, what it did, what came out.

    Attributes:
        project: the project's id, the same in all its worktrees.
        worktree: the folder it was built in.
        mode: `dev` or `prod`.
        targets: the bake targets, in order.
        started_at: seconds since 1970.
        seconds: of the whole build, as the user waited.
        outcome: how it ended.
        rebake_version: ours.
        engine: versions by name: `engine`, `buildx`, `buildkit`, `compose`.
        git_head: the commit; empty outside of git.
        git_dirty: whether the worktree differed from it.
        skipped: why nothing was built; empty when something was.
        context_bytes: bytes sent to the builder.
        downloaded_bytes: bytes pulled from registries.
        steps: in order of appearance.
        images: one for each service.
        inputs: the files of each context, by the context's name (`backend`, `ui`).
        arguments: build arguments by name. Values of secret-sounding names are stored as a keyed
            digest only, all others redacted.
        settings: whatever else decides the result (toolchain, linker, profile), by name.
        base_images: digest of each base image, by its reference.
        evidence: what else tells the causes of its steps; None where nothing was kept.
    """

    project: str
    worktree: str
    mode: Mode
    targets: tuple[str, ...]
    started_at: float
    seconds: float
    outcome: Outcome
    rebake_version: str = ""
    engine: Mapping[str, str] = field(default_factory=dict)
    git_head: str = ""
    git_dirty: bool = False
    skipped: str = ""
    context_bytes: int = 0
    downloaded_bytes: int = 0
    steps: tuple[StepRecord, ...] = ()
    images: tuple[ImageRecord, ...] = ()
    inputs: Mapping[str, tuple[FileDigest, ...]] = field(default_factory=dict)
    arguments: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    base_images: Mapping[str, str] = field(default_factory=dict)
    evidence: Evidence | None = None

    @property
    def network_bytes(self) -> int:
        """Bytes that came over the network: layers, and what the steps' tools downloaded."""
        return self.downloaded_bytes + sum(
            step.usage.network_bytes or 0 for step in self.steps if step.usage is not None
        )


class StoredBuild(Struct, frozen=True):
    """A build as the history gives it back.

    `inputs_digest` stands for all input files at once (see `history.trees.inputs_digest`): two
    builds with the same one had the same files. `record.inputs` is empty unless the whole build
    was asked for (`History.build`).
    """

    id: int
    record: BuildRecord
    inputs_digest: str

    def image(self, service: str) -> ImageRecord | None:
        """The image of a service, or None when this build had nothing to do with it."""
        return next((i for i in self.record.images if i.service == service), None)


class BuildSummary(Struct, frozen=True):
    """One line of a list of builds: enough to show it and to draw trends.

    `steps` and `cached_steps` count the Dockerfiles' own steps (kinds `run`, `copy`, `meta`);
    base images, exports and housekeeping are left out. `bakes` is how often it baked. What the
    steps' tools told (see `StepUsage`) is added up, of memory the most; None where none told.
    """

    id: int
    project: str
    worktree: str
    mode: Mode
    targets: tuple[str, ...]
    started_at: float
    seconds: float
    outcome: Outcome
    skipped: str
    steps: int
    cached_steps: int
    context_bytes: int
    downloaded_bytes: int
    git_head: str
    git_dirty: bool
    inputs_digest: str
    bakes: int = 1
    cpu_s: float | None = None
    peak_bytes: int | None = None
    network_bytes: int | None = None
    crates_compiled: int | None = None
    crates_reused: int | None = None


def keyed_digest(key: bytes, value: str) -> str:
    """Return a short digest of a secret value that only this database's key can make again."""
    return "keyed:" + hashlib.blake2b(value.encode(), key=key, digest_size=8).hexdigest()
