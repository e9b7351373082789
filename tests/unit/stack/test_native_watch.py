"""Edits are noticed, by events and by looking."""

from __future__ import annotations

import contextlib
import queue
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rebake.stack.native_watch import Watcher

Start = Callable[..., "queue.SimpleQueue[frozenset[Path]]"]


@pytest.fixture
def backend(tmp_path: Path) -> Path:
    folder = tmp_path / "backend"
    (folder / "crates" / "api" / "src").mkdir(parents=True)
    (folder / "target").mkdir()
    (folder / "Cargo.toml").write_text("one")
    (folder / "crates" / "api" / "src" / "main.rs").write_text("one")
    return folder


@pytest.fixture
def start(backend: Path) -> Iterator[Start]:
    watchers: list[Watcher] = []

    def begin(*, polling: bool = False) -> queue.SimpleQueue[frozenset[Path]]:
        changes: queue.SimpleQueue[frozenset[Path]] = queue.SimpleQueue()
        (backend.parent / "ui").mkdir()
        lock = backend.parent / "ui" / "bun.lock"
        watcher = Watcher(backend, (lock,), changes.put, polling=polling)
        watcher.start()
        watchers.append(watcher)
        until_it_watches(changes, backend / "crates" / "api" / "src" / "probe.rs", polling)
        return changes

    yield begin
    for watcher in watchers:
        watcher.stop()


def until_it_watches(
    changes: queue.SimpleQueue[frozenset[Path]], probe: Path, polling: bool
) -> None:
    """Write a file until that is seen: on a busy machine the watches take a while to stand."""
    deadline = time.monotonic() + 20
    while changes.empty():
        assert time.monotonic() < deadline, "it never began to watch"
        probe.write_text(str(time.monotonic_ns()))
        time.sleep(0.3)
    with contextlib.suppress(queue.Empty):  # what is seen of it later is no edit of the test's
        while True:
            changes.get(timeout=1.2 if polling else 0.5)


def wait_for(changes: queue.SimpleQueue[frozenset[Path]], path: Path) -> None:
    deadline = time.monotonic() + 10
    while path not in changes.get(timeout=max(0.01, deadline - time.monotonic())):
        pass


@pytest.mark.parametrize("polling", [False, True])
def test_edits(backend: Path, start: Start, polling: bool) -> None:
    changes = start(polling=polling)
    source = backend / "crates" / "api" / "src" / "main.rs"
    for text in ("two", "six", "ten"):  # of one size, and within one second
        source.write_text(text)
        wait_for(changes, source)
    fresh = source.with_name("new.rs")
    fresh.with_suffix(".tmp").write_text("saved as editors do")
    fresh.with_suffix(".tmp").replace(fresh)
    wait_for(changes, fresh)
    (backend / "Cargo.toml").write_text("two")
    wait_for(changes, backend / "Cargo.toml")
    (backend.parent / "ui" / "bun.lock").write_text("new")
    wait_for(changes, backend.parent / "ui" / "bun.lock")


@pytest.mark.parametrize("polling", [False, True])
def test_what_is_no_source_wakes_nobody(backend: Path, start: Start, polling: bool) -> None:
    changes = start(polling=polling)
    (backend / "target" / "api").write_text("compiled")
    (backend / "data").mkdir()
    (backend / "data" / "app.db").write_text("rows")
    (backend.parent / "ui" / "other.txt").write_text("x")
    (backend / "crates" / "api" / "src" / ".main.rs.swp").write_text("x")
    with pytest.raises(queue.Empty):
        changes.get(timeout=1.0)


def test_a_new_folder_is_watched_too(backend: Path, start: Start) -> None:
    changes = start()
    (backend / "proto").mkdir()
    time.sleep(1.2)
    (backend / "proto" / "items.proto").write_text("x")
    wait_for(changes, backend / "proto" / "items.proto")
