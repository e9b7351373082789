"""Lays secrets out for a stack: a file each, which containers can read and other users can't.

The user of a container is not the one of this machine, so the file itself is readable for all. It
stands in a folder that nobody else may enter; the engine mounts the file alone.
"""

from __future__ import annotations

import os
import secrets
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from rebake.stack.plan import GivenSecret

_MARK_BYTES = 8


def lay_out(
    folder: Path, values: Mapping[str, bytes], users: Mapping[str, Sequence[str]]
) -> tuple[GivenSecret, ...]:
    """Write each secret whose value is another than before to a new file.

    A running container holds on to the file that it was started with, so none is written over. What
    is no longer declared is removed; `forget_old` removes the rest.

    Args:
        folder: the stack's own folder for secrets.
        values: what each secret is now.
        users: the services that get it.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.chmod(0o700)
    given = []
    for name, value in values.items():
        file = _current(folder / name, value)
        given.append(GivenSecret(name, file, file.name, tuple(users[name])))
    for left in folder.iterdir():
        if left.name not in values:
            shutil.rmtree(left, ignore_errors=True)
    return tuple(given)


def _current(folder: Path, value: bytes) -> Path:
    folder.mkdir(exist_ok=True)
    for file in folder.iterdir():
        if file.read_bytes() == value:
            return file
    # The name is random: a digest would tell of the value.
    file = folder / secrets.token_hex(_MARK_BYTES)
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as stream:
        stream.write(value)
    if sys.platform != "win32":  # where that would keep us from removing it
        file.chmod(0o444)
    return file


def forget_old(folder: Path, given: Sequence[GivenSecret]) -> None:
    """Remove the files of values that no container holds any more."""
    kept = {secret.file for secret in given}
    for file in folder.glob("*/*"):
        if file not in kept:
            file.unlink(missing_ok=True)


def forget(folder: Path) -> None:
    """Remove all secrets of a stack that is down."""
    shutil.rmtree(folder, ignore_errors=True)
