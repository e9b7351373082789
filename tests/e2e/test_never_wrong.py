"""Never a wrong image, on a real engine: in each case the image holds the sources at hand."""

from __future__ import annotations

import hashlib
import os
import time
from dataclasses import replace
from pathlib import Path

import platformdirs
import pytest

from e2e import small_project
from e2e.small_project import Bench
from rebake.project.project import open_project

pytestmark = pytest.mark.engine

FOLDER = Path(os.environ.get("REBAKE_E2E_FOLDER") or platformdirs.user_cache_path("rebake") / "e2e")
OLD = 1_600_000_000 * 10**9


@pytest.fixture(scope="module")
def bench() -> Bench:
    """The project in a folder of its own, always the same, so that nothing piles up."""
    return small_project.make(FOLDER / "small, ü")


@pytest.fixture(autouse=True)
def clean(bench: Bench) -> None:
    """Each case begins with what is committed, built."""
    for small in (bench.one, bench.two):
        small.git("reset", "--quiet", "--hard")
        small.git("clean", "--quiet", "-fd")
    bench.one.git("checkout", "--quiet", "main")


def test_new_content_with_an_older_time(bench: Bench) -> None:
    for text, age in (("older-1", 0), ("older-22", 1)):
        bench.one.write_text(text, at_ns=OLD - age * 10**9)
        assert bench.built().text == text


def test_same_size_and_same_time_with_new_content(bench: Bench) -> None:
    # The size is this test's own, so that the first one is sent.
    for text in ("same-1......", "same-2......"):
        bench.one.write_text(text, at_ns=OLD)
        assert bench.built().text == text
    # From here on the engine knows the folder under another name, and keeps to it.
    bench.one.write_text("same-3, and longer", at_ns=OLD)
    again = bench.one.invoke("build", "api").ok()
    assert "sent" not in again.stderr


def test_there_and_back_with_a_broken_build_between(bench: Bench) -> None:
    bench.one.write_text("A", at_ns=OLD)
    assert bench.built().text == "A"
    # The library compiles, a service does not.
    bench.one.write_text("B", at_ns=OLD)
    main = bench.one.backend / "crates" / "api" / "src" / "main.rs"
    good = main.read_text()
    main.write_text("fn main() { nothing }")
    failed = bench.one.invoke("build", "api")
    assert failed.returncode == 1
    assert "cannot find value `nothing`" in failed.stderr
    bench.one.write_text("A", at_ns=OLD)
    main.write_text(good)
    assert bench.built().text == "A"


def test_an_edit_of_one_service_leaves_the_others_images(bench: Bench) -> None:
    def digests() -> dict[str, str]:
        images = bench.one.invoke("build", "api", "worker", "--json").ok().document["images"]
        return {name: image["digest"] for name, image in images.items()}

    before = digests()
    main = bench.one.backend / "crates" / "api" / "src" / "main.rs"
    main.write_text(f"{main.read_text()}\n// An edit.\nconst _: u64 = {time.time_ns()};\n")
    after = digests()
    assert before["api"] != after["api"]
    assert before["worker"] == after["worker"]


def test_a_dependency_of_one_service_leaves_the_others_images(bench: Bench) -> None:
    def images() -> dict[str, dict[str, object]]:
        document = bench.one.invoke("build", "api", "worker", "--json").ok().document
        return document["images"]  # type: ignore[no-any-return]

    before = images()
    bench.one.write("crates/extra/src/lib.rs", "")
    package = '[package]\nname = "extra"\nversion.workspace = true\nedition.workspace = true\n'
    bench.one.write("crates/extra/Cargo.toml", package)
    manifest = bench.one.backend / "crates" / "api" / "Cargo.toml"
    manifest.write_text(f'{manifest.read_text()}extra.path = "../extra"\n')
    lock = bench.one.backend / "Cargo.lock"
    needs = 'name = "api"\nversion = "0.1.0"\ndependencies = [\n'
    assert needs in lock.read_text()
    entry = '[[package]]\nname = "extra"\nversion = "0.1.0"\n\n'
    text = lock.read_text().replace(needs, f'{needs} "extra",\n')
    lock.write_text(
        text.replace('[[package]]\nname = "itoa"', f'{entry}[[package]]\nname = "itoa"')
    )
    after = images()
    assert before["api"]["build_id"] != after["api"]["build_id"]
    assert before["worker"]["build_id"] == after["worker"]["build_id"]
    assert before["worker"]["digest"] == after["worker"]["digest"]
    main = bench.one.backend / "crates" / "api" / "src" / "main.rs"
    main.write_text(f"{main.read_text()}\nuse extra as _;\n")
    assert bench.built().text == "text-0"  # the builder's id is the host's


