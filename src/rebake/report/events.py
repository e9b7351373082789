"""What can happen while images are built, as frozen events: the builder tells, a reporter shows.

They live here, on the reporters' floor, because `build/progress.py` (above) makes them and
`report/` shows them; a reporter never sees BuildKit's own format.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from rebake.report.steps import StepName


class StepStarted(Struct, frozen=True):
    """A step began to run, or runs again after a pause (a base image that is pulled late)."""

    step: StepName


class StepDone(Struct, frozen=True):
    """A step ended well. `seconds` is the time that it really ran, pauses left out."""

    step: StepName
    seconds: float
    cached: bool


class StepFailed(Struct, frozen=True):
    """A step ended with an error. `tail` holds its last log lines, redacted.

    `canceled` is true when it was only stopped because another step failed.
    """

    step: StepName
    seconds: float
    error: str
    tail: tuple[str, ...] = ()
    canceled: bool = False


class StepLog(Struct, frozen=True):
    """One line that a step printed, redacted. `seconds` counts from the step's start."""

    step: StepName
    line: str
    seconds: float = 0.0


class Transfer(Struct, frozen=True):
    """Bytes that a step moved so far; `total` is 0 when nobody knows it.

    `kind` is `context` (files sent to the builder), `download` (layers of an image or of a
    remote cache) or `export` (the finished image).
    """

    step: StepName
    what: str
    kind: str
    current: int
    total: int
    done: bool


class Warned(Struct, frozen=True):
    """A warning of the builder about the Dockerfile."""

    text: str
    url: str = ""


class Message(Struct, frozen=True):
    """A line of buildx that belongs to no step, redacted."""

    text: str


Event = StepStarted | StepDone | StepFailed | StepLog | Transfer | Warned | Message
OnEvent = Callable[[Event], None]
