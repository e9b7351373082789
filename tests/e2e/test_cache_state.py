"""What a build does in each state of the caches, on a real engine."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import Any

import platformdirs
import pytest

from e2e import small_project
from e2e.small_project import Bench
from rebake.build.upkeep import Upkeep
from rebake.engine import build_cache
from rebake.engine.endpoint import Endpoint
from rebake.history.store import History
from rebake.project.project import open_project

pytestmark = pytest.mark.engine

FOLDER = Path(os.environ.get("REBAKE_E2E_FOLDER") or platformdirs.user_cache_path("rebake") / "e2e")
MEMBERS = 4  # core, api, worker, web: one `cargo build` for all services


@pytest.fixture(scope="module")
def bench() -> Bench:
    """The small project in a folder of its own: other tests' mounts stay as they are."""
    return small_project.make(FOLDER / "caches, ü")


def build(bench: Bench, *words: str, **env: str) -> tuple[dict[str, Any], str]:
    """Build `api`; return the document and what was shown."""
    done = bench.one.invoke("build", "api", "--json", "--progress", "plain", *words, **env).ok()
    return done.document, done.stderr


def lose_mount(bench: Bench) -> None:
    """Empty all cache mounts of the project, as the engine's garbage collection would."""
    endpoint = Endpoint(
        "private",
        bench.docker.env["DOCKER_HOST"],
        Path(bench.docker.program),
        {name: value for name, value in bench.docker.env.items() if name != "DOCKER_HOST"},
    )
    start = f"{bench.one.cache_id}-"
    mounts = build_cache.mounts(endpoint)
    assert mounts is not None
    found = [mount for mount in mounts if mount.startswith(start)]
    assert [mount for mount in found if "-target-release-" in mount]
    build_cache.empty(endpoint, found, open_project(bench.one.root).config.base_images.rust)


def forget_layer(bench: Bench) -> None:
    """Give what dependencies are made of another digest, so that the layer is none of these."""
    bench.one.write("Cargo.toml", (bench.one.backend / "Cargo.toml").read_text() + "\n")


def test_with_nothing_to_do_nothing_is_done(bench: Bench) -> None:
    first, _ = build(bench)
    again, shown = build(bench)
    assert again["skipped"].startswith("nothing changed")
    assert "exporting to image" not in shown
    image = again["images"]["api"]
    assert image["built"] is False
    assert image["digest"] == first["images"]["api"]["digest"]
    bench.docker("image", "rm", image["ref"])
    rebuilt, _ = build(bench)
    assert "skipped" not in rebuilt
    assert bench.ask(image["ref"]).build_id == bench.one.id


def test_after_an_edit_that_file_alone_is_sent(bench: Bench) -> None:
    """What a step may write to, the builder gives away, and asks for all of it again."""
    large = 300_000
    bench.one.write("crates/api/large.txt", "x" * large)

    def sent() -> int:
        build(bench)
        with History(bench.one.state / "history.sqlite3") as history:
            last = history.last(bench.one.cache_id, "prod", "api", outcome="done")
        assert last is not None
        return last.record.context_bytes

    assert sent() > large
    bench.one.write_text("one file")
    assert sent() < large / 3
    bench.one.write_text("and another time")
    assert sent() < large / 3


def test_an_image_that_rebake_toml_does_not_name_counts_by_its_digest(bench: Bench) -> None:
    images = open_project(bench.one.root).config.base_images
    other = f"{bench.one.cache_id}-other:1"
    dockerfile = bench.one.backend / "Dockerfile"
    text = dockerfile.read_text()
    bench.docker("tag", images.rust, other)
    try:
        bench.one.write("Dockerfile", f"{text}\nCOPY --from={other} /etc/passwd /other\n")
        first, _ = build(bench)
        assert build(bench)[0]["skipped"].startswith("nothing changed")
        bench.docker("tag", images.bun, other)
        moved, _ = build(bench)
        assert "skipped" not in moved
        assert moved["images"]["api"]["digest"] != first["images"]["api"]["digest"]
        told = bench.one.invoke("why", "api", "--json").ok().document["builds"][0]
        assert (told["cause"]["kind"], told["cause"]["name"]) == ("base-image", other)
        assert build(bench)[0]["skipped"].startswith("nothing changed")
        bench.docker("image", "rm", other)
        failed = bench.one.invoke("build", "api")
        assert f"in doubt: the engine has no image {other}" in failed.stderr
    finally:
        bench.one.write("Dockerfile", text)
        bench.docker("image", "rm", other, check=False)


def test_an_edit_compiles_what_it_concerns_and_makes_no_layer(bench: Bench) -> None:
    build(bench)
    bench.one.write_text(f"edit {time.time_ns()}")
    document, shown = build(bench)
    assert document["caches"]["crates"]["compiled"] == MEMBERS
    assert "compile-dependencies" not in shown


