"""From what the engine has, of everybody, to the named caches of one project."""

from __future__ import annotations

from msgspec.structs import replace

from rebake.cache.assemble import (
    Past,
    image_caches,
    layer_caches,
    mount_caches,
    own_images,
    own_volumes,
    volume_caches,
)
from rebake.cache.inventory import NamedCache
from rebake.cache.owner import Gone, Owner
from rebake.engine.build_cache import CacheRecord
from rebake.engine.stock import StoredContainer, StoredImage, StoredVolume
from rebake.history.cache_log import OwnedLayer, RanStep
from rebake.history.image_use import ImageUse, LastBuild
from rebake.history.records import LayerRecord

RUST = "rust:1.97"
OWNER = Owner(
    cache_id="shop-1",
    worktree="/w",
    stacks={"prod": "shop-w", "dev": "shop-w-dev"},
    gone=(Gone("/old", "shop-old"),),
    rust=RUST,
    manager="bun",
    packages="0123456789ab",
    refs=frozenset({"shop-w-api:prod", "shop-w-ui:prod", "shop-w-dev-backend:dev"}),
)


def mount(name: str, size: int = 5, at: float = 100.0, *, in_use: bool = False) -> CacheRecord:
    return CacheRecord(f"r-{name}", "mount", size, "", in_use, "", name, created_at=at)


def layer(name: str, at: float, *parents: str, used: str = "") -> CacheRecord:
    return CacheRecord(name, "layer", 10, used, False, "x", created_at=at, parents=parents)


def owned(name: str, at: float, step: str, stage: str, worktree: str = "/w") -> OwnedLayer:
    return OwnedLayer(name, RanStep("shop-1", worktree, step, stage, "api", at, at + 3))


def names(caches: list[NamedCache]) -> list[str]:
    return [cache.name for cache in caches]


def test_mounts_have_their_size_and_what_it_took_to_fill_them() -> None:
    target = f"shop-1-target-release-amd64-{RUST}"
    records = [
        mount("shop-1-cargo", 7),
        mount(target, 90, in_use=True),
        mount("shop-1-target-release-amd64-rust:1.9", 80),
        mount("shop-2-cargo", 1000),
        mount("shop-1-bun", 3, at=500.0),
        layer("x", 1.0),
    ]
    fills = {target: (200.0, 115.0), "shop-1-cargo": (200.0, 115.0), "shop-1-bun": (400.0, 9.0)}
    caches = {cache.name: cache for cache in mount_caches(OWNER, records, fills)}
    assert list(caches) == [
        "target release", "target release (rust:1.9)", "cargo registry", "bun store",
    ]  # fmt: skip
    assert caches["target release"].cost_s == 115.0
    assert caches["target release"].in_use
    assert not caches["target release (rust:1.9)"].needed
    assert caches["cargo registry"].cost_s is None  # downloaded, not compiled
    assert caches["bun store"].cost_s is None  # made anew since


def test_two_architectures_are_one_cache() -> None:
    records = [mount(f"shop-1-target-release-{arch}-{RUST}") for arch in ("amd64", "arm64")]
    (cache,) = mount_caches(OWNER, records, {records[0].mount_id: (200.0, 4.0)})
    assert (cache.bytes, len(cache.pieces), cache.cost_s) == (10, 2, 4.0)


RUN = "[api build 1/1] RUN /tools/build-workspace"
DEPS = "[api deps 1/1] RUN /tools/compile-dependencies"
COPY = "[api prod 1/1] COPY --from=build /out /"


def test_the_newest_layer_of_each_step_is_needed_and_what_it_stands_on() -> None:
    ours = [
        owned("tools", 10.0, "[api rust 1/1] RUN install", "rust"),
        owned("deps-1", 20.0, DEPS, "deps"),
        owned("build-1", 30.0, RUN, "build"),
        owned("copy-1", 34.0, COPY, "prod"),
        owned("deps-2", 50.0, DEPS + " --new-words", "deps"),
        owned("build-2", 60.0, RUN, "build"),
        owned("copy-2", 64.0, COPY, "prod"),
    ]
    records = [
        layer("tools", 10.0, "base"),
        layer("deps-1", 20.0, "tools"),
        layer("build-1", 30.0, "tools"),
        layer("copy-1", 34.0),
        layer("deps-2", 50.0, "tools"),
        layer("build-2", 60.0, "tools"),
        layer("copy-2", 64.0),
        layer("base", 1.0),
        layer("foreign", 2.0, "base"),
    ]
    caches = layer_caches(OWNER, Past(), records, {x.record: x for x in ours})
    needed = {p.id for cache in caches for p in cache.pieces if p.needed}
    assert needed == {"tools", "deps-2", "build-2", "copy-2"}
    dependencies, build = caches
    assert (dependencies.name, dependencies.bytes, dependencies.cost_s) == (
        "dependency layers", 20, 3.0,
    )  # fmt: skip
    assert (build.name, build.bytes) == ("build layers", 50)
    assert {p.id: p.parents for p in build.pieces}["build-1"] == ("tools",)


