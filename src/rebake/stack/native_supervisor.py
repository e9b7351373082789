"""The process that keeps a native stack running: `python -m rebake.stack.native_supervisor HOME`.

It holds the listening sockets, starts the services, starts them again when they end (later and
later), rebuilds when a source changes, and swaps the processes of the binaries that changed.
One thread does it all; the watcher and cargo's readers only leave notes for it.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct, field

from rebake.errors import BuildFailed, RebakeError
from rebake.process import Running, start
from rebake.process_id import ProcessId
from rebake.stack.native_build import (
    CargoBuild,
    SourceRecord,
    Stamp,
    install_packages,
    is_noise,
    stamp,
)
from rebake.stack.native_plan import UI, NativePlan, NativeService
from rebake.stack.native_state import Home, RunRecord, ServiceRecord
from rebake.stack.native_watch import Watcher

BUILD_LOG = "build"
GRACE_S = 6.0  # services answer what is in flight for five seconds at most
_TICK_S = 0.1
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 15.0
_STEADY_S = 10.0  # a process that lived this long starts again at once
_OWNER_CHECK_S = 1.0
_BACKLOG = 1024
_UI_MANIFEST = "package.json"


class _Service(Struct):
    """A service and its process."""

    plan: NativeService
    socket: socket.socket | None = None
    running: Running | None = None
    stamp: Stamp | None = None
    started: float = 0.0
    pause_s: float = _FIRST_PAUSE_S
    start_at: float | None = 0.0
    record: ServiceRecord = field(default_factory=ServiceRecord)


class Supervisor:
    """Keeps one native stack running until it is told to stop."""

    def __init__(self, home: Home, plan: NativePlan) -> None:
        self._home = home
        self._plan = plan
        self._services = {service.name: _Service(service) for service in plan.services}
        self._programs = dict(plan.programs)
        self._changes: queue.SimpleQueue[frozenset[Path]] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._build: CargoBuild | None = None
        self._sources = SourceRecord()
        self._install: Running | None = None
        self._retiring: list[tuple[threading.Thread, Running]] = []
        self._owner_seen = 0.0

    def stop(self) -> None:
        """Ask `run` to end."""
        self._stop.set()

    def run(self) -> None:
        """Run the stack until told to stop; nothing that it started is left."""
        lock_file = self._plan.ui / self._plan.lock
        watcher = Watcher(
            self._plan.backend,
            (self._plan.ui / _UI_MANIFEST, lock_file),
            self._changes.put,
            polling=self._plan.polling,
            on_note=self._note,
        )
        try:
            self._write()
            self._listen()
            watcher.start()
            # What changed since the first build, while nobody was watching.
            self._rebuild()
            while not self._should_stop():
                self._take_changes()
                self._follow_build()
                self._follow_install()
                self._follow_services()
                self._stop.wait(_TICK_S)
        finally:
            watcher.stop()
            self._end()

    # What to do now

    def _should_stop(self) -> bool:
        if self._stop.is_set() or self._home.stop_file.exists():
            return True
        owner = self._plan.owner
        now = time.monotonic()
        if owner is None or now - self._owner_seen < _OWNER_CHECK_S:
            return False
        self._owner_seen = now
        return not ProcessId(*owner).alive

    def _take_changes(self) -> None:
        changed: set[Path] = set()
        with contextlib.suppress(queue.Empty):
            while True:
                changed |= self._changes.get_nowait()
        manifests = {path for path in changed if path.parent == self._plan.ui}
        sources = sorted(path for path in changed - manifests)
        if sources:
            more = f" and {len(sources) - 1} more" if len(sources) > 1 else ""
            self._note(f"changed: {_short(sources[0], self._plan.backend)}{more}; compiling")
            self._rebuild()
        if any(path.name == self._plan.lock for path in manifests):
            self._note(f"changed: {self._plan.lock}; installing the UI's packages")
            self._reinstall()

    def _rebuild(self) -> None:
        if self._build is not None:  # it compiles what is no longer there
            self._build.stop()
        log = self._home.open_log(BUILD_LOG)
        try:
            self._sources = SourceRecord.load(self._home.sources_file).freshen(self._plan.backend)
            self._build = CargoBuild(
                self._plan, on_line=lambda text: None if is_noise(text) else _append(log, text)
            )
        except (RebakeError, OSError) as error:
            self._build = None
            self._note(f"can't compile: {error}")
        self._write()

    def _follow_build(self) -> None:
        build = self._build
        if build is None or build.poll() is None:
            return
        self._build = None
        try:
            self._programs |= build.result()
        except BuildFailed as error:
            self._note(f"{error.what}; what runs goes on; waiting for a change")
            self._write()
            return
        self._sources.save(self._home.sources_file)
        for service in self._services.values():
            program = self._programs.get(service.plan.binary or "")
            if service.running is not None and program and stamp(program) != service.stamp:
                self._note(f"compiled in {build.seconds:.1f} s; swapping {service.plan.name}")
                self._swap(service)
            elif service.running is None and service.plan.binary:
                service.start_at, service.pause_s = time.monotonic(), _FIRST_PAUSE_S
        self._write()

    def _reinstall(self) -> None:
        if self._install is not None:
            self._install.stop()
        log = self._home.open_log(BUILD_LOG)
        try:
            self._install = install_packages(self._plan, lambda text: _append(log, text))
        except (RebakeError, OSError) as error:
            self._install = None
            self._note(f"can't install the UI's packages: {error}")
        self._write()

    def _follow_install(self) -> None:
        if self._install is None or (code := self._install.poll()) is None:
            return
        self._install = None
        if code != 0:
            self._note(f"the install of the packages ended with {code}; the UI goes on as it was")
        elif UI in self._services:
            self._note("restarting ui")
            self._swap(self._services[UI])

    # Services

    def _listen(self) -> None:
        for service in self._services.values():
            if service.plan.pass_socket:
                service.socket = listen(service.plan.address, service.plan.port)

    def _follow_services(self) -> None:
        now = time.monotonic()
        for service in self._services.values():
            if service.running is not None and (code := service.running.poll()) is not None:
                service.running.stop()  # what it left in its group
                service.running = None
                steady = now - service.started > _STEADY_S
                service.pause_s = _FIRST_PAUSE_S if steady else service.pause_s
                service.start_at = now + service.pause_s
                service.record.process, service.record.last_exit = None, code
                service.record.restarts += 1
                self._say(
                    service, f"ended with {code}; starting it again in {service.pause_s:.1f} s"
                )
                service.pause_s = min(service.pause_s * 2, _LONGEST_PAUSE_S)
                self._write()
            if service.running is None and service.start_at is not None:
                self._start_when_due(service, now)

    def _start_when_due(self, service: _Service, now: float) -> None:
        if service.start_at is None or now < service.start_at:
            return
        if service.plan.binary is None or service.plan.binary in self._programs:
            self._start(service)

    def _start(self, service: _Service) -> None:
        program = self._programs.get(service.plan.binary or "")
        command = self._plan.command(service.plan, program)
        pass_fds: tuple[int, ...] = ()
        if service.socket is not None:
            number = service.socket.fileno()
            pass_fds = (number,)
            env = {**command.env, "LISTEN_FDS": "1", "LISTEN_FDS_FIRST_FD": str(number)}
            command = type(command)(command.argv, cwd=command.cwd, env=env, what=command.what)
        service.stamp = stamp(program) if program else None
        service.started = time.monotonic()
        log = self._home.open_log(service.plan.name)
        try:
            service.running = start(command, log=log, pass_fds=pass_fds)
        except (RebakeError, OSError) as error:
            service.record.restarts += 1
            service.start_at = service.started + service.pause_s
            service.pause_s = min(service.pause_s * 2, _LONGEST_PAUSE_S)
            self._say(service, f"can't start: {error}")
            return
        service.start_at = None
        service.record.process = ProcessId.of(service.running.pid)
        self._write()

    def _swap(self, service: _Service) -> None:
        """Put a new process in the place of the old one.

        With a socket of ours, the old one answers what it has taken in while the new one starts,
        and who connects in between waits. Without, the old one has to leave the port first.
        """
        old = service.running
        service.running, service.pause_s = None, _FIRST_PAUSE_S
        service.record.restarts, service.record.last_exit = 0, None
        if old is not None and service.socket is not None:
            thread = threading.Thread(target=old.stop, args=(GRACE_S,), daemon=True)
            thread.start()
            self._retiring.append((thread, old))
        elif old is not None:
            old.stop(_grace())
        self._retiring = [(t, r) for t, r in self._retiring if t.is_alive()]
        self._start(service)

    def _end(self) -> None:
        jobs = [service.running for service in self._services.values()]
        jobs += [self._install, self._build.running if self._build else None]
        threads = [thread for thread, _ in self._retiring]
        for running in jobs:
            if running is not None:
                thread = threading.Thread(target=running.stop, args=(_grace(),), daemon=True)
                thread.start()
                threads.append(thread)
        for thread in threads:
            thread.join()
        for service in self._services.values():
            if service.socket is not None:
                service.socket.close()

    # What is written down

    def _write(self) -> None:
        record = RunRecord(
            supervisor=ProcessId.of(os.getpid()),
            services={name: service.record for name, service in self._services.items()},
            others=list(self._others()),
        )
        # A full disk is no reason to stop what runs: the marks in the environment tell as much.
        with contextlib.suppress(OSError):
            self._home.write_run(record)

    def _others(self) -> Iterator[ProcessId]:
        running = [running for _, running in self._retiring]
        running += [one for one in (self._install, self._build and self._build.running) if one]
        for one in running:
            process = ProcessId.of(one.pid)
            if process is not None:
                yield process

    def _note(self, text: str) -> None:
        _append(self._home.log(BUILD_LOG), f"rebake: {text}")

    def _say(self, service: _Service, text: str) -> None:
        _append(self._home.log(service.plan.name), f"rebake: {service.plan.name} {text}")


def listen(address: str, port: int) -> socket.socket:
    """Listen on a port for services that come and go.

    Raises:
        OSError: the port is taken, or the address is not this machine's.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((address, port))
        sock.listen(_BACKLOG)
    except BaseException:
        sock.close()
        raise
    return sock


def _grace() -> float:
    # Windows has no way to ask a process without a console: do not wait for nothing.
    return 0.2 if sys.platform == "win32" else GRACE_S


def _append(log: Path, text: str) -> None:
    with contextlib.suppress(OSError), log.open("a", encoding="utf-8") as file:
        file.write(text + "\n")


def _short(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path)


def main(home: Home) -> int:
    """Run the stack whose plan is in `home`; return the exit code."""
    plan = home.read_plan()
    if plan is None:
        return 2
    home.logs.mkdir(parents=True, exist_ok=True)
    supervisor = Supervisor(home, plan)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: supervisor.stop())
    try:
        supervisor.run()
    except (OSError, RebakeError) as error:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        _append(home.log("supervisor"), f"{now} {error}")
        with contextlib.suppress(OSError):
            home.write_run(RunRecord(failure=str(error)))
        return 1
    home.forget()
    return 0


if __name__ == "__main__":
    sys.exit(main(Home(Path(sys.argv[1]))))
