"""Reads what `docker buildx … --progress rawjson` writes on stderr, line by line.

Each line is one JSON document, BuildKit's `SolveStatus`: `vertexes` (steps: digest, name, inputs,
started, completed, cached, error), `statuses` (bytes moved within a step), `logs` (base64) and
`warnings`. The same step comes many times, from several targets, sometimes with an earlier state
after a later one, and it may run in several intervals; buildx mixes plain text in (its own error
at the end). This reader turns all that into events while it happens and a summary at the end.

Pure: text in, events out. It starts nothing, prints nothing and reads no clock.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from rebake.history.records import StepRecord
from rebake.redact import Redactor
from rebake.report.events import (
    Event,
    Message,
    OnEvent,
    StepDone,
    StepFailed,
    StepLog,
    StepStarted,
    Transfer,
    Warned,
)
from rebake.report.steps import WORK, StepName, parse_step_name
from rebake.results import Step

TAIL_LINES = 20  # log lines of a failing step that are kept for the error message
_MESSAGES_KEPT = 500
_LINE_BYTES = 64 * 1024  # a step that prints no line end is cut here
_BLOB = re.compile(r"^sha256:[0-9a-f]{64}$")
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_CANCELED = ("context canceled", "CANCELED", "context deadline exceeded")


@dataclass(frozen=True)
class FailedStep:
    """The step that broke the build, with its last log lines (redacted)."""

    step: StepName
    error: str
    tail: tuple[str, ...]


@dataclass(frozen=True)
class BuildProgress:
    """What a build did, read from its progress.

    Attributes:
        steps: every step, housekeeping included, in the order in which they began; times in seconds
            from the first step's start.
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

    @property
    def cached_share(self) -> tuple[int, int]:
        """How many of the Dockerfiles' own steps were cached, and how many there are."""
        work = [step for step in self.steps if self.names[step.digest].kind in WORK]
        return sum(step.cached for step in work), len(work)

    @property
    def error_message(self) -> str:
        """Buildx's closing error without its `ERROR: ` mark; empty when there is none."""
        for text in reversed(self.messages):
            if text.startswith("ERROR: "):
                return text.removeprefix("ERROR: ")
        return ""

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
            )
            for step in self.steps
        )


@dataclass
class _Vertex:
    """One step while the build runs."""

    digest: str
    name: StepName
    known: bool = False  # its own update has come, not only a log or status that names it
    targets: list[str] = field(default_factory=list)
    inputs: tuple[str, ...] = ()
    intervals: dict[float, float | None] = field(default_factory=dict)  # start -> end
    cached: bool = False
    error: str = ""
    running: bool = False
    ended: bool = False  # an end was announced and it has not run since
    moved: dict[str, int] = field(default_factory=dict)  # status id -> bytes
    partial: dict[int, bytes] = field(default_factory=dict)  # log stream -> unfinished line
    tail: deque[str] = field(default_factory=deque)
    pending: list[Event] = field(default_factory=list)  # came before the step's name

    @property
    def started(self) -> float | None:
        return min(self.intervals, default=None)

    @property
    def last_end(self) -> float:
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


def _ignore(_event: Event) -> None:
    return


