"""docker/tools: the times that cargo is shown, what a step took, what dev-ui installs."""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rebake.build.ids import own, with_lock
from rebake.build.inputs import build_id, manifest
from rebake.build.plan import Scope, id_words
from rebake.build.usage import parse_crates, parse_usage
from rebake.project.ignore import IgnoreMatcher, walk
from rebake.results import StepUsage
from step_program import TOOLS, command

if sys.platform != "linux":
    pytest.skip("runs in the builder: a POSIX shell with GNU tools", allow_module_level=True)


class Mount:
    """A source folder and the cache mount that the state is kept in."""

    def __init__(self, folder: Path) -> None:
        self.sources = folder / "a b,ü"
        self.state = folder / "target" / ".rebake" / "sources"
        self.files = self.state.with_name("files")
        self.bin = folder / "bin"
        self.sources.mkdir()
        self.bin.mkdir()
        self.state.parent.mkdir(parents=True)
        self.rustc("")

    def write(self, name: str, text: str, age_s: float = 0) -> None:
        file = self.sources / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        if age_s:
            when = file.stat().st_mtime - age_s
            os.utime(file, (when, when))

    def run(self) -> str:
        """Show the sources to cargo, as a build does; return the build id."""
        done = self.try_run()
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        return done.stdout.strip()

    def rustc(self, words: str) -> None:
        """What the compiler does when it is asked for its version."""
        (self.bin / "rustc").write_text(f"#!/bin/sh\n{words}\n")
        (self.bin / "rustc").chmod(0o755)

    def try_run(self) -> subprocess.CompletedProcess[str]:
        return self._tool("fresh-sources", self.state, self.files)

    def keep(self) -> None:
        """Write down cargo's files, as a build does at its end."""
        assert self._tool("mend-mount", "keep", self.files).returncode == 0

    def _tool(self, name: str, *words: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command(name), *map(str, words)],
            cwd=self.sources,
            env={
                **os.environ,
                "CARGO_TARGET_DIR": str(self.state.parents[1]),
                "PATH": f"{self.bin}:{os.environ['PATH']}",
            },
            capture_output=True,
            text=True,
            check=False,
        )

    def artefact(self, time_s: float) -> None:
        """What cargo wrote at a time."""
        file = self.state.parents[1] / "release" / ".fingerprint" / "core-1" / "dep-lib-core"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("")
        os.utime(file, (time_s, time_s))

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
    mount.run()
    broken = mount.time("lib.rs")
    mount.write("lib.rs", "B", age_s=9)
    mount.run()
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


@pytest.mark.parametrize("ahead_s", [-0.5, 0.5, 3600, 2e9])
def test_a_clock_that_was_set_back_does_not_hide_an_edit(mount: Mount, ahead_s: float) -> None:
    mount.write("lib.rs", "A")
    mount.run()
    written = time.time() + ahead_s
    mount.artefact(written)
    mount.write("lib.rs", "B")
    mount.run()
    assert mount.time("lib.rs") > int(written * 10**6) * 10**3


@pytest.mark.parametrize("ahead_s", [-0.5, 3600])
def test_the_mount_is_checked_meanwhile_and_tells_how_late_it_is(
    mount: Mount, ahead_s: float
) -> None:
    mount.write("lib.rs", "A")
    mount.run()
    written = time.time() + ahead_s
    mount.artefact(written)
    mount.keep()
    mount.write("lib.rs", "B")
    mount.run()
    assert mount.time("lib.rs") > written * 1e9
    (mount.state.parents[1] / "release/.fingerprint/core-1/dep-lib-core").write_text("broken")
    told = mount.try_run()
    assert "1 files in the cache mount are not as cargo left them" in told.stderr
    assert re.fullmatch("[0-9a-f]{16}\n", told.stdout)  # nothing of it gets into the build id


def test_a_mount_that_can_not_be_checked_ends_it(mount: Mount) -> None:
    mount.write("lib.rs", "A")
    mount.files.mkdir()
    done = mount.try_run()
    assert done.returncode != 0
    assert done.stdout == ""


