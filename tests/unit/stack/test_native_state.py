"""Whose processes are ours, and files that may be broken."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rebake.errors import Busy
from rebake.process_id import ProcessId
from rebake.stack.native_logs import Follower, last_lines
from rebake.stack.native_state import Home, RunRecord, ServiceRecord, sweep

MARK = "unit-test-0000"


def sleeper(**env: str) -> subprocess.Popen[bytes]:
    code = "import time; print(1, flush=True); time.sleep(60)"
    child = subprocess.Popen(
        [sys.executable, "-c", code], env={**os.environ, **env}, stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    child.stdout.readline()  # only now is its environment the one that was given
    return child


def test_sweep_takes_recorded_and_marked_processes_alone() -> None:
    with sleeper() as recorded, sleeper(NATIVE_STACK_ID=MARK) as marked, sleeper() as foreign:
        try:
            known = ProcessId.of(recorded.pid)
            other = ProcessId.of(foreign.pid)
            assert known is not None
            assert other is not None
            record = RunRecord(
                services={"api": ServiceRecord(known)},
                others=[ProcessId(other.pid, other.started - 50)],
            )
            assert sweep(record, MARK, 5.0) == 2
            recorded.wait(5)
            marked.wait(5)
            assert foreign.poll() is None
            assert sweep(record, MARK, 5.0) == 0
        finally:
            for child in (recorded, marked, foreign):
                child.kill()


def test_records_survive_and_broken_ones_are_set_aside(tmp_path: Path) -> None:
    home = Home(tmp_path / "native")
    assert home.read_run() is None
    record = RunRecord(
        ProcessId(1, 2.5), {"api": ServiceRecord(ProcessId(3, 4.5), 2, 101)}, [], "no"
    )
    home.write_run(record)
    assert home.read_run() == record
    for file, read in ((home.run_file, home.read_run), (home.plan_file, home.read_plan)):
        for text in ("", "{", "[]", '{"supervisor": 3}', "null"):
            file.write_text(text)
            assert read() is None
            assert file.with_name(file.name + ".bad").read_text() == text
            assert not file.exists()


def test_the_lock_names_its_holder(tmp_path: Path) -> None:
    home = Home(tmp_path)
    with home.lock("dev --native"), pytest.raises(Busy) as caught, home.lock("down"):
        pass
    assert caught.value.holder == f"invoke dev --native (pid {os.getpid()})"
    with home.lock("down"):
        pass


def test_a_large_log_is_moved_away(tmp_path: Path) -> None:
    home = Home(tmp_path)
    log = home.open_log("api")
    log.write_text("x" * 5_000_001)
    home.open_log("api")
    assert not log.exists()
    assert log.with_suffix(".log.1").stat().st_size == 5_000_001


def test_last_lines(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    assert last_lines(log, 3) == []
    log.write_text("".join(f"line {n}\n" for n in range(20_000)))
    assert last_lines(log, 2) == ["line 19998", "line 19999"]
    assert len(last_lines(log, 50_000)) == 20_000
    assert last_lines(log, 0) == []


def test_the_follower_waits_for_whole_lines_and_survives_rotation(tmp_path: Path) -> None:
    home = Home(tmp_path)
    log = home.open_log("api")
    log.write_text("before\n")
    seen: list[tuple[str, str]] = []
    follower = Follower(home, ["api", "worker"], lambda *words: seen.append(words))
    with log.open("a") as file:
        file.write("one\ntw")
    follower.step()
    assert seen == [("api", "one")]
    with log.open("a") as file:
        file.write("o\n")
    follower.step()
    log.replace(log.with_suffix(".log.1"))
    log.write_text("three\n")
    home.log("worker").write_text("new\n")
    follower.step()
    assert seen[1:] == [("api", "two"), ("api", "three"), ("worker", "new")]
