"""Writes and reads evidence: parts of builds as shared objects, facts by a file's digest."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import to_builtins

from rebake.history import trees
from rebake.history.evidence import (
    BakeTarget,
    Evidence,
    FactKind,
    FileFacts,
    Manifest,
    Package,
    Removal,
)

_AT_ONCE = 500  # values of one question


def insert(db: sqlite3.Connection, build_id: int, evidence: Evidence) -> list[tuple[bytes, bytes]]:
    """Store a build's evidence within the caller's transaction.

    Returns:
        The objects (id and text) that it points to; the caller stores them.
    """
    parts: dict[str, object] = {
        "settings": dict(evidence.settings),
        "targets": {name: to_builtins(target) for name, target in evidence.targets.items()},
        "mounts": None if evidence.mounts is None else sorted(evidence.mounts),
        "crates": None if evidence.crates is None else list(evidence.crates),
        "modes": {name: dict(modes) for name, modes in evidence.modes.items()} or None,
    }
    objects = {name: trees.encode(value) for name, value in parts.items() if value is not None}
    db.executemany(
        "INSERT INTO evidence VALUES(?,?,?)",
        [(build_id, name, digest) for name, (digest, _) in objects.items()],
    )
    for sha256, facts in evidence.facts.items():
        db.executemany(
            "INSERT OR IGNORE INTO file_facts VALUES(?,?,?)",
            [(bytes.fromhex(sha256), kind, data) for kind, data in _pack(facts)],
        )
    return list(objects.values())


def load(db: sqlite3.Connection, build_id: int) -> Evidence | None:
    """Return a build's evidence without facts of files; None where none was kept."""
    rows = db.execute(
        "SELECT part, data FROM evidence JOIN objects ON id = object WHERE build_id = ?",
        (build_id,),
    ).fetchall()
    if not rows:
        return None
    parts = {name: trees.unpack(bytes(data)) for name, data in rows}
    return Evidence(
        settings=parts.get("settings", {}),
        targets={name: BakeTarget(**value) for name, value in parts.get("targets", {}).items()},
        mounts=_tuple(parts.get("mounts")),
        crates=_tuple(parts.get("crates")),
        modes=parts.get("modes", {}),
    )


def newest(db: sqlite3.Connection, project: str, mode: str) -> Evidence | None:
    """Return the evidence of a project's newest build in a mode that has any."""
    row = db.execute(
        "SELECT b.id FROM builds b WHERE b.project = ? AND b.mode = ?"
        " AND EXISTS(SELECT 1 FROM evidence WHERE build_id = b.id) ORDER BY b.id DESC LIMIT 1",
        (project, mode),
    ).fetchone()
    return None if row is None else load(db, row[0])


def load_facts(db: sqlite3.Connection, digests: Iterable[str]) -> dict[str, FileFacts]:
    """Return what is known of files by the digests of their contents; unknown ones are left out."""
    found: dict[str, dict[str, Any]] = {}
    for digest, kind, data in _ask(db, "sha256, kind, data", digests):
        found.setdefault(digest.hex(), {})[kind] = _unpack(kind, data)
    return {digest: FileFacts(**facts) for digest, facts in found.items()}


def unknown(db: sqlite3.Connection, digests: Iterable[str]) -> set[str]:
    """Return those digests of which no facts are kept."""
    wanted = set(digests)
    return wanted - {row[0].hex() for row in _ask(db, "sha256", wanted)}


def used_objects(db: sqlite3.Connection) -> set[bytes]:
    """Return the ids of all objects that evidence points to."""
    return {bytes(row[0]) for row in db.execute("SELECT DISTINCT object FROM evidence")}


def delete_unused(db: sqlite3.Connection, used: set[bytes]) -> None:
    """Delete the evidence of builds that are gone, and facts of files that no build has.

    Args:
        db: the database; the caller's transaction.
        used: the digests of all files of all builds that stay.
    """
    known = [bytes(row[0]) for row in db.execute("SELECT DISTINCT sha256 FROM file_facts")]
    gone = [(digest,) for digest in known if digest not in used]
    db.executemany("DELETE FROM file_facts WHERE sha256 = ?", gone)
    db.execute("DELETE FROM removals WHERE at < (SELECT coalesce(min(started_at), 0) FROM builds)")


def note_removal(db: sqlite3.Connection, project: str, removal: Removal) -> None:
    """Write down that rebake removed caches of a project."""
    db.execute(
        "INSERT INTO removals VALUES(?,?,?,?)",
        (project, removal.at, removal.by, json.dumps(removal.names)),
    )


def removals(db: sqlite3.Connection, project: str, since: float) -> tuple[Removal, ...]:
    """Return what rebake removed of a project since a moment, the newest first."""
    rows = db.execute(
        "SELECT at, command, names FROM removals WHERE project = ? AND at >= ? ORDER BY at DESC",
        (project, since),
    )
    return tuple(Removal(at, by, tuple(json.loads(names))) for at, by, names in rows.fetchall())


def _ask(db: sqlite3.Connection, columns: str, digests: Iterable[str]) -> list[tuple[Any, ...]]:
    wanted = [bytes.fromhex(digest) for digest in set(digests)]
    found: list[tuple[Any, ...]] = []
    for start in range(0, len(wanted), _AT_ONCE):
        part = wanted[start : start + _AT_ONCE]
        marks = ",".join("?" * len(part))
        query = f"SELECT {columns} FROM file_facts WHERE sha256 IN ({marks})"  # noqa: S608 - ours
        found += db.execute(query, part).fetchall()
    return found


def _pack(facts: FileFacts) -> list[tuple[FactKind, bytes]]:
    # What is no text and nothing else is known too: nobody must read it again.
    found: list[tuple[FactKind, bytes]] = [("lines", b"" if facts.lines is None else facts.lines)]
    if facts.text is not None:
        found.append(("text", trees.pack(facts.text.encode("utf-8", errors="surrogateescape"))))
    if facts.lock is not None:
        rows = [[p.name, p.version, p.source, list(p.needs)] for p in facts.lock]
        found.append(("lock", trees.pack(json.dumps(rows, separators=(",", ":")).encode())))
    if facts.manifest is not None:
        found.append(("manifest", trees.pack(json.dumps(to_builtins(facts.manifest)).encode())))
    return found


def _unpack(kind: str, data: bytes) -> object:
    match kind:
        case "lines":
            return bytes(data) or None
        case "text":
            return trees.unpack_text(data).decode("utf-8", errors="surrogateescape")
        case "lock":
            return tuple(Package(n, v, s, tuple(needs)) for n, v, s, needs in trees.unpack(data))
        case _:
            found: Mapping[str, Any] = trees.unpack(data)
            return Manifest(found["name"], tuple(found["needs"]), tuple(found["tests"]))


def _tuple(value: list[str] | None) -> tuple[str, ...] | None:
    return None if value is None else tuple(value)
