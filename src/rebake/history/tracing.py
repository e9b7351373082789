"""Finds the builds that one build is compared with, and what their steps took."""

from __future__ import annotations

import sqlite3

from msgspec import Struct

from rebake.results import Mode

_MOST_RUNS = 60  # of a step that are looked at
_MOST_BUILDS = 500  # in which they are looked for


class StepRun(Struct, frozen=True):
    """One time that a step ran.

    `name` is the step's as the builder gave it, `crates` how many packages cargo compiled in it,
    where that was told.
    """

    name: str
    seconds: float
    crates: int | None = None


def newest_of_worktree(
    db: sqlite3.Connection,
    project: str,
    worktree: str,
    *,
    mode: Mode | None,
    target: str | None,
) -> int | None:
    """Return the id of a worktree's newest build; None as a filter takes all.

    Args:
        db: the database.
        project: the project's id.
        worktree: its folder.
        mode: only builds of this mode.
        target: only builds of this bake target.
    """
    rows = db.execute(
        "SELECT id FROM builds WHERE project = ?1 AND worktree = ?2"
        " AND (?3 IS NULL OR mode = ?3)"
        " AND (?4 IS NULL OR EXISTS(SELECT 1 FROM json_each(targets) WHERE value = ?4))"
        " ORDER BY id DESC LIMIT 1",
        (project, worktree, mode, target),
    ).fetchone()
    return None if rows is None else int(rows[0])


def built_before(
    db: sqlite3.Connection, project: str, mode: Mode, service: str, *, ref: str | None, before: int
) -> int | None:
    """Return the newest build before another one that ended well with an image of a service.

    Builds that were skipped are left out: they ran no steps.

    Args:
        db: the database.
        project: the project's id.
        mode: `dev` or `prod`.
        service: whose image.
        ref: the image's name, which each worktree has one of its own of; any when None.
        before: the id of the build that the result stands before.
    """
    row = db.execute(
        "SELECT i.build_id FROM images i JOIN builds b ON b.id = i.build_id"
        " WHERE i.project = ?1 AND i.mode = ?2 AND i.service = ?3 AND i.build_id < ?5"
        " AND (?4 IS NULL OR i.ref = ?4) AND b.outcome = 'done' AND b.skipped = ''"
        " ORDER BY i.build_id DESC LIMIT 1",
        (project, mode, service, ref, before),
    ).fetchone()
    return None if row is None else int(row[0])


def same_files_before(
    db: sqlite3.Connection, build_id: int, service: str, but: int | None
) -> int | None:
    """Return the newest older build of the very same files, with an image of a service.

    Args:
        db: the database.
        build_id: the build.
        service: whose image the older one must have made.
        but: a build that is left out.
    """
    row = db.execute(
        "SELECT b.id FROM builds b JOIN builds this ON this.id = ?1"
        " JOIN images i ON i.build_id = b.id AND i.service = ?2"
        " WHERE b.project = this.project AND b.mode = this.mode AND b.inputs = this.inputs"
        " AND b.id < ?1 AND b.id IS NOT ?3 AND b.outcome = 'done' AND b.skipped = ''"
        " ORDER BY b.id DESC LIMIT 1",
        (build_id, service, but),
    ).fetchone()
    return None if row is None else int(row[0])


def times_beside_steps(
    db: sqlite3.Connection, project: str, mode: Mode, most: int
) -> tuple[float, ...]:
    """Return the seconds that builds took beside their steps, the newest first.

    Args:
        db: the database.
        project: the project's id.
        mode: `dev` or `prod`.
        most: how many builds are looked at.
    """
    rows = db.execute(
        "SELECT max(0, b.seconds - coalesce((SELECT sum(s.ended_s - s.started_s) FROM steps s"
        " JOIN step_names n ON n.id = s.name_id WHERE s.build_id = b.id AND NOT s.cached"
        " AND n.kind IN ('run', 'copy', 'meta')), 0)) FROM builds b"
        " WHERE b.project = ?1 AND b.mode = ?2 AND b.skipped = '' AND b.outcome = 'done'"
        " ORDER BY b.id DESC LIMIT ?3",
        (project, mode, most),
    )
    return tuple(float(row[0]) for row in rows.fetchall())


def step_runs(
    db: sqlite3.Connection, project: str, mode: Mode, stage: str, kind: str
) -> tuple[StepRun, ...]:
    """Return the newest times that steps of a stage ran to their end, the newest first.

    Args:
        db: the database.
        project: the project's id.
        mode: `dev` or `prod`.
        stage: of the Dockerfile.
        kind: of the steps.
    """
    rows = db.execute(
        "SELECT n.name, s.ended_s - s.started_s, u.crates_compiled FROM"
        " (SELECT id FROM builds WHERE project = ?1 AND mode = ?2 AND skipped = ''"
        " ORDER BY id DESC LIMIT ?6) b"
        " CROSS JOIN steps s ON s.build_id = b.id CROSS JOIN step_names n ON n.id = s.name_id"
        " LEFT JOIN step_usage u ON u.build_id = s.build_id AND u.ordinal = s.ordinal"
        " WHERE n.stage = ?3 AND n.kind = ?4 AND NOT s.cached AND s.error = ''"
        " AND s.ended_s IS NOT NULL AND s.started_s IS NOT NULL"
        " ORDER BY b.id DESC LIMIT ?5",
        (project, mode, stage, kind, _MOST_RUNS, _MOST_BUILDS),
    )
    return tuple(StepRun(*row) for row in rows.fetchall())
