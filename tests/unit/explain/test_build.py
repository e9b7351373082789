"""Builds explained whole: steps as the builder names them, several services, the next build."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import pytest
from msgspec.structs import replace

from rebake.build.evidence import file_facts
from rebake.explain.build import Case, bake_target, explain_build
from rebake.explain.causes import Comparison
from rebake.explain.changes import file_changes
from rebake.explain.model import Cause, ExplainedBuild
from rebake.explain.predict import Coming, explain_next, same_step
from rebake.explain.side import Side
from rebake.history.evidence import BakeTarget, Evidence
from rebake.history.records import BuildRecord, FileDigest, StepRecord, StoredBuild
from rebake.history.tracing import StepRun
from rebake.results import IN_DOUBT
from rebake.tasks import why_words
from unit.explain.sides import FILES, VARIABLES, side, swapped

ROOT = Path(__file__).parents[3]
TOOLS = {"tools": "docker/tools"}
RUST, BUN = "rust:1.97-slim-trixie", "oven/bun:1.4.5-slim"
ARGUMENTS = {
    "CACHE_ID": "app", "COMPILER_CACHE": "none", "EXPECTED_BUILD_ID": "$BACKEND_BUILD_ID",
    "REBUILD": "$REBUILD", "RUST_IMAGE": RUST, "SEED": "$SEED",
}  # fmt: skip
UI_ARGUMENTS = {"BUN_IMAGE": BUN, "CACHE_ID": "app", "EXPECTED_BUILD_ID": "$UI_BUILD_ID"}
TARGETS = {
    **{
        name: BakeTarget("backend", "Dockerfile", "prod", {**ARGUMENTS, "SERVICE": name}, TOOLS)
        for name in ("api", "worker", "web")
    },
    "ui": BakeTarget("ui", "Dockerfile", "prod", UI_ARGUMENTS, {**TOOLS, "server": "target:web"}),
}
MOUNT = "app-target-release-amd64-rust:1.97-slim-trixie"


def template(edits: Mapping[str, str] | None = None) -> Side:
    """This repository's own files, as a build would have them."""
    patterns = ("*/Dockerfile", "backend/Cargo.*", "backend/crates/**/*", "ui/src/main.tsx",
                "ui/bun.lock", "docker/tools/*")  # fmt: skip
    files = [path for pattern in patterns for path in ROOT.glob(pattern) if path.is_file()]
    texts = {path.relative_to(ROOT).as_posix(): path.read_bytes() for path in files}
    texts |= {name: text.encode() for name, text in (edits or {}).items()}
    digests = {n: FileDigest(n, hashlib.sha256(t).hexdigest(), len(t)) for n, t in texts.items()}

    def folder(top: str) -> dict[str, FileDigest]:
        below = {
            n.removeprefix(f"{top}/"): f for n, f in digests.items() if n.startswith(f"{top}/")
        }
        return {n: replace(f, path=n) for n, f in below.items() if n != "Dockerfile"}

    return Side(
        folders={"backend": folder("backend"), "ui": folder("ui")},
        recipe={n: f for n, f in digests.items() if n.startswith("docker/") or "Dockerfile" in n},
        facts={f.sha256: file_facts(n, texts[n], b"key") for n, f in digests.items()},
        evidence=Evidence({"backend.path": "backend", "ui.path": "ui"}, TARGETS, (MOUNT,)),
        variables={"SEED": "none", "CACHE_ID": "app", "BACKEND_BUILD_ID": "1", "UI_BUILD_ID": "1"},
        base_images={RUST: "sha256:1", BUN: "sha256:2"},
    )


ALL = "worker,api,ui"
STEPS = (
    ("[internal] load local bake definitions", "internal", "", ""),
    (f"[worker rust 1/2] FROM docker.io/library/{RUST}@sha256:3a", "from", "rust", ALL),
    ("[worker rust 2/2] RUN --mount=type=bind,from=tools /tools/with-host-settings x", "run",
     "rust", ALL),
    ("[worker compiler 1/1] WORKDIR /src", "meta", "compiler", ALL),
    ("[worker seed-none 1/1] WORKDIR /target", "meta", "seed-none", ALL),
    ("[worker build 1/1] RUN --mount=type=bind,target=/src,rw     /tools/build-workspace release",
     "run", "build", ALL),
    ("[worker prod 1/2] COPY --from=build /out/root /", "copy", "prod", ALL),
    ("[web prod 2/2] COPY --from=build /out/bin/web /bin/service", "copy", "prod", "ui"),
    ("[worker prod 2/2] COPY --from=build /out/bin/worker /bin/service", "copy", "prod", "worker"),
    ("[api prod 2/2] COPY --from=build /out/bin/api /bin/service", "copy", "prod", "api"),
    (f"[ui bun 1/2] FROM docker.io/{BUN}@sha256:4c", "from", "bun", "ui"),
    ("[ui bun 2/2] WORKDIR /app", "meta", "bun", "ui"),
    ("[ui build 1/1] RUN --mount=type=bind,target=/src,rw     /tools/build-ui /src /out/www", "run",
     "build", "ui"),
    ("[ui prod 1/1] COPY --from=build /out/www /srv/www", "copy", "prod", "ui"),
    ("[api] exporting to image", "export", "", "api"),
)  # fmt: skip


