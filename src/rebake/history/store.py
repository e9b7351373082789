"""The history of builds: one SQLite file, written once a build, read by `why` and reports."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from rebake.history import evidence_tables, reading, tracing, trees, writing
from rebake.history.cleaning import Cleaner
from rebake.history.database import Opened, is_corrupt, open_database
from rebake.history.evidence import Evidence, FileFacts, Removal
from rebake.history.image_use import ImageUse, LastBuild, image_uses, last_builds
from rebake.history.records import BuildRecord, BuildSummary, ImageRecord, Outcome, StoredBuild
from rebake.redact import Redactor
from rebake.results import Mode

_T = TypeVar("_T")
_SLACK = 20  # prune waits until a 20th more than asked for is there: it walks every object


def _ignore(_text: str) -> None:
    return


class History:
    """The builds of all projects of this user. A context manager.

    Args:
        path: the SQLite file, for instance `user_state_path("rebake") / "history.sqlite3"`.
        on_note: called with one line for a person when the file was damaged or can't be written.
        redactor: masks secrets in all text before it is stored; the environment's by default.
    """

    def __init__(
        self,
        path: Path,
        *,
        on_note: Callable[[str], None] = _ignore,
        redactor: Redactor | None = None,
    ) -> None:
        self._path = path
        self._on_note = on_note
        self._redactor = Redactor.from_environment() if redactor is None else redactor
        self._opened: Opened | None = None

    def __enter__(self) -> Self:
        self._db  # noqa: B018 - open it now, so that notes come early
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; the next call opens it again."""
        if self._opened is not None:
            self._opened.connection.close()
            self._opened = None

    @property
    def persistent(self) -> bool:
        """Whether records survive this process."""
        return self._open().persistent

    def cleaned(self, build: BuildRecord) -> BuildRecord:
        """Return a build as it would be stored: with its secrets masked."""
        return Cleaner(self._redactor, self._key()).build(build)

    def record(self, build: BuildRecord) -> int:
        """Store one build and return its id; 0 when it could not be stored (a note says why)."""
        try:
            clean = self.cleaned(build)
            return self._mended(lambda: writing.insert(self._db, clean))
        except sqlite3.Error as error:  # locked for too long, disk full: the build itself is fine
            self._on_note(f"this build is not in the history: {error}")
            return 0

    def change_settings(self, build_id: int, changes: Mapping[str, str]) -> None:
        """Change settings of a stored build; an empty text removes one. A failure is only noted."""
        clean = Cleaner(self._redactor, self._key()).settings(changes)
        try:
            self._mended(lambda: writing.change_settings(self._db, build_id, clean))
        except sqlite3.Error as error:
            self._on_note(f"what was done after the build is not in the history: {error}")

    def last(
        self,
        project: str,
        mode: Mode,
        service: str | None = None,
        *,
        outcome: Outcome | None = None,
        ref: str | None = None,
    ) -> StoredBuild | None:
        """Return a project's newest build in a mode, without its input files.

        Args:
            project: the project's id.
            mode: `dev` or `prod`.
            service: only builds that hold an image of this service.
            outcome: only builds that ended so.
            ref: only builds whose image of this service has this name: each worktree has its own.
        """

        def find() -> StoredBuild | None:
            found = reading.newest(self._db, project, mode, service, outcome, ref=ref)
            return None if found is None else reading.load(self._db, found, with_inputs=False)

        return self._mended(find)

    def last_image(self, project: str, mode: Mode, service: str) -> ImageRecord | None:
        """Return a service's image as its newest build left it; quicker than `last`."""
        return self._mended(lambda: reading.newest_image(self._db, project, mode, service))

    def build(self, build_id: int) -> StoredBuild | None:
        """Return one whole build with its input files, or None when there is none of this id."""
        return self._mended(lambda: reading.load(self._db, build_id, with_inputs=True))

    def builds(
        self, project: str | None = None, limit: int = 50, *, mode: Mode | None = None
    ) -> tuple[BuildSummary, ...]:
        """Return the newest builds, newest first; of all projects when `project` is None."""
        return self._mended(lambda: reading.summaries(self._db, project, mode, limit))

    def light(
        self, project: str, limit: int, *, mode: Mode | None = None, below: int | None = None
    ) -> tuple[StoredBuild, ...]:
        """Return a project's newest builds without their lists of files, newest first.

        Args:
            project: the project's id.
            limit: how many.
            mode: only builds of it.
            below: only builds with a smaller id.
        """

        def find() -> tuple[StoredBuild, ...]:
            ids = reading.newest_ids(self._db, project, mode, limit, below)
            found = (reading.load(self._db, one, with_inputs=False) for one in ids)
            return tuple(build for build in found if build is not None)

        return self._mended(find)

    def changed_inputs(self, before: int, after: int) -> list[trees.Change]:
        """Return the input files that differ between two builds (by id)."""

        def compare() -> list[trees.Change]:
            query = "SELECT inputs FROM builds WHERE id = ?"
            old, new = (self._db.execute(query, (i,)).fetchone() for i in (before, after))
            if old is None or new is None:
                return []
            return trees.differences(old[0], new[0], reading.loader(self._db))

        return self._mended(compare)

    def image_uses(self, project: str) -> tuple[ImageUse, ...]:
        """Return the names of all images of a project's builds, those of all its worktrees."""
        return self._mended(lambda: image_uses(self._db, project))

    def last_builds(self, project: str) -> tuple[LastBuild, ...]:
        """Return the newest build of each worktree and mode that really built something."""
        return self._mended(lambda: last_builds(self._db, project))

    # for the causes of steps

    @property
    def key(self) -> bytes:
        """This database's own key, for digests that tell nothing without it."""
        return self._key()

    def unknown_files(self, digests: Iterable[str]) -> set[str]:
        """Return those digests of files of which no facts are kept."""
        return self._mended(lambda: evidence_tables.unknown(self._db, digests))

    def facts(self, digests: Iterable[str]) -> dict[str, FileFacts]:
        """Return what is known of files by the digests of their contents, where there is any."""
        return self._mended(lambda: evidence_tables.load_facts(self._db, digests))

    def last_evidence(self, project: str, mode: Mode) -> Evidence | None:
        """Return the evidence of a project's newest build in a mode that has any."""
        return self._mended(lambda: evidence_tables.newest(self._db, project, mode))

    def newest_build(
        self, project: str, worktree: str, mode: Mode | None = None, target: str | None = None
    ) -> StoredBuild | None:
        """Return a worktree's newest build with its files, or None; see `tracing`."""

        def find() -> StoredBuild | None:
            found = tracing.newest_of_worktree(
                self._db, project, worktree, mode=mode, target=target
            )
            return None if found is None else reading.load(self._db, found, with_inputs=True)

        return self._mended(find)

    def built_before(
        self, project: str, mode: Mode, service: str, *, ref: str | None, before: int
    ) -> int | None:
        """Return the id of the build that one is compared with, see `tracing.built_before`."""
        return self._mended(
            lambda: tracing.built_before(self._db, project, mode, service, ref=ref, before=before)
        )

    def same_files_before(self, build_id: int, service: str, but: int | None) -> int | None:
        """Return the id of an older build of the same files, see `tracing.same_files_before`."""
        return self._mended(lambda: tracing.same_files_before(self._db, build_id, service, but))

    def times_beside_steps(self, project: str, mode: Mode, most: int) -> tuple[float, ...]:
        """Return what builds took beside their steps, see `tracing.times_beside_steps`."""
        return self._mended(lambda: tracing.times_beside_steps(self._db, project, mode, most))

    def step_runs(
        self, project: str, mode: Mode, stage: str, kind: str
    ) -> tuple[tracing.StepRun, ...]:
        """Return the newest times that steps of a stage ran, see `tracing.step_runs`."""
        return self._mended(lambda: tracing.step_runs(self._db, project, mode, stage, kind))

    def note_removal(self, project: str, removal: Removal) -> None:
        """Write down that rebake removed caches of a project; a failure is only noted."""
        try:
            self._mended(lambda: evidence_tables.note_removal(self._db, project, removal))
        except sqlite3.Error as error:
            self._on_note(f"what was removed is not in the history: {error}")

    def removals(self, project: str, since: float = 0.0) -> tuple[Removal, ...]:
        """Return what rebake removed of a project since a moment, the newest first."""
        return self._mended(lambda: evidence_tables.removals(self._db, project, since))

    def count(self, project: str | None = None) -> int:
        """How many builds are stored; of all projects when `project` is None."""
        return self._mended(lambda: self._count(project))

    def prune(self, keep: int = 10_000) -> int:
        """Delete the oldest builds and return how many.

        It waits until there are 5 % more than `keep`, and then leaves exactly `keep`: finding the
        objects that nothing points to any more means walking all of them.
        """

        def delete() -> int:
            if self._count() <= keep + keep // _SLACK:
                return 0
            return writing.delete_oldest(self._db, keep)

        return self._mended(delete)

    def _count(self, project: str | None = None) -> int:
        query = "SELECT count(*) FROM builds WHERE ?1 IS NULL OR project = ?1"
        return int(self._db.execute(query, (project,)).fetchone()[0])

    def _open(self) -> Opened:
        if self._opened is None:
            self._opened = open_database(self._path, self._on_note)
        return self._opened

    @property
    def _db(self) -> sqlite3.Connection:
        return self._open().connection

    def _mended(self, action: Callable[[], _T]) -> _T:
        """Run an action; on a damaged file, begin a new one and run it once more."""
        try:
            return action()
        except sqlite3.DatabaseError as error:
            if not is_corrupt(error):
                raise
        self.close()
        self._opened = open_database(self._path, self._on_note, damaged=True)
        return action()

    def _key(self) -> bytes:
        query = "SELECT value FROM meta WHERE key = 'key'"
        return bytes(self._mended(lambda: self._db.execute(query).fetchone())[0])
