"""Causes of steps: each kind of change, and random ones against a model of the builder's cache."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from rebake.explain.causes import Comparison
from rebake.explain.graph import Key, Node, graph_of
from rebake.explain.model import Cause
from rebake.explain.side import Side
from rebake.history.evidence import Evidence, Removal
from unit.explain.sides import FILES, SETTINGS, VARIABLES, side, swapped, with_text, without

DOCKERFILE = "backend/Dockerfile"


def causes(after: Side, label: str, *, before: Side | None = None, target: str = "api"):
    comparison = Comparison(before or side(), after, target)
    (node,) = [n for n in comparison.graph.nodes.values() if n.label == label]
    return comparison.causes(node)


def evidence(settings: dict[str, str], **rest: object) -> Evidence:
    return replace(side().evidence, settings={**SETTINGS, **settings}, **rest)


def with_arguments(**arguments: str) -> Evidence:
    known = side().evidence
    targets = {
        name: replace(target, arguments={**target.arguments, **arguments})
        for name, target in known.targets.items()
    }
    return replace(known, targets=targets)


BUILD, PACKAGES, DEPS = "build 1/1", "rust 2/2", "deps 1/2"
LIB = "backend/crates/core/src/lib.rs"
CASES = {
    "a file with other lines": (
        BUILD, side(swapped(LIB, "two()", "three()")), Cause("file", LIB, "+1 -1"),
    ),
    "a file that is new": (
        BUILD, side(with_text("backend/new.rs", "1\n2\n")),
        Cause("file", "backend/new.rs", "new, 2 lines"),
    ),
    "a file that is gone": (BUILD, side(without(LIB)), Cause("file", LIB, "removed")),
    "other line ends": (
        BUILD, side(swapped(LIB, "\n", "\r\n")), Cause("file", LIB, "line ends only"),
    ),
    "a lock entry": (
        DEPS, side(swapped("backend/Cargo.lock", "1.0.18", "1.0.19")),
        Cause("lock-entry", "itoa 1.0.18 → 1.0.19", "backend/Cargo.lock"),
    ),
    "a lock file in which no version is another one": (
        DEPS, side(swapped("backend/Cargo.lock", "version = 4", "version = 5")),
        Cause("file", "backend/Cargo.lock", "+1 -1"),
    ),
    "a line of the Dockerfile": (
        "deps 2/2", side(swapped(DOCKERFILE, "compile dependencies", "compile all")),
        Cause("file", DOCKERFILE, "line 9: RUN, +1 -1"),
    ),
    "white space that the shell sees": (
        "deps 2/2", side(swapped(DOCKERFILE, "compile dependencies", "compile  dependencies")),
        Cause("file", DOCKERFILE, "line 9: RUN, +1 -1"),
    ),
    "a variable of the Dockerfile": (
        PACKAGES, side(swapped(DOCKERFILE, "HOME=/home", "HOME=/root")),
        Cause("file", DOCKERFILE, "line 4: ENV, +1 -1"),
    ),
    "a variable that is gone": (
        PACKAGES, side(swapped(DOCKERFILE, "ENV HOME=/home\n", "")),
        Cause("file", DOCKERFILE, "ENV removed, +0 -1"),
    ),
    "a tool": (
        PACKAGES, side(swapped("docker/tools/packages", "apt-get", "apk")),
        Cause("file", "docker/tools/packages", "+1 -1"),
    ),
    "an argument": (
        BUILD, side(evidence=with_arguments(GREETING="bye")),
        Cause("argument", "GREETING", "hello → bye"),
    ),
    "an argument that was asked for": (
        BUILD, side(variables={**VARIABLES, "REBUILD": "1"}),
        Cause("argument", "REBUILD", "asked for by invoke rebuild"),
    ),
    "an argument that is used by a copy": (
        "prod 1/1", side(evidence=with_arguments(SERVICE="worker")),
        Cause("argument", "SERVICE", "api → worker"),
    ),
    "a base image's digest": (
        PACKAGES, side(base_images={"rust:1": "sha256:" + "2" * 64}),
        Cause("base-image", "rust:1", "111111111111 → 222222222222"),
    ),
    "a base image by its setting": (
        PACKAGES,
        side(
            evidence=replace(
                with_arguments(RUST_IMAGE="rust:2"),
                settings={**SETTINGS, "base_images.rust": "rust:2"},
            )
        ),
        Cause("setting", "base_images.rust", "rust:1 → rust:2"),
    ),
    "a base image by the bake file": (
        PACKAGES, side(evidence=with_arguments(RUST_IMAGE="rust:2")),
        Cause("argument", "RUST_IMAGE", "rust:1 → rust:2"),
    ),
    "no cache at all": (
        PACKAGES, side(evidence=evidence({"flags": "--no-cache"})),
        Cause("setting", "--no-cache", "asked for"),
    ),
    "another engine": (
        PACKAGES, side(evidence=evidence({"engine.address": "unix://b"})),
        Cause("setting", "engine.address", "unix://a → unix://b"),
    ),
    "nothing": (
        BUILD, side(),
        Cause(
            "cache-gone", "the cached layer of build 1/1",
            "by a prune by hand or by the engine's garbage collection",
        ),
    ),
    "the build id alone": (
        BUILD, side(variables={**VARIABLES, "BACKEND_BUILD_ID": "two"}),
        Cause(
            "cache-gone", "the cached layer of build 1/1",
            "by a prune by hand or by the engine's garbage collection",
        ),
    ),
    "the step before": (
        "prod 1/1", side(swapped(LIB, "two()", "three()")),
        Cause("previous-step", "build 1/1", f"{LIB} (+1 -1)"),
    ),
    "a lost mount": (
        BUILD, side(variables={**VARIABLES, "SEED": "deps"}),
        Cause(
            "cache-gone", "the cache mount shop-target-release-amd64-rust",
            "filled from the dependency layer"
        ),
    ),
    "a step that only a lost mount needs": (
        DEPS, side(variables={**VARIABLES, "SEED": "deps"}),
        Cause(
            "cache-gone", "the cache mount shop-target-release-amd64-rust",
            "filled from the dependency layer"
        ),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_each_change_is_named(name: str) -> None:
    label, after, expected = CASES[name]
    before = None
    if label == DEPS and "lost mount" not in name:  # this stage takes part in such builds only
        seeded = {**VARIABLES, "SEED": "deps"}
        after, before = replace(after, variables=seeded), side(variables=seeded)
    if label == "deps 2/2":
        seeded = {**VARIABLES, "SEED": "deps"}
        after, before = replace(after, variables=seeded), side(variables=seeded)
    assert causes(after, label, before=before)[0] == expected


def test_what_rebake_removed_is_told_with_the_command() -> None:
    comparison = Comparison(
        side(), side(), "api", (Removal(1.0, "invoke refresh-cache clean build", ("layers",)),)
    )
    node = next(n for n in comparison.graph.nodes.values() if n.label == BUILD)
    (cause,) = comparison.causes(node)
    assert cause.detail == "removed by invoke refresh-cache clean build"


def test_an_ignore_file_is_named_for_what_it_lets_in_and_leaves_out() -> None:
    ignore = "backend/.dockerignore"
    hidden = with_text("backend/note.tmp", "note\n")
    hiding = {**FILES, ignore: FILES[ignore] + "*.tmp\n"}
    told = Cause("file", ignore, "+0 -1"), Cause("file", ignore, "+1 -0")
    # sides.side knows of no ignore file: what is let in is in the list, what is not is not.
    assert causes(side(hidden), BUILD, before=side(hiding)) == [told[0]]
    assert causes(side(hiding), BUILD, before=side(hidden)) == [told[1]]


def test_further_causes_are_told_too() -> None:
    both = {**swapped(LIB, "two()", "three()"), "backend/new.rs": "1\n"}
    after = replace(side(both), evidence=with_arguments(GREETING="bye"))
    found = causes(after, BUILD)
    assert [cause.name for cause in found] == ["GREETING", LIB, "backend/new.rs"]


def test_of_several_steps_before_those_are_named_that_ran() -> None:
    changed = {**swapped(LIB, "two()", "three()"), "docker/tools/packages": "apk\n"}
    after = side(changed)
    comparison = Comparison(side(), after, "api")
    nodes = {node.label: node for node in comparison.graph.nodes.values()}
    build = nodes["build 1/1"]
    assert {c.name for c in comparison.causes(build)} == {LIB, "rust 2/2", "seed-none 1/1"}
    ran = {nodes["rust 2/2"].key}
    assert {c.name for c in comparison.causes(build, ran)} == {LIB, "rust 2/2"}


def test_a_lost_mount_is_no_cause_for_what_does_not_need_it() -> None:
    after = side(variables={**VARIABLES, "SEED": "deps"})
    (cause,) = causes(after, PACKAGES)
    assert (cause.kind, cause.name) == ("cache-gone", "the cached layer of rust 2/2")
    (back,) = causes(side(), BUILD, before=after)
    assert (back.kind, back.name, back.detail) == ("argument", "SEED", "deps → none")


def test_a_comment_or_a_label_runs_no_step_and_is_told_all_the_same() -> None:
    for text in ("# a comment\n", "LABEL a=b\n"):
        after = side(with_text(DOCKERFILE, FILES[DOCKERFILE] + text))
        comparison = Comparison(side(), after, "api")
        assert not any(comparison.changed(key) for key in comparison.graph.nodes)
        assert comparison.everything() == [Cause("file", DOCKERFILE, "+1 -0")]


def test_the_graph_holds_what_takes_part_and_nothing_else() -> None:
    graph = graph_of(side(), "api")
    assert [node.label for node in graph.nodes.values()] == [
        "rust 2/2", "seed-none 1/1", "build 1/1", "prod 1/1",
    ]  # fmt: skip
    build = graph.nodes[Key("api", "build", 0)]
    assert build.parents == (Key("api", "rust", 0), Key("api", "seed-none", 0))
    assert build.place == "backend/Dockerfile:20"
    assert build.arguments["EXPECTED_BUILD_ID"] == "one"
    assert build.mounts == ("shop-target-release--rust",)
    assert graph_of(side(), "unknown").nodes == {}


# --- random edits ----------------------------------------------------------------------------

EDITS = {
    LIB: lambda text, n: f"{text}// {n}\n",
    "backend/crates/api/src/main.rs": lambda text, n: f"// {n}\n{text}",
    "backend/Cargo.lock": lambda text, n: text.replace("1.0.18", f"1.1.{n}"),
    "backend/Cargo.toml": lambda text, n: f"{text}# {n}\n",
    "docker/tools/packages": lambda text, n: f"{text}{n}\n",
    DOCKERFILE: lambda text, n: text.replace("compile\n", f"compile {n}\n"),
    "docker/bake.hcl": lambda text, n: f"{text}# {n}\n",
}
CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "files": st.dictionaries(st.sampled_from(sorted(EDITS)), st.integers(0, 99), max_size=4),
        "seed": st.sampled_from(["none", "deps"]),
        "greeting": st.sampled_from(["hello", "bye"]),
        "image": st.sampled_from(["1", "2"]),
    },
)


def changed_side(change: dict[str, object], seed: str) -> Side:
    files = dict(FILES)
    for path, number in change.get("files", {}).items():  # type: ignore[attr-defined]
        files[path] = EDITS[path](files[path], number)
    arguments = with_arguments(GREETING=str(change.get("greeting", "hello")))
    return side(
        files,
        evidence=arguments,
        variables={**VARIABLES, "SEED": seed},
        base_images={"rust:1": "sha256:" + str(change.get("image", "1")) * 64},
    )


def cache_key(one: Side, node: Node, nodes: dict[Key, Node]) -> str:
    """What the builder knows a step by: everything that it is made from."""
    total = hashlib.sha256(node.words.encode())
    for _, text in node.environment:
        total.update(text.encode())
    if node.instruction.word == "RUN":
        known = {k: v for k, v in node.arguments.items() if k != "EXPECTED_BUILD_ID"}
        total.update(repr(sorted(known.items())).encode())
    for ref in node.images:
        total.update(one.base_images[ref].encode())
    for read in node.folders:
        for path, file in sorted((one.folder(read.folder) or {}).items()):
            if not read.paths or path in read.paths:
                total.update(f"{path} {file.sha256} {file.kind}".encode())
    for parent in node.parents:
        total.update(cache_key(one, nodes[parent], nodes).encode())
    return total.hexdigest()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(CHANGES, CHANGES)
def test_random_edits_are_named_and_nothing_else_is(
    first: dict[str, object], second: dict[str, object]
) -> None:
    seed = str(second.get("seed", "none"))
    before, after = changed_side(first, seed), changed_side(second, seed)
    comparison = Comparison(before, after, "api")
    nodes = dict(comparison.graph.nodes)
    old = dict(graph_of(before, "api").nodes)
    edits = {path for path, file in after.files() if dict(before.files()).get(path) != file}
    for key, node in nodes.items():
        same = key in old and cache_key(before, old[key], old) == cache_key(after, node, nodes)
        assert comparison.changed(key) == (not same), node.label
        if same:
            continue
        for cause in comparison.causes(node):
            match cause.kind:
                case "file":
                    assert cause.name in edits
                case "lock-entry":
                    assert cause.detail in edits
                case "argument":
                    assert first.get("greeting", "hello") != second.get("greeting", "hello")
                case "base-image":
                    assert before.base_images != after.base_images
                case kind:
                    assert kind == "previous-step", cause
    # Every edit of a file that a step reads is the cause of some step.
    told = {c.name for n in nodes.values() for c in comparison.direct(n)}
    told |= {c.detail for n in nodes.values() for c in comparison.direct(n)}
    assert edits - {"docker/bake.hcl"} <= told
