"""The folder that a base image is made in."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from rebake.engine.privilege import Privilege
from rebake.engine.sweep_tool import MARKER
from rebake.engine.work_folder import work_folder

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="base images are made on Linux")


def test_it_is_gone_afterwards(tmp_path: Path) -> None:
    with work_folder(tmp_path / "images", Privilege()) as folder:
        (folder / "root").mkdir()
        assert folder.stat().st_mode & 0o777 == 0o755
    assert list((tmp_path / "images").iterdir()) == []


def test_it_is_gone_after_an_error_too(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no"), work_folder(tmp_path, Privilege()):
        raise ValueError("no")
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_run_left_goes_with_the_next(tmp_path: Path) -> None:
    for name in ("make-killed", "make-running", "make-unknown", "other"):
        (tmp_path / name).mkdir()
    for name in ("make-killed", "make-running", "other"):
        (tmp_path / name / MARKER).touch()
    with FileLock(tmp_path / "make-running.lock"), work_folder(tmp_path, Privilege()):
        pass
    left = {path.name for path in tmp_path.iterdir() if path.is_dir()}
    assert left == {"make-running", "make-unknown", "other"}


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can mount anything"
)
def test_what_is_mounted_in_it_is_left_as_it_is(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "file").write_text("mine")
    images = tmp_path / "images"
    with work_folder(images, Privilege()) as folder:
        point = folder / "root" / "dev"
        point.mkdir(parents=True)
        subprocess.run(["mount", "--bind", str(mine), str(point)], check=True)
        assert (point / "file").read_text() == "mine"
    assert (mine / "file").read_text() == "mine"
    assert list(images.iterdir()) == []
