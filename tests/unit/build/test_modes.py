"""What the builder sees of a context beside contents: modes and empty folders."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from rebake.build.inputs import manifest
from rebake.build.modes import modes_of
from rebake.project.ignore import IgnoreMatcher, ignore_file, walk

if sys.platform == "win32":
    pytest.skip("modes are made up there", allow_module_level=True)


def modes(root: Path) -> dict[str, str]:
    return modes_of(root, manifest(root, walk(root, IgnoreMatcher.load(ignore_file(root)))))


def write(root: Path, name: str, mode: int = 0o644) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(name)
    path.chmod(mode)


def test_what_is_usual_is_told_once_and_the_rest_by_its_path(tmp_path: Path) -> None:
    old = os.umask(0o022)
    try:
        for name in ("a/one", "a/two", "three"):
            write(tmp_path, name)
        write(tmp_path, "a/secret", 0o600)
        write(tmp_path, "run", 0o755)
        (tmp_path / "link").symlink_to("run")
        (tmp_path / "empty" / "below").mkdir(parents=True)
        (tmp_path / "private").mkdir(mode=0o700)
        write(tmp_path, "private/x")
    finally:
        os.umask(old)
    assert modes(tmp_path) == {
        "*exec": "0755", "*file": "0644", "*folder": "0755",
        "a/secret": "0600", "empty/": "0755", "empty/below/": "0755", "private/": "0700",
    }  # fmt: skip


def test_what_does_not_travel_is_left_out(tmp_path: Path) -> None:
    write(tmp_path, ".dockerignore")
    (tmp_path / ".dockerignore").write_text(".dockerignore\nhidden\npart/*\n!part/kept\n")
    write(tmp_path, "part/kept")
    write(tmp_path, "part/not")
    (tmp_path / "hidden" / "empty").mkdir(parents=True)
    (tmp_path / "part" / "empty").mkdir()
    found = modes(tmp_path)
    assert [name for name in found if not name.startswith("*")] == []


def test_nothing_there(tmp_path: Path) -> None:
    assert modes(tmp_path) == {}
    assert modes_of(tmp_path / "gone", ()) == {}
