"""`process.start`: a program that runs beside us."""

from __future__ import annotations

import os
import socket
import sys
import time
from pathlib import Path

import psutil
import pytest

from rebake.errors import ProgramMissing, TimedOut
from rebake.process import Command, start

posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX descriptors and signals")


def python(code: str, *words: str, **options: object) -> Command:
    return Command.of(sys.executable, "-u", "-c", code, *words, **options)


def test_lines_arrive_while_it_runs_and_wait_gives_the_code() -> None:
    out: list[str] = []
    err: list[str] = []
    running = start(
        python("import sys; print('a'); print('b', file=sys.stderr); sys.exit(3)"),
        on_stdout=out.append,
        on_stderr=err.append,
    )
    assert running.wait(10) == 3
    assert (out, err, running.poll()) == (["a"], ["b"], 3)


def test_wait_with_a_limit_leaves_it_running() -> None:
    with start(python("import time; time.sleep(60)")) as running:
        with pytest.raises(TimedOut):
            running.wait(0.1)
        assert running.poll() is None
    assert running.poll() is not None
    assert not psutil.pid_exists(running.pid)


def test_a_listeners_failure_is_raised_by_wait() -> None:
    def fail(_line: str) -> None:
        msg = "listener"
        raise ValueError(msg)

    running = start(python("print('a')"), on_stdout=fail)
    with pytest.raises(ValueError, match="listener"):
        running.wait(10)


@posix
def test_stop_takes_the_descendants_along() -> None:
    seen: list[str] = []
    code = (
        "import signal, subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'],"
        " start_new_session=True)\n"
        "print(child.pid)\n"
        "time.sleep(60)\n"
    )
    running = start(python(code), on_stdout=seen.append)
    deadline = time.monotonic() + 10
    while not seen and time.monotonic() < deadline:
        time.sleep(0.01)
    running.stop(2)
    assert _ends(int(seen[0]))


@posix
def test_stop_after_the_end_still_takes_what_it_left_in_its_group() -> None:
    seen: list[str] = []
    code = (
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import signal, time;"
        " signal.signal(signal.SIGINT, signal.SIG_IGN); time.sleep(60)'],"
        " stdout=subprocess.DEVNULL)\n"
        "print(child.pid)\n"
    )
    running = start(python(code), on_stdout=seen.append)
    assert running.wait(10) == 0
    assert psutil.pid_exists(int(seen[0]))
    running.stop(1)
    assert _ends(int(seen[0]))


def test_both_outputs_go_to_the_log(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "x.log"
    code = "import sys; print('out'); print('err', file=sys.stderr)"
    for _ in range(2):
        assert start(python(code), log=log).wait(10) == 0
    assert log.read_text().splitlines() == ["out", "err"] * 2


@posix
def test_a_socket_is_passed_on() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        number = listener.fileno()
        code = (
            "import socket, sys\n"
            "conn, _ = socket.socket(fileno=int(sys.argv[1])).accept()\n"
            "conn.sendall(b'hello')\n"
        )
        with start(python(code, str(number)), pass_fds=(number,)):
            client = socket.create_connection(listener.getsockname(), timeout=10)
            assert client.recv(5) == b"hello"
            client.close()
        assert os.get_inheritable(number) is False


def test_a_missing_program() -> None:
    with pytest.raises(ProgramMissing):
        start(Command.of("no-such-program-anywhere"))


def _ends(pid: int) -> bool:
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.01)
    return False