def case(before: Side | None, after: Side, *ran: str, crates: tuple[str, ...] = ()) -> Case:
    steps = tuple(
        StepRecord(
            f"d{n}", name, kind, stage, target, 0.0, 1.0, cached=name.split("]")[0] not in ran
        )
        for n, (name, kind, stage, target) in enumerate(STEPS)
    )
    record = BuildRecord(
        project="app", worktree="/src", mode="prod", targets=("api", "worker", "ui"),
        started_at=1.0, seconds=4.0, outcome="done", steps=steps,
    )  # fmt: skip
    after = replace(after, evidence=replace(after.evidence, crates=crates))
    return Case(StoredBuild(2, record, ""), after, before, number=1)


def causes(build: ExplainedBuild) -> dict[str, tuple[str, str]]:
    return {s.name: (s.cause.kind, s.cause.name) for s in build.steps if s.cause}


def test_each_service_has_its_own_steps_under_their_own_dockerfile() -> None:
    builds = {s: explain_build(case(None, template()), s) for s in ("api", "worker", "ui")}
    labels = {
        name: [" ".join(step.name.split(" ")[:2]) for step in build.steps]
        for name, build in builds.items()
    }
    backend = ["rust 2/2", "compiler 1/1", "seed-none 1/1", "build 1/1", "prod 1/2", "prod 2/2"]
    assert labels["api"] == labels["worker"] == backend
    assert labels["ui"] == [*backend, "bun 2/2", "build 1/1", "prod 1/1"]
    places = {step.name.split(" ")[-3]: step.place for step in builds["ui"].steps}
    assert {place.partition(":")[0] for place in places.values()} == {
        "backend/Dockerfile", "ui/Dockerfile",
    }  # fmt: skip
    assert builds["api"].cause == Cause(
        "first-build", "the first build of api", "nothing to compare with"
    )


def test_an_edit_of_one_half_is_told_in_all_services_that_it_reaches() -> None:
    path = "backend/crates/api/src/lib.rs"
    after = template({path: "// another\n"})
    ran = ("[worker build 1/1", "[api prod 2/2", "[web prod 2/2")
    one = case(template(), after, *ran, crates=("api@0.1.0", "worker@0.1.0", "web@0.1.0"))
    api, ui = explain_build(one, "api"), explain_build(one, "ui")
    for build in (api, ui):
        (compile_step,) = [s for s in build.ran if "build-workspace" in s.name]
        assert compile_step.cause is not None
        assert (compile_step.cause.kind, compile_step.cause.name) == ("file", path)
    assert [s.cause.kind for s in api.ran if s.cause] == ["file", "previous-step"]
    assert [crate.name for crate in api.crates] == ["api"]
    assert [crate.name for crate in ui.crates] == ["web"]


def test_an_edit_of_the_user_interface_is_no_cause_for_the_backend() -> None:
    one = case(template(), template({"ui/src/main.tsx": "1;\n"}), "[ui build 1/1", "[ui prod 1/1")
    ui, api = explain_build(one, "ui"), explain_build(one, "api")
    assert [kind for kind, _ in causes(ui).values()] == ["file", "previous-step"]
    assert api.ran == ()
    assert api.changes == (Cause("cache-gone", "the image of api", "the engine did not have it"),)


