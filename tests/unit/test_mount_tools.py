"""docker/tools: what the mount holds is mended, and what was compiled is proven by content."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import textwrap
import time
from pathlib import Path

import pytest

from step_program import command

if sys.platform != "linux":
    pytest.skip("runs in the builder: a POSIX shell with GNU tools", allow_module_level=True)

HASH = "0123456789abcdef"
OTHER = "fedcba9876543210"


def run(tool: str, *words: object, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*command(tool), *map(str, words)],
        cwd=cwd,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
    )


class Target:
    """A cache mount as cargo leaves it."""

    FILES = (
        f"release/deps/libcore-{HASH}.rlib",
        f"release/deps/core-{HASH}.d",
        f"release/deps/api-{OTHER}",
        f"release/.fingerprint/core-{HASH}/dep-lib-core",
        f"release/.fingerprint/api-{OTHER}/dep-bin-api",
        f"release/build/core-{HASH}/output",
        "release/incremental/core-3abc/s-1/dep-graph.bin",
        "release/incremental/core-3abc/s-1/1.o",
        f"x86_64-unknown-linux-musl/release/deps/libcore-{HASH}.rlib",
        f"x86_64-unknown-linux-musl/release/.fingerprint/core-{HASH}/lib-core",
        ".rustc_info.json",
        "release/api",
    )

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "target a"
        self.bin = folder / "bin"
        self.bin.mkdir()
        self.list = self.folder / ".rebake" / "files"
        for name in self.FILES:
            file = self.folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(name)
        self.toolchain("one")

    def toolchain(self, words: str) -> None:
        (self.bin / "rustc").write_text(f"#!/bin/sh\necho {words} $*\n")
        (self.bin / "rustc").chmod(0o755)

    def mend(self, what: str) -> str:
        return self.mended(what).stderr

    def mended(self, what: str) -> subprocess.CompletedProcess[str]:
        done = run(
            "mend-mount", what, self.list, cwd=self.bin, CARGO_TARGET_DIR=str(self.folder),
            PATH=f"{self.bin}:{os.environ['PATH']}",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done

    @property
    def gone(self) -> set[str]:
        return {name for name in self.FILES if not (self.folder / name).exists()}


@pytest.fixture
def target(tmp_path: Path) -> Target:
    target = Target(tmp_path)
    target.mend("check")
    # Whatever rustc wrote it: nobody knows.
    (target.folder / ".rustc_info.json").write_text("{}")
    target.mend("keep")
    return target


def test_a_mount_as_cargo_left_it_stays(target: Target) -> None:
    assert target.mend("check") == ""
    assert target.gone == set()


def cut(file: Path) -> None:
    file.write_text(file.read_text()[:-1])


@pytest.mark.parametrize(
    ("broken", "gone"),
    [
        (
            f"release/deps/libcore-{HASH}.rlib",
            {f"release/deps/libcore-{HASH}.rlib", f"release/.fingerprint/core-{HASH}/dep-lib-core"},
        ),
        (
            f"release/deps/api-{OTHER}",
            {f"release/deps/api-{OTHER}", f"release/.fingerprint/api-{OTHER}/dep-bin-api"},
        ),
        (
            f"release/.fingerprint/core-{HASH}/dep-lib-core",
            {f"release/.fingerprint/core-{HASH}/dep-lib-core"},
        ),
        (
            f"release/build/core-{HASH}/output",
            {
                f"release/build/core-{HASH}/output",
                f"release/.fingerprint/core-{HASH}/dep-lib-core",
            },
        ),
        (
            "release/incremental/core-3abc/s-1/1.o",
            {
                "release/incremental/core-3abc/s-1/dep-graph.bin",
                "release/incremental/core-3abc/s-1/1.o",
            },
        ),
        (
            f"x86_64-unknown-linux-musl/release/deps/libcore-{HASH}.rlib",
            {
                f"x86_64-unknown-linux-musl/release/deps/libcore-{HASH}.rlib",
                f"x86_64-unknown-linux-musl/release/.fingerprint/core-{HASH}/lib-core",
            },
        ),
        ("release/api", {"release/api"}),
    ],
)
def test_what_a_broken_file_belongs_to_is_made_again(
    target: Target, broken: str, gone: set[str]
) -> None:
    cut(target.folder / broken)
    told = target.mend("check")
    assert "note: 1 files in the cache mount are not as cargo left them" in told
    assert f"./{broken}" in told
    assert target.gone == gone


def test_a_file_that_is_gone_or_of_the_same_size_is_broken_too(target: Target) -> None:
    one, two = f"release/deps/libcore-{HASH}.rlib", f"release/deps/api-{OTHER}"
    (target.folder / one).unlink()
    file = target.folder / two
    file.write_text("x" * file.stat().st_size)
    assert "note: 2 files" in target.mend("check")
    assert len(target.gone) == 4


def test_a_new_file_is_not_broken(target: Target) -> None:
    (target.folder / "release" / "deps" / "new").write_text("")
    assert target.mend("check") == ""


@pytest.mark.parametrize("keep", [0, 5, -2, -66, -100])
def test_a_broken_list_makes_all_new(target: Target, keep: int) -> None:
    target.list.write_text(target.list.read_text()[:keep])
    assert "the list of what is in the cache mount is broken" in target.mend("check")
    assert target.gone == set(target.FILES)
    assert target.mend("check") == ""


@pytest.mark.parametrize("listed", [True, False])
@pytest.mark.parametrize("ahead_s", [-3600, 0, 2, 2e9])
def test_it_tells_a_time_that_no_file_is_later_than(
    target: Target, ahead_s: float, listed: bool
) -> None:
    late = target.folder / "release" / "deps" / "written-when-the-clock-was-another"
    late.write_text("")
    when = time.time_ns() + int(ahead_s * 1e9)
    os.utime(late, ns=(when, when))
    if listed:
        target.mend("keep")
    else:
        target.list.unlink()
    told = target.mended("check").stdout
    seconds, _, fraction = told.strip().partition(".")
    cargos = [file for file in target.folder.rglob("*") if ".rebake" not in file.parts]
    latest = max(file.stat().st_mtime_ns for file in cargos if file.is_file())
    assert int(seconds) * 10**9 + int(fraction[:9]) >= latest
    assert float(told) < max(time.time(), time.time() + ahead_s) + 1  # and not much later


def test_it_tells_the_time_of_a_file_that_is_in_no_list(target: Target) -> None:
    late = target.folder / "release" / "left-by-a-build-that-broke-off"
    late.write_text("")
    os.utime(late, (3e9, 3e9))
    assert target.mended("check").stdout.startswith("3000000000.")


def test_an_empty_mount_has_no_time(target: Target) -> None:
    shutil.rmtree(target.folder)
    target.folder.mkdir()
    assert target.mended("check").stdout == ""


# same-rustc


def asked(target: Target) -> tuple[int, str]:
    """Whether it is the same compiler, and what is written down of it then."""
    record = target.list.with_name("rustc")
    done = run(
        "same-rustc", record, cwd=target.bin, PATH=f"{target.bin}:{os.environ['PATH']}"
    )  # fmt: skip
    new = record.with_name("rustc.new")
    if new.exists():
        new.rename(record)
    return done.returncode, done.stderr


def test_the_compiler_of_the_last_build_is_known(target: Target) -> None:
    assert asked(target) == (4, "")  # nobody knew it
    assert asked(target) == (0, "")
    target.toolchain("two")
    assert asked(target) == (4, "")
    assert asked(target) == (0, "")


def test_a_compiler_that_does_not_answer_is_an_error(target: Target) -> None:
    (target.bin / "rustc").write_text("#!/bin/sh\necho lost >&2\nexit 7\n")
    assert asked(target) == (1, "lost\nerror: rustc -vV: exit status: 7\n")


# mend-crates

LOCK = """\
[[package]]
name = "itoa"
version = "1.0.0"
source = "registry+https://example.org/index"
checksum = "{itoa}"
dependencies = [
 "ryu",
]

