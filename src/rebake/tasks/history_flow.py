"""What `history` does: read the records, and say what each build was for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rebake.errors import UsageError
from rebake.history.records import BuildSummary, StepRecord, StoredBuild, count_work, each_once
from rebake.history.store import History
from rebake.results import SCHEMA_VERSION
from rebake.tasks import history_words
from rebake.tasks.history_cause import Cause, cause, changed_files, differing, earlier
from rebake.tasks.image_flow import history_file
from rebake.tasks.session import Session

_LOOK_BACK = 30  # older builds among which the one before is looked for


def show(session: Session, limit: int) -> dict[str, object]:
    """List the newest builds."""
    entries: list[tuple[BuildSummary, Cause]] = []
    total = 0
    file = history_file()
    if file.exists():  # who only reads makes none
        with History(file, on_note=session.note) as history:
            project = session.project.cache_id
            summaries = history.builds(project, limit)
            total = history.count(project)
            entries = _causes(history, project, summaries)
    if not session.as_json:
        history_words.table(session, entries, total)
    return {
        "schema_version": SCHEMA_VERSION,
        "builds": [{**summary_document(one), "cause": why.document()} for one, why in entries],
        "total": total,
        "shown": len(entries),
    }


def _causes(
    history: History, project: str, summaries: Sequence[BuildSummary]
) -> list[tuple[BuildSummary, Cause]]:
    if not summaries:
        return []
    window = history.light(project, len(summaries) + _LOOK_BACK)
    by_id = {build.id: build for build in window}
    found = []
    for summary in summaries:
        build = by_id.get(summary.id)
        if build is None:  # it was pruned in between
            continue
        before = earlier(build, window)
        if before is None:  # longer ago than the window reaches, or never
            older = history.light(project, 1, mode=summary.mode, below=summary.id)
            before = older[0] if older else None
        found.append((summary, cause(history, build, before)))
    return found


def compare(session: Session, ids: Sequence[int]) -> dict[str, object]:
    """Show what differs between two builds.

    Raises:
        UsageError: there are no such builds.
    """
    if len(ids) > 2:  # noqa: PLR2004 - two are compared
        raise UsageError(f"--compare takes two builds, not {len(ids)}", "invoke history")
    file = history_file()
    if not file.exists():
        raise UsageError("no build of this project is recorded yet", "invoke build makes one")
    with History(file, on_note=session.note) as history:
        before, after = _pair(history, session.project.cache_id, ids)
        files = changed_files(history, before, after)
        document: dict[str, object] = {
            "schema_version": SCHEMA_VERSION,
            "before": _document(before),
            "after": _document(after),
            "files": [
                {
                    "context": change.context,
                    "path": change.path,
                    "before_bytes": change.before.size if change.before else None,
                    "after_bytes": change.after.size if change.after else None,
                }
                for change in files
            ],
            "values": _values(before, after),
            "steps": _steps(before, after),
            "images": _images(before, after),
        }
    if not session.as_json:
        history_words.comparison(session, document)
    return document


def _pair(history: History, project: str, ids: Sequence[int]) -> tuple[StoredBuild, StoredBuild]:
    if len(ids) == 2:  # noqa: PLR2004 - both are named
        first, second = sorted(ids)
        return _the(history, project, first), _the(history, project, second)
    known = history.light(project, 1 if not ids else _LOOK_BACK, below=ids[0] + 1 if ids else None)
    if not known or (ids and known[0].id != ids[0]):
        raise _none(ids[0]) if ids else UsageError("no build of this project is recorded yet")
    last = known[0]
    window = history.light(project, _LOOK_BACK, mode=last.record.mode, below=last.id)
    before = earlier(last, window)
    if before is None:
        raise UsageError(
            f"build {last.id} is the first of its mode: there is none before it",
            "invoke history lists all builds",
        )
    return before, last


def _the(history: History, project: str, wanted: int) -> StoredBuild:
    found = history.light(project, 1, below=wanted + 1)
    if not found or found[0].id != wanted:
        raise _none(wanted)
    return found[0]


def _none(wanted: int) -> UsageError:
    return UsageError(f"this project has no build {wanted}", "invoke history lists all builds")


def cached_share(steps: int, cached: int) -> float | None:
    """The part of the Dockerfiles' own steps that was cached; None where none was looked at."""
    return round(cached / steps, 3) if steps else None


