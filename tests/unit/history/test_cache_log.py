"""The list of caches: what is written down, and what a broken file costs."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from rebake.history.cache_log import MIGRATIONS, CacheLog, OwnedLayer, RanStep

ENGINE = "unix:///e"


def step(name: str = "[build 1/1] RUN x", project: str = "shop-1") -> RanStep:
    return RanStep(project, "/w", name, "build", "api", 1.0, 2.0)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "state" / "caches.sqlite3"


def test_steps_wait_until_they_were_looked_for(file: Path) -> None:
    recent = RanStep("shop-1", "/w", "n", "s", "t", time.time(), time.time() + 1)
    with CacheLog(file, ENGINE) as log:
        log.note_steps([recent], {})
    with CacheLog(file, ENGINE) as log:
        assert log.steps() == (recent,)
        log.settle([], [recent])
        assert log.steps() == ()


def test_layers_keep_their_step(file: Path) -> None:
    layer = OwnedLayer("a1", step(), 7, ("b2", "c3"))
    with CacheLog(file, ENGINE) as log:
        log.settle([layer], [])
        assert log.layers() == (layer,)
        assert layer.seconds == 1.0
        log.forget(["a1"])
        assert log.layers() == ()


def test_each_engine_has_a_list_of_its_own(file: Path) -> None:
    with CacheLog(file, ENGINE) as log:
        log.settle([OwnedLayer("a1", step())], [])
        log.note_fills({"m": 3.0})
    with CacheLog(file, "tcp://other:1") as log:
        assert (log.layers(), log.fills()) == ((), {})
        log.forget(["a1"])
    with CacheLog(file, ENGINE) as log:
        assert len(log.layers()) == 1


def test_the_layers_of_images_are_kept_while_the_engine_has_them(file: Path) -> None:
    with CacheLog(file, ENGINE) as log:
        log.note_image_layers({"sha256:a": ("l1", "l2"), "sha256:b": ("l1",)})
        log.note_image_layers({"sha256:c": ("l3",)}, ["sha256:b"])
    with CacheLog(file, "tcp://other:1") as log:
        assert log.image_layers() == {}
    with CacheLog(file, ENGINE) as log:
        assert log.image_layers() == {"sha256:a": ("l1", "l2"), "sha256:c": ("l3",)}


def test_a_list_of_the_first_version_is_brought_up_to_date(file: Path) -> None:
    file.parent.mkdir()
    with closing(sqlite3.connect(file)) as db:
        for statement in MIGRATIONS[0]:
            db.execute(statement)
        db.execute("INSERT INTO fills VALUES('m', ?, 1.0, 2.0)", (ENGINE,))
        db.execute("PRAGMA user_version = 1")
        db.commit()
    with CacheLog(file, ENGINE) as log:
        log.note_image_layers({"sha256:a": ("l1",)})
        assert (log.fills(), log.image_layers()) == ({"m": (1.0, 2.0)}, {"sha256:a": ("l1",)})


def test_a_mount_keeps_its_longest_step_and_the_last_time(file: Path) -> None:
    with CacheLog(file, ENGINE) as log:
        for seconds in (3.0, 100.0, 5.0):
            log.note_fills({"m": seconds})
        at, longest = log.fills()["m"]
    assert longest == 100.0
    assert time.time() - 5 < at <= time.time()


def test_sizes_are_kept_once_an_hour(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_800_000_000.0  # the beginning of an hour
    with CacheLog(file, ENGINE) as log:
        for after, size in ((0, 1), (600, 2), (3500, 3), (3700, 4), (7300, 5)):
            monkeypatch.setattr(time, "time", lambda moment=now + after: moment)
            log.note_sizes("shop-1", [("mount", "bun store", size)])
        (newest,) = log.newest_sizes("shop-1")
        assert (newest.bytes, newest.at) == (5, now + 7300)
        (oldest,) = log.oldest_sizes("shop-1", 0.0)
        assert (oldest.bytes, oldest.at) == (3, now + 3500)
        (later,) = log.oldest_sizes("shop-1", now + 3600)
        assert later.bytes == 4
        assert log.newest_sizes("other-2") == ()


def test_builds_are_counted_since_a_moment(file: Path) -> None:
    with CacheLog(file, ENGINE) as log:
        before = time.time()
        for number in range(3):
            log.note_steps([step(f"{number} a"), step(f"{number} b")], {})
        assert log.builds_since("shop-1", before - 1) == 3
        assert log.builds_since("shop-1", time.time() + 1) == 0
        assert log.builds_since("other-2", 0.0) == 0


def test_a_broken_file_is_set_aside_and_begun_anew(file: Path) -> None:
    file.parent.mkdir()
    file.write_bytes(b"not a database " * 100)
    notes: list[str] = []
    with CacheLog(file, ENGINE, notes.append) as log:
        log.note_fills({"m": 1.0})
        assert set(log.fills()) == {"m"}
    (note,) = notes
    assert note.startswith("the list of caches was damaged; it is kept as ")
    assert list(file.parent.glob("*.bad"))


def test_a_file_that_breaks_in_the_middle(file: Path) -> None:
    with CacheLog(file, ENGINE) as log:
        log.note_fills({f"mount {n}": 1.0 for n in range(2000)})
    for extra in file.parent.glob("*-wal"):
        extra.unlink()
    with file.open("r+b") as broken:
        broken.seek(8192)
        broken.write(b"\xff" * 20_000)
    notes: list[str] = []
    with CacheLog(file, ENGINE, notes.append) as log:
        log.fills()
        log.note_fills({"m": 1.0})
        assert "m" in log.fills()
    assert any("damaged" in note for note in notes)


def test_a_place_that_can_not_be_written_is_no_fault(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file where a folder should be")
    notes: list[str] = []
    with CacheLog(tmp_path / "state" / "caches.sqlite3", ENGINE, notes.append) as log:
        log.note_fills({"m": 1.0})
        assert set(log.fills()) == {"m"}  # of this run
    assert "can't be used" in notes[0]
    assert "new layers get no name" in notes[0]


def test_one_of_a_newer_rebake_is_left_alone(file: Path) -> None:
    with CacheLog(file, ENGINE) as log:
        log.note_fills({"m": 1.0})
    with sqlite3.connect(file) as db:
        db.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    db.close()
    notes: list[str] = []
    with CacheLog(file, ENGINE, notes.append) as log:
        assert log.fills() == {}
    assert "newer rebake" in notes[0]


def test_a_dry_run_writes_nothing(file: Path) -> None:
    with CacheLog(file, ENGINE, dry=True) as log:
        log.note_fills({"m": 1.0})
        log.note_sizes("shop-1", [("mount", "x", 1)])
        assert (log.fills(), log.steps()) == ({}, ())
    assert not file.parent.exists()
    with CacheLog(file, ENGINE) as log:
        log.note_fills({"m": 1.0})
    with CacheLog(file, ENGINE, dry=True) as log:
        log.note_fills({"n": 1.0})
        assert set(log.fills()) == {"m"}
