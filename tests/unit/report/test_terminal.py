from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from rebake.errors import BuildFailed, UsageError
from rebake.report import terminal
from rebake.report.displays import Lines, Plain, Quiet
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
from rebake.report.format import fit, seconds, shorten, size, table_lines, width
from rebake.report.live import LiveDisplay
from rebake.report.printer import Printer
from rebake.report.steps import parse_step_name
from rebake.results import (
    BuildResult,
    CacheCount,
    CacheUse,
    Finding,
    ImageResult,
    ServiceState,
    StackResult,
    Step,
)

RUN = parse_step_name("[builder 3/5] RUN cargo build --release --locked", digest="r", number=4)
COPY = parse_step_name("[api 1/1] COPY /bin/api /api", digest="c", number=5)
CONTEXT = parse_step_name("[internal] load build context", digest="i", number=1)
STORY: list[Event] = [
    StepStarted(CONTEXT),
    Transfer(CONTEXT, "transferring context:", "context", 2048, 0, done=True),
    StepDone(CONTEXT, 0.1, cached=False),
    StepStarted(RUN),
    StepLog(RUN, "   Compiling tokio v1.43.0", 0.5),
    Warned("JSONArgsRecommended", "https://docs.docker.com/x"),
    StepDone(RUN, 12.34, cached=False),
    StepDone(COPY, 0.0, cached=True),
    Message("View build details"),
]


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


class OldPipe(io.StringIO):
    encoding = "ascii"


def shown(progress: str, stream: io.StringIO, story: list[Event] = STORY, **environ: str) -> str:
    reporter = terminal.make_reporter(progress, stream, environ)
    with reporter:
        for event in story:
            reporter.event(event)
    return stream.getvalue()


def screen(output: str) -> list[str]:
    """What is left on a terminal: a tiny emulator for what rich writes."""
    lines, row, column = [""], 0, 0
    for token in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|\r|\n|[^\x1b\r\n]+", output):
        if token == "\r":
            column = 0
        elif token == "\n":
            row, column = row + 1, 0
            lines += [""] * (row + 1 - len(lines))
        elif token == "\x1b[2K":
            lines[row] = ""
        elif token.endswith("A") and token.startswith("\x1b"):
            row = max(0, row - int(token[2:-1] or 1))
        elif not token.startswith("\x1b"):
            lines[row] = (
                lines[row][:column].ljust(column) + token + lines[row][column + len(token) :]
            )
            column += len(token)
    return [line.rstrip() for line in lines if line.strip()]


def test_lines_one_an_event() -> None:
    assert shown("auto", io.StringIO()).splitlines() == [
        "●  builder 3/5  cargo build --release --locked  began",
        "warning: JSONArgsRecommended https://docs.docker.com/x",
        "✓  builder 3/5  cargo build --release --locked  12.3 s",
        "✓  api 1/1  COPY /bin/api /api  cached",
    ]


def test_plain_shows_everything_with_numbers() -> None:
    text = shown("plain", io.StringIO())
    assert "#1 [internal] load build context\n" in text
    assert "#1 transferring context: 2.0 kB done\n" in text
    assert "#4 0.500    Compiling tokio v1.43.0\n" in text
    assert "#4 DONE 12.3s\n" in text
    assert "#5 CACHED\n" in text
    assert text.endswith("View build details\n")


def test_quiet_shows_nothing() -> None:
    assert shown("quiet", io.StringIO()) == ""


def test_a_failing_step() -> None:
    story: list[Event] = [StepFailed(RUN, 3, "exit code: 101", ("error: x",))]
    assert "✗  builder 3/5  cargo build --release --locked  failed" in shown(
        "auto", io.StringIO(), story
    )
    assert "#4 ERROR: exit code: 101" in shown("plain", io.StringIO(), story)


def test_slow_housekeeping_is_shown_and_repeated_ends_are_not() -> None:
    done = StepDone(CONTEXT, 3.0, cached=False)
    text = shown("auto", io.StringIO(), [done, done])
    assert text.count("load build context") == 1


def test_an_old_encoding_gets_ascii() -> None:
    step = parse_step_name("[b 1/1] RUN echo é日", digest="x")
    text = shown("auto", OldPipe(), [StepStarted(step), StepDone(step, 1, cached=False)])
    assert text.splitlines() == ["*  b 1/1  echo ??  began", "+  b 1/1  echo ??  1.0 s"]