def summary_document(summary: BuildSummary) -> dict[str, object]:
    """The part of `--json` for one build of the list."""
    return {
        "id": summary.id,
        "mode": summary.mode,
        "targets": list(summary.targets),
        "worktree": summary.worktree,
        "started_at": round(summary.started_at, 3),
        "seconds": round(summary.seconds, 3),
        "outcome": summary.outcome,
        "skipped": summary.skipped,
        "steps": summary.steps,
        "cached_steps": summary.cached_steps,
        "cached_share": cached_share(summary.steps, summary.cached_steps),
        "bakes": summary.bakes,
        "crates_compiled": summary.crates_compiled,
        "crates_reused": summary.crates_reused,
        "git_head": summary.git_head,
        "git_dirty": summary.git_dirty,
    }


def _document(build: StoredBuild) -> dict[str, object]:
    record = build.record
    steps, cached = count_work(record.steps)
    return {
        "id": build.id,
        "mode": record.mode,
        "targets": list(record.targets),
        "worktree": record.worktree,
        "started_at": round(record.started_at, 3),
        "seconds": round(record.seconds, 3),
        "outcome": record.outcome,
        "skipped": record.skipped,
        "steps": steps,
        "cached_steps": cached,
        "cached_share": cached_share(steps, cached),
        "bakes": max((step.attempt for step in record.steps), default=1) or 1,
        "git_head": record.git_head,
        "git_dirty": record.git_dirty,
    }


def _values(before: StoredBuild, after: StoredBuild) -> list[dict[str, object]]:
    """Arguments, settings, base images and versions that differ."""
    found: list[dict[str, object]] = []
    a, b = before.record, after.record
    for kind, then, now in (
        ("argument", a.arguments, b.arguments),
        ("setting", a.settings, b.settings),
        ("base-image", a.base_images, b.base_images),
        ("engine", a.engine, b.engine),
    ):
        found += [
            {"kind": kind, "name": name, "before": then.get(name), "after": now.get(name)}
            for name in differing(now, then)
        ]
    return found


def _steps(before: StoredBuild, after: StoredBuild) -> list[dict[str, object]]:
    """The Dockerfiles' steps of both, the largest difference first."""

    def by_name(build: StoredBuild) -> Mapping[str, list[StepRecord]]:
        found: dict[str, list[StepRecord]] = {}
        for step in each_once(build.record.steps):
            found.setdefault(step.name, []).append(step)
        return found

    def seconds(steps: Sequence[StepRecord]) -> float:
        return round(sum(step.seconds for step in steps), 3)

    then, now = by_name(before), by_name(after)
    found: list[dict[str, Any]] = []
    for name in dict.fromkeys([*now, *then]):
        old, new = then.get(name), now.get(name)
        found.append(
            {
                "name": name,
                "before_s": seconds(old) if old else None,
                "after_s": seconds(new) if new else None,
                "before_cached": all(s.cached for s in old) if old else None,
                "after_cached": all(s.cached for s in new) if new else None,
            }
        )
    found.sort(key=lambda entry: -abs((entry["after_s"] or 0.0) - (entry["before_s"] or 0.0)))
    return found


def _images(before: StoredBuild, after: StoredBuild) -> list[dict[str, object]]:
    then = {image.service: image for image in before.record.images}
    now = {image.service: image for image in after.record.images}
    return [
        {
            "service": name,
            "before_bytes": then[name].bytes if name in then else None,
            "after_bytes": now[name].bytes if name in now else None,
            "same": name in then and name in now and then[name].digest == now[name].digest,
        }
        for name in sorted(then.keys() | now.keys())
    ]
