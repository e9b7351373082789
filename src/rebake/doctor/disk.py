"""Check `disk`: room where the engine keeps its data, and where the project is."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from rebake.doctor.case import Case
from rebake.doctor.diagnosis import Diagnosis, NotChecked, error, ok, warning

_PLENTY = 5  # times what a build needs
_FEW_FILES = 50_000  # a `target` folder alone has tens of thousands
_NO_FILES = 5_000
_LOOK = "docker system df shows what is kept; docs/how-to/troubleshooting.md says what may go"


def check(case: Case) -> Iterator[Diagnosis]:
    """Look at the disks."""
    needed = case.project.config.build.min_free_bytes
    root = case.project.root
    try:
        engine: Path | None = case.data_folder
    except NotChecked:
        engine = None
    seen = set()
    for folder in (engine, root):
        if folder is not None and (device := folder.stat().st_dev) not in seen:
            seen.add(device)
            yield from judge(folder, needed)


def judge(folder: Path, needed: int) -> Iterator[Diagnosis]:
    """Look at one disk; `needed` bytes must be free for a build to start."""
    free = shutil.disk_usage(folder).free
    words = f"{free / 1e9:.1f} GB free in {folder}"
    if free < needed:
        yield error(
            f"{words}, {needed / 1e9:.1f} GB are needed",
            why="no build starts (build.min_free_bytes)",
            fix=_LOOK,
        )
    elif free < _PLENTY * needed:
        yield warning(words, why="a few cold builds fill that", fix=_LOOK)
    else:
        yield ok(words)
    yield from _inodes(folder)


def _inodes(folder: Path) -> Iterator[Diagnosis]:
    if sys.platform == "win32":
        return
    state = os.statvfs(folder)
    if not state.f_files or state.f_favail >= _FEW_FILES:  # f_files is 0 where there is no limit
        return
    words = f"room for {state.f_favail} more files in {folder}"
    why = "a build then fails with `no space left` while gigabytes are free"
    if state.f_favail < _NO_FILES:
        yield error(words, why=why, fix=_LOOK)
    else:
        yield warning(words, why=why, fix=_LOOK)