def test_an_edit_of_a_tool_leaves_the_toolchains_layer(bench: Bench) -> None:
    build(bench)
    tool = bench.one.root / "docker" / "tools" / "collect-nginx"
    tool.write_text(f"{tool.read_text()}\n# {time.time_ns()}\n")
    _, shown = build(bench)
    steps = dict(re.findall(r"(?m)^#(\d+) \[(?:\S+ )?(rust 2/2|build-o\S+ 1/1)\] ", shown))
    ran = {
        steps[number]: how
        for number, how in re.findall(r"(?m)^#(\d+) (CACHED|DONE)", shown)
        if number in steps
    }
    assert ran["rust 2/2"] == "CACHED"
    assert [how for name, how in ran.items() if name.startswith("build-o")] == ["DONE"]


def test_a_lost_mount_is_filled_from_the_dependency_layer(bench: Bench) -> None:
    build(bench)
    lose_mount(bench)
    text = f"after the loss {time.time_ns()}"
    bench.one.write_text(text)
    document, shown = build(bench)
    assert "the cache mount is gone: filling it from the dependency layer" in shown
    assert "the empty cache mount was filled from the dependency layer" in shown
    crates = document["caches"]["crates"]
    assert crates["compiled"] == MEMBERS
    assert crates["reused"] >= 1  # itoa
    # The layer itself was found, not made once more.
    assert not re.search(r"Compiling itoa", shown)
    told = bench.ask(document["images"]["api"]["ref"])
    assert (told.build_id, told.text) == (bench.one.id, text)


def hurry(bench: Bench) -> list[Upkeep]:
    """Let what rests begin."""
    found = [Upkeep(folder) for folder in (bench.one.state / "projects").iterdir()]
    assert found
    for upkeep in found:
        upkeep.rest(0.0)
    return found


def wait_for_upkeep(bench: Bench) -> None:
    for upkeep in hurry(bench):
        assert upkeep.wait(120.0), upkeep.folder


def test_the_layer_is_made_in_the_background_and_a_build_goes_first(bench: Bench) -> None:
    background = {"REBAKE_BUILD_UPKEEP": "background", "CI": ""}
    build(bench)
    forget_layer(bench)
    document, shown = build(bench, **background)
    assert document["later"][0] == "dependency layer"
    assert "compile-dependencies" not in shown
    # While it rests, and while it is at work or begins: whoever comes is built, and is right.
    for moment in ("rests", "is at work"):
        bench.one.write_text(f"next {time.time_ns()}")
        document, _ = build(bench, **background)
        assert document["later"][0] == "dependency layer", moment
        assert bench.ask(document["images"]["api"]["ref"]).build_id == bench.one.id
        hurry(bench)
    wait_for_upkeep(bench)
    bench.one.write_text(f"and next {time.time_ns()}")
    document, _ = build(bench, **background)
    assert "dependency layer" not in document.get("later", [])
    wait_for_upkeep(bench)
    lose_mount(bench)
    bench.one.write_text(f"lost {time.time_ns()}")
    document, shown = build(bench, **background)
    assert "the empty cache mount was filled from the dependency layer" in shown
    assert bench.ask(document["images"]["api"]["ref"]).build_id == bench.one.id
    wait_for_upkeep(bench)


def test_after_a_removal_the_next_build_finds_its_steps(bench: Bench) -> None:
    """The engine forgets the steps of all builds then: the upkeep has run them again."""

    def edited() -> str:
        bench.one.write_text(f"edit {time.time_ns()}")
        return build(bench)[1]

    toolchain = "/tools/ensure-packages"
    for _ in range(2):  # so that there is an old layer of each step
        assert toolchain in edited()
    done = bench.one.invoke("refresh-cache", "upkeep", "--json", REBAKE_CACHE_MAX_SIZE="1kB").ok()
    assert done.document["freed_bytes"] > 0
    ran = re.findall(r"^#(\d+) \[.*ensure-packages", shown := edited(), re.MULTILINE)
    assert ran
    assert re.search(rf"^#{ran[0]} CACHED", shown, re.MULTILINE), shown


def test_without_the_layer_a_lost_mount_is_compiled_anew(bench: Bench) -> None:
    build(bench)
    lose_mount(bench)
    bench.one.write_text(f"no layer {time.time_ns()}")
    forget_layer(bench)
    document, shown = build(bench, REBAKE_BUILD_DEPENDENCY_LAYER="false")
    assert "filling it" not in shown
    assert document["caches"]["crates"]["reused"] == 0
    assert bench.ask(document["images"]["api"]["ref"]).build_id == bench.one.id


def test_sccache_is_an_option_that_never_breaks_a_build(bench: Bench) -> None:
    document, shown = build(bench, REBAKE_BUILD_COMPILER_CACHE="sccache")
    assert bench.ask(document["images"]["api"]["ref"]).build_id == bench.one.id
    lose_mount(bench)
    bench.one.write_text(f"sccache {time.time_ns()}")
    forget_layer(bench)
    lost, shown = build(
        bench, REBAKE_BUILD_COMPILER_CACHE="sccache", REBAKE_BUILD_DEPENDENCY_LAYER="false"
    )
    assert "sccache: Compile requests executed" in shown or "without it" in shown
    assert bench.ask(lost["images"]["api"]["ref"]).build_id == bench.one.id
