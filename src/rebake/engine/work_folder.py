"""A folder to make a base image in; what a killed run left of one is cleared away by the next.

mmdebstrap mounts the machine's /dev, /proc and /sys below it. They must be off before it is
removed, or the removal would reach into them: the removal is left to `sweep_tool`, as root.
"""

from __future__ import annotations

import contextlib
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path

from rebake import process
from rebake.engine import sweep_tool
from rebake.engine.privilege import Privilege
from rebake.errors import RebakeError
from rebake.process import Command

_START = "make-"
_TOOL = Path(sweep_tool.__file__)
_REMOVE_LIMIT_S = 120.0


@contextlib.contextmanager
def work_folder(parent: Path, privilege: Privilege) -> Iterator[Path]:
    """Give a new folder in `parent`, and remove it at the end, root's files and mounts included.

    Args:
        parent: where; not in /tmp, which is in memory on many machines: this is 1.7 GB.
        privilege: how to become root.
    """
    from filelock import FileLock  # slow to import, and most commands make no image

    parent.mkdir(parents=True, exist_ok=True)
    clear_left_overs(parent, privilege)
    folder = parent / f"{_START}{secrets.token_hex(4)}"
    lock = _lock(folder)
    with FileLock(lock):  # before the folder is there: one without its lock held is a left-over
        folder.mkdir(mode=0o755)
        try:
            (folder / sweep_tool.MARKER).touch()
            yield folder
        finally:
            _remove(folder, privilege)
            lock.unlink(missing_ok=True)


def clear_left_overs(parent: Path, privilege: Privilege) -> None:
    """Remove the folders of runs that were killed: nobody holds their lock any more."""
    from filelock import FileLock, Timeout

    for folder in sorted(parent.glob(f"{_START}*/")):
        if not (folder / sweep_tool.MARKER).is_file():
            continue
        with contextlib.suppress(Timeout), FileLock(_lock(folder), timeout=0):
            _remove(folder, privilege)
            _lock(folder).unlink(missing_ok=True)


def _lock(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.lock")


def _remove(folder: Path, privilege: Privilege) -> None:
    # What can't be removed now is a left-over, and tried again by the next one.
    command = Command.of(
        *(sys.executable, "-I", _TOOL, "delete", folder, folder),
        timeout_s=_REMOVE_LIMIT_S,
        what="removing what an image was made in",
    )
    with contextlib.suppress(RebakeError):
        process.run(privilege.command(command))
