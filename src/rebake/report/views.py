"""What a report shows, as frozen values: builds, their steps, images and contexts, and the trend.

They know neither the history nor the engine: `tasks/report_flow.py` fills them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar

from msgspec import Struct, field
from msgspec.structs import replace

from rebake.report.measured import Benchmark
from rebake.report.steps import WORK, StepKind
from rebake.results import CacheUse, Mode, StepUsage

Outcome = Literal["done", "failed", "interrupted"]
_T = TypeVar("_T")

# No HTML or XML takes these: control characters and halves of surrogate pairs (they stand in names
# of files that are not UTF-8). The bidirectional overrides can make a text look like another one.
_UNFIT = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff\u202a-\u202e\u2066-\u2069]"
)


class StepView(Struct, frozen=True):
    """One step. Times in seconds from the build's first step, None for one that never began.

    `place` is `builder 2/5`, `title` what it does in short, `name` the builder's whole text.
    `target` names the bake targets that share it, with commas; empty for all. `usage` is what its
    own tools told. `attempt` is the bake of its build, from 1; 0 is the dependency layer.
    """

    place: str
    title: str
    name: str = ""
    target: str = ""
    kind: StepKind = "run"
    started_s: float | None = None
    ended_s: float | None = None
    cached: bool = False
    error: str = ""
    bytes: int = 0
    usage: StepUsage | None = None
    attempt: int = 1

    @property
    def seconds(self) -> float:
        """How long it ran; 0 for a step that did not run."""
        if self.started_s is None or self.ended_s is None:
            return 0.0
        return max(self.ended_s - self.started_s, 0.0)


class LayerView(Struct, frozen=True):
    """One layer of an image."""

    digest: str
    bytes: int
    created_by: str = ""


class ImageView(Struct, frozen=True):
    """One service's image after a build; `built` is false where an older one was kept."""

    service: str
    ref: str
    bytes: int
    build_id: str = ""
    built: bool = True
    layers: tuple[LayerView, ...] = ()


class FileView(Struct, frozen=True):
    """One file of a context."""

    path: str
    bytes: int


class ContextView(Struct, frozen=True):
    """What stands in a build context: all files in numbers, and the largest ones, largest first."""

    name: str
    files: int
    bytes: int
    largest: tuple[FileView, ...] = ()


class BuildView(Struct, frozen=True):
    """One build. `started_at` in seconds since 1970; `seconds` as the user waited for it.

    `network_bytes` are all bytes that came over the network; `caches` what was found in each kind
    of cache. `facts` are further lines for a person: what it was built with, say.
    """

    id: int
    mode: Mode
    targets: tuple[str, ...]
    started_at: float
    seconds: float
    outcome: Outcome
    skipped: str = ""
    git_head: str = ""
    git_dirty: bool = False
    context_bytes: int = 0
    downloaded_bytes: int = 0
    network_bytes: int = 0
    caches: CacheUse = field(default_factory=CacheUse)
    steps: tuple[StepView, ...] = ()
    images: tuple[ImageView, ...] = ()
    contexts: tuple[ContextView, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()

    @property
    def work(self) -> tuple[StepView, ...]:
        """The Dockerfiles' own steps: what "n of m cached" counts."""
        return tuple(step for step in self.steps if step.kind in WORK and step.attempt)

    @property
    def cached(self) -> int:
        """How many of them were cached."""
        return sum(step.cached for step in self.work)

    @property
    def cpu_s(self) -> float | None:
        """CPU seconds of the steps that told them; None where none did."""
        told = [s.usage.cpu_s for s in self.steps if s.usage and s.usage.cpu_s is not None]
        return sum(told) if told else None

    @property
    def peak_bytes(self) -> int | None:
        """The most memory that a step told; None where none did."""
        told = (s.usage.peak_bytes for s in self.steps if s.usage)
        return max((value for value in told if value is not None), default=None)

    @property
    def ran(self) -> bool:
        """Whether any step of it has times to show."""
        return any(step.started_s is not None for step in self.steps)

    @property
    def outside_s(self) -> float:
        """Seconds in which no step ran: reading the inputs, asking the engine, the checks after."""
        spans = sorted(
            (step.started_s, step.ended_s)
            for step in self.steps
            if step.started_s is not None and step.ended_s is not None
        )
        busy, end = 0.0, 0.0
        for start, stop in spans:
            busy += max(stop - max(start, end), 0.0)
            end = max(end, stop)
        return max(self.seconds - busy, 0.0)

    def slowest(self, count: int, least_s: float = 0.05) -> tuple[StepView, ...]:
        """The steps that ran longest, longest first; none shorter than `least_s`."""
        ran = [step for step in self.steps if not step.cached and step.seconds >= least_s]
        return tuple(sorted(ran, key=lambda step: -round(step.seconds, 3))[:count])


class TrendPoint(Struct, frozen=True):
    """One build in the trend. `steps` and `cached_steps` count the Dockerfiles' own steps."""

    id: int
    started_at: float
    seconds: float
    outcome: Outcome
    mode: Mode = "prod"
    skipped: bool = False
    targets: tuple[str, ...] = ()
    steps: int = 0
    cached_steps: int = 0
    git_head: str = ""
    git_dirty: bool = False

    @property
    def word(self) -> str:
        """How it ended, in a word."""
        return "nothing to do" if self.skipped and self.outcome == "done" else self.outcome


class ReportView(Struct, frozen=True):
    """All that one report shows.

    Attributes:
        project: the project's name.
        version: of rebake.
        made_at: seconds since 1970.
        build: the build that was asked for; None with an empty history.
        timeline: the build whose steps are drawn: `build`, or where it ran no step the newest one
            before it that did.
        trend: the newest builds, oldest first.
        total: how many builds of this project the history keeps.
        benchmark: the last result of the benchmark, where there is one.
        benchmark_problem: why a result that is there can't be shown.
    """

    project: str
    version: str
    made_at: float
    build: BuildView | None = None
    timeline: BuildView | None = None
    trend: tuple[TrendPoint, ...] = ()
    total: int = 0
    benchmark: Benchmark | None = None
    benchmark_problem: str = ""


def printable(text: str) -> str:
    """Replace what no document can hold, and what makes a text look like another one."""
    return _UNFIT.sub("\N{REPLACEMENT CHARACTER}", text)


def cleaned(view: _T, clean: Callable[[str], str]) -> _T:
    """Return the same view with every text in it passed through `clean` and made printable."""

    def walk(value: Any) -> Any:  # noqa: ANN401 - whatever stands in a view
        if isinstance(value, str):
            return printable(clean(value))
        if isinstance(value, tuple):
            return tuple(walk(item) for item in value)
        if isinstance(value, Mapping):
            return {walk(key): walk(item) for key, item in value.items()}
        if isinstance(value, Struct):
            changes = {name: walk(getattr(value, name)) for name in value.__struct_fields__}
            return replace(value, **changes)
        return value

    result: _T = walk(view)
    return result
