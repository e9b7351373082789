"""The programs that native mode needs, and how to get a missing one."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from rebake.errors import CommandFailed, ProgramMissing
from rebake.stack.native_tools import find_cargo

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the fakes are shell scripts")


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "programs"
    folder.mkdir()
    (folder / "sh").symlink_to("/bin/sh")
    monkeypatch.setenv("PATH", str(folder))
    return folder


def script(path: Path, text: str) -> Path:
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("version", "wanted"), [("1.95.0", "1.95"), ("1.100.2-nightly", "1.95"), ("1.2.3", None)]
)
def test_new_enough(programs: Path, tmp_path: Path, version: str, wanted: str | None) -> None:
    cargo = script(programs / "cargo", f"echo 'cargo {version} (abc 2026-03-21)'\n")
    assert find_cargo(wanted, tmp_path) == cargo


def test_too_old(programs: Path, tmp_path: Path) -> None:
    cargo = script(programs / "cargo", "echo 'cargo 1.80.1 (abc)'\n")
    with pytest.raises(ProgramMissing) as caught:
        find_cargo("1.95", tmp_path)
    assert caught.value.what == f"cargo 1.95 or newer ({cargo} is 1.80.1) was not found"
    assert "sh.rustup.rs" in caught.value.hint
    script(programs / "rustup", "")
    with pytest.raises(ProgramMissing) as caught:
        find_cargo("1.95", tmp_path)
    assert caught.value.hint == "rustup update stable"


@pytest.mark.usefixtures("programs")
def test_missing(tmp_path: Path) -> None:
    with pytest.raises(ProgramMissing) as caught:
        find_cargo("1.95", tmp_path)
    assert caught.value.what == "cargo 1.95 or newer was not found"
    assert "sh.rustup.rs" in caught.value.hint


def test_a_toolchain_that_is_not_installed(programs: Path, tmp_path: Path) -> None:
    script(programs / "cargo", "echo \"error: toolchain 'x' is not installed\" >&2; exit 1\n")
    with pytest.raises(CommandFailed) as caught:
        find_cargo("1.95", tmp_path)
    assert "toolchain 'x' is not installed" in str(caught.value)
