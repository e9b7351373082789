"""Which images a build leaves as they are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from rebake.build import skip
from rebake.build.parts import Around, Left, Parts, as_promised, binaries_of
from rebake.build.plan import RECIPE, BuildPlan, Half, PlannedImage, RemoteCache, Scope
from rebake.history.records import BuildRecord, FileDigest, ImageRecord, StoredBuild

API = PlannedImage("api", "api", "shop-api:prod", "backend", ("backend",))
WORKER = PlannedImage("worker", "worker", "shop-worker:prod", "backend", ("backend",))
UI = PlannedImage("ui", "ui", "shop-ui:prod", "ui", ("ui", "backend"))
HOLDS = {"api": frozenset({"api"}), "worker": frozenset({"worker"}), "ui": frozenset({"web"})}
TOLD = {"api": "1:10:1.000000000", "worker": "2:10:1.000000000", "web": "3:10:1.000000000"}
SCOPES = {
    "api": Scope(("crates/web", "crates/worker")),
    "worker": Scope(("crates/api", "crates/web")),
    "web": Scope(("crates/api", "crates/worker")),
}
FILES = (
    *("Cargo.lock", "crates/api/a.rs", "crates/core/c.rs"),
    *("crates/web/x.rs", "crates/worker/w.rs"),
)


class World:
    """A project, and a history with one build of all its images."""

    def __init__(self) -> None:
        root = Path("/w")
        folders: dict[Half, Path] = {"backend": root / "backend", "ui": root / "ui"}
        self.plan = BuildPlan("prod", root, root / "bake", (API, WORKER, UI), folders, {})
        self.plan = self.plan.expecting({}, {}, SCOPES)
        self.texts = dict.fromkeys(FILES, "1") | {"ui/main.ts": "1"}
        self.surroundings = {"engine": "e"}
        self.told = dict(TOLD)
        parts = self.parts()
        settings = parts.settings(HOLDS, dict.fromkeys(HOLDS, TOLD)) | skip.settings_of(self.keys)
        images = tuple(
            ImageRecord(i.service, i.ref, f"sha256:{i.service}", 1, "id") for i in self.plan.images
        )
        record = BuildRecord(
            "shop", "/w", "prod", ("api",), 0.0, 1.0, "done", settings=settings, images=images
        )
        self.last = StoredBuild(1, record, "")
        self.present = {i.ref: frozenset({f"sha256:{i.service}"}) for i in self.plan.images}

    def parts(self) -> Parts:
        def files(inside: Callable[[str], bool]) -> list[FileDigest]:
            return [FileDigest(p, t, 1, "file") for p, t in self.texts.items() if inside(p)]

        inputs = {
            RECIPE: files(lambda p: p == "Dockerfile"),
            "backend": files(lambda p: p.startswith(("Cargo", "crates"))),
            "ui": files(lambda p: p.startswith("ui")),
        }
        digests = {name: repr(some) for name, some in inputs.items()}
        modes = {"backend": {"*file": "644"}, "ui": {"*file": "644"}}
        around = Around(digests, modes, {"rust:1": "a"}, self.surroundings)
        self.keys = skip.keys_of(self.plan, digests, modes, {"rust:1": "a"}, self.surroundings)
        return Parts(self.plan, inputs, around, self.keys)

    def left(self) -> dict[str, Left]:
        return self.parts().left(dict.fromkeys(("api", "worker", "ui"), self.last), self.present)


@pytest.fixture
def world() -> World:
    return World()


def test_an_edit_of_one_service_leaves_the_others_under_a_promise(world: World) -> None:
    world.texts["crates/api/a.rs"] = "2"
    left = world.left()
    assert {s: dict(one.binaries) for s, one in left.items()} == {
        "worker": {"worker": TOLD["worker"]},
        "ui": {"web": TOLD["web"]},
    }
    assert as_promised(left, TOLD)
    assert not as_promised(left, {**TOLD, "web": "4:10:2.000000000"})
    assert not as_promised(left, {})  # the step did not run
    assert world.parts().without(left).targets == ("api",)


def test_an_edit_of_the_ui_leaves_what_nothing_reached(world: World) -> None:
    world.texts["ui/main.ts"] = "2"
    left = world.left()
    assert {s: dict(one.binaries) for s, one in left.items()} == {"api": {}, "worker": {}}
    assert as_promised(left, {})


def test_an_edit_of_what_all_need_leaves_none(world: World) -> None:
    for name in ("crates/core/c.rs", "Cargo.lock", "crates/new/n.rs", "Dockerfile"):
        world.texts[name] = "2"
        assert world.left() == {}
        world.texts[name] = "1"
    world.surroundings = {"engine": "another"}
    assert world.left() == {}


def test_an_edit_that_reaches_no_image_is_built(world: World) -> None:
    """Nobody would tell whether the promises hold."""
    world.plan = replace(world.plan, images=(WORKER, UI))
    world.texts["crates/api/a.rs"] = "2"
    assert world.left() == {}


def test_what_the_engine_does_not_have_is_built(world: World) -> None:
    world.texts["crates/api/a.rs"] = "2"
    world.present[WORKER.ref] = frozenset({"sha256:other"})
    assert set(world.left()) == {"ui"}


@pytest.mark.parametrize(
    "change",
    [
        lambda plan: replace(plan, forced=True),
        lambda plan: replace(plan, no_cache=True),
        lambda plan: replace(plan, provenance=True),
        lambda plan: replace(plan, mode="dev"),
        lambda plan: replace(plan, remote=RemoteCache("localhost/x")),
    ],
)
def test_builds_that_make_everything(
    world: World, change: Callable[[BuildPlan], BuildPlan]
) -> None:
    world.texts["ui/main.ts"] = "2"
    world.plan = change(world.plan)
    assert world.left() == {}


def built(world: World, told: dict[str, str]) -> dict[str, str]:
    """An edit of the api is built whole, and recorded; what the record tells of linking."""
    world.texts["crates/api/a.rs"] += "+"
    parts, lasts = world.parts(), dict.fromkeys(HOLDS, world.last)
    again = parts.linked_again(lasts, told)
    settings = parts.settings(HOLDS, dict.fromkeys(HOLDS, told)) | skip.settings_of(world.keys)
    world.last = replace(world.last, record=replace(world.last.record, settings=settings | again))
    return again


def test_nothing_is_promised_for_what_is_linked_at_every_edit(world: World) -> None:
    moved = {**TOLD, "api": "5:1:1", "web": "6:1:1"}
    assert built(world, moved) == {"linked without a change: ui": "yes"}
    world.texts["crates/api/a.rs"] = "2"
    assert set(world.left()) == {"worker"}
    assert built(world, {}) == {"linked without a change: ui": "yes"}  # the step was cached


def test_it_is_promised_again_once_a_build_sees_otherwise(world: World) -> None:
    moved = {**TOLD, "web": "6:1:1"}
    assert built(world, moved) == {"linked without a change: ui": "yes"}
    assert built(world, moved) == {}
    world.texts["crates/api/a.rs"] = "2"
    assert set(world.left()) == {"worker", "ui"}


def test_a_build_of_everything_says_nothing_of_what_is_linked_again(world: World) -> None:
    world.plan = replace(world.plan, forced=True)
    assert built(world, dict.fromkeys(TOLD, "7:1:1")) == {}


def test_what_is_not_known_is_not_recorded(world: World) -> None:
    parts = world.parts()
    assert parts.settings(dict.fromkeys(HOLDS, None), dict.fromkeys(HOLDS, TOLD)) == {}
    assert parts.settings(HOLDS, {}) == {}
    some = parts.settings(HOLDS, {name: {"api": TOLD["api"]} for name in HOLDS})
    assert sorted(some) == ["binaries of: api", "part of: api"]
    whole = replace(world.plan, scopes={})  # binaries that need all there is
    world.plan = whole
    assert world.parts().settings(HOLDS, dict.fromkeys(HOLDS, TOLD)) == {}


@pytest.mark.parametrize("text", ["", "{", "[1]", "7"])
def test_a_setting_that_is_none(world: World, text: str) -> None:
    """Written by another version, or by hand."""
    record = replace(world.last.record, settings={"binaries of: api": text})
    assert binaries_of("api", replace(world.last, record=record)) == {}
    assert binaries_of("api", None) == {}
