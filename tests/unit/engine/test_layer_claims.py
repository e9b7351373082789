"""Whose layers of the builder's cache are: never somebody else's."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from rebake.engine.build_cache import CacheRecord
from rebake.engine.layer_claims import (
    alone,
    claim,
    describes,
    mounts_of,
    note,
    renamed,
    settle,
    steps_of,
)
from rebake.history.cache_log import CacheLog, OwnedLayer, RanStep
from rebake.history.records import StepRecord

BUILD = (
    "[api build 1/1] RUN --mount=type=bind,target=/src,rw"
    "     --mount=type=cache,id=shop-1-target-release-amd64-rust:1.97,target=/target,sharing=locked"
    "     --mount=type=cache,id=shop-1-cargo,target=/cargo"
    "     /tools/build-workspace release /out api worker web"
)
BUILT = "mount / from exec /bin/sh -c /tools/build-workspace release /out ${BINARIES}"
COPY = "[api prod 2/2] COPY --from=build /out/bin/api /bin/service"
COPIED = "[prod 2/2] COPY --from=build /out/bin/api /bin/service"


def step(name: str = BUILD, start: float = 100.0, end: float = 110.0, **rest: str) -> RanStep:
    given = {"project": "shop-1", "worktree": "/w", "stage": "build", "target": "api"} | rest
    return RanStep(
        given["project"], given["worktree"], name, given["stage"], given["target"], start, end
    )


def record(
    name: str, at: float, description: str = BUILT, parents: tuple[str, ...] = ("base",)
) -> CacheRecord:
    return CacheRecord(
        name, "layer", 1000, "", in_use=False, description=description, created_at=at,
        parents=parents,
    )  # fmt: skip


def claimed(*layers: OwnedLayer) -> dict[str, str]:
    return {layer.record: layer.step.project for layer in layers}


@pytest.mark.parametrize(
    ("name", "description"),
    [
        (BUILD, BUILT),
        (COPY, COPIED),
        (COPIED, COPIED),
        ("[compiler 1/1] WORKDIR /src", "[compiler 1/1] WORKDIR /src"),
        ("[worker compiler 1/1] WORKDIR /src", "[compiler 1/1] WORKDIR /src"),
        ("[a 1/2] RUN cargo  build", "mount / from exec /bin/bash -o pipefail -c cargo build"),
        ("[a 1/2] RUN x 1 y", "mount / from exec /bin/sh -c x $N y"),
    ],
)
def test_a_description_is_of_its_step(name: str, description: str) -> None:
    assert describes(name, description)


@pytest.mark.parametrize(
    ("name", "description"),
    [
        (BUILD, "mount / from exec /bin/sh -c /tools/build-ui /src /out"),
        (BUILD, "mount / from exec /bin/sh -c /tools/build-workspace release /out"),
        (BUILD, COPIED),
        (COPY, "[prod 2/2] COPY --from=build /out/bin/worker /bin/service"),
        (COPY, "[prod 1/2] COPY --from=build /out/bin/api /bin/service"),
        (COPY, BUILT),
        ("[compiler 1/1] WORKDIR /src", "[dev 4/4] WORKDIR /src"),
        ("[internal] load build context", "local source for context"),
        (BUILD, ""),
        ("[a 1/2] RUN a.b", "mount / from exec /bin/sh -c axb"),
    ],
)
def test_a_description_is_of_no_other_step(name: str, description: str) -> None:
    assert not describes(name, description)


@pytest.mark.parametrize("at", [99.6, 100.1, 109.9, 110.0, 112.9])
def test_a_layer_that_came_while_the_step_ran_is_ours(at: float) -> None:
    assert claimed(*claim([step()], [record("a", at)])) == {"a": "shop-1"}


@pytest.mark.parametrize("at", [0.0, 90.0, 99.4, 113.1, 500.0])
def test_a_layer_of_another_time_is_not(at: float) -> None:
    assert claim([step()], [record("a", at)]) == ()


def test_a_layer_that_somebody_else_can_have_made_is_nobody_s() -> None:
    """Two builds with one Dockerfile at the same time: one record is ours, nothing tells which."""
    assert claim([step()], [record("a", 100.1), record("b", 104.0)]) == ()


def test_two_projects_of_ours_at_the_same_time_claim_nothing() -> None:
    steps = [step(), step(start=101.0, end=111.0, project="other-2")]
    assert claim(steps, [record("a", 100.1), record("b", 101.1)]) == ()
    assert claim(steps, [record("a", 101.1)]) == ()


def test_builds_one_after_another_claim_each_its_own() -> None:
    steps = [step(start=100.0 + n * 2, end=101.0 + n * 2) for n in range(4)]
    records = [record(f"r{n}", 100.1 + n * 2) for n in range(4)]
    found = claim(steps, records)
    assert [(x.record, x.step.started_at) for x in found] == [
        ("r0", 100.0), ("r1", 102.0), ("r2", 104.0), ("r3", 106.0),
    ]  # fmt: skip
    # One more than we made: somebody else's is among them.
    assert claim(steps, [*records, record("x", 103.5)]) == ()
    # One fewer: it may be the wrong ones that are left.
    assert claim(steps, records[1:]) == ()


def test_one_step_of_two_targets_is_one() -> None:
    other = BUILD.replace("[api build", "[worker build")
    steps = [step(target="api"), step(target="worker"), step(other, start=100.000001)]
    assert claimed(*claim(steps, [record("a", 100.1)])) == {"a": "shop-1"}


def test_mounts_and_contexts_are_never_claimed_as_layers() -> None:
    mount = replace(record("a", 100.1), kind="mount")
    source = replace(record("b", 100.1, "local source for context"), kind="source")
    context = record("c", 100.1, "local source for context")
    internal = step("[internal] load build context")
    assert claim([step(), internal], [mount, source, context]) == ()


def test_a_layer_that_got_another_id_stays_ours() -> None:
    known = OwnedLayer("a", step(), 1000, ("base",))
    assert claimed(*renamed([known], [record("b", 110.02)])) == {"b": "shop-1"}
    assert claimed(*renamed([known], [record("b", 100.02)])) == {"b": "shop-1"}


@pytest.mark.parametrize(
    "other",
    [
        record("b", 105.0),
        record("b", 110.02, parents=("another",)),
        record("b", 110.02, COPIED),
        replace(record("b", 110.02), bytes=2001),
        replace(record("b", 110.02), bytes=400),
    ],
)
def test_a_layer_that_is_not_the_same_is_not_taken_for_a_renamed_one(other: CacheRecord) -> None:
    assert renamed([OwnedLayer("a", step(), 1000, ("base",))], [other]) == ()


def test_a_record_that_two_lost_layers_could_be_is_neither() -> None:
    lost = [
        OwnedLayer("a", step(), 1000, ("base",)),
        OwnedLayer("b", step(start=101.0, end=111.0, project="other-2"), 1000, ("base",)),
    ]
    assert renamed(lost, [record("c", 110.5)]) == ()


def test_only_layers_on_which_nobody_else_stands_are_alone_ours() -> None:
    owned = {name: OwnedLayer(name, step()) for name in ("tools", "work", "deps", "gone")}
    owned["theirs"] = OwnedLayer("theirs", step(project="other-2"))
    records = [
        record("base", 1.0, "", ()),
        record("tools", 2.0, parents=("base",)),
        record("work", 3.0, parents=("tools",)),
        record("deps", 4.0, parents=("work",)),
        record("theirs", 5.0, parents=("tools",)),
    ]
    assert set(alone(owned, "shop-1", records)) == {"work", "deps"}
    unknown = [*records, record("unknown", 6.0, parents=("work",))]
    assert set(alone(owned, "shop-1", unknown)) == {"deps"}


def progress(**changes: object) -> StepRecord:
    fields: dict[str, object] = {
        "digest": "sha256:1", "name": BUILD, "kind": "run", "stage": "build", "target": "api",
        "started_s": 1.0, "ended_s": 9.0,
    }  # fmt: skip
    return StepRecord(**(fields | changes))  # type: ignore[arg-type]


def test_only_steps_that_really_ran_are_noted() -> None:
    steps = [
        progress(),
        progress(cached=True),
        progress(error="exit code: 1"),
        progress(started_s=None),
        progress(ended_s=None),
        progress(started_s=0.0, ended_s=0.0),  # another build's
        progress(kind="export"),
        progress(kind="internal", name="[internal] load build context"),
    ]
    (found,) = steps_of("shop-1", "/w", steps, 1000.0)
    assert found == step(BUILD, 1001.0, 1009.0)
    assert steps_of("shop-1", "/w", steps, None) == ()


def test_the_cache_mounts_of_steps_with_the_longest_time() -> None:
    steps = [step(), step(start=200.0, end=230.0), step(COPY, 1.0, 2.0)]
    assert mounts_of(steps) == {
        "shop-1-target-release-amd64-rust:1.97": 30.0,
        "shop-1-cargo": 30.0,
    }


def test_from_a_build_to_its_layers_and_back_again(tmp_path: Path) -> None:
    file, now = tmp_path / "caches.sqlite3", time.time()
    note(file, "unix:///e", ("shop-1", "/w"), [progress()], now)
    with CacheLog(file, "unix:///e") as log:
        mine, foreign = record("mine", now + 1.2), record("foreign", now + 200.0)
        assert set(settle(log, [mine, foreign])) == {"mine"}
        assert log.steps() == ()  # looked for
        assert set(settle(log, [mine, foreign])) == {"mine"}
        # Hidden for a moment, under another id, and back again.
        assert set(settle(log, [foreign])) == set()
        other = record("other-id", now + 9.05)
        assert set(settle(log, [other, foreign])) == {"other-id"}
        assert set(settle(log, [mine, foreign])) == {"mine"}
    with CacheLog(file, "unix:///another-engine") as log:
        assert settle(log, [mine]) == {}


def test_steps_that_ran_elsewhere_claim_nothing(tmp_path: Path) -> None:
    file, now = tmp_path / "caches.sqlite3", time.time()
    note(file, "unix:///e", ("shop-1", "/w"), [progress()], now)
    with CacheLog(file, "unix:///another-engine") as log:
        assert settle(log, [record("mine", now + 1.2)]) == {}


def test_a_layer_that_is_gone_for_a_month_is_forgotten(tmp_path: Path) -> None:
    file = tmp_path / "caches.sqlite3"
    old = OwnedLayer("old", step(), 1000, ("base",))
    with CacheLog(file, "unix:///e") as log:
        log.settle([old], [])
        assert settle(log, [record("old", 100.1)]) == {"old": old}  # as long as it is there
        settle(log, [])
        assert log.layers() == ()
