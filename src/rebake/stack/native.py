"""Native mode: the same services straight on the machine, without an engine, with hot reload.

A supervisor of its own process holds the stack (`native_supervisor`); here it is started,
watched, asked and stopped. Ctrl-C during the start stops everything; in the foreground it ends
the stack and is no error.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from msgspec import Struct
from msgspec.structs import replace

from rebake.errors import CommandFailed, Interrupted, ServiceUnhealthy
from rebake.process import Command, spawn_background, terminate_as_interrupt
from rebake.process_id import ProcessId
from rebake.redact import Redactor
from rebake.results import StackResult
from rebake.stack import ports
from rebake.stack.native_build import (
    CargoBuild,
    SourceRecord,
    install_packages,
    is_noise,
    wait_for,
)
from rebake.stack.native_health import ENGINE, result_of, service_state
from rebake.stack.native_logs import Follower, OnLog, last_lines
from rebake.stack.native_plan import (
    MARK,
    NativePlan,
    NativeService,
    Tools,
    make_plan,
    to_json,
)
from rebake.stack.native_state import Home, RunRecord, sweep, write_file
from rebake.stack.native_supervisor import BUILD_LOG, GRACE_S
from rebake.stack.native_tools import find_tools

if TYPE_CHECKING:
    from rebake.project.project import Project

Say = Callable[[str], None]
OnReady = Callable[[StackResult], None]

SUPERVISOR_LOG = "supervisor"
_TAIL_LINES = 20
_PROGRESS_S = 5.0
_HEALTH_POLL_S = 0.05
_STOP_MARGIN_S = 4.0
_SWEEP_GRACE_S = 3.0
_HOPELESS_RESTARTS = 3
_ALIVE_CHECK_S = 0.5


def up(
    project: Project,
    *,
    detach: bool,
    say: Say = lambda _line: None,
    on_log: OnLog = lambda _service, _line: None,
    on_ready: OnReady = lambda _result: None,
    address: str | None = None,
    find: Callable[..., Tools] = find_tools,
) -> StackResult:
    """Start the native stack, unless it runs already.

    In the foreground, stay until Ctrl-C (or until someone else stops the stack), then stop what
    this call has started.

    Args:
        project: the project.
        detach: return when all services are healthy.
        say: told each step.
        on_log: told the services' log lines (foreground), and cargo's warnings, under `build`.
        on_ready: told the result as soon as all services are healthy.
        address: where to listen; `dev.address` when None.
        find: finds the programs; for tests.

    Raises:
        ProgramMissing: cargo, a C compiler, bun or npm is missing; with the command that installs
            it.
        BuildFailed: the backend does not compile; with all of the compiler's words.
        CommandFailed: the UI's packages could not be installed.
        ServiceUnhealthy: a service does not come up; everything was stopped again.
        PortInUse: there is no free port at all.
        Busy: another process starts or stops this stack.
        Interrupted: Ctrl-C before all services were healthy; everything was stopped.
    """
    started = time.monotonic()
    home = home_of(project)
    start = _Start(project, home, say, on_log)
    with terminate_as_interrupt():
        try:
            with home.lock("dev --native"):
                plan = start.ensure(detach=detach, address=address, find=find)
                result = result_of(home, plan, time.monotonic() - started)
            follower = Follower(home, [*plan.urls, BUILD_LOG], on_log)
            on_ready(result)
        except KeyboardInterrupt:
            start.undo()
            raise Interrupted("the start of the native stack") from None
        if not detach:
            try:
                start.started &= _stay(home, follower, say)
            except KeyboardInterrupt:
                pass  # the way to end a foreground stack
            finally:
                start.undo()
    return result


def down(project: Project) -> bool:
    """Stop the native stack and what a killed supervisor left; return whether there was any.

    The services' data and logs stay.

    Raises:
        Busy: another process starts or stops this stack.
    """
    home = home_of(project)
    if not home.folder.is_dir():
        return False
    with home.lock("down"):
        return _stop(home)


def state(project: Project) -> StackResult | None:
    """What runs, with health; None when no supervisor of ours runs."""
    home = home_of(project)
    plan, record = home.read_plan(), home.read_run()
    if plan is None or not _supervised(record):
        return None
    return result_of(home, plan, 0.0)


def logs(
    project: Project,
    services: Sequence[str] = (),
    *,
    follow: bool = False,
    tail: int = 100,
    on_log: OnLog,
) -> None:
    """Pass on the ends of the services' logs; with `follow`, what comes too, until Ctrl-C.

    Raises:
        UnknownName: there is no such service.
    """
    home = home_of(project)
    names = [*project.services(services), *(() if services else (BUILD_LOG,))]
    follower = Follower(home, names, on_log)
    for name in names:
        for line in last_lines(home.log(name), tail):
            on_log(name, line)
    if follow:
        with contextlib.suppress(KeyboardInterrupt), terminate_as_interrupt():
            follower.follow(lambda: _supervised(home.read_run()))


def home_of(project: Project) -> Home:
    """Where the native stack of this worktree keeps what is its own."""
    return Home(project.state / "native")


class _Start(Struct):
    """The start of a stack, step by step."""

    project: Project
    home: Home
    say: Say
    on_log: OnLog
    started: bool = False  # whether it was us who started what runs

    def ensure(
        self, *, detach: bool, address: str | None, find: Callable[..., Tools]
    ) -> NativePlan:
        """Return the plan of the stack that runs, after starting it where it does not."""
        config = self.project.config
        running = self.home.read_plan() if _supervised(self.home.read_run()) else None
        if running is None:  # before ports are chosen: what was left may hold them
            self._clear()
        address = address or config.dev.address
        wanted = ports.wanted(config.services, config.dev.ports)
        tools = find(self.project, say=self.say)
        owner = None if detach else ProcessId.of(os.getpid())
        plan = make_plan(
            self.project,
            ports.choose(wanted, address, running.ports if running else None),
            tools,
            data=self.home.data,
            mark=self.home.mark,
            address=address,
            owner=None if owner is None else (owner.pid, owner.started),
        )
        if running is not None and plan.same_stack(running):
            self.say("the native stack runs already")
            self._wait_healthy(running, None)
            return running
        if running is not None:
            self.say("the native stack changes: stopping the one that runs")
            _stop(self.home)
        for name, port in plan.ports.items():
            if port != wanted[name]:
                self.say(f"port {wanted[name]} of {name} is in use, taking {port}")
        plan = replace(plan, programs=self._build(plan))
        self.started = True
        try:
            self._wait_healthy(plan, self._supervise(plan))
        except BaseException:
            _stop(self.home)
            self.started = False
            raise
        return plan

    def undo(self) -> None:
        """Stop the stack, if it was us who started it."""
        if self.started:
            self.started = False
            try:
                self.say("stopping the native stack")
            finally:  # also when nobody listens any more
                with self.home.lock("dev --native"):
                    _stop(self.home)

    def _clear(self) -> None:
        if _stop(self.home):
            self.say("stopped what was left of an earlier native stack")

    def _build(self, plan: NativePlan) -> dict[str, Path]:
        """Compile the backend and install the UI's packages, side by side."""
        packages: list[str] = []
        self.say(f"compiling {', '.join(plan.binaries)}, installing the UI's packages")
        with self.home.open_log(BUILD_LOG).open("a", encoding="utf-8") as log:

            def on_line(text: str) -> None:
                log.write(text + "\n")
                if not is_noise(text):
                    self.on_log(BUILD_LOG, text)

            record = SourceRecord.load(self.home.sources_file).freshen(plan.backend)
            with (
                install_packages(plan, packages.append) as install,
                CargoBuild(plan, on_line=on_line) as build,
            ):
                progress = _Progress(build, self.say)

                def on_tick() -> None:
                    progress.step()
                    if install.poll():
                        install.wait()
                        raise _install_failed(plan, install.wait(), packages)

                wait_for((build, install), on_tick)
                on_tick()
                programs = build.result()
        record.save(self.home.sources_file)
        self.say(f"compiled in {build.seconds:.1f} s")
        return programs

    def _supervise(self, plan: NativePlan) -> ProcessId | None:
        """Start the supervisor."""
        self.home.data.mkdir(parents=True, exist_ok=True)
        write_file(self.home.plan_file, to_json(plan))
        command = Command.of(
            sys.executable, "-P", "-m", "rebake.stack.native_supervisor", self.home.folder,
            cwd=self.home.folder, env={MARK: plan.mark},
        )  # fmt: skip
        log = self.home.open_log(SUPERVISOR_LOG)
        return ProcessId.of(spawn_background(command, log))

    def _wait_healthy(self, plan: NativePlan, supervisor: ProcessId | None) -> None:
        """Wait until every service is healthy.

        Args:
            plan: the stack.
            supervisor: the one that was started just now; None to read who it is.
        """
        limit = self.project.config.dev.start_timeout_s
        deadline = time.monotonic() + limit
        record = self.home.read_run() or RunRecord()
        before = {name: service.restarts for name, service in record.services.items()}
        waiting = list(plan.services)
        while True:
            record = self.home.read_run() or RunRecord()
            waiting = [s for s in waiting if service_state(s, record).health != "healthy"]
            if not waiting:
                return
            holder = supervisor or record.supervisor
            if holder is None or not holder.alive:
                tail = last_lines(self.home.log(SUPERVISOR_LOG), _TAIL_LINES)
                raise ServiceUnhealthy(SUPERVISOR_LOG, record.failure or "it ended", tail)
            for service in waiting:
                known = record.services.get(service.name)
                ended = 0 if known is None else known.restarts - before.get(service.name, 0)
                if known is not None and ended >= _HOPELESS_RESTARTS:
                    raise self._unhealthy(
                        service, f"it ended {ended} times, with exit code {known.last_exit}"
                    )
            if time.monotonic() > deadline:
                raise self._unhealthy(waiting[0], f"no answer in {limit} s")
            time.sleep(_HEALTH_POLL_S)

    def _unhealthy(self, service: NativeService, words: str) -> ServiceUnhealthy:
        redactor = Redactor.from_environment()
        tail = last_lines(self.home.log(service.name), _TAIL_LINES)
        return ServiceUnhealthy(service.name, words, [redactor.text(line) for line in tail])


