"""Keeps settings that were found good, so that they are not checked again until something changed.

What they were made from is a digest: the files' texts, the variables, the flags, and rebake's own
rules. A file that is not whole, or is for something else, is as good as none.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

from rebake import __version__
from rebake.remember import keep, recall

_FORMAT = 1
_RULES = Path(__file__).parent


class Kept(Struct, frozen=True):
    """Settings that were found good.

    Attributes:
        values: all of them, as the model writes them as JSON, with what it works out from them.
        sources: where the value of each key came from.
    """

    values: dict[str, Any]
    sources: dict[str, str]


def digest_of(
    files: Sequence[tuple[Path, str]], environ: Mapping[str, str], flags: Mapping[str, object]
) -> str:
    """Return a digest of all that settings are made from.

    Args:
        files: the files with their texts, in the order of their precedence.
        environ: the variables that set keys; they end up in the digest alone.
        flags: the flags that set keys.
    """
    rules = [
        (entry.name, entry.stat().st_size, entry.stat().st_mtime_ns)
        for entry in os.scandir(_RULES)
        if entry.is_file()
    ]
    made_from = [
        [_FORMAT, __version__, sorted(rules)],
        [(str(file), text) for file, text in files],
        sorted(environ.items()),
        sorted((name, repr(value)) for name, value in flags.items()),
    ]
    return hashlib.sha256(json.dumps(made_from).encode()).hexdigest()


def read(file: Path, digest: str) -> Kept | None:
    """Return the settings in a file when they were made from the very same things."""
    text = recall(file, digest)
    if text is None:
        return None
    try:
        document = json.loads(text)
        return Kept(document["values"], document["sources"])
    except (ValueError, KeyError, TypeError):
        return None


def write(file: Path, digest: str, kept: Kept) -> None:
    """Keep settings; where that can't be done, they are checked anew each time."""
    keep(file, digest, json.dumps({"values": kept.values, "sources": kept.sources}))
