"""The runner of programs: outcomes, limits, signals, nothing left running."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from rebake import process
from rebake.errors import CommandFailed, Interrupted, ProgramMissing, TimedOut
from rebake.process import Command, Outcome, run

posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
# A child that has a child of its own, says its id, and ignores the interrupt.
STUBBORN_FAMILY = """
import signal, subprocess, sys, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(child.pid, flush=True)
time.sleep(60)
"""


def python(code: str, *words: str, **options: object) -> Command:
    return Command.of(sys.executable, "-c", code, *words, **options)


def wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + 10
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, f"{pid} still runs"
        time.sleep(0.05)


def test_output_error_output_and_exit_code_are_told_apart() -> None:
    outcome = run(python("import sys; print('a'); print('b', file=sys.stderr); sys.exit(3)"))
    assert (outcome.stdout.strip(), outcome.stderr.strip(), outcome.returncode) == ("a", "b", 3)
    assert not outcome.ok
    assert outcome.seconds > 0


def test_no_shell_reads_the_arguments() -> None:
    words = ("$(touch x)", "a b", ";", "*", "ü")
    code = "import sys; sys.stdout.buffer.write('|'.join(sys.argv[1:]).encode())"
    assert run(python(code, *words)).stdout == "|".join(words)


def test_environment_is_added_to_and_taken_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GONE", "1")
    code = "import os; print(os.environ.get('NEW'), os.environ.get('GONE'))"
    assert run(python(code, env={"NEW": "2", "GONE": None})).stdout.split() == ["2", "None"]


def test_standard_input_is_given_or_empty() -> None:
    code = "import sys; print(repr(sys.stdin.read()))"
    assert run(python(code, stdin="hello")).stdout.strip() == "'hello'"
    assert run(python(code)).stdout.strip() == "''"


def test_input_that_nobody_reads_is_no_error() -> None:
    assert run(python("pass", stdin="x" * 1_000_000)).ok


def test_large_output_on_both_streams_does_not_block() -> None:
    code = "import sys\nfor _ in range(3000): print('x' * 100); print('y' * 100, file=sys.stderr)"
    outcome = run(python(code))
    assert len(outcome.stdout.splitlines()) == len(outcome.stderr.splitlines()) == 3000


def test_bytes_that_are_no_text_are_replaced() -> None:
    outcome = run(python("import sys; sys.stdout.buffer.write(b'a\\xffb')"))
    assert outcome.stdout == "a\ufffdb"


def test_each_line_is_passed_on_as_it_comes() -> None:
    lines: list[tuple[str, float]] = []
    code = "import time\nprint('one', flush=True)\ntime.sleep(0.4)\nprint('two')"
    run(python(code), on_stdout=lambda line: lines.append((line, time.monotonic())))
    assert [line for line, _ in lines] == ["one", "two"]
    assert lines[1][1] - lines[0][1] > 0.2


def test_a_failing_listener_is_heard_and_does_not_block_the_child() -> None:
    def fail(_line: str) -> None:
        raise ValueError("listener")

    with pytest.raises(ValueError, match="listener"):
        run(python("for _ in range(50000): print('x' * 50)"), on_stdout=fail)


def test_a_missing_program_and_a_missing_folder_are_different_errors(tmp_path: Path) -> None:
    with pytest.raises(ProgramMissing):
        run(Command.of("no-such-program-here"))
    with pytest.raises(FileNotFoundError):
        run(python("pass", cwd=tmp_path / "gone"))


def test_the_time_limit_stops_the_child_and_its_children() -> None:
    pids: list[int] = []
    command = python("import time; print(1, flush=True); time.sleep(60)", timeout_s=0.5, what="a")
    with pytest.raises(TimedOut, match="a took longer than"):
        run(command, on_stdout=lambda line: pids.append(int(line)))
    assert pids == [1]


@pytest.mark.skipif(sys.platform != "linux", reason="pidfd is Linux's")
def test_the_end_of_a_child_with_a_time_limit_is_not_polled_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    assert run(python("import time; time.sleep(0.2)", timeout_s=60)).ok
    assert slept == []


def test_where_the_system_cannot_tell_the_end_it_is_polled_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refused(_pid: int) -> int:
        raise OSError

    monkeypatch.setattr(os, "pidfd_open", refused, raising=False)
    assert run(python("pass", timeout_s=60)).ok
    with pytest.raises(TimedOut):
        run(python("import time; time.sleep(60)", timeout_s=0.1))


def test_a_grandchild_that_keeps_the_pipe_open_does_not_hold_us(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    code = (
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(20)'])\n"
        "print(child.pid, flush=True)"
    )
    monkeypatch.setattr(process, "_PIPE_WAIT_S", 0.5)
    started = time.monotonic()
    outcome = run(python(code))
    assert time.monotonic() - started < 10
    psutil.Process(int(outcome.stdout)).kill()


@posix
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_child_and_its_children(number: signal.Signals) -> None:
    pids: list[int] = []
    code = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"

    def told(line: str) -> None:
        pids.append(int(line))
        os.kill(os.getpid(), number)

    with pytest.raises(Interrupted, match="interrupted during the work"):
        run(python(code, what="the work"), on_stdout=told)
    wait_until_gone(pids[0])


@posix
def test_a_child_that_ignores_the_interrupt_is_killed_with_its_children() -> None:
    command = python(STUBBORN_FAMILY)
    child = subprocess.Popen(command.argv, stdout=subprocess.PIPE, process_group=0)
    assert child.stdout is not None
    grandchild = int(child.stdout.readline())
    process.stop(child, grace_s=0.3)
    child.stdout.close()
    assert child.returncode == -signal.SIGKILL
    wait_until_gone(grandchild)


@posix
def test_what_threads_run_is_stopped_too() -> None:
    pids: list[int] = []
    ended = threading.Event()

    def running(line: str) -> None:
        pids.append(int(line))
        os.kill(os.getpid(), signal.SIGINT)

    def work() -> None:
        code = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
        run(python(code), on_stdout=running)
        ended.set()

    def wait_for_ever() -> None:
        with process.stopping_children("all", before=lambda: told.append("before")):
            threading.Thread(target=work, daemon=True).start()
            while True:
                time.sleep(0.05)

    told: list[str] = []
    with pytest.raises(Interrupted, match="during all"):
        wait_for_ever()
    wait_until_gone(pids[0])
    assert ended.wait(5)
    assert told == ["before"]


@posix
@pytest.mark.parametrize("how", ["run", "start"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_a_child_is_started_does_not_lose_it(
    number: signal.Signals, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pids: list[int] = []
    real = subprocess.Popen

    def popen(*words: Any, **options: Any) -> Any:
        child = real(*words, **options)
        pids.append(child.pid)
        os.kill(os.getpid(), number)  # it is there, and nobody has its number yet
        return child

    monkeypatch.setattr(process.subprocess, "Popen", popen)
    command = python("import time; time.sleep(60)")
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises((Interrupted, KeyboardInterrupt)), process.terminate_as_interrupt():
        run(command) if how == "run" else process.start(command)
    wait_until_gone(pids[0])
    assert signal.getsignal(signal.SIGINT) is before


def test_the_signal_handlers_are_put_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    run(python("pass"))
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_background_program_outlives_the_call_and_writes_its_log(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "out.log"
    code = "import time; print('up', flush=True); time.sleep(60)"
    pid = process.spawn_background(python(code), log)
    deadline = time.monotonic() + 10
    while "up" not in log.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    if sys.platform != "win32":
        assert os.getsid(pid) == pid
    child = psutil.Process(pid)
    child.kill()
    child.wait(timeout=5)


def test_check_raises_with_the_tail_and_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_TOKEN", "canary-value")
    lines = "".join(f"line {number}\n" for number in range(50))
    outcome = Outcome(("x", "--t=canary-value"), 4, "", f"{lines}bad canary-value\n", 0.1)
    with pytest.raises(CommandFailed) as caught:
        outcome.check("do this")
    error = caught.value
    assert "canary-value" not in str(error)
    assert error.tail[-1] == "bad ***"
    assert len(error.tail) == 20
    assert error.hint == "do this"


def test_check_of_a_good_outcome_is_itself() -> None:
    outcome = Outcome(("x",), 0, "", "", 0.1)
    assert outcome.check() is outcome
