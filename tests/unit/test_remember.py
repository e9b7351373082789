"""A text that is kept with a digest of what it was made from."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rebake.remember import keep, recall


def test_a_text_is_there_for_its_own_digest_alone(tmp_path: Path) -> None:
    file = tmp_path / "sub" / "one"
    assert recall(file, "a") is None
    for text in ("", "x", "two\nlines\n", "\u00e4\n\n"):
        keep(file, "a", text)
        assert recall(file, "a") == text
        assert recall(file, "b") is None
    keep(file, "b", "other")
    assert (recall(file, "a"), recall(file, "b")) == (None, "other")
    assert [entry.name for entry in file.parent.iterdir()] == ["one"]


def test_what_was_cut_or_changed_is_as_good_as_none(tmp_path: Path) -> None:
    file = tmp_path / "one"
    keep(file, "a", "text")
    whole = file.read_bytes()
    for broken in (*(whole[:end] for end in range(len(whole))), whole + b" ", b"\xff"):
        file.write_bytes(broken)
        assert recall(file, "a") is None


def test_a_place_that_can_not_be_written_is_no_fault(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    keep(tmp_path / "file" / "one", "a", "text")
    assert recall(tmp_path / "file" / "one", "a") is None


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_only_this_user_can_read_it(tmp_path: Path) -> None:
    keep(tmp_path / "one", "a", "text")
    assert (tmp_path / "one").stat().st_mode & 0o777 == 0o600
