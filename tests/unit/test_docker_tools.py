"""docker/tools: the time that cargo is shown changes exactly when content does; dev-ui installs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rebake.build.inputs import build_id, manifest
from rebake.project.ignore import IgnoreMatcher, walk

if sys.platform != "linux":
    pytest.skip("runs in the builder: a POSIX shell with GNU tools", allow_module_level=True)

TOOLS = Path(__file__).parents[2] / "docker" / "tools"


class Mount:
    """A source folder and the cache mount that the state is kept in."""

    def __init__(self, folder: Path) -> None:
        self.sources = folder / "a b,ü"
        self.state = folder / "target" / ".rebake" / "sources"
        self.sources.mkdir()

    def write(self, name: str, text: str, age_s: float = 0) -> None:
        file = self.sources / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
        if age_s:
            when = file.stat().st_mtime - age_s
            os.utime(file, (when, when))

    def run(self, *, build_ends: bool = True) -> str:
        """Show the sources to cargo, as a build does; return the build id."""
        done = subprocess.run(
            [TOOLS / "fresh-sources", self.state],
            cwd=self.sources,
            capture_output=True,
            text=True,
            check=True,
        )
        if build_ends:
            now = subprocess.run(["date", "+%s.%N"], capture_output=True, text=True, check=True)
            Path(f"{self.state}.end").write_text(now.stdout)
        return done.stdout.strip()

    def time(self, name: str) -> int:
        return (self.sources / name).stat().st_mtime_ns


@pytest.fixture
def mount(tmp_path: Path) -> Mount:
    return Mount(tmp_path)


def test_known_content_keeps_its_time_whatever_the_file_says(mount: Mount) -> None:
    mount.write("lib.rs", "A")
    mount.write("src/main.rs", "M")
    mount.run()
    shown = mount.time("lib.rs"), mount.time("src/main.rs")
    mount.write("lib.rs", "A", age_s=5000)
    mount.run()
    assert (mount.time("lib.rs"), mount.time("src/main.rs")) == shown


def test_new_content_is_newer_even_when_its_file_is_older(mount: Mount) -> None:
    mount.write("lib.rs", "A")
    mount.run()
    before = mount.time("lib.rs")
    mount.write("lib.rs", "B", age_s=3 * 86400)
    mount.run()
    assert mount.time("lib.rs") > before


def test_back_to_the_first_content_is_newer_again(mount: Mount) -> None:
    times = []
    for text in ("A", "B", "A", "B"):
        mount.write("lib.rs", text, age_s=100)
        mount.run()
        times.append(mount.time("lib.rs"))
    assert times == sorted(set(times))


def test_after_a_failed_build_the_same_content_keeps_the_new_time(mount: Mount) -> None:
    # B was shown and may be half compiled: to show A's old time, or B as unchanged since A's
    # build, would both give a binary of the wrong sources.
    mount.write("lib.rs", "A")
    mount.run()
    first = mount.time("lib.rs")
    mount.write("lib.rs", "B")
    mount.run(build_ends=False)
    broken = mount.time("lib.rs")
    mount.write("lib.rs", "B", age_s=9)
    mount.run(build_ends=False)
    assert mount.time("lib.rs") == broken > first
    mount.write("lib.rs", "A", age_s=9)
    mount.run()
    assert mount.time("lib.rs") > broken


def test_a_folder_is_newer_when_its_entries_change(mount: Mount) -> None:
    mount.write("migrations/1.sql", "x")
    mount.run()
    before = mount.time("migrations")
    mount.write("migrations/1.sql", "y")
    mount.run()
    assert mount.time("migrations") == before
    (mount.sources / "migrations" / "1.sql").unlink()
    mount.run()
    assert mount.time("migrations") > before


def test_a_clock_that_was_set_back_does_not_hide_an_edit(mount: Mount) -> None:
    mount.write("lib.rs", "A")
    mount.run()
    future = 4_000_000_000
    Path(f"{mount.state}.end").write_text(f"{future}.000000000\n")
    mount.write("lib.rs", "B")
    mount.run(build_ends=False)
    assert mount.time("lib.rs") >= future * 10**9


def test_the_id_is_the_planners(mount: Mount) -> None:
    mount.write("lib.rs", "A")
    mount.write("ü ö/x,y.rs", "B")
    (mount.sources / "link").symlink_to("lib.rs")
    paths = walk(mount.sources, IgnoreMatcher())
    assert mount.run() == build_id(manifest(mount.sources, paths))


FAKE_BUN = """#!/bin/sh
echo "$1" >>"$BUN_LOG"
case $1 in
    install) ! grep -q broken bun.lock ;;
    *) exec sleep 60 ;;