def test_what_the_last_build_used_is_needed_though_it_is_not_the_newest() -> None:
    ours = [owned("one", 10.0, RUN, "build"), owned("two", 20.0, RUN, "build")]
    used = "1970-01-01T00:16:40Z"  # second 1000
    records = [layer("one", 10.0, used=used), layer("two", 20.0)]
    past = Past(builds=(LastBuild("/w", "prod", 990.0), LastBuild("/other", "prod", 2000.0)))
    (cache,) = layer_caches(OWNER, past, records, {x.record: x for x in ours})
    assert {p.id for p in cache.pieces if p.needed} == {"one", "two"}
    past = Past(builds=(LastBuild("/w", "prod", 1010.0),))
    (cache,) = layer_caches(OWNER, past, records, {x.record: x for x in ours})
    assert {p.id for p in cache.pieces if p.needed} == {"two"}


def test_each_worktree_needs_its_own_layers_and_one_that_is_gone_needs_none() -> None:
    ours = [
        owned("mine", 10.0, RUN, "build"),
        owned("sibling", 20.0, RUN, "build", "/sibling"),
        owned("old", 30.0, RUN, "build", "/old"),
    ]
    records = [layer(x.record, x.step.started_at) for x in ours]
    (cache,) = layer_caches(OWNER, Past(), records, {x.record: x for x in ours})
    assert {p.id for p in cache.pieces if p.needed} == {"mine", "sibling"}


def test_layers_of_other_projects_are_not_told() -> None:
    other = OwnedLayer("x", RanStep("other-2", "/o", RUN, "build", "api", 1.0, 2.0))
    assert layer_caches(OWNER, Past(), [layer("x", 1.0)], {"x": other}) == []


def image(name: str, *tags: str, digest: str = "") -> StoredImage:
    return StoredImage(name, tags, frozenset({name, digest or name}), 50.0)


def use(ref: str, worktree: str = "/w", *digests: str) -> ImageUse:
    return ImageUse(ref, "api", "prod", worktree, frozenset(digests), 70.0, 1.5)


def test_ours_are_the_planned_names_and_those_of_worktrees_that_are_gone() -> None:
    past = Past(
        images=(
            use("shop-w-worker:prod", "/w", "sha256:untagged"),
            use("shop-old-api:prod", "/old"),
            use("shop-live-api:prod", "/live"),
        )
    )
    images = [
        image("a", "shop-w-api:prod"),
        image("b", "shop-w-worker:prod", "somebody:else"),
        image("c", "shop-old-api:prod"),
        image("d", "shop-live-api:prod"),
        image("e", "shop-w-api-extra:prod"),
        image("f", "shop-w-api:mine"),
        image("g", digest="sha256:untagged"),
        image("h"),
        image("i", "rust:1.97"),
    ]
    assert own_images(OWNER, past, images) == {
        "a": ("shop-w-api:prod",),
        "b": ("shop-w-worker:prod",),
        "c": ("shop-old-api:prod",),
        "g": ("g",),
    }


def layers(*digests: str) -> tuple[LayerRecord, ...]:
    return tuple(LayerRecord(digest, 100) for digest in digests)


def test_a_layer_counts_once_and_not_at_all_where_others_have_it_too() -> None:
    api, ui = image("a", "shop-w-api:prod"), image("b", "shop-w-ui:prod")
    caches = image_caches(
        OWNER,
        Past(images=(use("shop-w-api:prod"),)),
        [(api, api.tags), (ui, ui.tags)],
        layers={"a": layers("base", "root", "api"), "b": layers("base", "root", "ui")},
        shared=frozenset({("base",), ("base", "x"), ("root",)}),
        containers=[],
    )
    assert [(c.name, c.bytes, c.cost_s, c.used_at) for c in caches] == [
        ("api image (prod)", 200, 1.5, 70.0),
        ("ui image (prod)", 100, None, 50.0),
    ]
    assert all(cache.needed for cache in caches)


