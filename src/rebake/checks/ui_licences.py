"""The licences of the packages that the UI ships.

cargo-deny knows crates only. What it allows (`licenses.allow` in `deny.toml`) holds for the UI's
packages as well: those that `dependencies` bring, and not those of its development, which no image
holds. Its exceptions can't name a package with a scope, so those stand in `rebake.toml`.

Whether an expression is one, and how its licences are spelled, says the library packaging, with
SPDX's own list. What it means for what is allowed is worked out here.

Sources: https://spdx.github.io/spdx-spec/v2.3/SPDX-license-expressions/,
https://docs.npmjs.com/cli/configuring-npm/package-json#license
"""

from __future__ import annotations

import json
import time
import tomllib
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from rebake.process import Outcome


class Package(Struct, frozen=True):
    """A package that is shipped.

    Attributes:
        licence: an expression of SPDX, or what stands there instead; empty: it names none.
        installed: whether it is in `node_modules`.
    """

    name: str
    version: str
    licence: str
    installed: bool = True


def check(root: Path, ui: str, rules: str, *more: str) -> Outcome:
    """Hold the packages that the UI ships to what `deny.toml` allows; a line for each breach.

    Args:
        root: the repository.
        ui: the UI's folder.
        rules: the file `deny.toml`.
        more: further licences, and packages (`NAME@VERSION`) that may have any.
    """
    started = time.monotonic()
    try:
        allowed = allowed_by((root / rules).read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError, AttributeError) as error:
        lines = [f"{rules}: can't be read: {error}"]
    else:
        breaches = _breaches(root / ui, allowed | frozenset(more))
        lines = [f"{ui}: {breach} of {rules}, nor in ui.licences" for breach in breaches]
        lost = sorted(package.name for package in shipped(root / ui) if not package.installed)
        lines += [f"{ui}: {name} is not installed" for name in lost]
    text = "".join(f"{line}\n" for line in lines)
    return Outcome(("ui licences",), int(bool(lines)), text, "", time.monotonic() - started)


def _breaches(ui: Path, allowed: frozenset[str]) -> Iterator[str]:
    for package in sorted(shipped(ui), key=lambda package: (package.name, package.version)):
        shown = f"{package.name}@{package.version}"
        if package.installed and shown not in allowed and not permits(allowed, package.licence):
            yield f"{shown}: its licence ({package.licence or 'none'}) is not in licenses.allow"


def allowed_by(text: str) -> frozenset[str]:
    """Return the licences that a `deny.toml` allows."""
    return frozenset((tomllib.loads(text).get("licenses") or {}).get("allow") or ())


def permits(allowed: frozenset[str], expression: str) -> bool:
    """Tell whether an expression of SPDX is met by the licences that are allowed.

    What is no such expression (`SEE LICENSE IN …`), or names a licence that SPDX does not know, is
    only met by the very same words.
    """
    from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

    if expression in allowed:
        return True
    try:
        text = canonicalize_license_expression(expression)
    except InvalidLicenseExpression:
        return False
    words = deque(text.replace("(", " ( ").replace(")", " ) ").split())
    return _either(words, allowed)


def _either(words: deque[str], allowed: frozenset[str]) -> bool:
    """Take a part of an expression, and tell whether one of what OR joins is allowed."""
    met = _all(words, allowed)
    while words and words[0] == "OR":
        words.popleft()
        met = _all(words, allowed) or met
    return met


def _all(words: deque[str], allowed: frozenset[str]) -> bool:
    met = _one(words, allowed)
    while words and words[0] == "AND":
        words.popleft()
        met = _one(words, allowed) and met
    return met


def _one(words: deque[str], allowed: frozenset[str]) -> bool:
    licence = words.popleft()
    if licence == "(":
        met = _either(words, allowed)
        words.popleft()
        return met
    if words and words[0] == "WITH":
        words.popleft()
        licence = f"{licence} WITH {words.popleft()}"
    return licence in allowed


def shipped(ui: Path) -> list[Package]:
    """Return the packages that the UI's `dependencies` bring, from what is installed.

    Packages of the repository's own (`"private": true`) need no licence.
    """
    found: dict[Path, Package | None] = {}
    lost: dict[str, Package] = {}
    queue = list(_needs(ui.resolve(), _manifest(ui)))
    while queue:
        holder, name, optional = queue.pop()
        folder = _place(holder, name)
        if folder is None:
            if not optional:
                lost[name] = Package(name, "", "", installed=False)
        elif folder not in found:
            manifest = _manifest(folder)
            version, own = str(manifest.get("version") or ""), manifest.get("private") is True
            found[folder] = None if own else Package(name, version, _licence(manifest))
            queue += _needs(folder, manifest)
    return [*lost.values(), *(package for package in found.values() if package is not None)]


def _needs(folder: Path, manifest: Mapping[str, Any]) -> Iterator[tuple[Path, str, bool]]:
    """Who needs, what it needs, and whether it may be left out."""
    for kind in ("dependencies", "peerDependencies", "optionalDependencies"):
        for name in manifest.get(kind) or {}:
            # Managers write an optional one under `dependencies`, too.
            optional = kind != "dependencies" or name in (
                manifest.get("optionalDependencies") or {}
            )
            yield folder, name, optional


def _place(holder: Path, name: str) -> Path | None:
    """Where a package stands that another one needs: the nearest `node_modules` above that."""
    for folder in (holder, *holder.parents):
        candidate = folder / "node_modules" / name
        if (candidate / "package.json").is_file():
            return candidate.resolve()
    return None


def _manifest(folder: Path) -> Mapping[str, Any]:
    try:
        document = json.loads((folder / "package.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def _licence(manifest: Mapping[str, Any]) -> str:
    told = manifest.get("license") or manifest.get("licenses") or ""
    entries = told if isinstance(told, list) else [told]
    words = [str(one.get("type") or "") if isinstance(one, dict) else str(one) for one in entries]
    return " OR ".join(word for word in words if word)
