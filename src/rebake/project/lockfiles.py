"""Reads lock files as lists of packages: Cargo.lock, and bun.lock. Pure.

Sources: The Cargo Book, "Cargo.toml vs Cargo.lock"; bun.lock is JSON with comments and trailing
commas, whose `packages` hold `"name": ["name@version", registry, {dependencies}, checksum]`
(https://bun.com/docs/install/lockfile).
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable
from typing import Any

from rebake.history.evidence import Package

CARGO, BUN = "Cargo.lock", "bun.lock"
_OF_BUN = ("dependencies", "optionalDependencies", "peerDependencies")
# What JSON does not know, each beside the texts that it must not be looked for in.
_TEXT_OR_COMMENT = re.compile(r'"(?:\\.|[^"\\])*"|//[^\n]*|/\*.*?\*/', re.DOTALL)
_TEXT_OR_COMMA = re.compile(r'"(?:\\.|[^"\\])*"|,(?=\s*[}\]])')


def parse_lock(name: str, text: str) -> tuple[Package, ...] | None:
    """Return the packages of a lock file, or None for a file that is none or can't be read.

    Args:
        name: the file's name, without folders.
        text: what it holds.
    """
    try:
        if name == CARGO:
            return tuple(_cargo(tomllib.loads(text)))
        if name == BUN:
            return tuple(_bun(json.loads(_plain(text))))
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
        return None
    return None


def _cargo(document: dict[str, Any]) -> Iterable[Package]:
    for entry in document.get("package", ()):
        # `name`, `name version` or `name version (source)`: as much as is needed to tell it.
        needs = tuple(need.split(" (")[0] for need in entry.get("dependencies", ()))
        yield Package(entry["name"], entry["version"], entry.get("source", ""), needs)


def _bun(document: dict[str, Any]) -> Iterable[Package]:
    for key, entry in document.get("packages", {}).items():
        _name, _, version = entry[0].rpartition("@")
        details = next((part for part in entry[1:] if isinstance(part, dict)), {})
        needs = sorted({need for field in _OF_BUN for need in details.get(field, {})})
        own = version.startswith("workspace:")
        # Nested packages have the path of those above them as their key.
        yield Package(key, version, "" if own else "registry", tuple(needs))


def _plain(text: str) -> str:
    """Return JSON without comments and trailing commas."""
    text = _TEXT_OR_COMMENT.sub(lambda m: m[0] if m[0].startswith('"') else " ", text)
    return _TEXT_OR_COMMA.sub(lambda m: m[0] if m[0].startswith('"') else "", text)
