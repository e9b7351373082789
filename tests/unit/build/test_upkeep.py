"""The note of who does what a build has left for afterwards."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from rebake.build.upkeep import Stage, Upkeep
from rebake.process_id import ProcessId

SLEEPS = "import time; time.sleep(60)"


def note(folder: Path, stage: Stage, process: ProcessId, at: float | None = None) -> None:
    name = "upkeep.next.json" if stage in {"starting", "waiting"} else "upkeep.json"
    document = {
        "stage": stage,
        "pid": process.pid,
        "started": process.started,
        "at": time.time() if at is None else at,
    }
    (folder / name).write_text(json.dumps(document))


def started(*code: str) -> tuple[subprocess.Popen[bytes], ProcessId]:
    child = subprocess.Popen([sys.executable, "-c", *code])
    known = ProcessId.of(child.pid)
    assert known is not None
    return child, known


def test_what_is_written_is_read_until_it_is_cleared(tmp_path: Path) -> None:
    upkeep = Upkeep(tmp_path / "state")
    assert upkeep.at_work() is None
    upkeep.write("caches")
    found = upkeep.at_work()
    assert found is not None
    assert (found.stage, found.process) == ("caches", ProcessId.of(os.getpid()))
    assert upkeep.coming() is None
    upkeep.clear()
    assert upkeep.at_work() is None
    assert list(upkeep.folder.iterdir()) == []


def test_one_that_is_coming_hides_none_that_is_at_work(tmp_path: Path) -> None:
    upkeep = Upkeep(tmp_path)
    upkeep.announce("waiting")
    upkeep.write("dependency layer")
    assert upkeep.coming() is not None
    upkeep.clear()
    assert upkeep.at_work() is None
    assert not upkeep.wait(0.0)
    upkeep.came()
    assert upkeep.wait(0.0)


def test_the_note_of_a_process_that_is_gone_counts_no_more(tmp_path: Path) -> None:
    note(tmp_path, "dependency layer", ProcessId(os.getpid(), 1.0))
    note(tmp_path, "waiting", ProcessId(os.getpid(), 1.0))
    assert Upkeep(tmp_path).wait(0.0)


def test_who_starts_has_half_a_minute(tmp_path: Path) -> None:
    gone = ProcessId(os.getpid(), 1.0)
    note(tmp_path, "starting", gone)
    assert Upkeep(tmp_path).coming() is not None
    note(tmp_path, "starting", gone, time.time() - 31)
    assert Upkeep(tmp_path).coming() is None
    note(tmp_path, "starting", gone, time.time() + 3600)  # a clock that was set back since
    assert Upkeep(tmp_path).coming() is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"stage": "caches"}', '{"pid": "x"}'])
def test_a_broken_note_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "upkeep.json").write_text(text)
    upkeep = Upkeep(tmp_path)
    assert upkeep.at_work() is None
    upkeep.make_way()


def test_anothers_note_is_not_cleared(tmp_path: Path) -> None:
    child, known = started(SLEEPS)
    try:
        note(tmp_path, "caches", known)
        Upkeep(tmp_path).clear()
        assert (tmp_path / "upkeep.json").is_file()
    finally:
        child.kill()
        child.wait()


@pytest.mark.parametrize("stage", ["dependency layer", "steps"])
def test_a_build_stops_the_layer_and_its_programs_and_not_the_caches(
    tmp_path: Path, stage: Stage
) -> None:
    code = (
        "import subprocess, sys; "
        f"child = subprocess.Popen([sys.executable, '-c', {SLEEPS!r}]); "
        "print(child.pid, flush=True); child.wait()"
    )
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert child.stdout is not None
    inner = ProcessId.of(int(child.stdout.readline()))
    known = ProcessId.of(child.pid)
    assert inner is not None
    assert known is not None
    try:
        note(tmp_path, "caches", known)
        Upkeep(tmp_path).make_way()
        assert known.alive
        note(tmp_path, stage, known)
        Upkeep(tmp_path).make_way()
        assert not known.alive
        assert not inner.alive
    finally:
        child.kill()
        child.wait()
        child.stdout.close()


def test_waiting_ends_with_the_work_or_with_the_limit(tmp_path: Path) -> None:
    upkeep = Upkeep(tmp_path)
    assert upkeep.wait(0.0)
    upkeep.write("caches")
    assert not upkeep.wait(0.05)
    timer = threading.Timer(0.2, upkeep.clear)
    timer.start()
    assert upkeep.wait(30.0)
    timer.join()


def test_news_are_told_once(tmp_path: Path) -> None:
    upkeep = Upkeep(tmp_path)
    assert upkeep.take_news() == []
    upkeep.leave_news(["one", "other"])
    assert upkeep.take_news() == ["one", "other"]
    assert upkeep.take_news() == []
    upkeep.leave_news([])
    assert list(tmp_path.iterdir()) == []


def test_it_rests_until_builds_have_an_end(tmp_path: Path) -> None:
    upkeep = Upkeep(tmp_path)
    upkeep.sleep()  # nobody said for how long
    began = time.monotonic()
    upkeep.rest(0.2)
    timer = threading.Timer(0.1, upkeep.rest, (0.3,))
    timer.start()
    upkeep.sleep()
    assert 0.35 < time.monotonic() - began < 20
    timer.join()
    note = upkeep.coming()
    assert note is not None
    assert note.stage == "resting"


@pytest.mark.parametrize("text", ["", "soon", "1e999", "0", "1e11"])
def test_a_rest_that_cant_be_true_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "upkeep.rest").write_text(text)
    began = time.monotonic()
    Upkeep(tmp_path).sleep()
    assert time.monotonic() - began < 20


def test_a_build_lets_one_that_rests_go_on_with_that(tmp_path: Path) -> None:
    upkeep = Upkeep(tmp_path)
    upkeep.make_way()
    assert not (tmp_path / "upkeep.rest").exists()  # nobody rests
    upkeep.announce("resting")
    upkeep.rest(0.0)
    upkeep.make_way()
    left = float((tmp_path / "upkeep.rest").read_text()) - time.time()
    assert 500 < left <= 600
    upkeep.rest_again(10.0)
    assert float((tmp_path / "upkeep.rest").read_text()) - time.time() <= 10
    assert upkeep.coming() is not None
