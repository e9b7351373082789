"""Reads builds out of the history's tables."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any

from rebake.history import evidence_tables, trees
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
from rebake.results import Mode, StepUsage

_SHA256 = "sha256:"
_USAGE = ", ".join(StepUsage.__struct_fields__)  # the columns have the same names
# The columns that are fields, of the same names, of a record and of a summary.
_SHARED = (
    "project, worktree, mode, targets, started_at, seconds, outcome, skipped, git_head, git_dirty,"
    " context_bytes, downloaded_bytes"
)
_IMAGE = "service, ref, digest, bytes, input_id, built, seconds, layers"


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
        f"SELECT inputs, facts, rebake_version, {_SHARED} FROM builds WHERE id = ?",  # noqa: S608
        (build_id,),
    ).fetchone()
    if row is None:
        return None
    root, facts, version, *shared = row
    inputs: Mapping[str, tuple[FileDigest, ...]] = (
        trees.read(root, loader(db)) if with_inputs else {}
    )
    record = BuildRecord(
        **_shared(shared),
        **trees.unpack(load_object(db, facts)),  # engine, arguments, settings, base_images
        rebake_version=version,
        steps=_steps(db, build_id),
        images=_images(db, build_id),
        inputs=inputs,
        evidence=evidence_tables.load(db, build_id),
    )
    return StoredBuild(build_id, record, bytes(root).hex())


def _shared(values: Iterable[Any]) -> dict[str, Any]:
    """Name the columns that records and summaries share."""
    found = dict(zip(_SHARED.split(", "), values, strict=True))
    return found | {
        "targets": tuple(json.loads(found["targets"])),
        "git_dirty": bool(found["git_dirty"]),
    }


def _steps(db: sqlite3.Connection, build_id: int) -> tuple[StepRecord, ...]:
    rows = db.execute(
        "SELECT digest, name, kind, stage, target, started_s, ended_s, cached, error, bytes,"
        " inputs, attempt FROM steps JOIN step_names n ON n.id = name_id"
        " WHERE build_id = ? ORDER BY ordinal",
        (build_id,),
    ).fetchall()
    digests = [_digest_out(row[0]) for row in rows]
    usages = {
        row[0]: StepUsage(*row[1:])
        for row in db.execute(
            f"SELECT ordinal, {_USAGE} FROM step_usage WHERE build_id = ?",  # noqa: S608 - our names
            (build_id,),
        )
    }
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
            usage=usages.get(ordinal),
            attempt=row[11],
        )
        for ordinal, (digest, row) in enumerate(zip(digests, rows, strict=True))
    )


def _images(db: sqlite3.Connection, build_id: int) -> tuple[ImageRecord, ...]:
    rows = db.execute(
        f"SELECT {_IMAGE} FROM images WHERE build_id = ? ORDER BY service",  # noqa: S608 - our names
        (build_id,),
    )
    return tuple(_image(db, row) for row in rows.fetchall())


def newest_image(
    db: sqlite3.Connection, project: str, mode: Mode, service: str
) -> ImageRecord | None:
    """Return a service's image as its newest build left it, or None."""
    row = db.execute(
        f"SELECT {_IMAGE} FROM images WHERE project = ? AND mode = ? AND service = ?"  # noqa: S608
        " ORDER BY build_id DESC LIMIT 1",
        (project, mode, service),
    ).fetchone()
    return None if row is None else _image(db, row)


def _image(db: sqlite3.Connection, row: tuple[Any, ...]) -> ImageRecord:
    return ImageRecord(
        service=row[0],
        ref=row[1],
        digest=row[2],
        bytes=row[3],
        build_id=row[4],
        built=bool(row[5]),
        seconds=row[6],
        layers=tuple(LayerRecord(*x) for x in trees.unpack(load_object(db, row[7]))),
    )


def _digest_out(stored: bytes | str) -> str:
    return stored if isinstance(stored, str) else _SHA256 + stored.hex()


def summaries(
    db: sqlite3.Connection, project: str | None, mode: Mode | None, limit: int
) -> tuple[BuildSummary, ...]:
    """Return the newest builds, newest first, of one project and mode or of all (None)."""
    bakes = "(SELECT max(1, max(attempt)) FROM steps s WHERE s.build_id = b.id)"
    told = "FROM step_usage u WHERE u.build_id = b.id"
    rows = db.execute(
        f"SELECT {_SHARED}, id, inputs, steps, cached_steps,"  # noqa: S608 - our own words
        f" coalesce({bakes}, 1) AS bakes,"
        f" (SELECT sum(cpu_s) {told}) AS cpu_s,"
        f" (SELECT max(peak_bytes) {told}) AS peak_bytes,"
        f" (SELECT sum(network_bytes) {told}) AS network_bytes,"
        f" (SELECT sum(crates_compiled) {told}) AS crates_compiled,"
        f" (SELECT sum(crates_reused) {told}) AS crates_reused"
        " FROM builds b WHERE (?1 IS NULL OR project = ?1) AND (?2 IS NULL OR mode = ?2)"
        " ORDER BY id DESC LIMIT ?3",
        (project, mode, limit),
    )
    names = [column[0] for column in rows.description]
    return tuple(_summary(dict(zip(names, row, strict=True))) for row in rows.fetchall())


def _summary(row: dict[str, Any]) -> BuildSummary:
    shared = _shared(row.pop(name) for name in _SHARED.split(", "))
    return BuildSummary(inputs_digest=bytes(row.pop("inputs")).hex(), **shared, **row)


def newest_ids(
    db: sqlite3.Connection, project: str, mode: Mode | None, limit: int, below: int | None
) -> list[int]:
    """Return the ids of a project's newest builds, newest first; None as a filter takes all."""
    rows = db.execute(
        "SELECT id FROM builds WHERE project = ?1 AND (?2 IS NULL OR mode = ?2)"
        " AND (?3 IS NULL OR id < ?3) ORDER BY id DESC LIMIT ?4",
        (project, mode, below, limit),
    )
    return [int(row[0]) for row in rows.fetchall()]


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
