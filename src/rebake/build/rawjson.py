"""Takes single values out of the JSON documents of `--progress rawjson`.

BuildKit's documents are read as they come: a value that is missing, or of a type that it should
not have, is as if it were not there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


def document(text: str) -> dict[str, Any] | None:
    """Return the document of a line; None when it holds none."""
    if not text.startswith("{"):
        return None
    try:
        status = json.loads(text)
    except ValueError:
        return None
    return status if isinstance(status, dict) else None


def objects(status: Mapping[str, Any], key: str) -> Iterator[Mapping[str, Any]]:
    """Yield the objects of a list."""
    items = status.get(key)
    if isinstance(items, list):
        yield from (item for item in items if isinstance(item, dict))


def text_of(item: Mapping[str, Any], key: str) -> str:
    """Return a text; empty when there is none."""
    value = item.get(key)
    return value if isinstance(value, str) else ""


def count_of(item: Mapping[str, Any], key: str) -> int:
    """Return a positive whole number; 0 when there is none."""
    value = item.get(key)
    return value if isinstance(value, int) and value > 0 else 0


def moment(value: object) -> float | None:
    """Return a moment in seconds since 1970."""
    if not isinstance(value, str):
        return None
    try:
        return datetime.fromisoformat(value).timestamp()  # nanoseconds are cut to microseconds
    except ValueError:
        return None


def as_shown(line: str) -> str:
    """Return what a terminal would show of a line in the end: no escapes, nothing overwritten."""
    shown = line.rstrip("\r\n").rpartition("\r")[2]
    return _CONTROLS.sub("", _ESCAPES.sub("", shown))
