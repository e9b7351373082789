"""A generated project can be built as the one that it is made after."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from rebake.benchmark.workshop import write_generated
from rebake.project.project import open_project

ROOT = Path(__file__).parents[3]


@pytest.mark.skipif(sys.platform == "win32", reason="files have no modes there")
def test_whatever_a_build_step_runs_can_be_run(tmp_path: Path) -> None:
    write_generated(open_project(ROOT), 2, tmp_path)

    tools = ROOT / "docker/tools"
    programs = [file for file in tools.rglob("*") if file.is_file() and os.access(file, os.X_OK)]
    assert tools / "step/compile" in programs
    for program in programs:
        assert os.access(tmp_path / program.relative_to(ROOT), os.X_OK), program
