"""The live view: finished steps as lines, running ones below them with their seconds going up.

Rich draws it and is imported with this module: import it only for a terminal. Rich moves the
cursor and writes each frame in one piece, so nothing flickers; at 8 frames a second at most.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

from msgspec import Struct, field
from msgspec.structs import replace
from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.text import Text

from rebake.report import format as fmt
from rebake.report.displays import WORTH_S, Seen, show_done, show_failed
from rebake.report.events import (
    Event,
    StepDone,
    StepFailed,
    StepLog,
    StepStarted,
    Transfer,
    Warned,
)
from rebake.report.printer import Printer
from rebake.report.steps import StepName

_FRAMES_PER_S = 8
_MOST = 8  # running steps that are shown; more than that are counted
_WIDE = 90  # columns from which the last log line is shown beside a running step
_LONG = 40  # columns of the title when a log line stands beside it


class _Running(Struct):
    step: StepName
    since: float
    last: str = ""
    moved: dict[str, tuple[int, int]] = field(default_factory=dict)


class LiveDisplay:
    """A `Display` for a terminal.

    Args:
        printer: the terminal.
        clock: seconds; for tests.
    """

    def __init__(self, printer: Printer, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._printer = printer
        self._clock = clock
        # Guards our own state only. Never held while rich is called: rich's drawing thread holds
        # rich's lock when it asks for `lines`, which takes this one.
        self._lock = threading.Lock()
        self._running: dict[str, _Running] = {}
        self._seen = Seen()
        self._live: Live | None = None

    def event(self, event: Event) -> None:
        """Show it, and keep the running steps below."""
        if isinstance(event, StepStarted):
            with self._lock:
                self._running[event.step.digest] = _Running(event.step, self._clock())
            self._start()
        elif isinstance(event, StepLog | Transfer):
            with self._lock:
                self._note(event)
        elif isinstance(event, StepDone):
            with self._lock:
                self._running.pop(event.step.digest, None)
                show = self._seen.worth_showing(event)
            if show:
                self._above(lambda printer: show_done(printer, event))
        elif isinstance(event, StepFailed):
            with self._lock:
                self._running.pop(event.step.digest, None)
            self._above(lambda printer: show_failed(printer, event))
        elif isinstance(event, Warned):
            text = f"warning: {event.text} {event.url}".rstrip()
            self._above(lambda printer: printer.line(text, "yellow"))

    def _note(self, event: StepLog | Transfer) -> None:
        running = self._running.get(event.step.digest)
        if running is None:
            return
        if isinstance(event, Transfer):
            running.moved[event.what] = (event.current, event.total)
        elif event.line.strip():
            running.last = event.line.strip()

    def say(self, text: str) -> None:
        """Show a line of our own above the running steps."""
        self._above(lambda printer: printer.line(text))

    def log(self, text: str) -> None:
        """Nothing: use `--progress plain` to see it."""

    def close(self) -> None:
        """Take the running steps away and give the cursor back."""
        with self._lock:
            self._running.clear()
            live, self._live = self._live, None
        if live is not None:
            live.stop()

    def lines(self) -> Iterator[Text]:
        """The lines of the running steps, as they are now."""
        now, columns = self._clock(), self._printer.columns - 1
        with self._lock:
            shown = [
                replace(running, moved=dict(running.moved))
                for running in self._running.values()
                if not running.step.internal or now - running.since >= WORTH_S or running.moved
            ]
        for running in shown[:_MOST]:
            yield self._line(running, now, columns)
        if len(shown) > _MOST:
            more = f"  {self._printer.glyph('ellipsis')} and {len(shown) - _MOST} more"
            yield Text(more, style="dim" if self._printer.color else "")

    def _line(self, running: _Running, now: float, columns: int) -> Text:
        printer = self._printer
        dots = printer.glyph("ellipsis")
        step = running.step
        title = step.title
        beside = self._beside(running)
        if beside and columns >= _WIDE:
            title = f"{fmt.shorten(title, _LONG, dots)} {printer.glyph('bar')} {beside}"
        words = (printer.glyph("running"), fmt.place(step), title)
        left = printer.safe(" ".join(words))
        text = Text(
            fmt.fit(left, fmt.seconds(now - running.since), columns, dots),
            no_wrap=True,
            overflow="crop",
        )
        if printer.color:
            text.stylize("cyan", 0, 1)
        return text

    def _beside(self, running: _Running) -> str:
        if running.moved:
            current = sum(c for c, _ in running.moved.values())
            total = sum(t for _, t in running.moved.values())
            return f"{fmt.size(current)} of {fmt.size(total)}" if total else fmt.size(current)
        return running.last

    def _above(self, write: Callable[[Printer], None]) -> None:
        """Write finished lines above the running ones."""
        live = self._live
        if live is None:
            write(self._printer)
            return
        capture = _Capture(self._printer)
        write(capture)
        live.console.print(Text.from_ansi(capture.text), soft_wrap=True)

    def _start(self) -> None:
        if self._live is not None:
            return
        console = Console(
            file=self._printer.stream,
            force_terminal=True,
            no_color=not self._printer.color,
            highlight=False,
            markup=False,
            emoji=False,
        )
        self._live = Live(
            _Frame(self),
            console=console,
            refresh_per_second=_FRAMES_PER_S,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
            vertical_overflow="crop",
        )
        self._live.start()


class _Frame:
    """The running steps as something that rich can draw, made anew for each frame."""

    def __init__(self, display: LiveDisplay) -> None:
        self._display = display

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from self._display.lines()


class _Capture(Printer):
    """Collects lines instead of writing them, to hand them to rich."""

    def __init__(self, like: Printer) -> None:
        self.__dict__.update(like.__dict__)
        self.text = ""

    def _write(self, text: str) -> None:
        self.text += text.rstrip("\n")