class _Progress(Struct):
    """Says now and then how far cargo is."""

    build: CargoBuild
    say: Say
    _next: float = _PROGRESS_S

    def step(self) -> None:
        if self.build.seconds < self._next:
            return
        if self.build.waits:
            self.say(f"another cargo works in the same folder: {self.build.waits}")
            self._next = self.build.seconds + 6 * _PROGRESS_S
        elif self.build.total:
            self.say(f"compiling: {self.build.done}/{self.build.total}")
            self._next = self.build.seconds + _PROGRESS_S


def _install_failed(plan: NativePlan, returncode: int, lines: Sequence[str]) -> CommandFailed:
    redactor = Redactor.from_environment()
    return CommandFailed(
        argv=plan.install,
        returncode=returncode,
        tail=[redactor.text(line) for line in lines[-_TAIL_LINES:]],
        next_step=f"mend it in {plan.ui}, then run the command again",
    )


def _stay(home: Home, follower: Follower, say: Say) -> Literal[False]:
    """Show the logs until the stack is gone (False), or until Ctrl-C (which is raised).

    Raises:
        ServiceUnhealthy: the supervisor was killed.
    """
    checked = [0.0, True]

    def goes_on() -> bool:
        if time.monotonic() - checked[0] > _ALIVE_CHECK_S:
            checked[:] = [time.monotonic(), _supervised(home.read_run())]
        return bool(checked[1])

    follower.follow(goes_on)
    if home.run_file.exists():
        _stop(home)
        raise ServiceUnhealthy(SUPERVISOR_LOG, "it was killed; its services were stopped", ())
    say("the native stack was stopped by another command")
    return False


def _stop(home: Home) -> bool:
    """Stop the supervisor, and then what it may have left; return whether there was anything."""
    record = home.read_run()
    found = _supervised(record)
    if found:
        home.stop_file.touch()
        deadline = time.monotonic() + GRACE_S + _STOP_MARGIN_S
        with contextlib.suppress(KeyboardInterrupt):  # a second Ctrl-C means: now
            while _supervised(record) and time.monotonic() < deadline:
                time.sleep(_HEALTH_POLL_S)
    left = sweep(home.read_run() or record, home.mark, _SWEEP_GRACE_S)
    home.forget()
    return found or left > 0


def _supervised(record: RunRecord | None) -> bool:
    return record is not None and record.supervisor is not None and record.supervisor.alive


__all__ = [
    "ENGINE",
    "SUPERVISOR_LOG",
    "OnReady",
    "Say",
    "down",
    "home_of",
    "logs",
    "state",
    "up",
]
