"""Runs other programs: a frozen `Command` in, a frozen `Outcome` out.

The only module that imports `subprocess`. Every child gets a process group of its own, so that
Ctrl-C reaches it through us and in stages (interrupt, 5 s, kill), and nothing is left running.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, NoReturn, Self

from msgspec import structs

from rebake.errors import Interrupted, ProgramMissing, TimedOut
from rebake.process_command import Command, OnLine, Outcome, which
from rebake.process_signals import (
    GRACE_S,
    HeldSignals,
    descendants_of,
    sleep_until_end,
    stop_all,
    terminate_as_interrupt,
    wait_for_group,
)
from rebake.redact import Redactor

_PIPE_WAIT_S = 2.0  # for what a program that has ended left in its pipes
_WINDOWS = sys.platform == "win32"


def run(
    command: Command,
    *,
    on_stdout: OnLine | None = None,
    on_stderr: OnLine | None = None,
    inherit: bool = False,
) -> Outcome:
    """Run a program to its end and return its outcome, whatever the exit code.

    Args:
        command: what to run.
        on_stdout: called with each line of output as it comes (without the line end).
        on_stderr: the same for the error output.
        inherit: give the child our own terminal and collect nothing.

    Raises:
        ProgramMissing: the program is not there.
        TimedOut: it took longer than `command.timeout_s`; it was stopped.
        Interrupted: Ctrl-C or SIGTERM came; the child and its children were stopped first.
    """
    started = time.monotonic()
    with terminate_as_interrupt():
        held = HeldSignals()
        try:
            child = _spawn(command, inherit=inherit)
        except BaseException:
            held.release()
            raise
        return _see_through(
            command, child, held, started=started, on_stdout=on_stdout, on_stderr=on_stderr
        )


def _see_through(
    command: Command,
    child: subprocess.Popen[bytes],
    held: HeldSignals,
    *,
    started: float,
    on_stdout: OnLine | None,
    on_stderr: OnLine | None,
) -> Outcome:
    """Give a child its input, and wait for its end; whatever comes, it is not left running."""
    out, err = _Collector(on_stdout), _Collector(on_stderr)
    threads = [
        threading.Thread(target=collector.read, args=(stream,), daemon=True)
        for collector, stream in ((out, child.stdout), (err, child.stderr))
        if stream is not None
    ]
    try:
        held.release()
        for thread in threads:
            thread.start()
        _feed(child, command.stdin)
        returncode = _wait(child, command.timeout_s)
        # A grandchild that lives on (a daemon) may keep the pipes open: do not wait for it.
        limit = time.monotonic() + _PIPE_WAIT_S
        for thread in threads:
            thread.join(timeout=max(0.0, limit - time.monotonic()))
    except subprocess.TimeoutExpired:
        stop(child)
        raise TimedOut(_name(command), command.timeout_s or 0.0) from None
    except KeyboardInterrupt:
        stop(child)
        raise Interrupted(_name(command)) from None
    except BaseException:
        stop(child)
        raise
    finally:
        _close(child, threads)
    for collector in (out, err):
        if collector.failure is not None:
            raise collector.failure
    return Outcome(command.argv, returncode, out.text, err.text, time.monotonic() - started)


class Begun:
    """A program that waits for its standard input; `begin` makes it.

    Until then its output waits in the pipes. A `with` block that is left without `finish` ends it.
    """

    def __init__(self, command: Command, child: subprocess.Popen[bytes], started: float) -> None:
        self._command, self._child, self._started = command, child, started
        self._over = False

    def finish(
        self, text: str, *, on_stdout: OnLine | None = None, on_stderr: OnLine | None = None
    ) -> Outcome:
        """Give it its input, and see it through, as `run` does; the seconds count from the start.

        Raises:
            TimedOut, Interrupted: as `run`.
        """
        self._over = True
        command = structs.replace(self._command, stdin=text)
        with terminate_as_interrupt():
            held = HeldSignals()
            return _see_through(
                command,
                self._child,
                held,
                started=self._started,
                on_stdout=on_stdout,
                on_stderr=on_stderr,
            )

    def drop(self) -> None:
        """End it: it has not been told to do anything yet."""
        if self._over:
            return
        self._over = True
        _signal_group(self._child, interrupt=False)
        self._child.wait()
        _close(self._child, ())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.drop()


def begin(command: Command) -> Begun:
    """Start a program that does nothing before it has read its standard input to the end.

    Args:
        command: what to run; `stdin` comes with `Begun.finish`.

    Raises:
        ProgramMissing: the program is not there.
    """
    held = HeldSignals()
    try:
        child = _spawn(structs.replace(command, stdin=""), inherit=False)
    except BaseException:
        held.release()
        raise
    begun = Begun(command, child, time.monotonic())
    try:
        held.release()
    except KeyboardInterrupt:
        begun.drop()
        raise
    return begun


class Running:
    """A program that runs beside us; `start` makes it. Leaving a `with` block stops it."""

    def __init__(
        self,
        command: Command,
        child: subprocess.Popen[bytes],
        readers: Sequence[tuple[_Collector, threading.Thread]] = (),
    ) -> None:
        self.command = command
        self._child = child
        self._readers = readers
        self._stopped = False

    @property
    def pid(self) -> int:
        """Its process id; on POSIX also the id of its process group."""
        return self._child.pid

    def poll(self) -> int | None:
        """The exit code, or None while it runs."""
        return self._child.poll()

    def wait(self, timeout_s: float | None = None) -> int:
        """Wait for its end and for the last of its output, and return the exit code.

        Raises:
            TimedOut: it still runs after `timeout_s`; it goes on.
        """
        try:
            returncode = _wait(self._child, timeout_s)
        except subprocess.TimeoutExpired:
            raise TimedOut(_name(self.command), timeout_s or 0.0) from None
        self._end_reading()
        for collector, _ in self._readers:
            if collector.failure is not None:
                raise collector.failure
        return returncode

    def stop(self, grace_s: float = GRACE_S) -> int:
        """Stop it and all its descendants (interrupt, then kill); return the exit code.

        After its end: stop what it left behind in its process group.
        """
        if not self._stopped:  # later its group's number may be another program's
            stop(self._child, grace_s)
            self._stopped = True
            self._end_reading()
        returncode = self._child.poll()
        return -signal.SIGTERM if returncode is None else returncode

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _end_reading(self) -> None:
        threads = [thread for _, thread in self._readers]
        for thread in threads:
            thread.join(timeout=2.0)
        _close(self._child, threads)


def start(
    command: Command,
    *,
    on_stdout: OnLine | None = None,
    on_stderr: OnLine | None = None,
    log: Path | None = None,
    pass_fds: Sequence[int] = (),
) -> Running:
    """Start a program that runs beside us until it ends or is stopped.

    Args:
        command: what to run; `stdin` and `timeout_s` are not used.
        on_stdout: called with each line of output, in a thread of its own; thrown away when None.
        on_stderr: the same for the error output.
        log: a file that both outputs are appended to, instead of the callbacks.
        pass_fds: descriptors that it inherits under the same numbers (POSIX).

    Raises:
        ProgramMissing: the program is not there.
    """
    held = HeldSignals()
    try:
        running = _start(command, on_stdout, on_stderr, log, pass_fds)
    except BaseException:
        held.release()
        raise
    try:
        held.release()
    except KeyboardInterrupt:
        running.stop()
        raise
    return running


def _start(
    command: Command,
    on_stdout: OnLine | None,
    on_stderr: OnLine | None,
    log: Path | None,
    pass_fds: Sequence[int],
) -> Running:
    if log is not None:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as sink:
            child = _popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                pass_fds=pass_fds,
            )
        return Running(command, child)
    child = _popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL if on_stdout is None else subprocess.PIPE,
        stderr=subprocess.DEVNULL if on_stderr is None else subprocess.PIPE,
        pass_fds=pass_fds,
    )
    readers = []
    for stream, on_line in ((child.stdout, on_stdout), (child.stderr, on_stderr)):
        if stream is not None:
            collector = _Collector(on_line)
            thread = threading.Thread(target=collector.read, args=(stream,), daemon=True)
            thread.start()
            readers.append((collector, thread))
    return Running(command, child, readers)


def spawn_background(command: Command, log: Path) -> int:
    """Start a program that outlives us, detached from our terminal; return its process id.

    Its output is appended to `log`.

    Raises:
        ProgramMissing: the program is not there.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as sink:
        child = _popen(
            command, stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.STDOUT, detached=True
        )
    child.returncode = 0  # it is not ours to wait for; keeps Popen's destructor quiet
    return child.pid