def test_the_id_is_the_planners(mount: Mount) -> None:
    mount.write("lib.rs", "A")
    mount.write("ü ö/x,y.rs", "B")
    (mount.sources / "link").symlink_to("lib.rs")
    paths = walk(mount.sources, IgnoreMatcher())
    assert mount.run() == build_id(manifest(mount.sources, paths))


class Took:
    """A step that takes notes of itself (docker/tools/step-usage), and its stores of packages."""

    def __init__(self, folder: Path) -> None:
        mount = folder / "a b,ü"
        self.cargo, self.bun, self.notes = mount / "cargo", mount / "bun", mount / "new" / "notes"
        self.crates: tuple[str, ...] | None = None
        self.environment = {"PATH": os.environ["PATH"], "F": str(folder), "NOTES": str(self.notes)}

    def step(self, work: str, code: int = 0, shell: str = "sh") -> StepUsage | None:
        """Run a step that does `work`; return what it told of itself at its end."""
        text = f"set -eu; . '{TOOLS}/step-usage'; usage_begin \"$NOTES\"\n"
        text += f"trap 'usage_end || :' EXIT\n{work}"
        done = subprocess.run(
            [shell, "-c", text], env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == code, done.stderr
        *lines, line = done.stdout.splitlines() or [""]
        self.crates = parse_crates(lines[-1]) if lines else None
        return parse_usage(line)


@pytest.fixture
def took(tmp_path: Path) -> Took:
    return Took(tmp_path)


def message(reason: str, package: str, *, fresh: bool) -> str:
    target = {"name": 'a "fresh":false'}
    values = {"reason": reason, "package_id": package, "target": target, "fresh": fresh}
    return json.dumps(values, separators=(",", ":"))


OLD, NEW = "registry+https://example.org/index#old@1.0", "sparse+https://example.org/#new@1.0"
MESSAGES = "\n".join(
    (
        message("compiler-artifact", OLD, fresh=True),
        message("build-script-executed", OLD, fresh=False),
        message("compiler-artifact", OLD, fresh=True),
        message("compiler-artifact", NEW, fresh=True),  # its build script was; the crate was not
        message("compiler-artifact", NEW, fresh=False),
        message("compiler-artifact", "path+file:///src/crates/api#0.1.0", fresh=False),
        '{"reason":"build-finished","success":true}\n',
    )
)


@pytest.mark.parametrize("code", [0, 101])
def test_a_step_tells_what_it_took_and_ends_as_it_would(took: Took, code: int) -> None:
    usage = took.step(f"i=0; while [ $i -lt 99 ]; do i=$((i + 1)); done; exit {code}", code)
    assert usage is not None
    assert usage.cpu_s is None or usage.cpu_s > 0  # there may be no control groups here
    assert (usage.crates_compiled, usage.crates_downloaded, usage.packages_needed) == (None,) * 3


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_crates_are_counted_by_what_cargo_says(took: Took, tmp_path: Path, shell: str) -> None:
    registry = took.cargo / "registry" / "cache" / "index-1"
    registry.mkdir(parents=True)
    for name in (registry / "old-1.0.crate", registry):
        name.touch()
        os.utime(name, (1, 1))
    took.environment["CARGO_HOME"] = str(took.cargo)
    (tmp_path / "messages").write_text(MESSAGES)
    usage = took.step('cat "$F/messages" >"$NOTES.cargo"', shell=shell)
    assert usage is not None
    assert (usage.crates_compiled, usage.crates_reused) == (2, 1)
    assert took.crates == ("new@1.0", "api@0.1.0")
    assert (usage.crates_needed, usage.crates_downloaded) == (2, 0)
    assert usage.packages_needed is None
    took.environment["CRATE"] = str(registry / "new-1.0.crate")
    usage = took.step('sleep 0.01; cat "$F/messages" >"$NOTES.cargo"; >"$CRATE"', shell=shell)
    assert usage is not None
    assert (usage.crates_compiled, usage.crates_downloaded) == (2, 1)


def test_the_messages_of_an_earlier_step_do_not_count(took: Took) -> None:
    took.notes.parent.mkdir(parents=True)
    Path(f"{took.notes}.cargo").write_text(MESSAGES)
    usage = took.step("exit 3", 3)
    assert usage is None or usage.crates_compiled is None


def test_packages_are_counted_in_buns_store(took: Took) -> None:
    cache, modules = took.bun / "cache", took.bun / "app" / "node_modules"
    for name in ("react@19.0.0@@@1", "@types/node@22.0.0@@@1", "react"):
        (cache / name).mkdir(parents=True)
    (cache / "react" / "19.0.0@@@1").symlink_to(cache / "react@19.0.0@@@1")
    for name in ("react", "vue", "@types/node", "vue/node_modules/react", "react/dist", ".bin"):
        (modules / name).mkdir(parents=True, exist_ok=True)
        (modules / name / "package.json").write_text("{}")
    took.environment |= {"UI_STORE": str(took.bun), "BUN_INSTALL_CACHE_DIR": str(cache)}
    usage = took.step('mkdir "$BUN_INSTALL_CACHE_DIR/vue@3.0.0@@@1"')
    assert usage is not None
    assert (usage.packages_needed, usage.packages_downloaded) == (4, 1)
    assert usage.crates_compiled is None


def test_the_first_build_of_an_empty_store(took: Took) -> None:
    cache = took.bun / "cache"
    took.environment |= {"UI_STORE": str(took.bun), "BUN_INSTALL_CACHE_DIR": str(cache)}
    usage = took.step(
        'mkdir -p "$BUN_INSTALL_CACHE_DIR/react@19.0.0@@@1" "$UI_STORE/app/node_modules/react"; '
        '>"$UI_STORE/app/node_modules/react/package.json"'
    )
    assert usage is not None
    assert (usage.packages_needed, usage.packages_downloaded) == (1, 1)


def test_packages_are_counted_in_npms_cache_by_their_archives(took: Took) -> None:
    index = took.bun / "npm" / "_cacache" / "index-v5" / "a"
    index.mkdir(parents=True)
    key = '{"key":"make-fetch-happen:request-cache:https://r.invalid/%s"}\n'
    (index / "one").write_text(key % "react" + key % "react/-/react-1.0.0.tgz" * 2)
    (took.bun / "app" / "node_modules" / "react").mkdir(parents=True)
    (took.bun / "app" / "node_modules" / "react" / "package.json").write_text("{}")
    (index.parent / "more").write_text(key % "vue/-/vue-1.0.0.tgz")
    (index.parent / "more").rename(took.bun / "more")
    took.environment |= {
        "UI_STORE": str(took.bun), "npm_config_cache": str(took.bun / "npm"),
    }  # fmt: skip
    usage = took.step('mv "$UI_STORE/more" "$npm_config_cache/_cacache/index-v5/b"')
    assert usage is not None
    assert (usage.packages_needed, usage.packages_downloaded) == (1, 1)


@pytest.mark.parametrize("code", [0, 7])
def test_notes_that_are_lost_change_no_exit_code(took: Took, code: int) -> None:
    took.environment["UI_STORE"] = str(took.bun)
    (took.bun / "app" / "node_modules").mkdir(parents=True)
    took.step(f'rm -r "${{NOTES%/*}}"; exit {code}', code)
    took.step(f'printf "\\377\\000{{\\n" >"$NOTES.cargo"; exit {code}', code)


ODD = (
    "-x.rs",
    "--help",
    " lead",
    "trail ",
    "a  b.rs",
    "tab\there",
    "日本.rs",
    "é",
    "$x",
    "*",
    "a'b",
)


def test_odd_names_are_shown_like_any_other(mount: Mount) -> None:
    for name in ODD:
        mount.write(f"src {name}/{name}", "A")
    mount.run()
    before = {name: mount.time(f"src {name}/{name}") for name in ODD}
    for name in ODD:
        mount.write(f"src {name}/{name}", "A", age_s=500)
    mount.write("src é/é", "B", age_s=500)
    mount.run()
    after = {name: mount.time(f"src {name}/{name}") for name in ODD}
    assert after.pop("é") > before.pop("é")
    assert after == before
    assert len(list(mount.sources.iterdir())) == len(ODD)  # `touch` made nothing


@pytest.mark.parametrize("name", ["a\nb.rs", "a\\b.rs", "a\rb.rs", "dir\n/x.rs"])
def test_names_that_no_list_can_hold_are_refused(mount: Mount, name: str) -> None:
    mount.write(name, "A")
    refused = mount.try_run()
    assert refused.returncode == 1
    assert "a name with a backslash or a line end; rename it" in refused.stderr
    assert not mount.state.exists()


def test_many_files_with_many_times_are_shown_quickly(mount: Mount) -> None:
    for number in range(2000):
        mount.write(f"{number % 50}/{number}.rs", str(number))
    mount.run()
    # As after years of edits: each file has got a time of its own.
    lines = mount.state.read_text().splitlines()[:-1]
    aged = [
        f"{line[:66]}{10**9 + n}.000000000\t{line.partition(chr(9))[2]}\n"
        for n, line in enumerate(lines)
    ]
    body = "".join(aged)
    mount.state.write_text(f"{body}# {hashlib.sha256(body.encode()).hexdigest()}\n")
    started = time.monotonic()
    mount.run()
    assert time.monotonic() - started < 2
    shown = [mount.time(f"{number % 50}/{number}.rs") for number in range(2000)]
    assert len(set(shown)) <= 64
    # None is shown as older than before: that could hide an edit.
    before = {line.partition("\t")[2].strip(): int(line[66:76]) for line in aged}
    for number, now in enumerate(shown):
        assert before[f"./{number % 50}/{number}.rs"] * 10**9 <= now < 2 * 10**18


def test_a_link_that_points_elsewhere_makes_what_it_points_to_new(mount: Mount) -> None:
    # cargo looks at the time of the file behind a link.
    mount.write("a.txt", "A")
    mount.write("b.txt", "B")
    mount.write("folder-b/deep/c.txt", "C")
    link, folder = mount.sources / "chosen.txt", mount.sources / "chosen"
    link.symlink_to("a.txt")
    folder.symlink_to("nowhere")
    mount.run()
    before = {name: mount.time(name) for name in ("a.txt", "b.txt", "folder-b/deep/c.txt")}
    for one, target in ((link, "b.txt"), (folder, "folder-b")):
        one.unlink()
        one.symlink_to(target)
    mount.run()
    assert mount.time("a.txt") == before["a.txt"]
    assert mount.time("b.txt") > before["b.txt"]
    assert mount.time("folder-b/deep/c.txt") > before["folder-b/deep/c.txt"]
    shown = mount.time("b.txt")
    mount.run()
    assert mount.time("b.txt") == shown


def test_a_link_in_the_place_of_a_file_with_its_digest_is_new(mount: Mount) -> None:
    mount.write("a.txt", "b.txt\n")
    mount.write("b.txt", "B")
    mount.run()
    before = mount.time("b.txt")
    (mount.sources / "a.txt").unlink()
    (mount.sources / "a.txt").symlink_to("b.txt")
    mount.run()
    assert mount.time("b.txt") > before


def test_the_folder_of_all_sources_is_one_of_them(mount: Mount) -> None:
    mount.write("one", "1")
    mount.write("two", "2")
    mount.run()
    before = mount.time(".")
    (mount.sources / "two").unlink()
    mount.run()
    assert mount.time(".") > before


def test_a_file_that_is_gone_makes_its_package_new(mount: Mount) -> None:
    # A build script that names no inputs runs again when its package's newest file is another.
    for name in ("Cargo.toml", "crates/a/Cargo.toml", "crates/b/Cargo.toml", "crates/a/x/y/z.txt"):
        mount.write(name, name)
    mount.run()
    before = {
        name: mount.time(name)
        for name in ("Cargo.toml", "crates/a/Cargo.toml", "crates/b/Cargo.toml")
    }
    shutil.rmtree(mount.sources / "crates" / "a" / "x")
    mount.run()
    assert mount.time("crates/a/Cargo.toml") > before.pop("crates/a/Cargo.toml")
    assert before == {name: mount.time(name) for name in before}


@pytest.mark.parametrize("keep", [0, 1, 40, 100, -2, -70])
def test_a_list_that_was_cut_off_makes_all_new(mount: Mount, keep: int) -> None:
    mount.write("lib.rs", "A")
    mount.write("other.rs", "A")
    mount.run()
    before = mount.time("lib.rs")
    text = mount.state.read_text()
    mount.state.write_text(text[:keep])
    mount.run()
    assert mount.time("lib.rs") > before
    assert mount.state.read_text() != text[:keep]


# Noted when the lock-file was read: then the test may write the next one.
FAKE_BUN = """#!/bin/sh
case $1 in
    install) ! grep -q broken bun.lock ;;
esac
code=$?
echo "$1" >>"$BUN_LOG"
[ "$1" = install ] || exec sleep 60
exit $code
"""
# It looks at a new lock-file before it touches what is installed.
FAKE_NPM = """#!/bin/sh
case "$*" in
    *--dry-run*) ! grep -q broken package-lock.json; code=$?; echo look >>"$BUN_LOG"; exit $code ;;
    *) echo install >>"$BUN_LOG" ;;
esac
"""


@pytest.mark.parametrize(("manager", "lock"), [("bun", "bun.lock"), ("npm", "package-lock.json")])
def test_the_ui_is_installed_and_served_again_when_the_lock_file_changes(
    tmp_path: Path, manager: str, lock: str
) -> None:
    programs, app, log = tmp_path / "bin", tmp_path / "app", tmp_path / "log"
    for folder in (programs, app):
        folder.mkdir()
    for name, text in (("bun", FAKE_BUN), ("npm", FAKE_NPM), ("node", "#!/bin/sh\necho v24\n")):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    (app / "package.json").write_text("{}")

    def locked(text: str) -> None:
        """Put another lock-file there, at once: a half one would be installed too."""
        (tmp_path / "new").write_text(text)
        (tmp_path / "new").replace(app / lock)

    locked("one")

    def seen(*words: str) -> None:
        deadline = time.monotonic() + 30
        while (found := log.read_text().split() if log.exists() else []) != list(words):
            assert time.monotonic() < deadline, found
            time.sleep(0.02)

    environ = {"PATH": f"{programs}:{os.environ['PATH']}", "BUN_LOG": str(log)}
    environ["UI_MANAGER"] = manager
    child = subprocess.Popen(
        [TOOLS / "dev-ui"],
        cwd=app,
        env=environ | {"DEV_UI_POLL_S": "0.05"},
        stderr=subprocess.DEVNULL,
    )
    try:
        again = ["install"] if manager == "bun" else ["look", "install"]
        words = ["install", "server.ts"]
        seen(*words)
        locked("two")
        words += [*again, "server.ts"]
        seen(*words)
        locked("broken")
        words += again[:1]
        seen(*words)
        locked("three")
        words += [*again, "server.ts"]
        seen(*words)
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


# service-ids


def service_ids(folder: Path, told: str, *binaries: str) -> subprocess.CompletedProcess[str]:
    """What the builder says of the binaries of the sources in a folder."""
    sources = folder / "sources"
    digests = subprocess.run(
        [TOOLS / "source-digests"], cwd=sources, capture_output=True, text=True, check=True
    ).stdout
    (folder / "files").write_text(digests)
    return subprocess.run(
        [*command("service-ids"), folder / "files", "of-all", *binaries],
        cwd=sources,
        env=os.environ | {"SERVICE_BUILD_IDS": told},
        capture_output=True,
        text=True,
        check=False,
    )


def some_services(folder: Path) -> tuple[dict[str, Scope], dict[str, str]]:
    """Sources; what is no part of each binary, and the ids as they are worked out from outside."""
    sources = folder / "sources"
    for name in ("api/main.rs", "api2/x", "web/main.rs", "web/a b,ü", "core/lib.rs", "Cargo.toml"):
        (sources / name).parent.mkdir(parents=True, exist_ok=True)
        (sources / name).write_text(name)
    (sources / "web" / "link").symlink_to("main.rs")
    (sources / "web" / ".dockerignore").write_text("x")
    scopes = {"api": Scope(("web",)), "my-web": Scope(("api", "api2")), "all": Scope()}
    files = manifest(sources, walk(sources, IgnoreMatcher(())))
    return scopes, {name: build_id(own(files, [some])) for name, some in scopes.items()}


def test_the_builder_works_out_the_same_id_of_each_service(tmp_path: Path) -> None:
    scopes, ids = some_services(tmp_path)
    assert len(set(ids.values())) == 3
    done = service_ids(tmp_path, id_words(ids, scopes), *scopes)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        f"api REBAKE_BUILD_ID_API {ids['api']}",
        f"my-web REBAKE_BUILD_ID_MY_WEB {ids['my-web']}",
        f"all REBAKE_BUILD_ID_ALL {ids['all']}",
    ]