def test_what_is_included_from_a_package_that_is_not_needed(bench: Bench) -> None:
    """Such a file is no part of the service's own id: its content is what tells."""
    main = bench.one.backend / "crates" / "api" / "src" / "main.rs"
    included = 'include_str!("../../worker/told.txt")'
    main.write_text(main.read_text().replace("small_core::about()", included))
    for text in ("first", "other", "first"):
        bench.one.write("crates/worker/told.txt", text, at_ns=OLD)
        ref = bench.one.invoke("build", "api", "--json").ok().document["images"]["api"]["ref"]
        assert bench.docker("run", "--rm", "--network", "none", ref).splitlines()[-1] == text


def test_an_image_that_a_build_leaves_out_is_the_right_one(bench: Bench) -> None:
    """That a binary includes a file of another service's package is known after cargo alone."""
    main = bench.one.backend / "crates" / "worker" / "src" / "main.rs"
    included = 'include_str!("../../api/told.txt")'
    main.write_text(main.read_text().replace("small_core::about()", included))
    for text in ("first", "other", "first", "other", "third"):
        bench.one.write("crates/api/told.txt", text, at_ns=OLD)
        images = bench.one.invoke("build", "api", "worker", "--json").ok().document["images"]
        told = bench.docker("run", "--rm", "--network", "none", images["worker"]["ref"])
        assert told.splitlines()[-1] == text
    # What nobody includes reaches one image alone: the other one is not even written again, once a
    # build has seen that its binary is not linked at every edit.
    targets = []
    for _ in range(2):
        bench.one.write("crates/api/src/note.rs", f"// {time.time_ns()}")
        done = bench.one.invoke("build", "api", "worker", "--json").ok()
        built = {name: image["built"] for name, image in done.document["images"].items()}
        assert built == {"api": True, "worker": False}
        targets.append(bench.one.invoke("history", "--json").ok().document["builds"][0]["targets"])
    assert targets == [["api", "worker"], ["api"]]


def test_two_worktrees_take_turns_on_one_mount(bench: Bench) -> None:
    assert bench.one.cache_id == bench.two.cache_id
    bench.one.write_text("worktree one", at_ns=OLD)
    bench.two.write_text("worktree two", at_ns=OLD)
    for _ in range(2):
        assert bench.built(bench.one).text == "worktree one"
        assert bench.built(bench.two).text == "worktree two"


def test_a_branch_switch(bench: Bench) -> None:
    bench.one.git("checkout", "--quiet", "-B", "other")
    bench.one.write_text("other branch")
    (bench.one.backend / "crates" / "core" / "words" / "two.txt").write_text("two")
    bench.one.git("add", "--all")
    bench.one.git("commit", "--quiet", "--message", "other")
    told = bench.built()
    assert (told.text, told.words) == ("other branch", "one two")
    bench.one.git("checkout", "--quiet", "main")
    told = bench.built()
    assert (told.text, told.words) == ("text-0", "one")


def test_inputs_of_a_build_script(bench: Bench) -> None:
    bench.one.write("crates/core/words/one.txt", "uno", at_ns=OLD)
    assert bench.built().words == "uno"
    bench.one.write("crates/core/words/two.txt", "dos", at_ns=OLD)
    assert bench.built().words == "dos uno"
    (bench.one.backend / "crates" / "core" / "words" / "one.txt").unlink()
    assert bench.built().words == "dos"


def test_migration_and_link(bench: Bench) -> None:
    bench.one.write("migrations/0001_first.sql", "select 'second';\n", at_ns=OLD)
    chosen = bench.one.backend / "crates" / "core" / "src" / "chosen.txt"
    chosen.unlink()
    chosen.symlink_to("b.txt")
    told = bench.built()
    assert (told.migration, told.chosen) == ("select 'second';", "chosen-b")


def test_a_source_file_that_is_gone_is_an_error(bench: Bench) -> None:
    bench.one.write_text("soon gone", at_ns=OLD)
    assert bench.built().text == "soon gone"
    (bench.one.backend / "crates" / "core" / "src" / "text.rs").unlink()
    failed = bench.one.invoke("build", "api")
    assert failed.returncode == 1
    assert "file not found for module `text`" in failed.stderr


def test_a_dummy_main_is_refused(bench: Bench) -> None:
    bench.one.write("crates/api/src/main.rs", "fn main() {}\n", at_ns=OLD)
    refused = bench.one.invoke("build", "api")
    assert refused.returncode == 1
    assert 'api --version says "", but the sources are' in refused.stderr
    assert 'its main does not tell option_env!("REBAKE_BUILD_ID_API")' in refused.stderr