def replace(command: Command) -> NoReturn:
    """Become another program (POSIX), or run it and exit with its code (Windows)."""
    if _WINDOWS:
        raise SystemExit(run(command, inherit=True).returncode)
    os.execvpe(command.argv[0], list(command.argv), command.environment())  # noqa: S606


def stop(child: subprocess.Popen[bytes], grace_s: float = GRACE_S) -> None:
    """Stop a child and all its descendants: interrupt first, kill after `grace_s` seconds."""
    import psutil

    descendants = descendants_of(child.pid)
    _signal_group(child, interrupt=True)
    try:
        _wait(child, grace_s)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):  # a second Ctrl-C means: now
        _signal_group(child, interrupt=False)
        with contextlib.suppress(subprocess.TimeoutExpired):
            _wait(child, grace_s)
    _, alive = psutil.wait_procs(descendants, timeout=0.5)
    for process in alive:
        with contextlib.suppress(psutil.Error):
            process.kill()
    if sys.platform != "win32":  # what lost its parent is no descendant, but still in the group
        wait_for_group(child.pid, min(grace_s, 0.5))
        _signal_group(child, interrupt=False)


@contextlib.contextmanager
def stopping_children(what: str = "", before: Callable[[], None] | None = None) -> Iterator[None]:
    """Stop all our children when Ctrl-C or SIGTERM comes while threads of ours run programs.

    Threads see no signals: without this, what they run would live on, or block our end.

    Args:
        what: what is under way, for the error.
        before: called first, to keep the threads from starting more.

    Raises:
        Interrupted: it came; nothing that we started is running any more.
    """
    with terminate_as_interrupt():
        try:
            yield
        except KeyboardInterrupt:
            if before is not None:
                before()
            import psutil

            stop_all(psutil.Process().children(recursive=True))
            raise Interrupted(what) from None


