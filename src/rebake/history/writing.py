"""Writes one build into the history's tables, and takes old ones out."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping

from msgspec.structs import astuple

from rebake.history import evidence_tables, trees
from rebake.history.database import transaction
from rebake.history.reading import load_object
from rebake.history.records import BuildRecord, StepRecord, count_work
from rebake.results import StepUsage

_SHA256 = "sha256:"
_USAGE = StepUsage.__struct_fields__  # the columns have the same names


def insert(db: sqlite3.Connection, build: BuildRecord) -> int:
    """Store a build, all or nothing, and return its id."""
    tree = trees.make(build.inputs)
    facts, facts_text = trees.encode(
        {
            "engine": dict(build.engine),
            "arguments": dict(build.arguments),
            "settings": dict(build.settings),
            "base_images": dict(build.base_images),
        }
    )
    with transaction(db):
        _add_tree(db, tree)
        _add_object(db, facts, facts_text)
        cursor = db.execute(
            "INSERT INTO builds(project, worktree, mode, targets, started_at, seconds, outcome,"
            " skipped, rebake_version, git_head, git_dirty, context_bytes, downloaded_bytes,"
            " inputs, facts, steps, cached_steps)"
            " VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
            (
                build.project,
                build.worktree,
                build.mode,
                json.dumps(build.targets),
                build.started_at,
                build.seconds,
                build.outcome,
                build.skipped,
                build.rebake_version,
                build.git_head,
                build.git_dirty,
                build.context_bytes,
                build.downloaded_bytes,
                tree.root,
                facts,
                *count_work(build.steps),
            ),
        )
        build_id = int(cursor.lastrowid or 0)
        _insert_steps(db, build_id, build.steps)
        _insert_images(db, build_id, build)
        if build.evidence is not None:
            for digest, text in evidence_tables.insert(db, build_id, build.evidence):
                _add_object(db, digest, text)
    return build_id


def change_settings(db: sqlite3.Connection, build_id: int, changes: Mapping[str, str]) -> None:
    """Change settings of a stored build; an empty text removes one."""
    with transaction(db):
        row = db.execute("SELECT facts FROM builds WHERE id = ?", (build_id,)).fetchone()
        if row is None:  # pruned meanwhile
            return
        facts = trees.unpack(load_object(db, row[0]))
        settings = facts["settings"] | changes
        facts["settings"] = {name: value for name, value in settings.items() if value}
        digest, text = trees.encode(facts)
        _add_object(db, digest, text)
        db.execute("UPDATE builds SET facts = ? WHERE id = ?", (digest, build_id))


def _insert_steps(db: sqlite3.Connection, build_id: int, steps: tuple[StepRecord, ...]) -> None:
    ordinals = {(step.attempt, step.digest): n for n, step in enumerate(steps)}
    names = [(step.name, step.kind, step.stage, step.target) for step in steps]
    db.executemany(
        "INSERT OR IGNORE INTO step_names(name, kind, stage, target) VALUES(?,?,?,?)", names
    )
    find = "SELECT id FROM step_names WHERE name=? AND kind=? AND stage=? AND target=?"
    db.executemany(
        "INSERT INTO steps VALUES(?,?,?,?,?,?,?,?,?,?,?)",
        [
            (
                build_id,
                n,
                _digest_in(step.digest),
                db.execute(find, name).fetchone()[0],
                step.started_s,
                step.ended_s,
                step.cached,
                step.error,
                step.bytes,
                json.dumps(
                    [ordinals.get((step.attempt, i), i) for i in step.inputs],
                    separators=(",", ":"),
                ),
                step.attempt,
            )
            for n, (step, name) in enumerate(zip(steps, names, strict=True))
        ],
    )
    told = [(n, step.usage) for n, step in enumerate(steps) if step.usage is not None]
    db.executemany(
        f"INSERT INTO step_usage(build_id, ordinal, {', '.join(_USAGE)})"
        f" VALUES({', '.join('?' * (2 + len(_USAGE)))})",
        [(build_id, n, *astuple(usage)) for n, usage in told],
    )


def _insert_images(db: sqlite3.Connection, build_id: int, build: BuildRecord) -> None:
    for image in build.images:
        layers, text = trees.encode([[x.digest, x.bytes, x.created_by] for x in image.layers])
        _add_object(db, layers, text)
        db.execute(
            "INSERT INTO images VALUES(?,?,?,?,?,?,?,?,?,?,?)",
            (
                build_id,
                image.service,
                build.project,
                build.mode,
                image.ref,
                image.digest,
                image.bytes,
                image.build_id,
                image.built,
                image.seconds,
                layers,
            ),
        )


def _add_tree(db: sqlite3.Connection, tree: trees.Tree) -> None:
    """Store what is new of a tree: below an object that is there, all is there."""
    todo = [tree.root]
    while todo:
        digest = todo.pop()
        text = tree.objects[digest]
        if _add_object(db, digest, text):
            todo += trees.children_of_text(text)


def _add_object(db: sqlite3.Connection, digest: bytes, text: bytes) -> bool:
    if db.execute("SELECT 1 FROM objects WHERE id = ?", (digest,)).fetchone():
        return False
    db.execute("INSERT INTO objects VALUES(?,?)", (digest, trees.pack(text)))
    return True


def delete_oldest(db: sqlite3.Connection, keep: int) -> int:
    """Delete all but the newest `keep` builds and what only they used; return how many went."""
    with transaction(db):
        return _delete_oldest(db, keep)


def _delete_oldest(db: sqlite3.Connection, keep: int) -> int:
    deleted = db.execute(
        "DELETE FROM builds WHERE id NOT IN (SELECT id FROM builds ORDER BY id DESC LIMIT ?)",
        (keep,),
    ).rowcount
    for table in ("steps", "step_usage", "images", "evidence"):
        db.execute(f"DELETE FROM {table} WHERE build_id NOT IN (SELECT id FROM builds)")  # noqa: S608
    db.execute("DELETE FROM step_names WHERE id NOT IN (SELECT name_id FROM steps)")
    used = {bytes(row[0]) for row in db.execute("SELECT layers FROM images")}
    used |= {bytes(row[0]) for row in db.execute("SELECT facts FROM builds")}
    used |= evidence_tables.used_objects(db)
    files: set[bytes] = set()
    todo = [bytes(row[0]) for row in db.execute("SELECT DISTINCT inputs FROM builds")]
    while todo:
        digest = todo.pop()
        if digest not in used:
            used.add(digest)
            text = trees.unpack_text(load_object(db, digest))
            todo += trees.children_of_text(text)
            files.update(trees.files_of_text(text))
    everything = [bytes(row[0]) for row in db.execute("SELECT id FROM objects")]
    db.executemany("DELETE FROM objects WHERE id = ?", [(d,) for d in everything if d not in used])
    evidence_tables.delete_unused(db, files)
    return deleted


def _digest_in(digest: str) -> bytes | str:
    if digest.startswith(_SHA256):
        try:
            return bytes.fromhex(digest.removeprefix(_SHA256))
        except ValueError:
            return digest
    return digest
