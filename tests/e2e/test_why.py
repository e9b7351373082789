"""Thirty kinds of change, each made for real: `why` must name what made the engine run a step."""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import platformdirs
import pytest

from e2e import small_project, why_project
from e2e.small_project import Bench, Small
from e2e.support import Docker
from e2e.why_project import Runner, Why, step
from rebake.engine import build_cache
from rebake.engine.endpoint import Endpoint
from rebake.tasks import why_words

pytestmark = pytest.mark.engine

FOLDER = platformdirs.user_cache_path("rebake") / "e2e-why"
CORE = "backend/crates/core"
OTHER_BASE = "rebake-e2e-why:1"
BUILD, DEPS = "build 1/1", "deps 4/4"


@pytest.fixture(scope="module")
def why() -> Why:
    """The project, built once: each case below changes one thing more, and builds."""
    folder = Path(os.environ.get("REBAKE_E2E_FOLDER") or FOLDER) / "kinds"
    seeker = Small(Path(__file__).parent / "small", folder / "state")
    status = json.loads(seeker.invoke("engine", "status", "--json").ok().stdout)
    made = why_project.make(folder, Docker(status["docker"], {**status["env"]}))
    made.image(OTHER_BASE, "first")
    made.build("api", "ui")
    return made


@dataclass(frozen=True)
class Kind:
    """One kind of change: the edit, the service and step that it concerns, and the cause.

    `env` holds for this build and all later ones; `flags` are the build's.
    """

    edit: Callable[[Why], object]
    step: str
    kind: str
    name: str
    detail: str = ""
    service: str = "api"
    env: tuple[tuple[str, str], ...] = ()
    flags: tuple[str, ...] = ()


def nothing(_why: Why) -> None:
    return


def write(name: str, text: str) -> Callable[[Why], object]:
    return lambda why: why.write(name, text)


def swap(name: str, old: str, new: str) -> Callable[[Why], object]:
    return lambda why: why.replace(name, old, new)


def link(why: Why) -> None:
    chosen = why.path(f"{CORE}/chosen")
    chosen.unlink()
    chosen.symlink_to("src")


def lose_the_layer_of_a_step_that_is_needed(why: Why) -> None:
    """What is copied from it changes its place: the builder must have its files for that."""
    why.lose_layer("mkdir -p /out")
    why.replace("backend/Dockerfile", "/service\n", "/program\n")


def move(why: Why) -> None:
    why.path(f"{CORE}/src/new.rs").rename(why.path(f"{CORE}/src/moved.rs"))


