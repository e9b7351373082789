"""What an empty cache mount is filled from."""

from __future__ import annotations

import pytest

from rebake.build.seed import CacheState, after_refusal, choose, packages_key, was_empty
from rebake.history.records import FileDigest


@pytest.mark.parametrize(
    ("state", "seed", "refuse"),
    [
        (CacheState(layer=True, remote=True, built=True), "none", True),
        (CacheState(layer=True, remote=False, built=True), "none", True),
        (CacheState(layer=False, remote=True, built=True), "none", True),
        (CacheState(layer=False, remote=True, built=False), "deps", False),
        (CacheState(layer=False, remote=False, built=False), "none", False),
        (CacheState(layer=False, remote=False, built=True), "none", True),
    ],
)
def test_an_empty_mount_is_refused_where_one_is_to_be_expected(
    state: CacheState, seed: str, refuse: bool
) -> None:
    chosen = choose(state)
    assert (chosen.seed, chosen.refuse_empty) == (seed, refuse)
    assert chosen.reason


def test_after_a_refusal_the_layer_is_used_and_nothing_is_refused_again() -> None:
    chosen = after_refusal(CacheState(layer=True, remote=False, built=True))
    assert (chosen.seed, chosen.refuse_empty) == ("deps", False)
    assert chosen.reason == "the cache mount is gone: filling it from the dependency layer"


def test_after_a_refusal_without_a_layer_everything_is_compiled() -> None:
    chosen = after_refusal(CacheState(layer=False, remote=False, built=True))
    assert (chosen.seed, chosen.refuse_empty) == ("none", False)
    told = "the cache mount is gone, and there is no dependency layer: compiling everything"
    assert chosen.reason == told


def test_a_refusal_is_told_by_its_exit_code() -> None:
    text = 'process "/bin/sh -c x" did not complete successfully: exit code: '
    assert was_empty(f"{text}66")
    assert not was_empty(f"{text}1")
    assert not was_empty(f"{text}666")


def key(path: str = "crates/api/src/main.rs", digest: str = "a", **more: object) -> str:
    files = [FileDigest("Cargo.lock", "lock", 1), FileDigest(path, digest, 1)]
    tables = {"recipe": "r", "base_images": {"rust": "1"}, "surroundings": {"engine": "e"}}
    return packages_key(files, **(tables | more))  # type: ignore[arg-type]


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