class ProgressReader:
    """Takes rawjson lines and keeps the build's state.

    Args:
        on_event: called for each event, in the thread that calls `feed`.
        targets: the bake targets of this build, to tell a target from a stage in step names.
        redactor: masks secrets in names, logs, errors and messages; the environment's by default.
        tail_lines: how many log lines of each step are kept for error messages.
    """

    def __init__(
        self,
        on_event: OnEvent = _ignore,
        *,
        targets: Sequence[str] = (),
        redactor: Redactor | None = None,
        tail_lines: int = TAIL_LINES,
    ) -> None:
        self._on_event = on_event
        self._targets = frozenset(targets)
        self._redactor = Redactor.from_environment() if redactor is None else redactor
        self._tail_lines = tail_lines
        self._vertices: dict[str, _Vertex] = {}
        self._messages: deque[str] = deque(maxlen=_MESSAGES_KEPT)
        self._warnings: dict[str, None] = {}
        self._failed: list[str] = []
        self._begun = 0
        self._context: dict[tuple[str, str], int] = {}
        self._blobs: dict[str, int] = {}

    def feed(self, line: str) -> None:
        """Take one line of buildx's stderr, with or without its line end."""
        text = line.strip()
        if not text:
            return
        status = _status(text)
        if status is None:
            self._message(line.rstrip("\r\n"))
            return
        for item in _dicts(status, "vertexes"):
            self._vertex_update(item)
        for item in _dicts(status, "statuses"):
            self._transfer(item)
        for item in _dicts(status, "logs"):
            self._log(item)
        for item in _dicts(status, "warnings"):
            self._warning(item)

    def finish(self) -> BuildProgress:
        """Give out unfinished log lines and return the summary. Call it once, at the end."""
        for vertex in self._vertices.values():
            self._flush(vertex)
            for event in vertex.pending:
                self._on_event(event)
            vertex.pending.clear()
        zero = min((v.started for v in self._vertices.values() if v.started is not None), default=0)
        vertices = [v for v in self._vertices.values() if v.known]
        vertices.sort(key=lambda v: v.name.number or len(vertices) + 1)
        return BuildProgress(
            steps=tuple(_step(v, zero) for v in vertices),
            names={v.digest: v.name for v in vertices},
            targets={v.digest: tuple(v.targets) for v in vertices},
            context_bytes=sum(self._context.values()),
            downloaded_bytes=sum(self._blobs.values()),
            failure=self._failure(),
            messages=tuple(self._messages),
            warnings=tuple(self._warnings),
            started_at=zero or None,
            log_tails={v.digest: tuple(v.tail) for v in self._vertices.values() if v.tail},
        )

    # one method for each kind of thing that a line can hold

    def _vertex_update(self, item: Mapping[str, Any]) -> None:
        digest = _text(item, "digest")
        if not digest:
            return
        vertex = self._vertex(digest)
        self._learn_name(vertex, _text(item, "name"))
        inputs = item.get("inputs")
        if isinstance(inputs, list) and not vertex.inputs:
            vertex.inputs = tuple(i for i in inputs if isinstance(i, str))
        start, end = _time(item.get("started")), _time(item.get("completed"))
        fresh = start is not None and start not in vertex.intervals
        # Targets that share a step report it with slightly different times: it runs anew only
        # when it starts after everything that is known of it.
        anew = fresh and start is not None and start > vertex.last_end
        if start is not None and (fresh or vertex.intervals[start] is None):
            vertex.intervals[start] = end
        elif start is None and end is not None and not vertex.intervals:
            vertex.intervals[end] = end  # a cached step may come without a start
        error = self._clean(_text(item, "error"))
        # `cached` counts only with an end: BuildKit sets it early on steps that then run.
        if item.get("cached") is True and end is not None:
            vertex.cached = True
        if anew and end is None and not vertex.running:
            self._begin(vertex)
        if error:
            self._fail(vertex, error)
        elif end is not None and not any(e is None for e in vertex.intervals.values()):
            self._end(vertex)

    def _begin(self, vertex: _Vertex) -> None:
        vertex.running, vertex.ended = True, False
        vertex.cached = False  # it runs after all
        self._number(vertex)
        self._on_event(StepStarted(vertex.name))

    def _end(self, vertex: _Vertex) -> None:
        if vertex.error or (vertex.ended and not vertex.running):
            return
        self._flush(vertex)
        self._number(vertex)
        vertex.running, vertex.ended = False, True
        self._on_event(StepDone(vertex.name, vertex.seconds, vertex.cached))

    def _fail(self, vertex: _Vertex, error: str) -> None:
        if vertex.error:
            return
        self._flush(vertex)
        vertex.error, vertex.running, vertex.ended, vertex.cached = error, False, True, False
        self._number(vertex)
        self._failed.append(vertex.digest)
        tail = tuple(vertex.tail)
        self._on_event(StepFailed(vertex.name, vertex.seconds, error, tail, _canceled(error)))

    def _transfer(self, item: Mapping[str, Any]) -> None:
        vertex = self._vertex(_text(item, "vertex"))
        what = _text(item, "id")
        current, total = _count(item, "current"), _count(item, "total")
        kind = _transfer_kind(what, vertex.name)
        if not kind or (not current and not total):
            return
        if kind == "context":
            key = (vertex.digest, what)
            self._context[key] = max(self._context.get(key, 0), current)
        elif kind == "download":  # one blob can be shown in several steps
            self._blobs[what] = max(self._blobs.get(what, 0), current)
        vertex.moved[what] = max(vertex.moved.get(what, 0), current)
        done = item.get("completed") is not None
        self._emit(vertex, Transfer(vertex.name, what, kind, vertex.moved[what], total, done))

    def _log(self, item: Mapping[str, Any]) -> None:
        vertex = self._vertex(_text(item, "vertex"))
        try:
            data = base64.b64decode(_text(item, "data"))
        except (binascii.Error, ValueError):
            return
        stream = _count(item, "stream")
        data = vertex.partial.pop(stream, b"") + data
        *lines, rest = data.split(b"\n")
        if len(rest) > _LINE_BYTES:
            lines, rest = [*lines, rest], b""
        if rest:
            vertex.partial[stream] = rest
        seconds = _since(vertex, _time(item.get("timestamp")))
        for line in lines:
            self._log_line(vertex, line, seconds)

    def _log_line(self, vertex: _Vertex, raw: bytes, seconds: float) -> None:
        text = self._clean(raw.decode("utf-8", errors="replace"))
        vertex.tail.append(text)
        self._emit(vertex, StepLog(vertex.name, text, seconds))

    def _flush(self, vertex: _Vertex) -> None:
        for stream in list(vertex.partial):
            self._log_line(vertex, vertex.partial.pop(stream), 0.0)

    def _warning(self, item: Mapping[str, Any]) -> None:
        try:
            text = base64.b64decode(_text(item, "short")).decode("utf-8", errors="replace")
        except (binascii.Error, ValueError):
            return
        text = self._clean(text)
        if text and text not in self._warnings:
            self._warnings[text] = None
            self._on_event(Warned(text, _text(item, "url")))

    def _message(self, line: str) -> None:
        text = self._clean(line)
        self._messages.append(text)
        self._on_event(Message(text))

    # helpers that look into the state

    def _vertex(self, digest: str) -> _Vertex:
        vertex = self._vertices.get(digest)
        if vertex is None:
            vertex = _Vertex(digest, parse_step_name("", digest=digest))
            vertex.tail = deque(maxlen=self._tail_lines)
            self._vertices[digest] = vertex
        return vertex

    def _learn_name(self, vertex: _Vertex, raw: str) -> None:
        name = parse_step_name(self._clean(raw), digest=vertex.digest, targets=self._targets)
        if name.target and name.target not in vertex.targets:
            vertex.targets.append(name.target)
        if vertex.known:
            return
        vertex.known, vertex.name = True, name
        pending, vertex.pending = vertex.pending, []
        for event in pending:  # they waited for the name
            if isinstance(event, StepLog):
                self._on_event(StepLog(name, event.line, event.seconds))

    def _number(self, vertex: _Vertex) -> None:
        if not vertex.name.number:
            self._begun += 1
            vertex.name = replace(vertex.name, number=self._begun)

    def _emit(self, vertex: _Vertex, event: Event) -> None:
        if vertex.known:
            self._on_event(event)
        else:
            vertex.pending.append(event)

    def _failure(self) -> FailedStep | None:
        failed = [self._vertices[digest] for digest in self._failed]
        # Steps that were only stopped because another one failed carry an error too.
        for vertex in [v for v in failed if not _canceled(v.error)] or failed:
            return FailedStep(vertex.name, vertex.error, tuple(vertex.tail))
        return None

    def _clean(self, text: str) -> str:
        text = text.rstrip("\r\n").rpartition("\r")[2]  # what a terminal would show in the end
        return self._redactor.text(_CONTROLS.sub("", _ESCAPES.sub("", text)))


