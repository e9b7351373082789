"""Who does just now what a build has left for afterwards: notes beside the project's state.

A build that waited for its dependency layer, or for caches that are taken away, would wait for what
none of its images needs. So that is done by a process of its own, and a next build that needs the
cache mount finds out here whom to stop.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, cast

from msgspec import Struct

from rebake.process_id import ProcessId

Stage = Literal["starting", "resting", "waiting", "dependency layer", "caches", "steps"]
_BUILDS = frozenset({"dependency layer", "steps"})  # with the cache mount
# One is at work and another one may be coming: each has a note of its own.
_AT_WORK, _COMING = "upkeep.json", "upkeep.next.json"
_LOCK, _LOG, _NEWS, _REST = "upkeep.lock", "upkeep.log", "upkeep.news", "upkeep.rest"
# From the word of who starts it to its own: a Python that starts on a busy machine.
_STARTS_WITHIN_S = 30.0
_LOOK_S = 0.1
# While a build goes on; one that is killed does not say that it has ended.
_BUILD_S = 600.0


class Note(Struct, frozen=True):
    """One entry.

    Attributes:
        process: who does it; while it starts, who started it.
        at: when it was written, seconds since 1970.
    """

    stage: Stage
    process: ProcessId
    at: float

    @property
    def holds(self) -> bool:
        """Whether it is still so."""
        if self.stage == "starting":
            return 0 <= time.time() - self.at < _STARTS_WITHIN_S
        return self.process.alive


class Upkeep(Struct, frozen=True):
    """The upkeep of one worktree's project.

    Attributes:
        folder: the project's state folder.
    """

    folder: Path

    @property
    def log(self) -> Path:
        """What the newest one in the background said."""
        return self.folder / _LOG

    @property
    def lock(self) -> Path:
        """Held by the one that is at work: there is one at a time."""
        return self.folder / _LOCK

    def announce(self, stage: Literal["starting", "resting", "waiting"]) -> None:
        """Note that one is coming: this process, or one that it starts."""
        self._write(_COMING, stage)

    def write(self, stage: Literal["dependency layer", "caches", "steps"]) -> None:
        """Note what this process does. A folder that can't be written to is no fault."""
        self._write(_AT_WORK, stage)

    def _write(self, name: str, stage: Stage) -> None:
        myself = ProcessId.of(os.getpid())
        if myself is None:
            return
        document = {
            "stage": stage, "pid": myself.pid, "started": myself.started, "at": time.time(),
        }  # fmt: skip
        new = self.folder / f"{name}.{myself.pid}"
        with contextlib.suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            new.write_text(json.dumps(document), encoding="utf-8")
            new.replace(self.folder / name)

    def at_work(self) -> Note | None:
        """Who is at work."""
        return self._read(_AT_WORK)

    def coming(self) -> Note | None:
        """Who will be."""
        return self._read(_COMING)

    def _read(self, name: str) -> Note | None:
        try:
            document = json.loads((self.folder / name).read_text(encoding="utf-8"))
            process = ProcessId(int(document["pid"]), float(document["started"]))
            note = Note(cast("Stage", document["stage"]), process, float(document["at"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return note if note.holds else None

    def came(self) -> None:
        """Remove the word of one that is coming: it is here."""
        with contextlib.suppress(OSError):
            (self.folder / _COMING).unlink()

    def clear(self) -> None:
        """Remove the note of who is at work, if that is this process."""
        note = self.at_work()
        if note is not None and note.process.pid == os.getpid():
            with contextlib.suppress(OSError):
                (self.folder / _AT_WORK).unlink()

    def leave_news(self, lines: Iterable[str]) -> None:
        """Leave word for the next build to say: nobody reads what is said in the background."""
        text = "".join(f"{line}\n" for line in lines)
        if text:
            with contextlib.suppress(OSError):
                (self.folder / _NEWS).write_text(text, encoding="utf-8")

    def take_news(self) -> list[str]:
        """What was left to be said; it is said once."""
        file = self.folder / _NEWS
        try:
            text = file.read_text(encoding="utf-8")
            file.unlink()
        except (OSError, ValueError):
            return []
        return text.splitlines()

    def rest(self, seconds: float) -> None:
        """Let the one in the background begin in so many seconds, and not before."""
        with contextlib.suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / _REST).write_text(f"{time.time() + seconds}", encoding="utf-8")

    def rest_again(self, seconds: float) -> None:
        """The same, where one rests."""
        note = self.coming()
        if note is not None and note.stage == "resting":
            self.rest(seconds)

    def sleep(self) -> None:
        """Rest, as long as builds say so; for the one in the background."""
        self.announce("resting")
        while True:
            try:
                until = float((self.folder / _REST).read_text(encoding="utf-8"))
            except (OSError, ValueError):
                return
            left = until - time.time()
            if not 0 < left <= _BUILD_S:  # over, or by another clock
                return
            time.sleep(min(left, 0.5))

    def make_way(self) -> None:
        """Stop the one that holds the cache mount, with its programs: a build wants that now.

        What it has not done stays due. One that removes caches goes on: it holds no mount, and an
        engine that is interrupted there forgets more than it should. One that rests goes on with
        that: to be stopped half-way costs the engine seconds.
        """
        self.rest_again(_BUILD_S)
        note = self.at_work()
        if note is None or note.stage not in _BUILDS:
            return
        from rebake.process_signals import descendants_of, stop_all

        found = descendants_of(note.process.pid)
        import psutil

        with contextlib.suppress(psutil.Error):
            found.insert(0, psutil.Process(note.process.pid))
        if note.process.alive:  # still the same one
            stop_all(found)

    def wait(self, limit_s: float) -> bool:
        """Wait until nobody is at work or coming; False where it took longer."""
        until = time.monotonic() + limit_s
        while self.coming() is not None or self.at_work() is not None:
            if time.monotonic() > until:
                return False
            time.sleep(_LOOK_S)
        return True