KINDS = {
    # sources
    "a source file edited": Kind(
        swap(f"{CORE}/src/lib.rs", "b()", "c()"), BUILD, "file", f"{CORE}/src/lib.rs", "+1 -1"
    ),
    "a source file new": Kind(
        write(f"{CORE}/src/new.rs", "// new\n"), BUILD, "file", f"{CORE}/src/new.rs", "new, 1 line"
    ),
    "a source file moved": Kind(
        move, BUILD, "file", f"{CORE}/src/moved.rs", "new, 1 line"
    ),
    "a source file removed": Kind(
        lambda why: why.path(f"{CORE}/src/old.rs").unlink(),
        BUILD, "file", f"{CORE}/src/old.rs", "removed",
    ),
    "a file made executable": Kind(
        lambda why: why.path(f"{CORE}/script").chmod(0o755),
        BUILD, "file", f"{CORE}/script", "now executable",
    ),
    "a file with other rights": Kind(
        lambda why: why.path(f"{CORE}/Cargo.toml").chmod(0o600),
        BUILD, "file", f"{CORE}/Cargo.toml", " → 0600",
    ),
    "an empty folder": Kind(
        lambda why: why.path(f"{CORE}/empty").mkdir(),
        BUILD, "file", f"{CORE}/empty/", "empty, new",
    ),
    "a link that points elsewhere": Kind(
        link, BUILD, "file", f"{CORE}/chosen", "points elsewhere"
    ),
    "a file that is no text": Kind(
        lambda why: why.path(f"{CORE}/logo.bin").write_bytes(b"\0\3"),
        BUILD, "file", f"{CORE}/logo.bin", "3 → 2 bytes",
    ),
    "a file of the user interface": Kind(
        write("ui/src/main.ts", "1;\n2;\n"),
        "build 1/1", "file", "ui/src/main.ts", "+1 -0", service="ui",
    ),
    # manifests and lock files
    "a manifest": Kind(
        swap("backend/crates/api/Cargo.toml", "0.1.0", "0.2.0"),
        DEPS, "previous-step", "deps 3/4", "backend/crates/api/Cargo.toml (+1 -1)",
    ),
    "an entry of Cargo.lock": Kind(
        swap("backend/Cargo.lock", "1.0.18", "1.0.19"),
        "deps 2/4", "lock-entry", "itoa 1.0.18 → 1.0.19", "backend/Cargo.lock",
    ),
    "an entry of Cargo.lock that is new": Kind(
        lambda why: why.write(
            "backend/Cargo.lock",
            why.path("backend/Cargo.lock").read_text()
            + '\n[[package]]\nname = "ryu"\nversion = "1.0.0"\n',
        ),
        "deps 2/4", "lock-entry", "ryu 1.0.0 (new)", "backend/Cargo.lock",
    ),
    "an entry of bun.lock": Kind(
        swap("ui/bun.lock", "19.0.0", "19.1.0"),
        "deps 3/4", "lock-entry", "react 19.0.0 → 19.1.0", "ui/bun.lock", service="ui",
    ),
    "package.json": Kind(
        write("ui/package.json", '{"name": "why", "private": true}\n'),
        "deps 3/4", "file", "ui/package.json", "+1 -1", service="ui",
    ),
    "a toolchain file": Kind(
        write("backend/rust-toolchain.toml", "[toolchain]\n"),
        BUILD, "file", "backend/rust-toolchain.toml", "new, 1 line",
    ),
    # the recipe
    "a line of a Dockerfile": Kind(
        swap("backend/Dockerfile", "cp Cargo.lock /locked", "cp Cargo.lock /locked-too"),
        DEPS, "file", "backend/Dockerfile", "RUN, +1 -1",
    ),
    "a new line of a Dockerfile": Kind(
        swap("backend/Dockerfile", "RUN cp Cargo.lock", "RUN : new\nRUN cp Cargo.lock"),
        "deps 4/5", "file", "backend/Dockerfile", "RUN, +1 -0",
    ),
    "a variable in a Dockerfile": Kind(
        swap("backend/Dockerfile", "ARG GREETING", "ENV MOOD=good\nARG GREETING"),
        BUILD, "file", "backend/Dockerfile", "ENV, +1 -0",
    ),
    "the default of an argument": Kind(
        swap("ui/Dockerfile", "ARG EXPECTED_BUILD_ID=\nCOPY src src", "ARG T=1\nRUN : $T"
             "\nCOPY src src"),
        "build 1/2", "file", "ui/Dockerfile", "RUN, +2 -1", service="ui",
    ),
    "the default of an argument changed": Kind(
        swap("ui/Dockerfile", "ARG T=1", "ARG T=2"),
        "build 1/2", "file", "ui/Dockerfile", "ARG T, +1 -1", service="ui",
    ),
    "what a step copies": Kind(
        swap("backend/Dockerfile", "/core\n", "/library\n"),
        "prod 1/2", "file", "backend/Dockerfile", "COPY, +1 -1",
    ),
    "a tool": Kind(
        write("docker/tools/one", "another\n"), "base 2/2", "file", "docker/tools/one", "+1 -1"
    ),
    "an ignore file that lets in": Kind(
        swap("backend/.dockerignore", "**/*.log\n", "crates/api/*.tmp\n!crates/api/run.log\n"),
        BUILD, "file", "backend/.dockerignore", "+2 -1",
    ),
    "an ignore file that leaves out": Kind(
        swap("backend/.dockerignore", "Dockerfile\n", "Dockerfile\ncrates/core/script\n"),
        BUILD, "file", "backend/.dockerignore", "+1 -0",
    ),
    # arguments and settings
    "a build argument": Kind(
        swap("docker/docker-bake.hcl", "GREETING          = GREETING", 'GREETING = "good day"'),
        BUILD, "argument", "GREETING", "hello → good day",
    ),
    "a variable of the environment": Kind(
        swap("docker/docker-bake.hcl", 'GREETING = "good day"', "GREETING = GREETING"),
        BUILD, "argument", "GREETING", "good day → good night", env=(("GREETING", "good night"),),
    ),
    "invoke rebuild": Kind(
        nothing, BUILD, "argument", "REBUILD", "asked for by invoke rebuild", flags=("again",)
    ),
    "--no-cache": Kind(nothing, BUILD, "setting", "--no-cache", "asked for", flags=("no_cache",)),
    "a setting": Kind(
        nothing, "compiler-sccache 1/1", "setting", "build.compiler_cache", "none → sccache",
        env=(("REBAKE_BUILD_COMPILER_CACHE", "sccache"),),
    ),
    "another base image": Kind(
        nothing, "base 2/2", "setting", "base_images.rust", OTHER_BASE,
        env=(("REBAKE_BASE_IMAGES_RUST", OTHER_BASE),),
    ),
    "another digest of a base image": Kind(
        lambda why: why.image(OTHER_BASE, f"t{time.time_ns()}"),
        "base 2/2", "base-image", OTHER_BASE, " → ",
    ),
    # caches
    "a pruned cache": Kind(
        lose_the_layer_of_a_step_that_is_needed,
        BUILD, "cache-gone", "the cached layer of build 1/1", "by a prune by hand",
    ),
    # what was never built
    "another service": Kind(
        nothing, "prod 2/2", "first-build", "the first build of worker", service="worker"
    ),
    "another mode": Kind(
        nothing, "dev 1/1", "first-build", "the first build of api", flags=("dev",)
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", KINDS)
def test_each_kind_of_change_is_named(name: str, why: Why) -> None:
    kind = KINDS[name]
    why.environment |= dict(kind.env)
    kind.edit(why)
    flags = dict.fromkeys(set(kind.flags) - {"dev"}, True)
    why.build(kind.service, mode="dev" if "dev" in kind.flags else "prod", **flags)
    found = why.why(kind.service)
    told = step(found, kind.step)
    assert told.ran, found
    assert told.cause is not None
    assert (told.cause.kind, told.cause.name) == (kind.kind, kind.name), told
    assert kind.detail in told.cause.detail
    for one in found.ran:  # nothing that ran is left without a cause
        assert one.cause is not None


EDITABLE = (
    f"{CORE}/src/lib.rs",
    "backend/crates/api/src/main.rs",
    "backend/crates/api/Cargo.toml",
    "backend/Cargo.lock",
    "docker/tools/one",
    "backend/crates/worker/src/main.rs",
)


def test_random_edits_are_foretold_and_named(why: Why) -> None:
    """What would run is told before; the engine runs just that, and each cause is an edit."""
    seed = random.randrange(10**6)
    chance = random.Random(seed)
    why.build("api")
    for turn in range(2):
        edited = sorted(chance.sample(EDITABLE, chance.randint(1, 2)))
        for name in edited:
            text = why.path(name).read_text()
            why.write(name, f"{text.rstrip()}\n# {seed} {turn} {chance.random()}\n")
        foretold = why.next("api")
        why.build("api")
        told = why.why("api")
        about = f"seed {seed}, turn {turn}: {edited}"
        ran, expected = ({one.name for one in build.ran} for build in (told, foretold))
        assert ran <= expected, about
        # What is copied out of a step can be the same though the step is another one.
        assert all(name.startswith("prod ") for name in expected - ran), about
        assert [one.name for one in foretold.steps] == [one.name for one in told.steps], about
        named = {
            cause.name
            for one in told.ran
            for cause in (one.cause, *one.also)
            if cause and cause.kind == "file"
        }
        assert named == set(edited), about


def test_the_command_tells_the_same(why: Why) -> None:
    why.write("ui/src/main.ts", f"{time.time_ns()};\n")
    small = Small(why.root, why.root.parent / "state")
    foretold = small.invoke("why", "ui", "--next", "--json").ok().document["builds"][0]
    assert [one["name"] for one in foretold["steps"] if one["ran"]]
    assert small.invoke("build", "ui", "--assert-warm").returncode == 1
    told = small.invoke("why", "ui", "--json").ok().document["builds"][0]
    ran = [one for one in told["steps"] if one["ran"] and "COPY src" in one["name"]]
    assert ran[0]["cause"]["name"] == "ui/src/main.ts"
    assert "ui/src/main.ts" in small.invoke("why").ok().stdout
    warm = small.invoke("build", "ui", "--assert-warm").ok()
    assert "not fully cached" not in warm.stderr


@pytest.fixture(scope="module")
def bench() -> Bench:
    """A project that cargo compiles, built once."""
    folder = Path(os.environ.get("REBAKE_E2E_FOLDER") or FOLDER) / "crates"
    made = small_project.make(folder)
    Runner(made.one.root).build("api")
    return made


def compiled(bench: Bench) -> tuple[dict[str, str], str]:
    """Build; return the reason of each crate that cargo compiled, and what is shown of it."""
    runner = Runner(bench.one.root)
    runner.build("api")
    told = runner.why("api")
    return {crate.name: crate.reason for crate in told.crates}, "\n".join(why_words.lines([told]))


def test_crates_are_traced_to_the_file_that_changed(bench: Bench) -> None:
    bench.one.write_text(f"crates {time.time_ns()}")
    changed = "backend/crates/core/src/text.rs (+1 -1)"
    reasons, shown = compiled(bench)
    assert reasons == {"small-core": changed, "api": "small-core changed"}
    assert f"small-core: {changed} → api" in shown


def test_a_service_is_compiled_for_the_build_id_alone(bench: Bench) -> None:
    bench.one.write("crates/unused.txt", f"{time.time_ns()}\n")
    reasons, _ = compiled(bench)
    assert reasons == {"api": "the build id, which is compiled in, is another one"}


def test_crates_after_a_lost_mount_are_traced_to_it(bench: Bench) -> None:
    endpoint = Endpoint("private", bench.docker.env["DOCKER_HOST"], Path(bench.docker.program))
    start = f"{bench.one.cache_id}-target-release-"
    mounts = [r.id for r in build_cache.records(endpoint) or () if r.mount_id.startswith(start)]
    build_cache.remove(endpoint, mounts)
    bench.one.write_text(f"lost {time.time_ns()}")
    foretold = Runner(bench.one.root).next("api")
    reasons, _ = compiled(bench)
    assert set(reasons) >= {"small-core", "api"}
    for told in (reasons, {c.name: c.reason for c in foretold.crates}):
        assert all("the cache mount small-" in reason for reason in told.values()), told
    assert "is gone" in reasons["api"]
