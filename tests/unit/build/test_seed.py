"""What an empty cache mount is filled from."""

from __future__ import annotations

import pytest

from rebake.build.seed import CacheState, choose, layer_key
from rebake.history.records import FileDigest


@pytest.mark.parametrize(
    ("state", "seed"),
    [
        (CacheState(mount="shop-target", layer=True, remote=True), "none"),
        (CacheState(mount=None, layer=True, remote=True), "none"),
        (CacheState(mount="", layer=True, remote=False), "deps"),
        (CacheState(mount="", layer=False, remote=True), "deps"),
        (CacheState(mount="", layer=False, remote=False), "none"),
    ],
)
def test_the_layer_is_used_only_where_the_mount_is_gone(state: CacheState, seed: str) -> None:
    choice, reason = choose(state)
    assert choice == seed
    assert reason


def key(path: str = "crates/api/src/main.rs", digest: str = "a", **more: object) -> str:
    files = [FileDigest("Cargo.lock", "lock", 1), FileDigest(path, digest, 1)]
    tables = {"recipe": "r", "base_images": {"rust": "1"}, "surroundings": {"engine": "e"}}
    return layer_key(files, **(tables | more))  # type: ignore[arg-type]


def test_sources_do_not_decide_the_layer() -> None:
    assert key() == key(digest="b") == key(path="crates/api/src/new.rs")


@pytest.mark.parametrize(
    "path", ["Cargo.lock", "crates/api/Cargo.toml", ".cargo/config.toml", "rust-toolchain.toml"]
)
def test_dependencies_decide_the_layer(path: str) -> None:
    assert key(path=path) != key(path=path, digest="b")


@pytest.mark.parametrize(
    "more", [{"recipe": "x"}, {"base_images": {"rust": "2"}}, {"surroundings": {"engine": "f"}}]
)
def test_what_compiles_decides_the_layer(more: dict[str, object]) -> None:
    assert key(**more) != key()
