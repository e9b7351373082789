"""What people see: progress and errors on stderr, results (tables, URLs) on stdout.

Importing this module is cheap; rich is loaded only when a build runs on a terminal.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Self, TextIO

from msgspec.structs import replace

from rebake.errors import RebakeError
from rebake.redact import Redactor
from rebake.report import format as fmt
from rebake.report.displays import Display, Lines, Plain, Quiet
from rebake.report.events import Event
from rebake.report.printer import Printer
from rebake.report.steps import WORK, parse_step_name
from rebake.results import BuildResult, Finding, StackResult

Redact = Callable[[str], str]


class Reporter:
    """Shows what one task does and what came of it.

    Args:
        display: how progress looks.
        progress: where progress goes (stderr).
        results: where results go (stdout; stderr when stdout is kept for one JSON document).
        quiet: leave out all that is not a result.
    """

    def __init__(
        self, display: Display, progress: Printer, results: Printer, *, quiet: bool = False
    ) -> None:
        self._display = display
        self._progress = progress
        self._results = results
        self._quiet = quiet
        self._redact = Redactor.from_environment().text

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Leave the terminal as it was."""
        self._display.close()

    def event(self, event: Event) -> None:
        """Show what a build does; may be called from any thread."""
        with contextlib.suppress(BrokenPipeError):  # nobody reads it: no reason to stop a build
            self._display.event(event)

    def say(self, text: str) -> None:
        """Show a line of our own."""
        self._display.say(self._redact(text))

    def log(self, text: str) -> None:
        """Show a line of a program that we run; only `--progress plain` does."""
        self._display.log(self._redact(text))

    def service_log(self, text: str) -> None:
        """Show a line that a service printed: it is what the user asked for, a result."""
        self.close()
        self._results.line(self._redact(text))

    def result(self, text: str) -> None:
        """Print a result of one or more lines."""
        self.close()
        for line in self._redact(text).split("\n"):
            self._results.line(line)

    def table(self, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Print a table as a result."""
        self.close()
        _write_table(self._results, header, rows, self._redact)

    def findings(self, findings: Sequence[Finding]) -> None:
        """Print what `doctor` found, the bad ones last, where they are seen."""
        self.close()
        order = {"ok": 0, "warning": 1, "error": 2}
        styles = {"ok": "green", "warning": "yellow", "error": "red"}
        printer = self._results
        # What is said of several checks in the same words, such as "no engine runs", is said once.
        groups: dict[Finding, list[str]] = {}
        for finding in sorted(findings, key=lambda f: order[f.level]):
            groups.setdefault(replace(finding, check=""), []).append(finding.check)
        for finding, checks in groups.items():
            message = f"  {', '.join(dict.fromkeys(checks))}: {self._redact(finding.message)}"
            printer.pieces((f"{finding.level:8}", styles[finding.level]), (message, ""))
            mend = "mend it (--fix does)" if finding.fixable else "mend it"
            for head, text in (("why", finding.why), (mend, finding.fix)):
                if text:
                    printer.pieces((" " * 10, ""), (f"{head}: {self._redact(text)}", "dim"))

    def built(self, result: BuildResult) -> None:
        """Close a build: each image with its size and build id, the time, the cached share."""
        self.close()
        if not self._quiet:
            for line in summary_lines(result):
                self._progress.line(self._redact(line))

    def stack(self, result: StackResult) -> None:
        """Show where a stack answers. On stderr: stdout may be kept for the JSON document."""
        self.close()
        _write_stack(self._progress, result, self._redact)

    def stacks(self, stacks: Mapping[str, StackResult]) -> None:
        """Print what runs, as a result."""
        rows = [
            (mode, service.name, service.state, service.health, service.url or "")
            for mode, stack in stacks.items()
            for service in stack.services
        ]
        if rows:
            self.table(("mode", "service", "state", "health", "url"), rows)
        else:
            self._progress.line("nothing runs here")


def make_reporter(
    progress: str,
    stream: TextIO | None = None,
    environ: Mapping[str, str] | None = None,
    *,
    results: TextIO | None = None,
) -> Reporter:
    """Choose how to show progress.

    Args:
        progress: `auto` (live on a terminal, one line an event elsewhere and in CI), `plain`
            (everything, log lines too) or `quiet` (results and errors only).
        stream: where progress goes; stderr when None.
        environ: NO_COLOR, FORCE_COLOR, CI, TERM and COLUMNS are obeyed; ours when None.
        results: where results go; stdout when None. Give stderr when stdout is kept for JSON.
    """
    env = os.environ if environ is None else environ
    printer = Printer(stream or sys.stderr, env)
    results_printer = Printer(results or sys.stdout, env)
    return Reporter(
        _display(progress, printer), printer, results_printer, quiet=progress == "quiet"
    )


def error(err: RebakeError, stream: TextIO | None = None) -> None:
    """Show an error: what happened and where, the evidence, what to do next. On stderr."""
    printer = Printer(stream or sys.stderr, os.environ)
    redact = Redactor.from_environment().text
    with contextlib.suppress(BrokenPipeError):
        printer.pieces(("error: ", "bold red"), (redact(err.what), "bold"))
        for detail in err.details:
            for line in redact(detail).split("\n"):
                printer.pieces((f"   {printer.glyph('bar')} ", "dim"), (line, ""))
        if err.hint:
            printer.pieces((" next: ", "cyan"), (redact(err.hint), ""))


def note(text: str, stream: TextIO | None = None) -> None:
    """Show one line that a user should know, outside of a task's progress. On stderr."""
    printer = Printer(stream or sys.stderr, os.environ)
    printer.pieces(("note: ", "yellow"), (Redactor.from_environment().text(text), ""))


def print_result(text: str, stream: TextIO | None = None) -> None:
    """Print a result on stdout."""
    printer = Printer(stream or sys.stdout, os.environ)
    for line in Redactor.from_environment().text(text).split("\n"):
        printer.line(line)


def table(
    rows: Sequence[Sequence[str]], header: Sequence[str] = (), stream: TextIO | None = None
) -> None:
    """Print a table on stdout."""
    printer = Printer(stream or sys.stdout, os.environ)
    _write_table(printer, header, rows, Redactor.from_environment().text)


def urls(result: StackResult, stream: TextIO | None = None) -> None:
    """Print where a stack answers, on stdout."""
    printer = Printer(stream or sys.stdout, os.environ)
    _write_stack(printer, result, Redactor.from_environment().text)


def summary_lines(result: BuildResult) -> list[str]:
    """The closing lines of a build, without colour."""
    rows = [
        (
            image.service,
            fmt.size(image.bytes),
            image.build_id,
            fmt.seconds(image.seconds) if image.built else "unchanged",
            image.ref,
        )
        for image in result.images.values()
    ]
    lines = fmt.table_lines(("image", "size", "build id", "took", "ref"), rows) if rows else []
    if result.skipped:
        return [*lines, f"nothing built in {fmt.seconds(result.seconds)}: {result.skipped}"]
    work = [step for step in result.steps if parse_step_name(step.name).kind in WORK]
    cached = sum(step.cached for step in work)
    words = [f"built in {fmt.seconds(result.seconds)}"]
    if work:
        words.append(f"{cached} of {len(work)} steps cached")
    crates = result.caches.crates
    if crates is not None:
        words.append(f"{crates.misses} of {crates.hits + crates.misses} crates compiled")
    return [*lines, ", ".join(words)]


def _display(progress: str, printer: Printer) -> Display:
    if progress == "quiet":
        return Quiet()
    if progress == "plain":
        return Plain(printer)
    if printer.interactive:
        from rebake.report.live import LiveDisplay  # imports rich

        return LiveDisplay(printer)
    return Lines(printer)


def _write_table(
    printer: Printer, header: Sequence[str], rows: Sequence[Sequence[str]], redact: Redact
) -> None:
    lines = fmt.table_lines(header, [[redact(str(cell)) for cell in row] for row in rows])
    for i, line in enumerate(lines):
        printer.line(printer.cut(line), *(("bold",) if header and i == 0 else ()))


def _write_stack(printer: Printer, result: StackResult, redact: Redact) -> None:
    width = max((len(name) for name in result.urls), default=0)
    for name, url in result.urls.items():
        printer.pieces((f"  {name:{width}}  ", ""), (redact(url), "cyan"))
    waiting = [s.name for s in result.services if not s.ready]
    state = f"not ready: {', '.join(waiting)}" if waiting else "up"
    printer.line(
        f"{result.mode} {state} in {fmt.seconds(result.seconds)} ({redact(result.engine)})"
    )
    for text in result.notes:
        printer.pieces(("note: ", "yellow"), (redact(text), ""))
