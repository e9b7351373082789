"""What is known of caches beyond what the engine tells: one SQLite file for all projects.

The engine keeps layers without a name and without an owner. Here stands which steps of which
project's builds ran, and when, to the microsecond and by the engine's clock; a layer that came
while such a step ran, and that no other step can have made, is that project's
(`engine.layer_claims`). Here stand too how long a cache mount took to fill, how large each cache
was when it was looked at, and on which layers images stand, which takes the engine long to tell.

It is a file of its own, beside the history of builds: losing it costs no more than names.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from msgspec import Struct
from msgspec.structs import astuple

from rebake.history.database import Kind, Opened, is_corrupt, open_database, transaction

_T = TypeVar("_T")
FILE_NAME = "caches.sqlite3"
_DAY_S = 86_400.0
_HOUR_S = 3600.0
_KEEP_STEPS_S = 30 * _DAY_S  # a layer of an older step that is gone does not come back
_KEEP_SIZES_S = 90 * _DAY_S

_SCHEMA_1 = (
    "CREATE TABLE meta(key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID",
    """CREATE TABLE ran(                -- steps of builds whose layers are not looked for yet
        project TEXT NOT NULL, worktree TEXT NOT NULL, engine TEXT NOT NULL,
        name TEXT NOT NULL, stage TEXT NOT NULL, target TEXT NOT NULL,
        started_at REAL NOT NULL, ended_at REAL NOT NULL, -- seconds since 1970, the engine's clock
        noted_at REAL NOT NULL            -- the same for all of a build, by our clock
    )""",
    """CREATE TABLE layers(             -- whose the builder's layers are
        record TEXT NOT NULL, engine TEXT NOT NULL, project TEXT NOT NULL,
        worktree TEXT NOT NULL, name TEXT NOT NULL, stage TEXT NOT NULL, target TEXT NOT NULL,
        started_at REAL NOT NULL, ended_at REAL NOT NULL,  -- of the step
        bytes INTEGER NOT NULL, parents TEXT NOT NULL,     -- records, with spaces
        PRIMARY KEY(record, engine)
    ) WITHOUT ROWID""",
    "CREATE INDEX layers_project ON layers(project, engine)",
    """CREATE TABLE fills(              -- the longest step on a cache mount since it is there
        mount TEXT NOT NULL, engine TEXT NOT NULL, at REAL NOT NULL, seconds REAL NOT NULL,
        PRIMARY KEY(mount, engine)
    ) WITHOUT ROWID""",
    """CREATE TABLE sizes(
        project TEXT NOT NULL, at REAL NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL,
        bytes INTEGER NOT NULL
    )""",
    "CREATE INDEX sizes_project ON sizes(project, kind, name, at)",
)
_SCHEMA_2 = (
    """CREATE TABLE image_layers(       -- of anybody's images: by them, shared layers are known
        image TEXT NOT NULL, engine TEXT NOT NULL,
        digests TEXT NOT NULL,            -- the lowest first, with spaces
        PRIMARY KEY(image, engine)
    ) WITHOUT ROWID""",
)
# Append only: entry n brings a file from user_version n to n + 1.
MIGRATIONS: tuple[tuple[str, ...], ...] = (_SCHEMA_1, _SCHEMA_2)
_KIND = Kind("the list of caches", MIGRATIONS, "SELECT count(*) FROM ran", "new layers get no name")


class RanStep(Struct, frozen=True):
    """A step of a build that really ran.

    Attributes:
        project: the project's id, the same in all its worktrees.
        worktree: the folder it was built in.
        name: as BuildKit gave it, redacted.
        started_at: seconds since 1970, by the engine's clock.
        ended_at: the same.
    """

    project: str
    worktree: str
    name: str
    stage: str
    target: str
    started_at: float
    ended_at: float


class OwnedLayer(Struct, frozen=True):
    """A layer of the builder, and the step that made it, which tells whose it is.

    Attributes:
        record: the engine's id of it.
        bytes: when it was found.
        parents: the layers that it stands on.
    """

    record: str
    step: RanStep
    bytes: int = 0
    parents: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """What it took to make it."""
        return self.step.ended_at - self.step.started_at


class SizeSample(Struct, frozen=True):
    """How large a cache was at a moment (seconds since 1970)."""

    at: float
    kind: str
    name: str
    bytes: int


class CacheLog:
    """The file. A context manager; no command fails because it can't be written.

    Args:
        path: `caches.sqlite3` in the user's state folder.
        engine: the address of the engine that all of this is about.
        on_note: told one line for a person when the file was damaged or can't be used.
        dry: write nothing; where there is no file, none is made.
    """

    def __init__(
        self,
        path: Path,
        engine: str,
        on_note: Callable[[str], None] = lambda _text: None,
        *,
        dry: bool = False,
    ) -> None:
        self._path, self._engine, self._on_note, self._dry = path, engine, on_note, dry
        self._opened: Opened | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()

    def note_steps(self, steps: Iterable[RanStep], fills: Mapping[str, float]) -> None:
        """Write down what ran in a build.

        Args:
            steps: the steps that may have left a layer.
            fills: cache mounts that steps ran on, and the seconds of the longest of them.
        """
        now = time.time()
        rows = [
            (s.project, s.worktree, self._engine, s.name, s.stage, s.target, s.started_at,
             s.ended_at, now)
            for s in steps
        ]  # fmt: skip
        at = max((row[-2] for row in rows), default=now)

        def write(db: sqlite3.Connection) -> None:
            db.executemany("INSERT INTO ran VALUES(?,?,?,?,?,?,?,?,?)", rows)
            self._add_fills(db, fills, at)

        self._write(write)

    def note_fills(self, fills: Mapping[str, float]) -> None:
        """Write down the seconds that it took just now to fill mounts or volumes."""
        self._write(lambda db: self._add_fills(db, fills, time.time()))

    def _add_fills(self, db: sqlite3.Connection, fills: Mapping[str, float], at: float) -> None:
        db.executemany(
            "INSERT INTO fills VALUES(?1,?2,?3,?4) ON CONFLICT DO UPDATE SET"
            " at = ?3, seconds = max(seconds, ?4)",
            [(name, self._engine, at, seconds) for name, seconds in fills.items()],
        )

    def steps(self) -> tuple[RanStep, ...]:
        """The steps, of all projects, whose layers were not looked for yet."""
        rows = self._read(
            "SELECT project, worktree, name, stage, target, started_at, ended_at FROM ran"
            " WHERE engine = ?",
            (self._engine,),
        )
        return tuple(RanStep(*row) for row in rows)

    def layers(self) -> tuple[OwnedLayer, ...]:
        """The layers that have an owner, of all projects."""
        rows = self._read(
            "SELECT record, bytes, parents, project, worktree, name, stage, target, started_at,"
            " ended_at FROM layers WHERE engine = ?",
            (self._engine,),
        )
        return tuple(
            OwnedLayer(record, RanStep(*step), size, tuple(parents.split()))
            for record, size, parents, *step in rows
        )

    def settle(self, found: Iterable[OwnedLayer], looked: Iterable[RanStep]) -> None:
        """Write down whose new layers are, and that these steps were looked for.

        Layers that are gone stay on the list for a while: the engine hides some for moments.
        """
        rows = [
            (x.record, self._engine, *astuple(x.step), x.bytes, " ".join(x.parents)) for x in found
        ]
        steps = [(self._engine, s.project, s.name, s.started_at) for s in looked]
        old = time.time() - _KEEP_STEPS_S

        def write(db: sqlite3.Connection) -> None:
            db.executemany("INSERT OR REPLACE INTO layers VALUES(?,?,?,?,?,?,?,?,?,?,?)", rows)
            db.executemany(
                "DELETE FROM ran WHERE engine = ? AND project = ? AND name = ? AND started_at = ?",
                steps,
            )
            db.execute("DELETE FROM ran WHERE ended_at < ?", (old,))

        self._write(write)

    def forget(self, records: Iterable[str]) -> None:
        """Take layers off the list that are gone for good."""
        rows = [(record, self._engine) for record in records]
        self._write(
            lambda db: _each(db, "DELETE FROM layers WHERE record = ? AND engine = ?", rows)
        )

    def fills(self) -> dict[str, tuple[float, float]]:
        """For each cache mount: when its longest step ended, and the seconds of it."""
        rows = self._read("SELECT mount, at, seconds FROM fills WHERE engine = ?", (self._engine,))
        return {mount: (at, seconds) for mount, at, seconds in rows}

    def image_layers(self) -> dict[str, tuple[str, ...]]:
        """The digests of the layers of each image that was looked at, the lowest first."""
        rows = self._read(
            "SELECT image, digests FROM image_layers WHERE engine = ?", (self._engine,)
        )
        return {image: tuple(digests.split()) for image, digests in rows}

    def note_image_layers(
        self, found: Mapping[str, tuple[str, ...]], gone: Iterable[str] = ()
    ) -> None:
        """Write down the layers of images that are new, and forget images that are gone.

        Args:
            found: the digests of the layers, by the image's id.
            gone: the ids of images that the engine no longer has.
        """
        rows = [(image, self._engine, " ".join(digests)) for image, digests in found.items()]
        left = [(image, self._engine) for image in gone]

        def write(db: sqlite3.Connection) -> None:
            db.executemany("INSERT OR REPLACE INTO image_layers VALUES(?,?,?)", rows)
            _each(db, "DELETE FROM image_layers WHERE image = ? AND engine = ?", left)

        self._write(write)

    def note_sizes(self, project: str, samples: Iterable[tuple[str, str, int]]) -> None:
        """Write down how large caches are now, as kind, name and bytes."""
        now = time.time()
        rows = [(project, now, kind, name, size) for kind, name, size in samples]
        hour = now - now % _HOUR_S  # one an hour is enough
        same = [(project, kind, name, hour) for _, _, kind, name, _ in rows]

        def write(db: sqlite3.Connection) -> None:
            db.executemany(
                "DELETE FROM sizes WHERE project = ? AND kind = ? AND name = ? AND at >= ?", same
            )
            db.executemany("INSERT INTO sizes VALUES(?,?,?,?,?)", rows)
            db.execute("DELETE FROM sizes WHERE at < ?", (now - _KEEP_SIZES_S,))

        self._write(write)

    def newest_sizes(self, project: str) -> tuple[SizeSample, ...]:
        """The last known size of each of a project's caches."""
        return self._sizes("max(at)", project, 0.0)

    def oldest_sizes(self, project: str, since: float) -> tuple[SizeSample, ...]:
        """The first known size, since a moment, of each of a project's caches."""
        return self._sizes("min(at)", project, since)

    def builds_since(self, project: str, at: float) -> int:
        """How many builds of a project left steps after a moment."""
        rows = self._read(
            "SELECT count(DISTINCT noted_at) FROM ran WHERE project = ? AND engine = ?"
            " AND noted_at > ?",
            (project, self._engine, at),
        )
        return int(rows[0][0]) if rows else 0

    def _sizes(self, which: str, project: str, since: float) -> tuple[SizeSample, ...]:
        rows = self._read(
            f"SELECT {which}, kind, name, bytes FROM sizes"  # noqa: S608 - our own words
            " WHERE project = ? AND at >= ? GROUP BY kind, name",
            (project, since),
        )
        return tuple(SizeSample(*row) for row in rows)

    # the file

    def _open(self, *, damaged: bool = False) -> sqlite3.Connection:
        if self._opened is None:
            self._opened = open_database(self._path, self._on_note, damaged=damaged, kind=_KIND)
        return self._opened.connection

    def _close(self) -> None:
        if self._opened is not None:
            self._opened.connection.close()
            self._opened = None

    def _read(self, query: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
        if self._dry and not self._path.is_file():
            return []
        return self._mended(lambda db: db.execute(query, values).fetchall()) or []

    def _write(self, action: Callable[[sqlite3.Connection], None]) -> None:
        def whole(db: sqlite3.Connection) -> None:
            with transaction(db):
                action(db)

        if not self._dry:
            self._mended(whole)

    def _mended(self, action: Callable[[sqlite3.Connection], _T]) -> _T | None:
        """Run an action; on a damaged file, begin a new one and run it again. None: it failed."""
        try:
            try:
                return action(self._open())
            except sqlite3.DatabaseError as error:
                if not is_corrupt(error):
                    raise
            self._close()
            return action(self._open(damaged=True))
        except sqlite3.Error as error:  # locked for too long, disk full
            self._on_note(f"the list of caches could not be used: {error}")
            return None


def _each(db: sqlite3.Connection, query: str, rows: Sequence[tuple[str, str]]) -> None:
    db.executemany(query, rows)