def locks() -> list[str]:
    """The template's lock file, whole and with one change at random places, and odd ones."""
    whole = (TOOLS.parents[1] / "backend" / "Cargo.lock").read_text(encoding="utf-8")
    found = [
        whole,
        whole.replace("\n", "\r\n"),
        whole.rstrip(),
        "",
        "[",
        "\n[[package]]\n",
        f"[\n{whole}",
    ]
    odd = (
        "[",
        "\n[",
        '"',
        "\n",
        " ",
        "\nreplace = 1\n",
        "\ndependencies = []\n",
        "é",
        '\nname = "a"\n',
    )
    pick = random.Random(3)
    places = [pick.randrange(len(whole)) for _ in range(4 * len(odd))]
    found += [whole[:p] + odd[n % len(odd)] + whole[p:] for n, p in enumerate(places)]
    lines = whole.splitlines(keepends=True)
    for place in pick.sample(range(len(lines)), 8):  # a line is lost, a line stands twice
        found += ["".join([*lines[:place], *lines[place + 1 :]])]
        found += ["".join([*lines[:place], lines[place], *lines[place:]])]
    return found


def test_the_builder_takes_the_same_part_of_a_lock_file(tmp_path: Path) -> None:
    sources = tmp_path / "sources"
    sources.mkdir()
    packages, partly = ("api", "worker", "web"), 0
    for number, text in enumerate(locks()):
        (sources / "Cargo.lock").write_bytes(text.encode())
        files = manifest(sources, ["Cargo.lock"])
        # Each has a folder that is no part of it: only such binaries have ids of their own.
        scopes = with_lock({p: Scope(("none",), p) for p in packages}, files, sources)
        ids = {name: build_id(own(files, [scope])) for name, scope in scopes.items()}
        partly += any(scope.locked for scope in scopes.values())
        done = service_ids(tmp_path, id_words(ids, scopes), *packages)
        assert (done.returncode, done.stderr) == (0, ""), (number, text)
        assert [line.split()[2] for line in done.stdout.splitlines()] == list(ids.values())
    assert partly > 25


def test_where_nothing_was_told_all_have_the_id_of_all(tmp_path: Path) -> None:
    some_services(tmp_path)
    done = service_ids(tmp_path, "", "api", "my-web")
    assert done.stdout == ("api REBAKE_BUILD_ID_API of-all\nmy-web REBAKE_BUILD_ID_MY_WEB of-all\n")


def test_a_plan_for_other_sources_of_a_service_is_refused(tmp_path: Path) -> None:
    scopes, ids = some_services(tmp_path)
    done = service_ids(tmp_path, id_words({**ids, "api": "0" * 16}, scopes), *scopes)
    assert done.returncode == 65
    assert done.stderr == (
        f"error: the builder has the sources {ids['api']}, but the plan is for {'0' * 16}: api\n"
    )