@pytest.mark.parametrize(
    ("stream", "environ", "colored"),
    [
        (io.StringIO, {}, False),
        (io.StringIO, {"FORCE_COLOR": "1"}, True),
        (io.StringIO, {"FORCE_COLOR": "0"}, False),
        (Terminal, {}, True),
        (Terminal, {"NO_COLOR": "1"}, False),
        (Terminal, {"NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
        (Terminal, {"TERM": "dumb"}, False),
    ],
)
def test_color(stream: type[io.StringIO], environ: dict[str, str], colored: bool) -> None:
    assert Printer(stream(), environ).color is colored


def test_the_display_fits_the_place() -> None:
    def display(progress: str, stream: io.StringIO, **environ: str) -> type:
        return type(terminal.make_reporter(progress, stream, environ)._display)

    assert display("auto", Terminal()) is LiveDisplay
    assert display("auto", Terminal(), CI="true") is Lines
    assert display("auto", Terminal(), TERM="dumb") is Lines
    assert display("auto", io.StringIO(), FORCE_COLOR="1") is Lines
    assert display("plain", Terminal()) is Plain
    assert display("quiet", Terminal()) is Quiet


@pytest.mark.parametrize("columns", [20, 40, 60, 100, 200])
@pytest.mark.parametrize("no_color", ["", "1"])
def test_live_leaves_one_line_a_step_and_stays_within_the_width(
    columns: int, no_color: str
) -> None:
    stream = Terminal()
    text = shown("auto", stream, COLUMNS=str(columns), TERM="xterm-256color", NO_COLOR=no_color)
    lines = screen(text)
    steps = [line for line in lines if line.startswith("✓")]
    assert len(steps) == 2, lines
    assert all(width(line) < columns for line in steps)
    assert steps[0].endswith("12.3 s")
    assert steps[1].endswith("cached")
    assert not any(line.startswith("●") for line in lines)  # nothing stale is left
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 1  # the cursor comes back
    assert "\x1b[2J" not in text  # the screen is never cleared: that is what flickers
    if no_color:
        assert not re.search(r"\x1b\[3\dm", text)


def test_live_shows_running_steps_with_seconds_and_what_they_do() -> None:
    now = 0.0
    display = LiveDisplay(Printer(Terminal(), {"COLUMNS": "120"}), clock=lambda: now)
    try:
        display.event(StepStarted(RUN))
        display.event(StepLog(RUN, "   Compiling tokio v1.43.0"))
        display.event(StepStarted(CONTEXT))
        now = 65.0
        lines = [line.plain for line in display.lines()]
    finally:
        display.close()
    assert lines[0].startswith("● builder 3/5    cargo build --release --locked │ Compiling tokio")
    assert lines[0].endswith("1 min 05 s")
    assert "load build context" in lines[1]


def test_live_counts_what_does_not_fit() -> None:
    display = LiveDisplay(Printer(Terminal(), {"COLUMNS": "80"}))
    try:
        for i in range(12):
            display.event(StepStarted(parse_step_name(f"[s{i} 1/1] RUN x", digest=str(i))))
        lines = [line.plain for line in display.lines()]
    finally:
        display.close()
    assert len(lines) == 9
    assert lines[-1].strip() == "… and 4 more"


def test_say_stands_above_the_running_steps() -> None:
    stream = Terminal()
    with terminal.make_reporter("auto", stream, {"COLUMNS": "80"}) as reporter:
        reporter.event(StepStarted(RUN))
        reporter.say("a note")
    assert screen(stream.getvalue())[0] == "a note"


def test_say_masks_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_TOKEN", "canary-123456")
    stream = io.StringIO()
    terminal.make_reporter("auto", stream, {}).say("uses canary-123456")
    terminal.error(UsageError("bad canary-123456"), stream)
    terminal.note("canary-123456", stream)
    terminal.table([("canary-123456",)], stream=stream)
    assert "canary" not in stream.getvalue()
    assert stream.getvalue().count("***") == 4


def test_an_error_says_what_where_and_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    stream = io.StringIO()
    terminal.error(
        BuildFailed("builder 3/5", ["error[E0425]", "two\nlines"], "exit code: 101"), stream
    )
    assert stream.getvalue().splitlines() == [
        "error: the build failed in builder 3/5: exit code: 101",
        "   │ error[E0425]",
        "   │ two",
        "   │ lines",
        " next: mend it and run the command again; finished steps are kept",
    ]


def test_control_characters_do_not_reach_the_terminal() -> None:
    stream = Terminal()
    terminal.make_reporter("plain", stream, {"NO_COLOR": "1"}).say("a\x1b]0;title\x07b\x1b[2Jc\td")
    assert stream.getvalue() == "a]0;titleb[2Jc    d\n"


def image(**rest: object) -> ImageResult:
    values: dict[str, object] = {
        "service": "api", "ref": "app-api:latest", "digest": "sha256:1", "bytes": 21_400_000,
        "build_id": "0123456789abcdef", "built": True, "seconds": 5.42,
    }  # fmt: skip
    return ImageResult(**(values | rest))  # type: ignore[arg-type]


def test_the_summary_of_a_build() -> None:
    steps = (
        Step("1", "[builder 1/3] FROM x", 0, 1, cached=True),
        Step("2", "[builder 2/3] RUN make", 0, 1),
        Step("3", "[api 1/1] COPY a b", cached=True),
        Step("4", "exporting to image"),
    )
    images = {"api": image(), "ui": image(service="ui", built=False)}
    lines = terminal.summary_lines(BuildResult(images, steps, 5.5))
    assert lines[0].split() == ["image", "size", "build", "id", "took", "ref"]
    assert lines[1].split() == [
        "api",
        "21.4",
        "MB",
        "0123456789abcdef",
        "5.4",
        "s",
        "app-api:latest",
    ]
    assert "unchanged" in lines[2]
    assert lines[3] == "built in 5.5 s, 1 of 2 steps cached"
    compiled = BuildResult(images, steps, 5.5, caches=CacheUse(crates=CacheCount(148, 3)))
    assert terminal.summary_lines(compiled)[3] == (
        "built in 5.5 s, 1 of 2 steps cached, 3 of 151 crates compiled"
    )
    skipped = terminal.summary_lines(BuildResult({}, (), 0.2, skipped="no input changed"))
    assert skipped == ["nothing built in 0.2 s: no input changed"]


def test_results_go_to_their_own_stream() -> None:
    progress, results = io.StringIO(), io.StringIO()
    reporter = terminal.make_reporter("auto", progress, {}, results=results)
    stack = StackResult(
        "dev", {"ui": "http://127.0.0.1:5173"}, (ServiceState("ui", "running", "healthy", None),),
        "private engine", 3.0, ("port 5173 was taken",),
    )  # fmt: skip
    reporter.table(("key", "value"), [("a", "1"), ("bcd", "22")])
    reporter.findings([Finding("disk", "error", "full", "clean"), Finding("clock", "ok", "right")])
    reporter.stacks({"dev": stack})
    reporter.service_log("api | hello")
    reporter.result("one\ntwo")
    assert progress.getvalue() == ""
    lines = results.getvalue().splitlines()
    assert lines[:3] == ["key  value", "a        1", "bcd     22"]
    assert lines[3:6] == [
        "ok        clock: right",
        "error     disk: full",
        "          mend it: clean",
    ]
    assert lines[-3:] == ["api | hello", "one", "two"]
    reporter.stack(stack)
    assert "  ui  http://127.0.0.1:5173\ndev up in 3.0 s (private engine)\n" in progress.getvalue()


def test_a_closed_pipe_does_not_stop_a_build() -> None:
    class Closed(io.StringIO):
        def write(self, _text: str) -> int:
            raise BrokenPipeError

    reporter = terminal.make_reporter("plain", Closed(), {})
    reporter.event(StepStarted(RUN))


def test_the_light_path_imports_no_rich() -> None:
    code = (
        "import sys, rebake.report.terminal as t; t.make_reporter('auto'); t.note('x');"
        "sys.exit('rich' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=False, cwd=Path(__file__).parent,
        env={**os.environ, "CI": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_formats() -> None:
    assert [seconds(x) for x in (0, 0.04, 12.34, 59.96, 123)] == [
        "0.0 s", "0.0 s", "12.3 s", "1 min 00 s", "2 min 03 s",
    ]  # fmt: skip
    assert [size(x) for x in (0, 812, 1_234, 999_600, 21_400_000, 445_000_000, 1_200_000_000)] == [
        "0 B", "812 B", "1.2 kB", "1.0 MB", "21.4 MB", "445 MB", "1.2 GB",
    ]  # fmt: skip
    assert shorten("日本語", 5) == "日本…"
    assert shorten("abc", 0) == ""
    assert fit("a long text", "9 s", 10) == "a lon… 9 s"
    assert table_lines((), []) == []
    assert table_lines(("n",), [("日",), ("x",)]) == ["n", "日", "x"]