def test_a_build_that_baked_twice_tells_the_steps_of_both() -> None:
    path = "backend/crates/api/src/lib.rs"
    one = case(template(), template({path: "// another\n"}), "[worker build 1/1", "[api prod 2/2")
    record = one.build.record
    (compiling,) = [s for s in record.steps if s.name.startswith("[worker build 1/1")]
    failed = replace(compiling, error="exit code: 66", ended_s=0.5)
    later = [replace(s, attempt=2, cached=s.cached or "prod" not in s.name) for s in record.steps]
    later = [replace(s, cached=False) if s.place == compiling.place else s for s in later]
    layer = StepRecord(
        "l", "[deps 1/1] RUN deps", "run", "deps", "backend-deps", 9.0, 11.0, attempt=0
    )
    steps = (*(s for s in record.steps if s is not compiling), failed, *later, layer)
    both = replace(one, build=replace(one.build, record=replace(record, steps=steps)))
    build = explain_build(both, "api")
    ran = [(step.attempt, step.error) for step in build.ran if "build-workspace" in step.name]
    assert ran == [(1, "exit code: 66"), (2, "")]
    assert len({s.name for s in build.steps}) == len(
        {s.name for s in explain_build(one, "api").steps}
    )
    assert {s.cause.name for s in build.ran if s.cause and s.cause.kind == "file"} == {path}
    assert [(s.name, s.ran, s.seconds) for s in build.layer] == [("deps 1/1 deps", True, 2.0)]
    shown = "\n".join(why_words.lines([build]))
    assert "(bake 1)" in shown
    assert "failed, and was mended by another bake: exit code: 66" in shown
    assert "then the dependency layer  2.0 s" in shown


def test_a_build_in_doubt_says_so() -> None:
    one = case(template(), template())
    record = replace(one.build.record, settings={IN_DOUBT: "who knows"})
    build = explain_build(replace(one, build=replace(one.build, record=record)), "api")
    assert build.changes == (Cause("setting", IN_DOUBT, "who knows"),)
    assert build.changes[0].text == "built in doubt: who knows"


def test_a_base_image_by_the_digest_that_the_builder_told() -> None:
    before, after = template(), template()
    name = f"[rust 1/2] FROM docker.io/library/{RUST}@sha256:"
    old, new = (
        replace(one, steps=(StepRecord("d", name + digest, "from", "rust"),))
        for one, digest in ((before, "1"), (after, "2"))
    )
    build = explain_build(case(old, new, "[worker rust 2/2"), "api")
    assert causes(build) == {
        "rust 2/2 RUN /tools/with-host-settings x": ("base-image", RUST),
    }


def test_a_lost_mount_and_one_that_another_base_image_needs() -> None:
    lost = replace(template(), evidence=replace(template().evidence, mounts=()))
    one = case(template(), lost, "[worker build 1/1", crates=("api@0.1.0",))
    (crate,) = explain_build(one, "api").crates
    assert crate.reason == "the cache mount app-target-release-amd64-rust:1.97-slim-trixie is gone"
    targets = {
        name: replace(target, arguments={**target.arguments, "RUST_IMAGE": "rust:2"})
        for name, target in TARGETS.items()
    }
    other = replace(lost, evidence=replace(lost.evidence, targets=targets))
    one = case(template(), other, "[worker build 1/1", crates=("api@0.1.0",))
    (crate,) = explain_build(one, "api").crates
    assert crate.reason == f"argument RUST_IMAGE ({RUST} → rust:2)"


def test_a_target_of_no_service() -> None:
    assert [bake_target(s, "dev") for s in ("api", "ui")] == ["backend-dev", "ui-dev"]
    assert [bake_target(s, "prod") for s in ("api", "ui")] == ["api", "ui"]


# --- modes and folders ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({"*file": "0644"}, {"*file": "0644"}, []),
        (
            {"*file": "0644"}, {"*file": "0644", "Cargo.toml": "0600"},
            [Cause("file", "backend/Cargo.toml", "mode 0644 → 0600")],
        ),
        (
            {"*folder": "0755"}, {"*folder": "0755", "empty/": "0755"},
            [Cause("file", "backend/empty/", "empty, new")],
        ),
        (
            {"*folder": "0755", "empty/": "0755"}, {"*folder": "0755"},
            [Cause("file", "backend/empty/", "empty, removed")],
        ),
        (
            {"*folder": "0755"}, {"*folder": "0755", "crates/": "0700"},
            [Cause("file", "backend/crates/", "mode 0755 → 0700")],
        ),
        ({}, {"*file": "0644", "Cargo.toml": "0600"}, []),
    ],
)  # fmt: skip
def test_modes_and_empty_folders(
    old: dict[str, str], new: dict[str, str], expected: list[Cause]
) -> None:
    before, after = side(modes={"backend": old}), side(modes={"backend": new})
    assert list(file_changes(before, after, "backend")) == expected


