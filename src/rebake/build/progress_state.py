"""What a build did, as its progress tells it: the steps while they run, the summary at the end."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence

from msgspec import Struct, field

from rebake.build.usage import cache_use
from rebake.history.records import StepRecord
from rebake.report.events import Event
from rebake.report.steps import WORK, StepName
from rebake.results import CacheCount, CacheUse, Step, StepUsage


class FailedStep(Struct, frozen=True):
    """The step that broke the build, with its last log lines (redacted)."""

    step: StepName
    error: str
    tail: tuple[str, ...]


class BuildProgress(Struct, frozen=True):
    """What a build did, read from its progress.

    Attributes:
        steps: every step, housekeeping included, in the order in which they began; times in seconds
            from the build's start.
        names: each step's readable name, by digest.
        targets: the bake targets that each step was seen in, by digest (empty for one target).
        context_bytes: bytes of build contexts that were sent to the builder.
        downloaded_bytes: bytes of layers that were pulled, each blob counted once.
        failure: the step that broke it; None when no step failed.
        messages: buildx's own plain lines, the last ones, redacted; its closing error is there.
        warnings: the builder's warnings, each once.
        started_at: seconds since 1970 of the first start, by the engine's clock; None if nothing
            started.
        log_tails: the last log lines of each step that printed any, by digest.
        crates: the packages of which cargo compiled something, as `name@version`; None where no
            step told.
        binaries: what each binary that the compiling step copied out is known by; empty where it
            did not run.
    """

    steps: tuple[Step, ...]
    names: Mapping[str, StepName]
    targets: Mapping[str, tuple[str, ...]]
    context_bytes: int
    downloaded_bytes: int
    failure: FailedStep | None
    messages: tuple[str, ...]
    warnings: tuple[str, ...]
    started_at: float | None
    log_tails: Mapping[str, tuple[str, ...]]
    crates: tuple[str, ...] | None = None
    binaries: Mapping[str, str] = field(default_factory=dict)

    @property
    def cached_share(self) -> tuple[int, int]:
        """How many of the Dockerfiles' own steps were cached, and how many there are."""
        work = [step for step in self.steps if self.names[step.digest].kind in WORK]
        return sum(step.cached for step in work), len(work)

    def caches(self) -> CacheUse:
        """What was found in each kind of cache."""
        hits, all_of_them = self.cached_share
        usages = [step.usage for step in self.steps if step.usage is not None]
        return cache_use(CacheCount(hits, all_of_them - hits), usages)

    @property
    def error_message(self) -> str:
        """Buildx's closing error without its `ERROR: ` mark; empty when there is none."""
        return closing_error(self.messages)

    def records(self) -> tuple[StepRecord, ...]:
        """The steps in the form that the history keeps."""
        return tuple(
            StepRecord(
                digest=step.digest,
                name=step.name,
                kind=self.names[step.digest].kind,
                stage=self.names[step.digest].stage,
                target=",".join(self.targets[step.digest]),
                started_s=step.started_s,
                ended_s=step.ended_s,
                cached=step.cached,
                error=step.error,
                inputs=step.inputs,
                bytes=step.bytes,
                usage=step.usage,
            )
            for step in self.steps
        )


def closing_error(messages: Sequence[str]) -> str:
    """Return buildx's closing error out of its plain lines; empty when there is none."""
    for text in reversed(messages):
        if text.startswith("ERROR: "):
            return text.removeprefix("ERROR: ")
    return ""


class Vertex(Struct):
    """One step while the build runs.

    Attributes:
        digest: BuildKit's digest of it.
        name: what is known of its name so far.
        known: its own update has come, not only a log or status that names it.
        targets: the bake targets that it was seen in.
        inputs: digests of the steps that it is made from.
        intervals: each start with its end, None while it runs.
        cached: it was not run.
        error: why it failed; empty when it did not.
        running: it runs now.
        ended: an end was announced and it has not run since.
        moved: bytes moved, by the status that counts them.
        partial: the unfinished line of each log stream.
        tail: its last log lines.
        pending: events that came before its name.
        usage: what it took, where its own tools told that.
    """

    digest: str
    name: StepName
    known: bool = False
    targets: list[str] = field(default_factory=list)
    inputs: tuple[str, ...] = ()
    intervals: dict[float, float | None] = field(default_factory=dict)
    cached: bool = False
    error: str = ""
    running: bool = False
    ended: bool = False
    moved: dict[str, int] = field(default_factory=dict)
    partial: dict[int, bytes] = field(default_factory=dict)
    tail: deque[str] = field(default_factory=deque)
    pending: list[Event] = field(default_factory=list)
    usage: StepUsage | None = None

    @property
    def started(self) -> float | None:
        """When it first began, seconds since 1970; None if it has not."""
        return min(self.intervals, default=None)

    @property
    def last_end(self) -> float:
        """When it last ended; minus infinity before that."""
        return max((e for e in self.intervals.values() if e is not None), default=float("-inf"))

    @property
    def seconds(self) -> float:
        """Time in at least one interval (they can overlap: one step, several targets)."""
        total, reach = 0.0, float("-inf")
        for start, end in sorted((s, e) for s, e in self.intervals.items() if e is not None):
            if end > reach:
                total += end - max(start, reach)
                reach = end
        return total

    def since(self, moment: float | None) -> float:
        """Return the seconds from its start to a moment; 0 where either is unknown."""
        start = self.started
        return 0.0 if moment is None or start is None else max(0.0, moment - start)

    def step(self, zero: float) -> Step:
        """Return it as a finished step; times count from `zero`, what was before it left out."""
        ends = [end for end in self.intervals.values() if end is not None]
        start = self.started
        return Step(
            digest=self.digest,
            name=self.name.name,
            started_s=None if start is None else max(0.0, round(start - zero, 6)),
            ended_s=max(0.0, round(max(ends) - zero, 6)) if ends else None,
            cached=self.cached and not self.error,
            error=self.error,
            inputs=self.inputs,
            bytes=sum(self.moved.values()),
            usage=self.usage,
        )
