"""What `report` does: history, benchmark and configuration in, a page and a short text out."""

from __future__ import annotations

import json
import os
import time
import webbrowser
from pathlib import Path

from rebake import __version__
from rebake.errors import ProjectError, UsageError
from rebake.history.records import BuildSummary, StoredBuild
from rebake.history.store import History
from rebake.redact import Redactor
from rebake.report.measured import Benchmark, NotABenchmark, read
from rebake.report.views import ReportView
from rebake.tasks.face import number
from rebake.tasks.image_flow import history_file
from rebake.tasks.report_views import build_view, trend_point
from rebake.tasks.session import Session

MOST_BUILDS = 1000  # of the trend: reading more of them takes seconds
_LOOK_BACK = 200  # builds in which one that ran steps is looked for
_HEAD_BYTES = 2000


# --- from the history ------------------------------------------------------------------------


def gather(session: Session, asked: str) -> ReportView:
    """Read all that the report shows.

    Args:
        session: the task's.
        asked: number of the build to show; the last one when empty.

    Raises:
        UsageError: this project has no such build.
    """
    wanted = number("build", asked, least=1) if asked else None
    project = session.project
    summaries: tuple[BuildSummary, ...] = ()
    chosen = drawn = None
    total = 0
    file = history_file()
    if file.exists():  # who only reads makes none
        with History(file, on_note=session.note) as history:
            summaries = history.builds(project.cache_id, MOST_BUILDS)
            chosen = _choose(history, project.cache_id, summaries, wanted)
            drawn = _ran(history, summaries, chosen)
            total = history.count(project.cache_id)
    elif wanted is not None:
        raise _no_such_build(wanted, summaries)
    benchmark, problem = read_benchmark(project.state / "benchmark.json")
    if problem:
        session.note(problem)
    return ReportView(
        project=project.slug,
        version=__version__,
        made_at=time.time(),
        build=build_view(chosen) if chosen else None,
        timeline=build_view(drawn) if drawn else None,
        trend=tuple(trend_point(summary) for summary in reversed(summaries)),
        total=total,
        benchmark=benchmark,
        benchmark_problem=problem,
    )


def _choose(
    history: History, project: str, summaries: tuple[BuildSummary, ...], wanted: int | None
) -> StoredBuild | None:
    if wanted is None:
        return history.build(summaries[0].id) if summaries else None
    found = history.build(wanted)
    if found is None or found.record.project != project:
        raise _no_such_build(wanted, summaries)
    return found


def _no_such_build(wanted: int, summaries: tuple[BuildSummary, ...]) -> UsageError:
    newest = f"the newest is {summaries[0].id}" if summaries else "no build is recorded yet"
    return UsageError(f"--build {wanted}: this project has no such build", newest)


def _ran(
    history: History, summaries: tuple[BuildSummary, ...], chosen: StoredBuild | None
) -> StoredBuild | None:
    """The chosen build, or the newest before it that ran steps."""
    if chosen is None or _has_times(chosen):
        return chosen
    older = [s for s in summaries if s.id < chosen.id and not s.skipped and s.steps]
    for summary in older[:_LOOK_BACK]:
        found = history.build(summary.id)
        if found is not None and _has_times(found):
            return found
    return None


def _has_times(stored: StoredBuild) -> bool:
    return any(step.started_s is not None for step in stored.record.steps)


def read_benchmark(path: Path) -> tuple[Benchmark | None, str]:
    """Return the benchmark's last result, or none and why what is there can't be shown."""
    try:
        return read(json.loads(path.read_text(encoding="utf-8"))), ""
    except FileNotFoundError:
        return None, ""
    except OSError as error:
        return None, f"{path} can't be read: {error.strerror}"
    except (NotABenchmark, ValueError, RecursionError) as error:
        return None, f"{path} is no result of a benchmark: {error}"


# --- the page -------------------------------------------------------------------------------


def page_of(view: ReportView) -> str:
    """Return the page, with secrets masked and the machine's own time zone."""
    from rebake.report.page import render

    return render(view, zone=None, clean=Redactor.from_environment().text)


def target(session: Session, output: str) -> Path:
    """Say where the page goes.

    Raises:
        UsageError: something else stands there.
    """
    path = Path(output).absolute() if output else session.project.root / ".rebake" / "report.html"
    if path.is_dir():
        raise UsageError(f"--output {output}: is a folder", "name a file, such as report.html")
    if path.exists() and not _is_ours(path):
        raise UsageError(
            f"{path} is not a report: it is left as it is", "name another file with --output"
        )
    return path


def _is_ours(path: Path) -> bool:
    from rebake.report.page import MARK

    if not path.is_file():  # a device or a pipe must not be replaced
        return False
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError:
        return False
    return not head or MARK.encode() in head


def write(path: Path, text: str) -> None:
    """Write a file whole or not at all.

    Raises:
        ProjectError: it can't be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            part.write_text(text, encoding="utf-8", newline="\n")
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise ProjectError(
            path, f"can't be written: {error.strerror}", "name another file with --output"
        ) from error


def open_in_browser(session: Session, path: Path) -> None:
    """Open the page; where there is no browser, say so: the page itself is written."""
    if not webbrowser.open(path.as_uri()):
        session.note(f"no browser could be started: open {path} in one")
