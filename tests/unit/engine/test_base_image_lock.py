"""The base images' lock: its form, and whether it is that of the configured images."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rebake.engine.base_image_lock import faults
from rebake.engine.base_images import write_lock

DIGEST = "sha256:" + "a" * 64
USED = ("rust:1", "bun:1")
KNOWN = (*USED, "node:24")


def check(folder: Path, text: str | None = None, **images: str) -> list[str]:
    file = folder / "base-images.lock.json"
    if text is not None:
        file.write_text(text)
    elif images:
        write_lock(file, {name.replace("_", ":"): digest for name, digest in images.items()})
    return faults(file, used=USED, known=KNOWN)


def test_no_lock_is_no_fault(tmp_path: Path) -> None:
    assert check(tmp_path) == []


def test_what_pin_writes_is_right(tmp_path: Path) -> None:
    assert check(tmp_path, rust_1=DIGEST, bun_1=DIGEST) == []
    assert check(tmp_path, rust_1=DIGEST, bun_1=DIGEST, node_24=DIGEST) == []


@pytest.mark.parametrize("text", ["", "{", "[]", '{"images": []}', '{"imagse": {}}'])
def test_what_a_build_would_take_for_no_lock(tmp_path: Path, text: str) -> None:
    (fault,) = check(tmp_path, text)
    assert "invoke base-images --pin" in fault


def test_each_fault_is_named(tmp_path: Path) -> None:
    text = json.dumps({"schema_version": 7, "images": {"rust:1": "sha256:12", "bum:1": DIGEST}})
    assert check(tmp_path, text) == [
        "schema_version is 7, expected 1",
        "rust:1: sha256:12 is no digest; expected sha256: and 64 hex digits",
        "bum:1: no base image of rebake.toml; did you mean bun:1?",
        "bun:1 of [base_images] is not pinned; invoke base-images --pin",
    ]


def test_a_reference_with_a_digest_needs_no_entry(tmp_path: Path) -> None:
    file = tmp_path / "base-images.lock.json"
    write_lock(file, {"rust:1": DIGEST})
    assert faults(file, used=("rust:1", f"bun:1@{DIGEST}"), known=KNOWN) == []
