"""Reads a Cargo.toml as far as the order of compilation depends on it. Pure.

Source: The Cargo Book, "Specifying Dependencies" and "The Manifest Format".
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

from rebake.history.evidence import Manifest


def parse_manifest(text: str) -> Manifest | None:
    """Return what a Cargo.toml says; None for one that does not parse."""
    try:
        document = tomllib.loads(text)
        package = document.get("package", {})
        return Manifest(
            str(package.get("name", "")),
            tuple(sorted(set(needs(document)))),
            tuple(sorted(set(needs(document, ("dev-dependencies",))))),
        )
    except (ValueError, AttributeError, TypeError, RecursionError):
        return None


def needs(
    document: Mapping[str, Any], tables: tuple[str, ...] = ("dependencies", "build-dependencies")
) -> Iterator[str]:
    """Yield the packages that the tables of a manifest name."""
    for place in (document, *document.get("target", {}).values()):
        for table in tables:
            # Both spellings are known to cargo.
            for name in (table, table.replace("-", "_")):
                for key, value in place.get(name, {}).items():
                    renamed = value.get("package") if isinstance(value, dict) else None
                    yield str(renamed or key)
