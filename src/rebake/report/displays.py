"""What a build looks like while it runs, without drawing over lines: lines, plain, quiet."""

from __future__ import annotations

from typing import Protocol

from rebake.report import format as fmt
from rebake.report.events import (
    Event,
    Message,
    StepDone,
    StepFailed,
    StepLog,
    StepStarted,
    Transfer,
    Warned,
)
from rebake.report.printer import Printer
from rebake.report.steps import StepName

WORTH_S = 1.0  # housekeeping that takes longer is shown


class Display(Protocol):
    """Shows the progress of builds. Methods may be called from any thread."""

    def event(self, event: Event) -> None:
        """Show what happened."""

    def say(self, text: str) -> None:
        """Show a line of our own."""

    def log(self, text: str) -> None:
        """Show a line of another program that only the curious want to see."""

    def close(self) -> None:
        """Leave the terminal as it was; what comes later is shown as plain lines."""


class Seen:
    """Decides which ends of steps are worth a line: housekeeping is not, nor the same end twice."""

    def __init__(self) -> None:
        self._shown: dict[str, float] = {}

    def worth_showing(self, event: StepDone) -> bool:
        """Whether to show this end; remembers that it was."""
        step = event.step
        quick = event.seconds < WORTH_S
        if (step.internal or step.kind in {"from", "other"}) and quick:
            return False
        before = self._shown.get(step.digest)
        if before is not None and event.seconds < before + WORTH_S:
            return False  # a step that several targets share ends more than once
        self._shown[step.digest] = event.seconds
        return True


class Lines:
    """One line an event: for files, pipes and CI. Long steps also tell that they began."""

    def __init__(self, printer: Printer) -> None:
        self._printer = printer
        self._seen = Seen()
        self._began: set[str] = set()

    def event(self, event: Event) -> None:
        """Show begins of RUN steps, ends, failures and warnings."""
        printer = self._printer
        if isinstance(event, StepStarted):
            if event.step.kind == "run" and event.step.digest not in self._began:
                self._began.add(event.step.digest)
                printer.line(_whole(event.step, printer.glyph("running"), "began"))
        elif isinstance(event, StepDone):
            if self._seen.worth_showing(event):
                show_done(printer, event)
        elif isinstance(event, StepFailed):
            show_failed(printer, event)
        elif isinstance(event, Warned):
            printer.line(f"warning: {event.text} {event.url}".rstrip(), "yellow")

    def say(self, text: str) -> None:
        """Show a line of our own."""
        self._printer.line(text)

    def log(self, text: str) -> None:
        """Nothing: use `--progress plain` to see it."""

    def close(self) -> None:
        """Nothing to put back."""


class Plain:
    """Everything, as `docker build --progress plain` shows it: each line has its step's number."""

    def __init__(self, printer: Printer) -> None:
        self._printer = printer
        self._named: set[str] = set()
        self._moved: set[tuple[str, str]] = set()

    def event(self, event: Event) -> None:
        """Show every event, log lines too."""
        printer = self._printer
        if isinstance(event, Message):
            printer.line(event.text)
            return
        if isinstance(event, Warned):
            printer.line(f"warning: {event.text} {event.url}".rstrip(), "yellow")
            return
        step, number = event.step, f"#{event.step.number}"
        if step.digest not in self._named and not isinstance(event, Transfer):
            self._named.add(step.digest)
            printer.line(f"{number} {step.name}", "bold")
        if isinstance(event, StepLog):
            printer.line(f"{number} {event.seconds:.3f} {event.line}")
        elif isinstance(event, StepDone):
            word = "CACHED" if event.cached else f"DONE {event.seconds:.1f}s"
            printer.line(f"{number} {word}", "dim" if event.cached else "green")
        elif isinstance(event, StepFailed):
            word = "CANCELED" if event.canceled else f"ERROR: {event.error}"
            printer.line(f"{number} {word}", "red")
        elif isinstance(event, Transfer):
            self._transfer(event)

    def say(self, text: str) -> None:
        """Show a line of our own."""
        self._printer.line(text)

    def log(self, text: str) -> None:
        """Show another program's line."""
        self._printer.line(text, "dim")

    def close(self) -> None:
        """Nothing to put back."""

    def _transfer(self, event: Transfer) -> None:
        key = (event.step.digest, event.what)
        if event.done and event.current and key not in self._moved:
            self._moved.add(key)
            size = fmt.size(event.current)
            self._printer.line(f"#{event.step.number} {event.what} {size} done")


class Quiet:
    """Nothing; errors are shown by whoever catches them."""

    def event(self, event: Event) -> None:
        """Nothing."""

    def say(self, text: str) -> None:
        """Nothing."""

    def log(self, text: str) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing to put back."""


def show_done(printer: Printer, event: StepDone) -> None:
    """Write the line of a step that ended well."""
    result = "cached" if event.cached else fmt.seconds(event.seconds)
    mark = printer.glyph("cached" if event.cached else "done")
    text = _whole(event.step, mark, result, printer)
    rest = text.removeprefix(mark)
    printer.pieces(
        (mark, "dim" if event.cached else "green"), (rest, "dim" if event.cached else "")
    )


def show_failed(printer: Printer, event: StepFailed) -> None:
    """Write the line of a step that failed, or was stopped because another one failed."""
    mark = printer.glyph("failed")
    text = _whole(event.step, mark, "stopped" if event.canceled else "failed", printer)
    printer.line(text, *(("dim",) if event.canceled else ("red",)))


def _whole(step: StepName, mark: str, result: str, printer: Printer | None = None) -> str:
    if printer is not None and printer.terminal:
        # One column short: a full last column makes some terminals wrap.
        return fmt.step_line(step, mark, result, printer.columns - 1, printer.glyph("ellipsis"))
    words = (mark, step.label, fmt.shorten(step.title, 160), result)
    return "  ".join(word for word in words if word)
