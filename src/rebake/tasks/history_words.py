"""What `history` shows on a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rebake.history.records import BuildSummary
from rebake.report import format as fmt
from rebake.tasks.history_cause import Cause
from rebake.tasks.session import Session

_STEPS = 8  # lines of the steps' table


def table(session: Session, entries: Sequence[tuple[BuildSummary, Cause]], total: int) -> None:
    """Print the list of builds."""
    if not entries:
        session.reporter.result("no build of this project is recorded yet; invoke build makes one")
        return
    rows = [
        (
            str(summary.id),
            moment(summary.started_at),
            summary.mode,
            summary.outcome if not summary.skipped else "skipped",
            took(summary.seconds, summary.bakes),
            share(summary.steps, summary.cached_steps),
            ", ".join(summary.targets),
            why.words,
        )
        for summary, why in entries
    ]
    header = ("build", "when", "mode", "outcome", "took", "cached", "targets", "cause")
    session.reporter.table(header, rows)
    if total > len(entries):
        session.say(f"{len(entries)} of {total} builds; --limit shows more")


def comparison(session: Session, document: Mapping[str, Any]) -> None:
    """Print what differs between two builds."""
    before, after = document["before"], document["after"]
    reporter = session.reporter
    reporter.table(
        ("", f"build {before['id']}", f"build {after['id']}"),
        [
            ("when", moment(before["started_at"]), moment(after["started_at"])),
            ("targets", ", ".join(before["targets"]), ", ".join(after["targets"])),
            ("outcome", _outcome(before), _outcome(after)),
            ("took", *(took(one["seconds"], one["bakes"]) for one in (before, after))),
            (
                "cached",
                share(before["steps"], before["cached_steps"]),
                share(after["steps"], after["cached_steps"]),
            ),
            ("commit", _commit(before), _commit(after)),
        ],
    )
    rows = [
        (f"{change['context']}/{change['path']}", _change(change)) for change in document["files"]
    ]
    rows += [
        (f"{value['kind']} {value['name']}", f"{_text(value['before'])} → {_text(value['after'])}")
        for value in document["values"]
        if not _follows(value["name"])
    ]
    if rows:
        reporter.table(("what differs", ""), rows)
    else:
        reporter.result("no input differs")
    steps = [
        (_seconds(step, "before"), _seconds(step, "after"), fmt.shorten(step["name"], 70))
        for step in document["steps"][:_STEPS]
    ]
    if steps:
        reporter.table(("before", "after", "step"), steps)


def share(steps: int, cached: int) -> str:
    """The cached share, for a table."""
    return f"{cached / steps:.0%} of {steps}" if steps else ""


def took(seconds: float, bakes: int) -> str:
    """A build's time; how often it baked, where that was more than once."""
    return fmt.seconds(seconds) + (f" in {bakes} bakes" if bakes > 1 else "")


def moment(seconds: float) -> str:
    """A time of this machine's own zone."""
    return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _outcome(build: Mapping[str, Any]) -> str:
    return f"skipped: {build['skipped']}" if build["skipped"] else str(build["outcome"])


def _commit(build: Mapping[str, Any]) -> str:
    return f"{build['git_head'][:10]}{' and edits' if build['git_dirty'] else ''}"


def _change(change: Mapping[str, Any]) -> str:
    then, now = change["before_bytes"], change["after_bytes"]
    if then is None:
        return f"new, {fmt.size(now)}"
    if now is None:
        return "gone"
    return f"{fmt.size(then)} → {fmt.size(now)}" if then != now else f"{fmt.size(now)}, edited"


def _follows(name: str) -> bool:
    """Whether a value only follows from the files, which are told already."""
    return name.endswith("_BUILD_ID") or name.startswith(("made of", "images from outside"))


def _text(value: object) -> str:
    return "unset" if value in {None, ""} else fmt.shorten(str(value), 40)


def _seconds(step: Mapping[str, Any], when: str) -> str:
    seconds = step[f"{when}_s"]
    if seconds is None:
        return "-"
    return "cached" if step[f"{when}_cached"] else fmt.seconds(seconds)