esac
"""


def test_the_ui_is_installed_and_served_again_when_the_lock_file_changes(tmp_path: Path) -> None:
    programs, app, log = tmp_path / "bin", tmp_path / "app", tmp_path / "log"
    for folder in (programs, app):
        folder.mkdir()
    for name, text in (("bun", FAKE_BUN), ("with-host-settings", '#!/bin/sh\nexec "$@"\n')):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    (app / "package.json").write_text("{}")
    (app / "bun.lock").write_text("one")

    def seen(*words: str) -> None:
        deadline = time.monotonic() + 10
        while (found := log.read_text().split() if log.exists() else []) != list(words):
            assert time.monotonic() < deadline, found
            time.sleep(0.02)

    environ = {"PATH": f"{programs}:{os.environ['PATH']}", "BUN_LOG": str(log)}
    child = subprocess.Popen(
        [TOOLS / "dev-ui"],
        cwd=app,
        env=environ | {"DEV_UI_POLL_S": "0.05"},
        stderr=subprocess.DEVNULL,
    )
    try:
        seen("install", "server.ts")
        (app / "bun.lock").write_text("two")
        seen("install", "server.ts", "install", "server.ts")
        (app / "bun.lock").write_text("broken")
        seen("install", "server.ts", "install", "server.ts", "install")
        (app / "bun.lock").write_text("three")
        seen("install", "server.ts", "install", "server.ts", "install", "install", "server.ts")
        child.send_signal(signal.SIGTERM)
        assert child.wait(5) == 0
    finally:
        child.kill()
        child.wait()


LOCK = """
[[package]]
name = "serde"
version = "1.0.0"
source = "registry+https://example.invalid/index"

[[package]]
name = "api"
version = "0.1.0"

[[package]]
name = "forked"
source = "git+https://example.invalid/forked#1"
"""


@pytest.fixture
def seed(tmp_path: Path):
    """Another worktree's target folder, and the tool run for a new one."""
    old, new, sources = (tmp_path / name for name in ("old", "new", "src"))
    for name in ("serde-0123456789abcdef", "api-0123456789abcdef", "forked-1", "unknown-1"):
        (old / "debug" / ".fingerprint" / name).mkdir(parents=True)
    (old / "debug" / "deps").mkdir()
    (old / "debug" / "incremental").mkdir()
    for name in ("deps/libserde.rlib", "incremental/x", "api", ".cargo-lock"):
        (old / "debug" / name).write_text(name)
    os.utime(old / "debug/deps/libserde.rlib", (1000, 1000))
    for folder in (new, sources):
        folder.mkdir()
    (sources / "Cargo.lock").write_text(LOCK)

    def run() -> Path:
        environ = {**os.environ, "CARGO_TARGET_DIR": str(new), "SEED_WAIT_S": "0"}
        subprocess.run([TOOLS / "seed-target", old], cwd=sources, env=environ, check=True)
        return new / "debug"

    return run


def test_only_what_came_from_a_registry_is_taken_over_from_another_worktree(seed) -> None:
    debug = seed()
    assert [unit.name for unit in (debug / ".fingerprint").iterdir()] == ["serde-0123456789abcdef"]
    assert sorted(entry.name for entry in debug.iterdir()) == [".fingerprint", "deps"]
    assert (debug / "deps" / "libserde.rlib").stat().st_mtime == 1000
    (debug / "deps" / "libserde.rlib").write_text("mine")
    seed()
    assert (debug / "deps" / "libserde.rlib").read_text() == "mine"


def test_a_target_that_cargo_writes_just_now_is_not_taken_over(seed, tmp_path: Path) -> None:
    import fcntl

    with (tmp_path / "old" / "debug" / ".cargo-lock").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert not seed().exists()
    assert seed().is_dir()
