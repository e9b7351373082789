"""Opens the history's SQLite file: schema, migrations, and what to do with a broken file.

The file is in WAL mode, so that readers and one writer do not wait for each other; a second
writer waits up to `BUSY_S` seconds. A file that is no database, or a damaged one, is renamed to
`<name>.<time>.bad` (never deleted) and a new one is begun. Where nothing can be written, or a
newer rebake made the file, the history of this run is kept in memory. No build fails because of
its history.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sqlite3
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct

BUSY_S = 10.0
_CORRUPT = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_SHORT_READ = 522  # SQLITE_IOERR_SHORT_READ: the file is shorter than it says

_SCHEMA_1 = (
    "CREATE TABLE meta(key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID",
    """CREATE TABLE builds(
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        project TEXT NOT NULL, worktree TEXT NOT NULL, mode TEXT NOT NULL,
        targets TEXT NOT NULL,            -- JSON list
        started_at REAL NOT NULL,         -- seconds since 1970
        seconds REAL NOT NULL,
        outcome TEXT NOT NULL,            -- done | failed | interrupted
        skipped TEXT NOT NULL,
        rebake_version TEXT NOT NULL,
        git_head TEXT NOT NULL, git_dirty INTEGER NOT NULL,
        context_bytes INTEGER NOT NULL, downloaded_bytes INTEGER NOT NULL,
        inputs BLOB NOT NULL,             -- root of a tree in objects, see trees.py
        facts BLOB NOT NULL               -- object: engine, arguments, settings, base images
    )""",
    "CREATE INDEX builds_project ON builds(project, mode, id)",
    """CREATE TABLE step_names(
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL, kind TEXT NOT NULL, stage TEXT NOT NULL, target TEXT NOT NULL,
        UNIQUE(name, kind, stage, target)
    )""",
    """CREATE TABLE steps(
        build_id INTEGER NOT NULL, ordinal INTEGER NOT NULL,
        digest BLOB NOT NULL,             -- 32 bytes of a sha256, or text
        name_id INTEGER NOT NULL,
        started_s REAL, ended_s REAL,
        cached INTEGER NOT NULL, error TEXT NOT NULL, bytes INTEGER NOT NULL,
        inputs TEXT NOT NULL,             -- JSON list: ordinals in this build, or digests
        PRIMARY KEY(build_id, ordinal)
    ) WITHOUT ROWID""",
    """CREATE TABLE images(
        build_id INTEGER NOT NULL, service TEXT NOT NULL,
        project TEXT NOT NULL, mode TEXT NOT NULL,
        ref TEXT NOT NULL, digest TEXT NOT NULL, bytes INTEGER NOT NULL,
        input_id TEXT NOT NULL,           -- the build id that the binary answers
        built INTEGER NOT NULL, seconds REAL NOT NULL,
        layers BLOB NOT NULL,             -- object: [digest, bytes, created by] of each layer
        PRIMARY KEY(build_id, service)
    ) WITHOUT ROWID""",
    "CREATE INDEX images_service ON images(project, mode, service, build_id)",
    "CREATE TABLE objects(id BLOB PRIMARY KEY, data BLOB NOT NULL) WITHOUT ROWID",
)
_SCHEMA_2 = (
    """CREATE TABLE step_usage(          -- only of steps whose tools told it; NULL: not known
        build_id INTEGER NOT NULL, ordinal INTEGER NOT NULL,
        cpu_s REAL, peak_bytes INTEGER, network_bytes INTEGER,
        crates_compiled INTEGER, crates_reused INTEGER,
        crates_needed INTEGER, crates_downloaded INTEGER,
        packages_needed INTEGER, packages_downloaded INTEGER,
        PRIMARY KEY(build_id, ordinal)
    ) WITHOUT ROWID""",
)
_SCHEMA_3 = (
    """CREATE TABLE evidence(            -- what builds were made from, see evidence.py
        build_id INTEGER NOT NULL, part TEXT NOT NULL,
        object BLOB NOT NULL,
        PRIMARY KEY(build_id, part)
    ) WITHOUT ROWID""",
    """CREATE TABLE file_facts(          -- what is known of a content, by its digest
        sha256 BLOB NOT NULL, kind TEXT NOT NULL,
        data BLOB NOT NULL,
        PRIMARY KEY(sha256, kind)
    ) WITHOUT ROWID""",
    """CREATE TABLE removals(            -- caches that rebake itself removed
        project TEXT NOT NULL, at REAL NOT NULL, command TEXT NOT NULL,
        names TEXT NOT NULL               -- JSON list
    )""",
    "CREATE INDEX removals_project ON removals(project, at)",
)
_COUNTED = """(SELECT count(*) FROM steps s JOIN step_names n ON n.id = s.name_id
        WHERE s.build_id = builds.id AND n.kind IN ('run', 'copy', 'meta')"""
_SCHEMA_4 = (
    # Which bake of its build a step belongs to; 0 is the dependency layer.
    "ALTER TABLE steps ADD COLUMN attempt INTEGER NOT NULL DEFAULT 1",
    # The Dockerfiles' own steps, and those that were cached: see records.count_work.
    "ALTER TABLE builds ADD COLUMN steps INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE builds ADD COLUMN cached_steps INTEGER NOT NULL DEFAULT 0",
    f"UPDATE builds SET steps = {_COUNTED}), cached_steps = {_COUNTED} AND s.cached)",  # noqa: S608
)
# Append only: entry n brings a file from user_version n to n + 1.
MIGRATIONS: tuple[tuple[str, ...], ...] = (_SCHEMA_1, _SCHEMA_2, _SCHEMA_3, _SCHEMA_4)

OnNote = Callable[[str], None]


class Kind(Struct, frozen=True):
    """What a file of ours holds, for those that are opened as the history is.

    Attributes:
        what: its name for people.
        migrations: entry n brings a file from user_version n to n + 1.
        probe: a query that touches real pages.
        lost: what it means that a file can't be used.
    """

    what: str
    migrations: tuple[tuple[str, ...], ...]
    probe: str
    lost: str


def _history() -> Kind:
    probe = "SELECT max(id) FROM builds"
    return Kind("the history", MIGRATIONS, probe, "this run is not recorded")


class Opened(Struct, frozen=True):
    """An open database; `persistent` is false when it is only in memory."""

    connection: sqlite3.Connection
    persistent: bool


class NewerSchema(Exception):
    """The file was written by a newer rebake."""


def is_corrupt(error: sqlite3.Error) -> bool:
    """Whether an error means that the file itself is damaged (by SQLite's error code)."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and (code & 0xFF in _CORRUPT or code == _SHORT_READ)


def open_database(
    path: Path, on_note: OnNote, *, damaged: bool = False, kind: Kind | None = None
) -> Opened:
    """Open the history at `path`, making or mending it as needed.

    Args:
        path: the SQLite file; its folder is made.
        on_note: called with one line for a person when something unusual was done.
        damaged: a read or write found that the file is damaged: check all of it.
        kind: what the file holds; the history when None.
    """
    kind = kind or _history()
    try:
        try:
            return Opened(_open_file(path, kind, thorough=damaged), persistent=True)
        except sqlite3.DatabaseError as error:
            if not is_corrupt(error):
                raise
        return Opened(_begin_anew(path, kind, on_note), persistent=True)
    except NewerSchema:
        on_note(f"{path} was written by a newer rebake: {kind.lost}")
    except (OSError, sqlite3.Error) as error:
        on_note(f"{kind.what} at {path} can't be used ({error}): {kind.lost}")
    connection = sqlite3.connect(":memory:", isolation_level=None)
    _migrate(connection, kind)
    return Opened(connection, persistent=False)


def set_aside(path: Path) -> Path:
    """Rename a broken file (and its `-wal` and `-shm`) to `<name>.<time>.bad`; return the name."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    bad = path.with_name(f"{path.name}.{stamp}.bad")
    for suffix in ("", "-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(bad.with_name(bad.name + suffix))
    return bad


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Write all or nothing; waits for another writer first."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _open_file(path: Path, kind: Kind, *, thorough: bool = False) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Nobody else on the machine need read it; -wal and -shm take over these rights.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)
    try:
        if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
            _switch_to_wal(connection)
        connection.execute("PRAGMA synchronous=NORMAL")
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version != len(kind.migrations):
            _migrate(connection, kind)
        connection.execute(kind.probe).fetchone()
        if thorough:
            _check(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _check(connection: sqlite3.Connection) -> None:
    answer = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if answer != "ok":
        error = sqlite3.DatabaseError(answer)
        error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise error


def _switch_to_wal(connection: sqlite3.Connection) -> None:
    # SQLite does not wait for others here (no busy handler), so we do.
    deadline = time.monotonic() + BUSY_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            busy = error.sqlite_errorcode & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
            if not busy or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _migrate(connection: sqlite3.Connection, kind: Kind) -> None:
    with transaction(connection):  # the version is read again: another process may have done it
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > len(kind.migrations):
            raise NewerSchema
        for statements in kind.migrations[version:]:
            for statement in statements:
                connection.execute(statement)
        connection.execute(
            "INSERT OR IGNORE INTO meta VALUES('key', ?)", (secrets.token_bytes(32),)
        )
        connection.execute(f"PRAGMA user_version = {len(kind.migrations)}")


def _begin_anew(path: Path, kind: Kind, on_note: OnNote) -> sqlite3.Connection:
    from filelock import FileLock  # rare, and not free to import

    with FileLock(path.with_name(path.name + ".lock"), timeout=BUSY_S):
        try:  # another process may have mended it while we waited
            return _open_file(path, kind, thorough=True)
        except sqlite3.DatabaseError as error:
            if not is_corrupt(error):
                raise
        bad = set_aside(path)
        on_note(f"{kind.what} was damaged; it is kept as {bad}, and a new one is begun")
        return _open_file(path, kind)