[[package]]
name = "local"
version = "0.1.0"

[[package]]
name = "ryu"
version = "2.0.0"
source = "registry+https://example.org/index"
checksum = "{ryu}"
"""


class Crates:
    """Two downloaded crates, as cargo unpacks them."""

    NAMES = ("itoa-1.0.0", "ryu-2.0.0")

    def __init__(self, folder: Path) -> None:
        self.home, self.sources = folder / "cargo home", folder / "src"
        self.sources.mkdir()
        self.target, self.messages = folder / "target", folder / "messages"
        self.compiled()
        self.since = folder / "since"
        for crate in (*self.NAMES, "itoa-other-3.0.0"):
            self.known(crate).mkdir(parents=True)
        digests = {}
        for crate in self.NAMES:
            made = folder / "made" / crate
            made.mkdir(parents=True)
            (made / "lib.rs").write_text(f"// {crate}\n")
            self.archive(crate).parent.mkdir(parents=True, exist_ok=True)
            self.unpacked(crate).parent.mkdir(parents=True, exist_ok=True)
            with tarfile.open(self.archive(crate), "w:gz") as archive:
                archive.add(made, crate)
            shutil.copytree(made, self.unpacked(crate))
            (self.unpacked(crate) / ".cargo-ok").write_text("{}")
            digest = hashlib.sha256(self.archive(crate).read_bytes()).hexdigest()
            digests[crate[: crate.index("-")]] = digest
        (self.sources / "Cargo.lock").write_text(LOCK.format(**digests))
        self.since.write_text("")
        os.utime(self.since, (4_000_000_000, 4_000_000_000))

    def known(self, crate: str) -> Path:
        """What cargo knows of a crate that it has compiled."""
        name = crate.rpartition("-")[0]
        return self.target / "release" / ".fingerprint" / f"{name}-{HASH}"

    def archive(self, crate: str) -> Path:
        return self.home / "registry" / "cache" / "index-1" / f"{crate}.crate"

    def unpacked(self, crate: str) -> Path:
        return self.home / "registry" / "src" / "index-1" / crate

    def compiled(self, fresh: tuple[str, ...] = (), now: tuple[str, ...] = ()) -> None:
        """What cargo tells of the crates that it has compiled, and of one build script."""
        lines = ['{"reason":"compiler-artifact","package_id":"path+file:///src#local@0.1.0"}\n']
        for crate in (*fresh, *now):
            name = crate.replace("-", "@")
            package = f'"package_id":"registry+https://example.org/index#{name}"'
            flag = f'"fresh":{"true" if crate in fresh else "false"}'
            lines.append(f'{{"reason":"compiler-artifact",{package},{flag}}}\n')
        package = '"package_id":"registry+https://example.org/index#ryu@2.0.0"'
        kind = '"target":{"kind":["custom-build"]},"fresh":true'
        lines.append(f'{{"reason":"compiler-artifact",{package},{kind}}}\n')
        lines.append(f'{{"reason":"build-script-executed",{package}}}\n')
        self.messages.write_text("".join(lines))

    def mend(self, failed: int = 101) -> tuple[bool, set[str]]:
        """Whether something was mended after cargo ended so, and which crates are gone."""
        done = run(
            "mend-crates", self.messages, self.since, str(failed), cwd=self.sources,
            CARGO_HOME=str(self.home), CARGO_TARGET_DIR=str(self.target),
        )  # fmt: skip
        assert done.returncode in {0, 1}, done.stderr
        gone = {crate for crate in self.NAMES if not self.unpacked(crate).exists()}
        assert gone == {crate for crate in self.NAMES if not self.archive(crate).exists()}
        assert gone == {crate for crate in self.NAMES if not self.known(crate).exists()}
        for crate in self.NAMES:
            assert (f"note: {crate} is broken in the cache mount" in done.stderr) == (crate in gone)
        assert self.known("itoa-other-3.0.0").exists() or "itoa-1.0.0" in gone
        return done.returncode == 0, gone


@pytest.fixture
def crates(tmp_path: Path) -> Crates:
    return Crates(tmp_path)


@pytest.mark.parametrize("broken", [(), ("itoa-1.0.0",), ("itoa-1.0.0", "ryu-2.0.0")])
def test_broken_archives_are_removed_with_what_was_unpacked(
    crates: Crates, broken: tuple[str, ...]
) -> None:
    for crate in broken:
        archive = crates.archive(crate)
        archive.write_bytes(archive.read_bytes()[:-1])
    assert crates.mend() == (bool(broken), set(broken))


def test_what_is_not_unpacked_as_in_the_archive_is_removed(crates: Crates) -> None:
    cut(crates.unpacked("ryu-2.0.0") / "lib.rs")
    crates.compiled(fresh=("itoa-1.0.0", "ryu-2.0.0"))
    assert crates.mend() == (False, set())  # what it was compiled from was whole
    crates.compiled(fresh=("itoa-1.0.0",), now=("ryu-2.0.0",))
    assert crates.mend() == (True, {"ryu-2.0.0"})


def test_what_cargo_did_not_get_to_compile_is_looked_at_too(crates: Crates) -> None:
    cut(crates.unpacked("ryu-2.0.0") / "lib.rs")
    crates.compiled(fresh=("itoa-1.0.0",))
    assert crates.mend() == (True, {"ryu-2.0.0"})


def test_after_a_good_build_only_what_was_compiled_now_is_looked_at(crates: Crates) -> None:
    cut(crates.unpacked("ryu-2.0.0") / "lib.rs")  # of another platform, say: never compiled here
    crates.compiled(now=("itoa-1.0.0",))
    assert crates.mend(failed=0) == (False, set())
    crates.compiled(now=("itoa-1.0.0", "ryu-2.0.0"))
    assert crates.mend(failed=0) == (True, {"ryu-2.0.0"})


def test_whole_crates_stay(crates: Crates) -> None:
    crates.compiled(now=crates.NAMES)
    assert crates.mend() == (False, set())


def test_what_cargo_has_just_unpacked_is_not_looked_at(crates: Crates) -> None:
    cut(crates.unpacked("ryu-2.0.0") / "lib.rs")
    crates.compiled(now=crates.NAMES)
    os.utime(crates.since, (1, 1))
    assert crates.mend() == (False, set())


def test_without_downloaded_crates_nothing_is_mended(tmp_path: Path) -> None:
    done = run("mend-crates", "m", "s", "0", cwd=tmp_path, CARGO_HOME=str(tmp_path / "no"))
    assert (done.returncode, done.stderr) == (1, "")


# proven-units


class Units:
    """What cargo and rustc tell of a library and a build script."""

    def __init__(self, folder: Path) -> None:
        self.sources = folder / "src"
        self.target = folder / "target"
        self.deps = self.target / "release" / "deps"
        self.script = self.target / "release" / "build" / f"small-core-{OTHER}"
        for place in (self.sources, self.deps, self.script):
            place.mkdir(parents=True)
        self.unit = f"{self.deps}/small_core-{HASH}"
        self.script_unit = f"{self.script}/build_script_build-{OTHER}"
        self.digests = {
            "./crates/core/src/lib.rs": "a",
            "./crates/core/src/with space.rs": "b",
            "./migrations/1.sql": "c",
            "./crates/core/build.rs": "d",
            "./crates/api/src/main.rs": "e",
            "./crates/web/text.txt": "1",
        }
        Path(f"{self.unit}.d").write_text(
            f"{self.unit}.d: crates/core/src/lib.rs crates/core/src/with\\ space.rs"
            f" crates/core/src/../../../migrations/1.sql {self.target}/out/made.rs\n\n"
            f"{self.deps}/libsmall_core-{HASH}.rlib: {self.sources}/crates/core/src/lib.rs\n\n"
            "crates/core/src/lib.rs:\n\n# env-dep:OUT_DIR=/x: y\n"
        )
        Path(f"{self.script_unit}.d").write_text(f"{self.script_unit}: crates/core/build.rs\n")
        self.binary = f"{self.target}/release/api"
        sources = f"{self.sources}/crates/api/src/main.rs {self.sources}/crates/web/text.txt"
        Path(f"{self.binary}.d").write_text(f"{self.binary}: {sources}\n")

    def prove(
        self, *, fresh: bool, script_fresh: bool = True, binary_fresh: bool = True
    ) -> tuple[int, list[str]]:
        body = "".join(f"{letter * 64}  1.0\t{path}\n" for path, letter in self.digests.items())
        (self.target / "sources").write_text(f"{body}# {'0' * 64}\n")

        def artefact(source: str, fresh: bool, *names: str, kind: str = "lib") -> str:
            return json.dumps(
                {
                    "reason": "compiler-artifact",
                    "package_id": f"{source}small-core@0.1.0",
                    "target": {"kind": [kind], "name": "x"},
                    "filenames": names,
                    "executable": None,
                    "fresh": fresh,
                },
                separators=(",", ":"),
            )

        library = [f"{self.deps}/libsmall_core-{HASH}.{end}" for end in ("rlib", "rmeta")]
        lines = [
            artefact("path+file:///src#", script_fresh, f"{self.script}/build-script-build"),
            artefact("registry+x#", True, f"{self.deps}/libother-{HASH}.rlib"),
            artefact("path+file:///src#", fresh, *library),
            artefact("path+file:///src#", binary_fresh, self.binary, kind="bin"),
            '{"reason":"build-finished","success":true}',
        ]
        (self.target / "messages").write_text("\n".join(lines) + "\n")
        done = run(
            "proven-units", self.target / "messages", self.target / "sources",
            self.target / "units", cwd=self.sources,
        )  # fmt: skip
        assert done.stderr == ""
        return done.returncode, done.stdout.split()


@pytest.fixture
def units(tmp_path: Path) -> Units:
    units = Units(tmp_path)
    assert units.prove(fresh=False, script_fresh=False, binary_fresh=False) == (0, [])
    return units


def test_what_was_compiled_from_these_sources_is_proven(units: Units) -> None:
    for _ in range(3):
        assert units.prove(fresh=True) == (0, [])


@pytest.mark.parametrize(
    "path", ["./crates/core/src/lib.rs", "./crates/core/src/with space.rs", "./migrations/1.sql"]
)
def test_a_library_of_other_content_is_not(units: Units, path: str) -> None:
    before = units.digests[path]
    for _ in range(2):  # it does not become true by being told twice
        units.digests[path] = "f"
        assert units.prove(fresh=True) == (3, [units.unit])
    units.digests[path] = before
    assert units.prove(fresh=True) == (0, [])
    units.digests[path] = "f"
    assert units.prove(fresh=False) == (0, [])
    assert units.prove(fresh=True) == (0, [])


def test_a_source_that_is_gone_is_other_content(units: Units) -> None:
    del units.digests["./migrations/1.sql"]
    assert units.prove(fresh=True) == (3, [units.unit])


def test_a_build_script_is_proven_too(units: Units) -> None:
    units.digests["./crates/core/build.rs"] = "f"
    assert units.prove(fresh=True) == (3, [units.script_unit])


@pytest.mark.parametrize("path", ["./crates/api/src/main.rs", "./crates/web/text.txt"])
def test_a_binary_is_proven_by_all_that_it_was_compiled_from(units: Units, path: str) -> None:
    # Its id may not tell: what it includes can lie in a package that it does not need.
    units.digests[path] = "f"
    assert units.prove(fresh=True) == (3, [units.binary])
    assert units.prove(fresh=True, binary_fresh=False) == (0, [])
    assert units.prove(fresh=True) == (0, [])


def test_other_sources_do_not_matter(units: Units) -> None:
    units.digests["./crates/web/src/main.rs"] = "f"
    units.digests["./new.rs"] = "f"
    assert units.prove(fresh=True) == (0, [])


@pytest.mark.parametrize("keep", [0, 10, -5, -60])
def test_what_no_record_tells_of_is_not_proven(units: Units, keep: int) -> None:
    record = units.target / "units"
    record.write_text(record.read_text()[:keep])
    status, told = units.prove(fresh=True)
    assert status == 3
    assert told


# build-ui


class Store:
    """A UI, a cache mount, and a manager that installs one package and bundles it."""

    PROGRAM = """\
        #!/bin/sh
        echo "$*" >>"$CALLS"
        case $1 in
        install | ci)
            cache=${BUN_INSTALL_CACHE_DIR:-$npm_config_cache}
            mkdir -p node_modules/react "$cache"
            [ -e node_modules/react/index.js ] || echo whole >node_modules/react/index.js
            [ -e "$cache/react" ] || echo whole >"$cache/react"
            ;;
        run) [ ! -e fail ] && mkdir dist && cp node_modules/react/index.js dist/app.js ;;
        esac
        """

    def __init__(self, folder: Path, manager: str = "bun") -> None:
        self.folder = folder
        self.manager = manager
        self.store = folder / "the store"
        self.store.mkdir()
        self.bin = folder / "bin"
        self.bin.mkdir()
        programs = {manager: textwrap.dedent(self.PROGRAM), "node": "#!/bin/sh\necho v24\n"}
        for name, text in programs.items():
            (self.bin / name).write_text(text)
            (self.bin / name).chmod(0o755)
        self.builds = 0
        self.settings = ""

    def build(self, *, fail: bool = False) -> tuple[str, str]:
        """Build, as each build does in sources of its own; return the bundle and what was told."""
        self.builds += 1
        sources = self.folder / f"sources {self.builds}"
        sources.mkdir()
        lock = "bun.lock" if self.manager == "bun" else "package-lock.json"
        for name in ("package.json", lock, *(["fail"] if fail else [])):
            (sources / name).write_text("{}")
        if self.settings:
            (sources / ".npmrc").write_text(self.settings)
        out = self.folder / f"out {self.builds}"
        done = run(
            "build-ui", sources, out, cwd=self.folder,
            UI_MANAGER=self.manager, UI_STORE=str(self.store), CALLS=str(self.folder / "calls"),
            PATH=f"{self.bin}:{os.environ['PATH']}",
        )  # fmt: skip
        assert (done.returncode != 0) == fail, done.stderr
        return "" if fail else (out / "app.js").read_text().strip(), done.stderr


@pytest.fixture(params=["bun", "npm"])
def store(tmp_path: Path, request: pytest.FixtureRequest) -> Store:
    store = Store(tmp_path, request.param)
    assert store.build() == ("whole", "")
    return store


def test_each_manager_builds_with_its_own_words(store: Store) -> None:
    store.build()
    calls = (store.folder / "calls").read_text().splitlines()
    if store.manager == "bun":
        assert calls == ["install --frozen-lockfile --production", "run build"] * 2
    else:
        ci = "ci --omit=dev --prefer-offline --no-audit --no-fund"
        assert calls == [ci, "run build", "run build"]


def test_settings_of_the_project_go_with_the_packages(store: Store) -> None:
    store.settings = "save-exact=true"
    store.build()
    assert (store.store / "app" / ".npmrc").read_text() == "save-exact=true"
    store.settings = ""
    store.build()
    assert not (store.store / "app" / ".npmrc").exists()


def test_installed_packages_stay(store: Store) -> None:
    kept = store.store / "app" / "node_modules" / "react" / "index.js"
    inode = kept.stat().st_ino
    store.build(fail=True)
    assert store.build() == ("whole", "")
    assert kept.stat().st_ino == inode


@pytest.mark.parametrize("name", ["app/node_modules/react/index.js", "cache/react"])
def test_a_package_that_was_cut_off_is_in_no_bundle(store: Store, name: str) -> None:
    cut(store.store / name)
    bundle, told = store.build()
    assert bundle == "whole"
    if store.manager == "npm" and name == "cache/react":  # npm looks at it when it takes it
        assert told == ""
        return
    assert "all is installed anew" in told
    assert (store.store / name).read_text() == "whole\n"
    assert store.build() == ("whole", "")
