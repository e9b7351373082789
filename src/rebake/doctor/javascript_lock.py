"""Compares bun.lock and package-lock.json with package.json: what a frozen install refuses. Pure.

Both files repeat each manifest's dependencies word for word.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rebake.errors import ProjectError

_KINDS = ("dependencies", "devDependencies", "optionalDependencies", "peerDependencies")
_NPM_WITH_PACKAGES = 2  # lockfileVersion: since npm 7
# A string, or a comma before a closing bracket: bun.lock is JSON with trailing commas.
_TRAILING = re.compile(r'("(?:[^"\\]|\\.)*")|,(\s*[\]}])')


def workspaces(folder: Path) -> dict[str, Path]:
    """The manifests of a package and its workspaces: by path (empty: the package itself).

    Raises:
        ProjectError: a manifest is not JSON.
    """
    found = {"": folder / "package.json"}
    given = _read(found[""]).get("workspaces") or []
    patterns = given.get("packages", []) if isinstance(given, dict) else given
    left_out = {
        path
        for pattern in patterns
        if pattern.startswith("!")
        for path in folder.glob(pattern[1:].rstrip("/"))
    }
    for pattern in patterns:
        if pattern.startswith("!"):
            continue
        for path in sorted(folder.glob(pattern.removeprefix("./").rstrip("/"))):
            manifest = path / "package.json"
            if path not in left_out and "node_modules" not in path.parts and manifest.is_file():
                found[path.relative_to(folder).as_posix()] = manifest
    return found


def bun_faults(folder: Path) -> Iterator[str]:
    """Yield what of `bun.lock` does not fit the manifests.

    Raises:
        ProjectError: a file can't be read.
    """
    lock = folder / "bun.lock"
    locked = _read(lock, trailing_commas=True).get("workspaces")
    if not isinstance(locked, dict):
        raise ProjectError(lock, "has no workspaces", "bun install")
    yield from _compare(folder, locked)


def npm_faults(folder: Path) -> Iterator[str]:
    """Yield what of `package-lock.json` does not fit the manifests.

    Raises:
        ProjectError: a file can't be read, or is of npm 6 or older.
    """
    lock = folder / "package-lock.json"
    document = _read(lock)
    packages = document.get("packages")
    if document.get("lockfileVersion", 1) < _NPM_WITH_PACKAGES or not isinstance(packages, dict):
        raise ProjectError(lock, "was written by npm 6 or older", "npm install")
    locked = {
        path: entry
        for path, entry in packages.items()
        if "node_modules" not in path.split("/") and isinstance(entry, dict)
    }
    yield from _compare(folder, locked)


def _compare(folder: Path, locked: Mapping[str, Any]) -> Iterator[str]:
    manifests = workspaces(folder)
    for path, file in manifests.items():
        name = f"{path}/package.json" if path else "package.json"
        entry = locked.get(path)
        if entry is None:
            yield f"{name} is not in the lock-file"
            continue
        manifest = _read(file)
        for kind in _KINDS:
            now, then = manifest.get(kind) or {}, entry.get(kind) or {}
            for package in sorted(now.keys() | then.keys()):
                if now.get(package) == then.get(package):
                    continue
                if package not in then:
                    yield f"{name} has {package} {now[package]}, which the lock-file does not know"
                elif package not in now:
                    yield f"{name} has {package} no more"
                else:
                    yield f"{name} asks for {package} {now[package]}, locked is {then[package]}"
    for path in sorted(locked.keys() - manifests.keys()):
        yield f"{path}/package.json is in the lock-file, and there no more"


def _read(file: Path, *, trailing_commas: bool = False) -> dict[str, Any]:
    try:
        text = file.read_text(encoding="utf-8-sig")
        if trailing_commas:
            text = _TRAILING.sub(lambda m: m[1] or m[2], text)
        document = json.loads(text)
    except OSError as error:
        raise ProjectError(file, f"can't be read: {error.strerror}") from error
    except ValueError as error:
        raise ProjectError(file, f"is not valid JSON: {error}", "mend that line") from error
    if not isinstance(document, dict):
        raise ProjectError(file, "is not a JSON object")
    return document
