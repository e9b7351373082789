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
import re
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from rebake.build.progress_state import BuildProgress, FailedStep, Vertex, closing_error
from rebake.build.rawjson import as_shown, count_of, document, moment, objects, text_of
from rebake.build.usage import parse_binaries, parse_crates, parse_usage
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
from rebake.report.steps import StepName, parse_step_name

TAIL_LINES = 20  # log lines of a failing step that are kept for the error message
_MESSAGES_KEPT = 500
_LINE_BYTES = 64 * 1024  # a step that prints no line end is cut here
_BLOB = re.compile(r"^sha256:[0-9a-f]{64}$")
_OWN = ("load build definition", "load local bake definitions")
_CANCELED = ("context canceled", "CANCELED", "context deadline exceeded")


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
        self._vertices: dict[str, Vertex] = {}
        self._messages: deque[str] = deque(maxlen=_MESSAGES_KEPT)
        self._warnings: dict[str, None] = {}
        self._failed: list[str] = []
        self._begun = 0
        self._context: dict[tuple[str, str], int] = {}
        self._blobs: dict[str, int] = {}
        self._crates: tuple[str, ...] | None = None
        self._binaries: dict[str, dict[str, str]] = {}  # by step

    def feed(self, line: str) -> None:
        """Take one line of buildx's stderr, with or without its line end."""
        text = line.strip()
        if not text:
            return
        status = document(text)
        if status is None:
            self._message(line.rstrip("\r\n"))
            return
        for item in objects(status, "vertexes"):
            self._vertex_update(item)
        for item in objects(status, "statuses"):
            self._transfer(item)
        for item in objects(status, "logs"):
            self._log(item)
        for item in objects(status, "warnings"):
            self._warning(item)

    def finish(self) -> BuildProgress:
        """Give out unfinished log lines and return the summary. Call it once, at the end."""
        for vertex in self._vertices.values():
            self._flush(vertex)
            for event in vertex.pending:
                self._on_event(event)
            vertex.pending.clear()
        zero = _beginning(self._vertices.values())
        vertices = [v for v in self._vertices.values() if v.known]
        vertices.sort(key=lambda v: v.name.number or len(vertices) + 1)
        return BuildProgress(
            steps=tuple(v.step(zero) for v in vertices),
            names={v.digest: v.name for v in vertices},
            targets={v.digest: tuple(v.targets) for v in vertices},
            context_bytes=sum(self._context.values()),
            downloaded_bytes=sum(self._blobs.values()),
            failure=self._failure(),
            messages=tuple(self._messages),
            warnings=tuple(self._warnings),
            started_at=zero or None,
            log_tails={v.digest: tuple(v.tail) for v in self._vertices.values() if v.tail},
            crates=self._crates,
            # Several steps tell where a build is for several platforms: then none counts.
            binaries=next(iter(self._binaries.values())) if len(self._binaries) == 1 else {},
        )

    # one method for each kind of thing that a line can hold

    def _vertex_update(self, item: Mapping[str, Any]) -> None:
        digest = text_of(item, "digest")
        if not digest:
            return
        vertex = self._vertex(digest)
        self._learn_name(vertex, text_of(item, "name"))
        inputs = item.get("inputs")
        if isinstance(inputs, list) and not vertex.inputs:
            vertex.inputs = tuple(i for i in inputs if isinstance(i, str))
        start, end = moment(item.get("started")), moment(item.get("completed"))
        fresh = start is not None and start not in vertex.intervals
        # Targets that share a step report it with slightly different times: it runs anew only
        # when it starts after everything that is known of it.
        anew = fresh and start is not None and start > vertex.last_end
        if start is not None and (fresh or vertex.intervals[start] is None):
            vertex.intervals[start] = end
        elif start is None and end is not None and not vertex.intervals:
            vertex.intervals[end] = end  # a cached step may come without a start
        error = self._clean(text_of(item, "error"))
        # `cached` counts only with an end: BuildKit sets it early on steps that then run.
        if item.get("cached") is True and end is not None:
            vertex.cached = True
        if anew and end is None and not vertex.running:
            self._begin(vertex)
        if error:
            self._fail(vertex, error)
        elif end is not None and not any(e is None for e in vertex.intervals.values()):
            self._end(vertex)

    def _begin(self, vertex: Vertex) -> None:
        vertex.running, vertex.ended = True, False
        vertex.cached = False  # it runs after all
        self._number(vertex)
        self._on_event(StepStarted(vertex.name))

    def _end(self, vertex: Vertex) -> None:
        if vertex.error or (vertex.ended and not vertex.running):
            return
        self._flush(vertex)
        self._number(vertex)
        vertex.running, vertex.ended = False, True
        self._on_event(StepDone(vertex.name, vertex.seconds, vertex.cached))

    def _fail(self, vertex: Vertex, error: str) -> None:
        if vertex.error:
            return
        self._flush(vertex)
        vertex.error, vertex.running, vertex.ended, vertex.cached = error, False, True, False
        self._number(vertex)
        self._failed.append(vertex.digest)
        tail = tuple(vertex.tail)
        self._on_event(StepFailed(vertex.name, vertex.seconds, error, tail, _canceled(error)))

    def _transfer(self, item: Mapping[str, Any]) -> None:
        vertex = self._vertex(text_of(item, "vertex"))
        what = text_of(item, "id")
        current, total = count_of(item, "current"), count_of(item, "total")
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
        vertex = self._vertex(text_of(item, "vertex"))
        try:
            data = base64.b64decode(text_of(item, "data"))
        except (binascii.Error, ValueError):
            return
        stream = count_of(item, "stream")
        data = vertex.partial.pop(stream, b"") + data
        *lines, rest = data.split(b"\n")
        if len(rest) > _LINE_BYTES:
            lines, rest = [*lines, rest], b""
        if rest:
            vertex.partial[stream] = rest
        seconds = vertex.since(moment(item.get("timestamp")))
        for line in lines:
            self._log_line(vertex, line, seconds)

    def _log_line(self, vertex: Vertex, raw: bytes, seconds: float) -> None:
        text = self._clean(raw.decode("utf-8", errors="replace"))
        usage = parse_usage(text)
        if usage is not None:  # for the record and not for people; the last one is the tools' own
            vertex.usage = usage
            return
        crates = parse_crates(text)
        if crates is not None:
            self._crates = crates
            return
        binaries = parse_binaries(text)
        if binaries is not None:
            self._binaries[vertex.digest] = binaries
            return
        vertex.tail.append(text)
        self._emit(vertex, StepLog(vertex.name, text, seconds))

    def _flush(self, vertex: Vertex) -> None:
        for stream in list(vertex.partial):
            self._log_line(vertex, vertex.partial.pop(stream), 0.0)

    def _warning(self, item: Mapping[str, Any]) -> None:
        try:
            text = base64.b64decode(text_of(item, "short")).decode("utf-8", errors="replace")
        except (binascii.Error, ValueError):
            return
        text = self._clean(text)
        if text and text not in self._warnings:
            self._warnings[text] = None
            self._on_event(Warned(text, text_of(item, "url")))

    def _message(self, line: str) -> None:
        text = self._clean(line)
        self._messages.append(text)
        self._on_event(Message(text))

    # helpers that look into the state

    def _vertex(self, digest: str) -> Vertex:
        vertex = self._vertices.get(digest)
        if vertex is None:
            vertex = Vertex(digest, parse_step_name("", digest=digest))
            vertex.tail = deque(maxlen=self._tail_lines)
            self._vertices[digest] = vertex
        return vertex

    def _learn_name(self, vertex: Vertex, raw: str) -> None:
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

    def _number(self, vertex: Vertex) -> None:
        if not vertex.name.number:
            self._begun += 1
            vertex.name = replace(vertex.name, number=self._begun)

    def _emit(self, vertex: Vertex, event: Event) -> None:
        if vertex.known:
            self._on_event(event)
        else:
            vertex.pending.append(event)

    def _failure(self) -> FailedStep | None:
        failed = [self._vertices[digest] for digest in self._failed]
        # Steps that were only stopped because another one failed carry an error too.
        own = [vertex for vertex in failed if not _canceled(vertex.error)] or failed
        # And so does a base image whose record was pruned, though the build goes on without it.
        closing = closing_error(self._messages)
        for vertex in [v for v in own if closing.endswith(v.error)] or own:
            return FailedStep(vertex.name, vertex.error, tuple(vertex.tail))
        return None

    def _clean(self, text: str) -> str:
        return self._redactor.text(as_shown(text))


def _beginning(vertices: Collection[Vertex]) -> float:
    """When this build began, seconds since 1970; 0 when nothing did.

    A step that another build holds at the same time is told with that build's times, minutes ago
    perhaps. What is loaded from this client is no one else's.
    """
    own = [v.started for v in vertices if v.name.internal and v.name.title.startswith(_OWN)]
    all_of_them = [v.started for v in vertices]
    known = [t for t in own if t is not None] or [t for t in all_of_them if t is not None]
    return min(known, default=0.0)


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