def test_layers_that_can_not_be_told_apart_are_counted_as_nothing() -> None:
    api = image("a", "shop-w-api:prod")
    for found in ((), layers("", "")):
        (cache,) = image_caches(
            OWNER, Past(), [(api, api.tags)],
            layers={"a": found}, shared=frozenset(), containers=[],
        )  # fmt: skip
        assert cache.bytes == 0


def container(
    image_id: str = "", project: str = "", volume: str = "", *, running: bool = False
) -> StoredContainer:
    volumes = (volume,) if volume else ()
    return StoredContainer("c", "name", project, running, image_id, "", volumes, 60.0)


def test_an_image_is_in_use_when_a_container_runs_or_is_somebody_else_s() -> None:
    api = image("a", "shop-w-api:prod")
    for one, busy in (
        (container("a", "shop-w", running=True), True),
        (container("a", "shop-w"), False),
        (container("a", "shop-old-dev"), False),
        (container("a", ""), True),
        (container("a", "other"), True),
        (container("b", "", running=True), False),
    ):
        (cache,) = image_caches(
            OWNER, Past(), [(api, api.tags)],
            layers={}, shared=frozenset(), containers=[one],
        )  # fmt: skip
        assert cache.in_use is busy, one


def test_another_projects_container_holds_its_own_name_of_an_image_and_not_ours() -> None:
    shared = replace(image("a", "shop-w-dev-ui:dev"), tags=("shop-w-dev-ui:dev", "x-dev-ui:dev"))
    for ref, busy in (("x-dev-ui:dev", False), ("shop-w-dev-ui:dev", True), ("gone:dev", True)):
        (cache,) = image_caches(
            OWNER, Past(), [(shared, shared.tags[:1])],
            layers={}, shared=frozenset(), containers=[replace(container("a", "x"), image_ref=ref)],
        )  # fmt: skip
        assert cache.in_use is busy, ref


def test_an_image_of_a_worktree_that_is_gone_is_not_needed() -> None:
    old = image("c", "shop-old-api:prod")
    past = Past(images=(use("shop-old-api:prod", "/old"),))
    (cache,) = image_caches(
        OWNER, past, [(old, old.tags)], layers={}, shared=frozenset(), containers=[]
    )
    assert (cache.name, cache.needed) == ("shop-old-api:prod of /old, which is gone", False)


def volume(name: str, project: str, key: str, size: int | None = 9) -> StoredVolume:
    return StoredVolume(name, project, key, 50.0, size)


VOLUMES = [
    volume("shop-w-dev_target", "shop-w-dev", "target", 100),
    volume("shop-w-dev_data", "shop-w-dev", "data"),
    volume("shop-w_data", "shop-w", "data"),
    volume("shop-w-dev_node_modules_0123456789ab", "shop-w-dev", "node_modules", 40),
    volume("shop-w-dev_node_modules_ffffffffffff", "shop-w-dev", "node_modules", 30),
    volume("shop-old-dev_target", "shop-old-dev", "target", 20),
    volume("shop-live-dev_target", "shop-live-dev", "target"),
    volume("target", "", ""),
    volume("shop-w-dev_target2", "somebody", "target"),
]


def test_volumes_that_hold_data_or_are_not_ours_are_left_out() -> None:
    assert [v.name for v in own_volumes(OWNER, VOLUMES)] == [
        "shop-w-dev_target",
        "shop-w-dev_node_modules_0123456789ab",
        "shop-w-dev_node_modules_ffffffffffff",
        "shop-old-dev_target",
    ]


def test_volumes_of_the_stack_with_what_is_old() -> None:
    past = Past(stacks={"dev": 90.0})
    fills = {"shop-w-dev_target": (60.0, 33.0), "shop-old-dev_target": (10.0, 5.0)}
    caches = volume_caches(OWNER, past, VOLUMES, [], fills)
    assert [(c.name, c.bytes, c.needed, c.used_at, c.cost_s) for c in caches] == [
        ("dev target debug volume", 100, True, 90.0, 33.0),
        ("dev packages volume", 40, True, 90.0, None),
        ("dev packages volume of another lock-file (ffffffffffff)", 30, False, 90.0, None),
        ("dev target debug volume of /old, which is gone", 20, False, 50.0, None),
    ]


def test_a_volume_is_in_use_when_a_container_runs_or_is_somebody_else_s() -> None:
    for one, busy in (
        (container("", "shop-w-dev", "shop-w-dev_target", running=True), True),
        (container("", "shop-w-dev", "shop-w-dev_target"), False),
        (container("", "other", "shop-w-dev_target"), True),
        (container("", "", "another", running=True), False),
    ):
        (cache,) = volume_caches(OWNER, Past(), VOLUMES[:1], [one], {})
        assert cache.in_use is busy
