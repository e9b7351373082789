"""Secrets laid out for a stack: for containers to read, and for no other user."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

from rebake.stack.given import forget, forget_old, lay_out

USERS = {"one": ("api",), "two": ("api", "ui")}


def test_a_file_each_in_a_folder_that_nobody_else_enters(tmp_path: Path) -> None:
    folder = tmp_path / "state" / "secrets"
    one, two = lay_out(folder, {"one": b"first\n", "two": b"second"}, USERS)
    assert (one.file.read_bytes(), two.file.read_bytes()) == (b"first\n", b"second")
    assert (one.services, two.services) == (("api",), ("api", "ui"))
    if sys.platform != "win32":
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert stat.S_IMODE(one.file.stat().st_mode) == 0o444


def test_the_same_value_keeps_its_file_and_another_gets_a_new_one(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    (before,) = lay_out(folder, {"one": b"first"}, USERS)
    (same,) = lay_out(folder, {"one": b"first"}, USERS)
    assert same == before
    (after,) = lay_out(folder, {"one": b"other"}, USERS)
    assert after.mark != before.mark
    assert before.file.read_bytes() == b"first"  # a container still has it
    forget_old(folder, [after])
    assert not before.file.exists()
    assert after.file.read_bytes() == b"other"


def test_the_mark_tells_nothing_of_the_value(tmp_path: Path) -> None:
    (one,) = lay_out(tmp_path / "a", {"one": b"first"}, USERS)
    (other,) = lay_out(tmp_path / "b", {"one": b"first"}, USERS)
    assert one.mark != other.mark


def test_what_is_no_longer_declared_goes(tmp_path: Path) -> None:
    lay_out(tmp_path, {"one": b"first", "two": b"second"}, USERS)
    lay_out(tmp_path, {"two": b"second"}, USERS)
    assert [entry.name for entry in tmp_path.iterdir()] == ["two"]
    forget(tmp_path)
    assert not tmp_path.exists()
    forget(tmp_path)
