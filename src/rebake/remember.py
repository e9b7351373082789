"""Remembers a text in a file, together with a digest of all that it was made from.

For answers that take long to get. A file that is not whole, or is for something else, is as good
as none.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path


def recall(file: Path, digest: str) -> str | None:
    """Return the text that a file keeps for a digest; None when it is another's, or not whole."""
    try:
        made_from, checksum, text = file.read_text(encoding="utf-8").split("\n", 2)
    except (OSError, ValueError):
        return None
    return text if made_from == digest and checksum == _checksum(text) else None


def keep(file: Path, digest: str, text: str) -> None:
    """Keep a text for what it was made from, readable by this user alone; try to, at least."""
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        number = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(number, "w", encoding="utf-8", newline="\n") as stream:
            stream.write(f"{digest}\n{_checksum(text)}\n{text}")
        temporary.replace(file)


def _checksum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
