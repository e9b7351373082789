"""Reads which images a project's builds have made, and when each was last the result of one."""

from __future__ import annotations

import sqlite3

from msgspec import Struct

from rebake.results import Mode


class ImageUse(Struct, frozen=True):
    """An image's name in the history.

    Attributes:
        digests: all images that bore it.
        last_at: the start of the newest build that it came out of, seconds since 1970.
        export_s: what the engine took to write the newest one out; None when it is not known.
    """

    ref: str
    service: str
    mode: Mode
    worktree: str
    digests: frozenset[str]
    last_at: float
    export_s: float | None


class LastBuild(Struct, frozen=True):
    """When the newest build of a worktree in a mode began that really built something."""

    worktree: str
    mode: Mode
    started_at: float


def image_uses(db: sqlite3.Connection, project: str) -> tuple[ImageUse, ...]:
    """Return the names of all images of a project's builds, those of all its worktrees."""
    rows = db.execute(
        "SELECT i.ref, i.service, i.mode, b.worktree, max(b.started_at)"
        " FROM images i JOIN builds b ON b.id = i.build_id WHERE i.project = ? GROUP BY i.ref",
        (project,),
    ).fetchall()
    digests: dict[str, set[str]] = {}
    for ref, digest in db.execute(
        "SELECT DISTINCT ref, digest FROM images WHERE project = ?", (project,)
    ):
        digests.setdefault(ref, set()).add(digest)
    exports = _exports(db, project)
    return tuple(
        ImageUse(ref, service, mode, worktree, frozenset(digests[ref]), last_at, exports.get(ref))
        for ref, service, mode, worktree, last_at in rows
    )


def last_builds(db: sqlite3.Connection, project: str) -> tuple[LastBuild, ...]:
    """Return the newest build of each worktree and mode that really built something."""
    rows = db.execute(
        "SELECT worktree, mode, max(started_at) FROM builds WHERE project = ?"
        " AND outcome = 'done' AND skipped = '' GROUP BY worktree, mode",
        (project,),
    )
    return tuple(LastBuild(*row) for row in rows.fetchall())


def _exports(db: sqlite3.Connection, project: str) -> dict[str, float]:
    """Seconds that the newest export of each image took, where one is in the history."""
    builds = db.execute(
        "SELECT ref, max(build_id) FROM images WHERE project = ? AND built GROUP BY ref",
        (project,),
    ).fetchall()
    found = {}
    for ref, build in builds:
        (seconds,) = db.execute(
            "SELECT max(ended_s - started_s) FROM steps JOIN step_names n ON n.id = name_id"
            " WHERE build_id = ? AND kind = 'export'",
            (build,),
        ).fetchone()
        if seconds is not None:
            found[ref] = float(seconds)
    return found