def test_a_new_file_in_a_new_folder_is_told_once() -> None:
    after = side({**FILES, "backend/new/file": "1\n"}, modes={"backend": {"*folder": "0755"}})
    before = side(modes={"backend": {"*folder": "0755"}})
    found = list(file_changes(before, after, "backend"))
    assert [cause.name for cause in found] == ["backend/new/file"]


def test_a_folder_of_which_nothing_is_recorded_is_not_taken_for_a_lost_cache() -> None:
    known = side().evidence
    targets = {"api": replace(known.targets["api"], contexts={"tools": "elsewhere"})}
    one = side(evidence=replace(known, targets=targets))
    comparison = Comparison(one, one, "api")
    node = next(n for n in comparison.graph.nodes.values() if n.label == "rust 2/2")
    assert comparison.causes(node) == [Cause("file", "elsewhere", "its files are in no record")]


# --- the next build ---------------------------------------------------------------------------

LIB = "backend/crates/core/src/lib.rs"
RUNS = {
    "build": [
        StepRun("", 4.0, 3),
        StepRun("", 30.0, 90),
        StepRun("", 5.0, 2),
        StepRun("", 60.0, 150),
    ],
    "prod": [StepRun("", 0.5)],
}


def coming(after: Side, **rest: object) -> Coming:
    values: dict[str, object] = {
        "after": after, "before": side(), "number": 7, "current": True, "overhead_s": 1.0,
    }  # fmt: skip
    return Coming(**(values | rest))  # type: ignore[arg-type]


def foretold(one: Coming) -> ExplainedBuild:
    return explain_next(one, "api", "api", lambda node: RUNS.get(node.key.stage, []))


def test_nothing_would_run() -> None:
    assert foretold(coming(side())).skipped.startswith("nothing changed")
    doubt = foretold(coming(side(), doubt="who knows"))
    assert (doubt.ran, doubt.changes) == ((), (Cause("setting", IN_DOUBT, "who knows"),))
    gone = foretold(coming(side(), current=False))
    assert gone.ran == ()
    assert gone.changes == (Cause("cache-gone", "the image of api", "the engine does not have it"),)


def test_what_would_run_and_how_long_it_would_take() -> None:
    after = side(swapped(LIB, "two()", "three()"), variables={**VARIABLES, "BACKEND_BUILD_ID": "2"})
    found = foretold(coming(after))
    assert [(s.name, s.ran, s.seconds) for s in found.steps] == [
        ("rust 2/2 RUN /tools/packages", False, 0.0),
        ("seed-none 1/1 WORKDIR /target", False, 0.0),
        ("build 1/1 RUN compile", True, 4.5),
        ("prod 1/1 COPY /out/api /bin/service", True, 0.5),
    ]
    assert found.seconds == pytest.approx(4.5 + 0.5 + 1.0)
    assert {crate.name: crate.reason for crate in found.crates} == {
        "core": f"{LIB} (+1 -1)", "api": "core changed",
    }  # fmt: skip


def test_a_step_that_never_ran_makes_the_time_unknown() -> None:
    after = side(swapped("docker/tools/packages", "apt-get", "apk"))
    assert foretold(coming(after)).seconds is None


def test_the_first_build_would_run_everything() -> None:
    found = foretold(coming(side(), before=None, number=None))
    assert len(found.ran) == 4
    assert found.cause is not None
    assert found.cause.kind == "first-build"


def test_the_runs_of_a_step_are_told_from_those_of_another_dockerfile() -> None:
    graph = Comparison(template(), template(), "ui").graph
    backend, ui = (n for n in graph.nodes.values() if n.label == "build 1/1")
    runs = [
        StepRun(name, 1.0) for name, kind, stage, _ in STEPS if (kind, stage) == ("run", "build")
    ]
    assert [run.name.split(" ")[0] for run in same_step(ui, runs)] == ["[ui"]
    # Its line is another one here: then its place tells.
    assert same_step(backend, runs) == runs
    assert same_step(ui, [StepRun("[ui build 1/2] RUN other", 1.0)]) == []


def test_a_workspace_at_the_project_s_root() -> None:
    record = BuildRecord(
        *("p", "/w", "prod", ("api",), 0.0, 1.0, "done"),
        inputs={"backend": (FileDigest("src/lib.rs", "a" * 64, 1, "file"),)},
        evidence=Evidence(settings={"backend.path": "."}, modes={"backend": {"x": "y"}}),
    )
    side = Side.of(record)
    assert set(side.folder(".") or {}) == set(side.folder("") or {}) == {"src/lib.rs"}
    assert side.modes == {"": {"x": "y"}}
    assert [path for path, _ in side.files()] == ["src/lib.rs"]
