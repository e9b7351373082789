"""Check `owners`: files in the tree that a container wrote as root."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

from rebake.doctor.case import Case
from rebake.doctor.diagnosis import Diagnosis, NotChecked, error, listed, ok
from rebake.doctor.mend import Owner

# Folders with very many files: who owns them is told by the folder and what is at its top.
_LARGE = frozenset({"target", "node_modules", ".git", ".venv", ".nox", "dist"})


def check(case: Case) -> Iterator[Diagnosis]:
    """Compare the owner of everything with that of the project's folder."""
    if sys.platform == "win32":
        yield ok("files on Windows have no owner that a container could change")
        return
    root = case.project.root
    state = root.stat()
    if state.st_uid == 0 and os.geteuid() != 0:
        yield error(
            f"root owns the project's folder {root}",
            why="nothing can be written in it: no lock-file, no state, no editor's save",
            fix=f"sudo chown -R {os.geteuid()}:{os.getegid()} {shlex.quote(str(root))}",
        )
        return
    found = owned_by_root(root, state.st_uid)
    if not found:
        yield ok("nothing in the project belongs to another user than its folder")
        return
    paths = " ".join(shlex.quote(str(path)) for path in found)
    yield error(
        f"root owns {listed([case.shown(path) for path in found])}",
        why="a container that ran as root wrote it; editors, git and cargo can't change it",
        fix=f"sudo chown -R {state.st_uid}:{state.st_gid} {paths}",
        mends=tuple(Owner(path, state.st_uid, state.st_gid) for path in found)
        if os.geteuid() == 0
        else (),
    )


def owned_by_root(root: Path, user: int) -> list[Path]:
    """Return what belongs to root below a folder of another user; of a folder only itself.

    Raises:
        NotChecked: a folder can't be read.
    """
    found: list[Path] = []
    if user != 0:
        _look(root, found, deep=True)
    return sorted(found)


def _look(folder: Path, found: list[Path], *, deep: bool) -> None:
    try:
        with os.scandir(folder) as entries:
            inside = list(entries)
    except OSError as refused:
        raise NotChecked(
            f"{folder} can't be read: {refused.strerror}", f"ls -ld {folder}"
        ) from refused
    for entry in inside:
        if entry.stat(follow_symlinks=False).st_uid == 0:
            found.append(Path(entry.path))
        elif deep and entry.is_dir(follow_symlinks=False):
            _look(Path(entry.path), found, deep=entry.name not in _LARGE)
