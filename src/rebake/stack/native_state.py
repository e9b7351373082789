"""What is written down about a native stack, and whose processes are really ours.

A process is ours when its id and its start time are those that were recorded, or when its
environment carries our mark.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
from filelock import FileLock, Timeout
from msgspec import Struct, field, to_builtins

from rebake.errors import Busy
from rebake.process_id import ProcessId
from rebake.stack.native_plan import MARK, NativePlan, from_json

_LOCK_WAIT_S = 0.5
_WAIT_S = 0.02
_LOG_CAP_BYTES = 5_000_000


class ServiceRecord(Struct):
    """One service as the supervisor sees it."""

    process: ProcessId | None = None
    restarts: int = 0
    last_exit: int | None = None


class RunRecord(Struct):
    """What the supervisor wrote down.

    Attributes:
        supervisor: the supervisor itself.
        services: the services by name.
        others: what else it started: builds, services that are about to end.
        failure: why it gave up, or empty.
    """

    supervisor: ProcessId | None = None
    services: dict[str, ServiceRecord] = field(default_factory=dict)
    others: list[ProcessId] = field(default_factory=list)
    failure: str = ""

    def processes(self) -> Iterator[ProcessId]:
        """All recorded processes but the supervisor."""
        yield from (s.process for s in self.services.values() if s.process is not None)
        yield from self.others


class Home(Struct, frozen=True):
    """The folder of a worktree's native stack, outside the repository."""

    folder: Path

    @property
    def mark(self) -> str:
        """What marks the stack's processes: two stacks never share this folder."""
        return str(self.folder)

    @property
    def data(self) -> Path:
        """The services' data: stays when the stack goes."""
        return self.folder / "data"

    @property
    def logs(self) -> Path:
        """One log a service."""
        return self.folder / "logs"

    @property
    def plan_file(self) -> Path:
        """The running stack's plan."""
        return self.folder / "plan.json"

    @property
    def run_file(self) -> Path:
        """The running stack's processes."""
        return self.folder / "run.json"

    @property
    def stop_file(self) -> Path:
        """Asks the supervisor to stop: works alike on all systems."""
        return self.folder / "stop"

    @property
    def sources_file(self) -> Path:
        """The sources' digests at the last build."""
        return self.folder / "sources.json"

    def log(self, name: str) -> Path:
        """The log of a service."""
        return self.logs / f"{name}.log"

    @contextlib.contextmanager
    def lock(self, action: str) -> Iterator[None]:
        """Hold the stack for a change.

        Raises:
            Busy: another process changes it just now.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        note = self.folder / "lock.holder"
        lock = FileLock(self.folder / "lock")
        try:
            lock.acquire(timeout=_LOCK_WAIT_S)
        except Timeout:
            holder = "another process"
            with contextlib.suppress(OSError):
                holder = note.read_text(encoding="utf-8").strip() or holder
            raise Busy("the native stack", holder) from None
        try:
            note.write_text(f"invoke {action} (pid {os.getpid()})", encoding="utf-8")
            yield
        finally:
            note.unlink(missing_ok=True)
            lock.release()

    def read_plan(self) -> NativePlan | None:
        """The plan of the stack that was started last; a broken file is set aside."""
        try:
            return from_json(self.plan_file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError):
            _set_aside(self.plan_file)
            return None

    def read_run(self) -> RunRecord | None:
        """The supervisor's record; a broken file is set aside."""
        try:
            return _record(json.loads(self.run_file.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            _set_aside(self.run_file)
            return None

    def write_run(self, record: RunRecord) -> None:
        """Write the supervisor's record, all of it or nothing."""
        write_file(self.run_file, json.dumps(to_builtins(record), indent=1))

    def forget(self) -> None:
        """Remove what tells of a running stack; data and logs stay."""
        for file in (self.stop_file, self.run_file, self.plan_file):
            file.unlink(missing_ok=True)

    def open_log(self, name: str) -> Path:
        """The log of a service, moved away first when it has grown large."""
        log = self.log(name)
        log.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(OSError):  # Windows: another process still writes to it
            if log.is_file() and log.stat().st_size > _LOG_CAP_BYTES:
                log.replace(log.with_suffix(".log.1"))
        return log


def write_file(path: Path, text: str) -> None:
    """Write a file at once: a reader finds the old or the new content, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    number, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(number, "w", encoding="utf-8") as file:
            file.write(text)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def sweep(record: RunRecord | None, mark: str, grace_s: float) -> int:
    """Stop what a supervisor that is gone (or has to go) left running; return how many.

    Only processes that are ours: recorded with their start time, or marked.
    """
    found: dict[int, psutil.Process] = {}
    if record is not None:
        supervisor = [record.supervisor] if record.supervisor else []
        for known in (*supervisor, *record.processes()):
            if known.alive:
                with contextlib.suppress(psutil.Error):
                    leader = psutil.Process(known.pid)
                    # Descendants too: `bun run` starts the server as a child.
                    for one in (leader, *leader.children(recursive=True)):
                        found[one.pid] = one
    for process in marked(mark):
        found[process.pid] = process
    for ours in (psutil.Process(), *psutil.Process().parents()):
        found.pop(ours.pid, None)
    for process in found.values():
        with contextlib.suppress(psutil.Error):
            process.terminate()
    for process in _still_there(found.values(), grace_s):
        with contextlib.suppress(psutil.Error):
            process.kill()
    _still_there(found.values(), grace_s)
    return len(found)


def _still_there(processes: Collection[psutil.Process], timeout_s: float) -> list[psutil.Process]:
    """Wait for the end of processes; return those that still run (a zombie does not)."""
    deadline = time.monotonic() + timeout_s
    while True:
        alive = [process for process in processes if _runs(process)]
        if not alive or time.monotonic() > deadline:
            return alive
        time.sleep(_WAIT_S)


def _runs(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def marked(mark: str) -> Iterator[psutil.Process]:
    """The processes whose environment carries our mark."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                yield process


def _record(document: Mapping[str, Any]) -> RunRecord:
    def process(value: Mapping[str, Any] | None) -> ProcessId | None:
        return None if value is None else ProcessId(int(value["pid"]), float(value["started"]))

    return RunRecord(
        supervisor=process(document["supervisor"]),
        services={
            str(name): ServiceRecord(process(s["process"]), int(s["restarts"]), s["last_exit"])
            for name, s in document["services"].items()
        },
        others=[p for value in document["others"] if (p := process(value)) is not None],
        failure=str(document["failure"]),
    )


def _set_aside(file: Path) -> None:
    with contextlib.suppress(OSError):
        file.replace(file.with_name(file.name + ".bad"))
