"""Reads builds out of the history's tables."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from typing import Any

from rebake.history import trees
from rebake.history.records import (
    BuildRecord,
    BuildSummary,
    FileDigest,
    ImageRecord,
    LayerRecord,
    Outcome,
    StepRecord,
    StoredBuild,
)
from rebake.results import Mode

_SHA256 = "sha256:"


def load_object(db: sqlite3.Connection, digest: bytes) -> bytes:
    """Return an object's packed data by its id."""
    row = db.execute("SELECT data FROM objects WHERE id = ?", (digest,)).fetchone()
    return bytes(row[0])


def loader(db: sqlite3.Connection) -> trees.Load:
    """Return `load_object` bound to a database."""
    return lambda digest: load_object(db, digest)


def load(db: sqlite3.Connection, build_id: int, *, with_inputs: bool) -> StoredBuild | None:
    """Return a build by its id, or None; `with_inputs` reads the list of its files too."""
    row = db.execute(
        "SELECT project, worktree, mode, targets, started_at, seconds, outcome, skipped,"
        " rebake_version, git_head, git_dirty, context_bytes, downloaded_bytes, inputs, facts"
        " FROM builds WHERE id = ?",
        (build_id,),
    ).fetchone()
    if row is None:
        return None
    facts = trees.unpack(load_object(db, row[14]))
    inputs: Mapping[str, tuple[FileDigest, ...]] = (
        trees.read(row[13], loader(db)) if with_inputs else {}
    )
    record = BuildRecord(
        project=row[0],
        worktree=row[1],
        mode=row[2],
        targets=tuple(json.loads(row[3])),
        started_at=row[4],
        seconds=row[5],
        outcome=row[6],
        skipped=row[7],
        rebake_version=row[8],
        git_head=row[9],
        git_dirty=bool(row[10]),
        context_bytes=row[11],
        downloaded_bytes=row[12],
        engine=facts["engine"],
        arguments=facts["arguments"],
        settings=facts["settings"],
        base_images=facts["base_images"],
        steps=_steps(db, build_id),
        images=_images(db, build_id),
        inputs=inputs,
    )
    return StoredBuild(build_id, record, bytes(row[13]).hex())


def _steps(db: sqlite3.Connection, build_id: int) -> tuple[StepRecord, ...]:
    rows = db.execute(
        "SELECT digest, name, kind, stage, target, started_s, ended_s, cached, error, bytes,"
        " inputs FROM steps JOIN step_names n ON n.id = name_id"
        " WHERE build_id = ? ORDER BY ordinal",
        (build_id,),
    ).fetchall()
    digests = [_digest_out(row[0]) for row in rows]
    return tuple(
        StepRecord(
            digest=digest,
            name=row[1],
            kind=row[2],
            stage=row[3],
            target=row[4],
            started_s=row[5],
            ended_s=row[6],
            cached=bool(row[7]),
            error=row[8],
            bytes=row[9],
            inputs=tuple(digests[i] if isinstance(i, int) else i for i in json.loads(row[10])),
        )
        for digest, row in zip(digests, rows, strict=True)
    )


def _images(db: sqlite3.Connection, build_id: int) -> tuple[ImageRecord, ...]:
    rows = db.execute(
        "SELECT service, ref, digest, bytes, input_id, built, seconds, layers FROM images"
        " WHERE build_id = ? ORDER BY service",
        (build_id,),
    )
    return tuple(
        ImageRecord(
            service=row[0],
            ref=row[1],
            digest=row[2],
            bytes=row[3],
            build_id=row[4],
            built=bool(row[5]),
            seconds=row[6],
            layers=tuple(LayerRecord(*x) for x in trees.unpack(load_object(db, row[7]))),
        )
        for row in rows.fetchall()
    )


def _digest_out(stored: bytes | str) -> str:
    return stored if isinstance(stored, str) else _SHA256 + stored.hex()


def summaries(
    db: sqlite3.Connection, project: str | None, mode: Mode | None, limit: int
) -> tuple[BuildSummary, ...]:
    """Return the newest builds, newest first, of one project and mode or of all (None)."""
    rows = db.execute(
        "SELECT b.id, project, worktree, mode, targets, started_at, seconds, outcome, skipped,"
        " (SELECT count(*) FROM steps s JOIN step_names n ON n.id = s.name_id"
        "   WHERE s.build_id = b.id AND n.kind IN ('run', 'copy', 'meta')),"
        " (SELECT count(*) FROM steps s JOIN step_names n ON n.id = s.name_id"
        "   WHERE s.build_id = b.id AND n.kind IN ('run', 'copy', 'meta') AND s.cached),"
        " context_bytes, downloaded_bytes, git_head, git_dirty, inputs FROM builds b"
        " WHERE (?1 IS NULL OR project = ?1) AND (?2 IS NULL OR mode = ?2)"
        " ORDER BY id DESC LIMIT ?3",
        (project, mode, limit),
    )
    return tuple(_summary(row) for row in rows.fetchall())


def newest(
    db: sqlite3.Connection,
    project: str,
    mode: Mode,
    service: str | None,
    outcome: Outcome | None,
    *,
    ref: str | None = None,
) -> int | None:
    """Return the id of a project's newest build, or None; None as a filter takes all."""
    if service is None:
        row = db.execute(
            "SELECT id FROM builds WHERE project = ?1 AND mode = ?2"
            " AND (?3 IS NULL OR outcome = ?3) ORDER BY id DESC LIMIT 1",
            (project, mode, outcome),
        ).fetchone()
    else:
        row = db.execute(
            "SELECT build_id FROM images i WHERE i.project = ?1 AND i.mode = ?2"
            " AND i.service = ?4 AND (?3 IS NULL OR"
            " (SELECT outcome FROM builds WHERE id = i.build_id) = ?3)"
            " AND (?5 IS NULL OR i.ref = ?5)"
            " ORDER BY build_id DESC LIMIT 1",
            (project, mode, outcome, service, ref),
        ).fetchone()
    return None if row is None else int(row[0])


def _summary(row: tuple[Any, ...]) -> BuildSummary:
    return BuildSummary(
        id=row[0],
        project=row[1],
        worktree=row[2],
        mode=row[3],
        targets=tuple(json.loads(row[4])),
        started_at=row[5],
        seconds=row[6],
        outcome=row[7],
        skipped=row[8],
        steps=row[9],
        cached_steps=row[10],
        context_bytes=row[11],
        downloaded_bytes=row[12],
        git_head=row[13],
        git_dirty=bool(row[14]),
        inputs_digest=bytes(row[15]).hex(),
    )