class _Collector:
    """Reads a stream line by line, keeps the text, and passes each line on."""

    def __init__(self, on_line: OnLine | None) -> None:
        self._on_line = on_line
        # With a callback, the listener decides what to keep; we hold the end for error messages.
        self._lines: deque[str] = deque(maxlen=None if on_line is None else 2000)
        self.failure: BaseException | None = None

    def read(self, stream: IO[bytes]) -> None:
        with stream:  # ours to close: nobody waits for us when the pipe stays open for long
            for raw in stream:
                line = raw.decode("utf-8", errors="replace")
                self._lines.append(line)
                if self._on_line is not None and self.failure is None:
                    try:
                        self._on_line(line.rstrip("\r\n"))
                    except BaseException as error:  # noqa: BLE001 - raised in the main thread
                        self.failure = error

    @property
    def text(self) -> str:
        return "".join(list(self._lines))


def _spawn(command: Command, *, inherit: bool) -> subprocess.Popen[bytes]:
    if inherit:
        return _popen(command, stdin=None, stdout=None, stderr=None)
    stdin = subprocess.DEVNULL if command.stdin is None else subprocess.PIPE
    return _popen(command, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def _popen(
    command: Command,
    *,
    stdin: int | None,
    stdout: int | IO[bytes] | None,
    stderr: int | None,
    detached: bool = False,
    pass_fds: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    flags = 0
    if sys.platform == "win32":
        flags = subprocess.CREATE_NEW_PROCESS_GROUP
        if detached:
            flags |= subprocess.DETACHED_PROCESS
    try:
        return subprocess.Popen(
            list(command.argv),
            cwd=command.cwd,
            env=command.environment(),
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            creationflags=flags,
            # A session of its own for a daemon, a group of its own for the rest.
            start_new_session=detached and not _WINDOWS,
            process_group=None if detached or _WINDOWS else 0,
            pass_fds=pass_fds,
        )
    except (FileNotFoundError, PermissionError) as error:
        if command.cwd is not None and not command.cwd.is_dir():
            raise
        raise ProgramMissing(command.argv[0]) from error


def _feed(child: subprocess.Popen[bytes], text: str | None) -> None:
    if text is None or child.stdin is None:
        return
    with contextlib.suppress(BrokenPipeError):  # it ended before it read all: its code tells
        child.stdin.write(text.encode())
        child.stdin.close()


def _wait(child: subprocess.Popen[bytes], timeout_s: float | None) -> int:
    started = time.monotonic()
    if child.poll() is None:
        sleep_until_end(child.pid, timeout_s)
    left = None if timeout_s is None else max(0.0, started + timeout_s - time.monotonic())
    return child.wait(timeout=left)


def _close(child: subprocess.Popen[bytes], threads: Sequence[threading.Thread]) -> None:
    if any(thread.is_alive() for thread in threads):
        return  # closing under a reader would block; the thread is a daemon
    for stream in (child.stdin, child.stdout, child.stderr):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()


def _signal_group(child: subprocess.Popen[bytes], *, interrupt: bool) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError, OSError):
        if sys.platform == "win32":
            if interrupt:
                child.send_signal(signal.CTRL_BREAK_EVENT)
            else:
                child.kill()
        else:
            os.killpg(child.pid, signal.SIGINT if interrupt else signal.SIGKILL)


def _name(command: Command) -> str:
    return command.what or " ".join(Redactor.from_environment().argv(command.argv[:3]))


__all__ = [
    "GRACE_S",
    "Begun",
    "Command",
    "OnLine",
    "Outcome",
    "Running",
    "begin",
    "replace",
    "run",
    "spawn_background",
    "start",
    "stop",
    "stop_all",
    "stopping_children",
    "terminate_as_interrupt",
    "which",
]