def _step(vertex: _Vertex, zero: float) -> Step:
    ends = [end for end in vertex.intervals.values() if end is not None]
    start = vertex.started
    return Step(
        digest=vertex.digest,
        name=vertex.name.name,
        started_s=None if start is None else round(start - zero, 6),
        ended_s=round(max(ends) - zero, 6) if ends else None,
        cached=vertex.cached and not vertex.error,
        error=vertex.error,
        inputs=vertex.inputs,
        bytes=sum(vertex.moved.values()),
    )


def _status(text: str) -> dict[str, Any] | None:
    if not text.startswith("{"):
        return None
    try:
        status = json.loads(text)
    except ValueError:
        return None
    return status if isinstance(status, dict) else None


def _dicts(status: Mapping[str, Any], key: str) -> Iterator[Mapping[str, Any]]:
    items = status.get(key)
    if isinstance(items, list):
        yield from (item for item in items if isinstance(item, dict))


def _text(item: Mapping[str, Any], key: str) -> str:
    value = item.get(key)
    return value if isinstance(value, str) else ""


def _count(item: Mapping[str, Any], key: str) -> int:
    value = item.get(key)
    return value if isinstance(value, int) and value > 0 else 0


def _time(value: object) -> float | None:
    if not isinstance(value, str):
        return None
    try:
        return datetime.fromisoformat(value).timestamp()  # nanoseconds are cut to microseconds
    except ValueError:
        return None


def _since(vertex: _Vertex, moment: float | None) -> float:
    start = vertex.started
    return 0.0 if moment is None or start is None else max(0.0, moment - start)


def _canceled(error: str) -> bool:
    return error.endswith(_CANCELED)


def _transfer_kind(what: str, step: StepName) -> str:
    """Say what a status line counts; empty for what is not traffic (`extracting …`)."""
    if what.startswith("transferring "):
        housekeeping = "dockerignore" in step.name or "dockerfile" in what
        return "" if housekeeping else "context"
    if step.kind == "export":
        return "export"
    return "download" if _BLOB.match(what) else ""