def test_another_toolchain_under_the_same_name(bench: Bench) -> None:
    """cargo knows rustc by its path and time, and these are the same here."""
    ref = "rebake-e2e-toolchain:1"
    rust = open_project(bench.one.root).config.base_images.rust
    folder = bench.one.root.parent / "toolchain"
    folder.mkdir(exist_ok=True)
    named = 'rustc.real -vV | sed "s/^commit-hash: ./&{}/"'
    for number, cfg in (("one", "--cfg first_toolchain"), ("two", "--cfg other_toolchain")):
        (folder / "rustc").write_text(
            f'#!/bin/sh\n[ "$*" != -vV ] || {{ {named.format(number)}; exit; }}\n'
            f'exec rustc.real "$@" {cfg}\n'
        )
        (folder / "rustc").chmod(0o755)
        (folder / "Dockerfile").write_text(
            f"FROM {rust}\nRUN mv /usr/bin/rustc /usr/bin/rustc.real\n# {number}\n"
            f"COPY rustc /usr/bin/rustc\nRUN : {number}; touch -d @1600000000 /usr/bin/rustc\n"
        )
        bench.docker("buildx", "build", "--provenance=false", "--load", "--tag", ref, str(folder))
        told = bench.built(REBAKE_BASE_IMAGES_RUST=ref)
        assert told.toolchain == number


CUT = {
    "library": "/target/release/deps/libsmall_core-*.rlib",
    "dependency": "/target/release/deps/libitoa-*.rlib",
    "binary": "/target/release/deps/api-????????????????",
    "fingerprint": "/target/release/.fingerprint/small-core-*/*",
    "build script": "/target/release/build/small-core-*/build_script_build-*",
    "output of the build script": "/target/release/build/small-core-*/out/words.txt",
    "incremental": "/target/release/incremental/small_core-*/*/*",
    "list of sources": "/target/.rebake/sources",
    "list of units": "/target/.rebake/units",
    "list of files": "/target/.rebake/files",
}


def test_cut_off_files_in_the_mount(bench: Bench) -> None:
    before = bench.built()
    for kinds in (list(CUT)[:7], list(CUT)[7:9], list(CUT)[9:]):
        patterns = " ".join(CUT[kind] for kind in kinds)
        count = bench.in_mounts(
            f"n=0; for f in {patterns}; do [ -f $f ]; truncate -s $(($(stat -c %s $f) / 2)) $f;"
            " n=$((n + 1)); done; echo $n"
        )
        assert int(count) >= len(kinds)
        # The services are linked anew, with the libraries that are in the mount.
        bench.one.write("crates/api/src/unused.rs", f"// {count}{kinds}")
        after = bench.built()
        assert replace(after, build_id="") == replace(before, build_id="")


def test_broken_crates_are_downloaded_again(bench: Bench) -> None:
    bench.built()
    registry = "/cargo/registry"
    archive = f"truncate -s 1000 {registry}/cache/*/itoa-*.crate; rm -r {registry}/src/*/itoa-*"
    unpacked = f"truncate -s 1000 {registry}/src/*/itoa-*/src/lib.rs"
    for number, broken in enumerate((archive, unpacked)):
        bench.in_mounts(f"{broken}; rm -r /target/release/.fingerprint/itoa-*; echo done")
        bench.one.write("crates/api/src/unused.rs", f"// broken crate {number}")
        assert bench.built().number == "7"


def test_a_library_that_cargo_wrongly_takes_for_fresh_is_found(bench: Bench) -> None:
    bench.one.write_text("fresh", at_ns=OLD)
    assert bench.built().text == "fresh"
    bench.one.write_text("stale, and longer", at_ns=OLD)  # another size, so that it is sent
    new = hashlib.sha256((bench.one.backend / "crates/core/src/text.rs").read_bytes()).hexdigest()
    # As if the new content had been there before the library was compiled.
    line = f"s,^[0-9a-f]*  [0-9.]*\\(.*/text.rs\\)$,{new}  1000000000.000000000\\1,"
    bench.in_mounts(
        f"cd /target/.rebake; sed -i '{line}' sources; sed -i '$d' sources;"
        ' echo "# $(sha256sum <sources | cut -c1-64)" >>sources; cat sources'
    )
    done = bench.one.invoke("build", "api", "--json", "--progress", "plain").ok()
    told = bench.ask(done.document["images"]["api"]["ref"])
    assert (told.build_id, told.text) == (bench.one.id, "stale, and longer")
    assert "can't be proven to be made from these sources" in done.stderr
