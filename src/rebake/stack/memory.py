"""What is remembered of a worktree's stacks: mode, ports, and what they were made of."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

from msgspec import Struct, field
from msgspec.structs import asdict

from rebake.results import Mode

Kind = Literal["containers", "native"]


class Remembered(Struct, frozen=True):
    """One stack as it was last started."""

    mode: Mode
    kind: Kind
    ports: Mapping[str, int] = field(default_factory=dict)
    fingerprint: str = ""
    docker_host: str = ""
    started_at: float = 0.0


def remember(folder: Path, stack: Remembered) -> None:
    """Write it down: to a file of its own, renamed when whole."""
    folder.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=folder, prefix=".stack-")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(asdict(stack), file)
    Path(name).replace(_file(folder, stack.mode))


def recall(folder: Path, mode: Mode) -> Remembered | None:
    """Read it; what can't be read is set aside and counts as nothing."""
    file = _file(folder, mode)
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        ports = {str(name): int(port) for name, port in document.pop("ports").items()}
        return Remembered(ports=ports, **document)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        with contextlib.suppress(OSError):
            file.replace(file.with_suffix(".bad"))
        return None


def latest(folder: Path) -> Remembered | None:
    """The stack that was started last, in any mode."""
    modes: tuple[Mode, ...] = ("dev", "prod")
    found = [stack for mode in modes if (stack := recall(folder, mode)) is not None]
    return max(found, key=lambda stack: stack.started_at, default=None)


def forget(folder: Path, mode: Mode) -> None:
    """Drop what is remembered of a stack."""
    _file(folder, mode).unlink(missing_ok=True)


def fingerprint(files: Iterable[Path], values: Mapping[str, object]) -> str:
    """Digest what a stack is made of: the contents of files, and values that decide."""
    total = hashlib.sha256()
    for file in sorted(files):
        total.update(str(file).encode() + b"\0")
        total.update(hashlib.sha256(file.read_bytes()).digest())
    total.update(json.dumps(values, sort_keys=True, default=str).encode())
    return total.hexdigest()


def _file(folder: Path, mode: Mode) -> Path:
    return folder / f"stack-{mode}.json"
