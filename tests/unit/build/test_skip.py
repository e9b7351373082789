"""Whether an image would only be made again as it is."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from rebake.build.skip import image_key, made_already, settings_of
from rebake.history.records import BuildRecord, ImageRecord, StoredBuild

ARGUMENTS = {"CACHE_ID": "shop", "RUST_IMAGE": "rust:1"}


def key(**more: object) -> str:
    tables: dict[str, object] = {
        "inputs": {"backend": "b", "recipe": "r"},
        "modes": {"backend": {"usual file": "0644"}},
        "arguments": ARGUMENTS,
        "base_images": {"rust:1": "sha256:1"},
        "surroundings": {"engine": "unix:///x"},
    }
    return image_key(**(tables | more))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "more",
    [
        {"inputs": {"backend": "other", "recipe": "r"}},
        {"inputs": {"backend": "b", "recipe": "other"}},
        {"arguments": ARGUMENTS | {"RUST_IMAGE": "rust:2"}},
        {"base_images": {"rust:1": "sha256:2"}},
        {"surroundings": {"engine": "unix:///y"}},
    ],
)
def test_all_that_decides_is_in_the_key(more: dict[str, object]) -> None:
    assert key(**more) != key()


def test_what_says_how_and_a_proxys_password_are_not() -> None:
    how = {"SEED": "deps", "REBUILD": "1", "HTTP_PROXY": "http://user:password@proxy"}
    assert key(arguments=ARGUMENTS | how) == key()


IMAGE = ImageRecord("api", "shop-api:prod", "sha256:a", 7, "id")
LAST = StoredBuild(
    3,
    BuildRecord(
        project="shop", worktree="/w", mode="prod", targets=("api",), started_at=0.0, seconds=1.0,
        outcome="done", images=(IMAGE,), settings=settings_of({"api": "key"}),
    ),
    "",
)  # fmt: skip


def test_the_very_image_of_the_same_inputs_is_known() -> None:
    assert made_already("api", "key", IMAGE.ref, {"x", "sha256:a"}, LAST) == IMAGE


@pytest.mark.parametrize(
    ("service", "wanted", "ref", "present"),
    [
        ("api", "other", IMAGE.ref, {"sha256:a"}),
        ("ui", "key", IMAGE.ref, {"sha256:a"}),
        ("api", "key", "elsewhere-api:prod", {"sha256:a"}),
        ("api", "key", IMAGE.ref, {"sha256:b"}),
        ("api", "key", IMAGE.ref, set()),
    ],
)
def test_in_doubt_it_is_built(service: str, wanted: str, ref: str, present: set[str]) -> None:
    assert made_already(service, wanted, ref, present, LAST) is None


def test_without_a_record_it_is_built() -> None:
    assert made_already("api", "key", IMAGE.ref, {"sha256:a"}, None) is None
    older = replace(LAST, record=replace(LAST.record, settings={}))
    assert made_already("api", "key", IMAGE.ref, {"sha256:a"}, older) is None


def test_another_mode_or_an_empty_folder_is_another_image() -> None:
    before = key()
    assert key(modes={"backend": {"usual file": "0644", "main.rs": "0600"}}) != before
    assert key(modes={"backend": {"usual file": "0644", "empty/": "0755"}}) != before
