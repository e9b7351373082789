"""A program of the package archive: found on PATH first, then where it was unpacked."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from rebake.engine import archive_program
from rebake.errors import CannotRun


def executable(file: Path) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("#!/bin/sh\n")
    file.chmod(0o755)
    return file


@pytest.mark.skipif(sys.platform == "win32", reason="programs have another form there")
def test_path_wins_over_what_was_unpacked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    home = tmp_path / "home"
    assert archive_program.installed(["one", "two"], home) is None
    unpacked = executable(home / "usr/bin/one")
    assert archive_program.installed(["one", "two"], home) == unpacked
    on_path = executable(tmp_path / "path" / "two")
    assert archive_program.installed(["one", "two"], home) == on_path


def test_without_apt_it_is_for_the_user_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CannotRun) as caught:
        archive_program.fetch("tool", "tool", tmp_path / "home", print)
    assert (caught.value.reason, caught.value.next_step) == (
        "tool is not on PATH",
        "install tool",
    )
