"""What is remembered of stacks; a damaged file is set aside and counts as nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from rebake.stack.memory import Remembered, fingerprint, forget, latest, recall, remember


def test_round_trip_and_the_latest(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    assert latest(folder) is None
    dev = Remembered("dev", "containers", {"api": 1}, "f", "unix://x", 10.0)
    prod = Remembered("prod", "containers", {"api": 2}, started_at=20.0)
    remember(folder, dev)
    remember(folder, prod)
    assert recall(folder, "dev") == dev
    assert latest(folder) == prod
    forget(folder, "prod")
    assert latest(folder) == dev


@pytest.mark.parametrize("text", ["", "{", "[]", '{"mode": "dev"}', '{"ports": {"a": "x"}}'])
def test_a_damaged_file_is_set_aside(tmp_path: Path, text: str) -> None:
    file = tmp_path / "stack-dev.json"
    file.write_text(text)
    assert recall(tmp_path, "dev") is None
    assert not file.exists()
    assert file.with_suffix(".bad").read_text() == text


def test_the_fingerprint_sees_contents_and_values(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_text("1")
    before = fingerprint([file], {"x": 1})
    assert fingerprint([file], {"x": 1}) == before
    assert fingerprint([file], {"x": 2}) != before
    file.write_text("2")
    assert fingerprint([file], {"x": 1}) != before
