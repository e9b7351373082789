"""Writes the one JSON document of `--json`."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import PurePath
from typing import IO

from rebake.redact import Redactor


def write_document(
    document: Mapping[str, object],
    stream: IO[str] | None = None,
    *,
    redactor: Redactor | None = None,
) -> None:
    """Write one document and a line end: keys sorted, ASCII only, secrets masked.

    Args:
        document: what to write; paths, tuples and sets are taken too.
        stream: where to; stdout when None.
        redactor: masks secrets in all text; the environment's by default.

    Raises:
        TypeError: a value that JSON does not know.
    """
    clean = _clean(document, redactor or Redactor.from_environment())
    out = sys.stdout if stream is None else stream
    # One write: a reader never sees half of it. ASCII, so that every console can show it.
    out.write(json.dumps(clean, indent=2, sort_keys=True, ensure_ascii=True) + "\n")
    out.flush()


def _clean(value: object, redactor: Redactor) -> object:
    """Mask every string before it is quoted: afterwards a mask could break the quoting."""
    if isinstance(value, str):
        return redactor.text(value)
    if isinstance(value, PurePath):
        return redactor.text(str(value))
    if isinstance(value, Mapping):
        return {str(key): _clean(item, redactor) for key, item in value.items()}
    if isinstance(value, (set, frozenset)):
        return [_clean(item, redactor) for item in sorted(value)]
    if isinstance(value, (list, tuple)):
        return [_clean(item, redactor) for item in value]
    return value
