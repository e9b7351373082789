"""What `--fix` does, and that it leaves the rest alone."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from rebake.doctor.mend import Ignore, LineEnds
from rebake.errors import FileRefused


def test_line_ends_alone_are_changed(tmp_path: Path) -> None:
    file = tmp_path / "a.sh"
    file.write_bytes(b"#!/bin/sh\r\nprintf 'a\rb'\r\n\xff")
    file.chmod(0o755)
    LineEnds(file).apply()
    assert file.read_bytes() == b"#!/bin/sh\nprintf 'a\rb'\n\xff"
    if sys.platform != "win32":
        assert file.stat().st_mode & 0o777 == 0o755
    assert list(tmp_path.iterdir()) == [file]


def test_lines_are_added_to_an_ignore_file(tmp_path: Path) -> None:
    file = tmp_path / ".dockerignore"
    Ignore(file, ("a",)).apply()
    assert file.read_bytes() == b"a\n"
    file.write_bytes(b"x")  # without a line end
    Ignore(file, ("b", "c")).apply()
    assert file.read_bytes() == b"x\nb\nc\n"
    assert Ignore(file, ("b", "c")).words == f"add b, c to {file}"


def test_what_can_not_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileRefused) as caught:
        Ignore(tmp_path / "none" / ".dockerignore", ("a",)).apply()
    assert str(tmp_path / "none" / ".dockerignore") in caught.value.what
