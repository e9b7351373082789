"""Processes by id and start time."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from rebake.process_id import ProcessId


def sleeper() -> subprocess.Popen[str]:
    code = "import time; print('up', flush=True); time.sleep(60)"
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    child.stdout.readline()
    return child


def test_a_process_is_known_by_id_and_start() -> None:
    ours = ProcessId.of(os.getpid())
    assert ours is not None
    assert ours.alive
    assert not ProcessId(ours.pid, ours.started - 100).alive
    with sleeper() as child:
        known = ProcessId.of(child.pid)
        assert known is not None
        child.kill()
        child.wait()
        assert not known.alive
    assert ProcessId.of(child.pid) is None


@pytest.mark.skipif(sys.platform == "win32", reason="zombies are POSIX")
def test_a_zombie_does_not_run() -> None:
    child = sleeper()
    known = ProcessId.of(child.pid)
    assert known is not None
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not known.alive
    child.wait()
    child.stdout.close()  # type: ignore[union-attr]
