"""The UI's packages: which manager installs them, and what its lock-file says."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

from rebake.errors import ProjectError
from rebake.results import Manager

LOCK_FILES: Mapping[Manager, str] = {"bun": "bun.lock", "npm": "package-lock.json"}
# Installs what the lock-file names, into a folder that people work in. Not `npm ci`, which removes
# everything and unpacks it again, where nothing has changed too.
_INSTALL: Mapping[Manager, tuple[str, ...]] = {
    "bun": ("install", "--frozen-lockfile"),
    "npm": ("install", "--no-save", "--prefer-offline", "--no-audit", "--no-fund"),
}
# One line of bun.lock: the name in the tree, then `package@version`.
_BUN_LINE = re.compile(r'(?m)^    "[^"]+": \["(?P<name>@?[^@"]+)@(?P<version>[^"@]+)"')


def install_words(manager: Manager) -> tuple[str, ...]:
    """What the manager is called with to install the packages of its lock-file."""
    return _INSTALL[manager]


def lock_file(folder: Path, manager: Manager) -> Path:
    """The manager's lock-file in the UI's folder, be it there or not."""
    return folder / LOCK_FILES[manager]


def other(manager: Manager) -> Manager:
    """The other manager."""
    return "npm" if manager == "bun" else "bun"


def require_lock_file(folder: Path, manager: Manager) -> None:
    """See to it that the lock-file of `ui.manager` is the one that this project keeps.

    Where there is none at all, nothing is said: `invoke doctor` does, and so does the manager.

    Raises:
        ProjectError: there is only the other manager's; or npm's lacks a package that package.json
            names.
    """
    mine, theirs = lock_file(folder, manager), lock_file(folder, other(manager))
    if not mine.is_file():
        if theirs.is_file():
            raise ProjectError(
                mine,
                f"is not there, but {theirs.name} is, and ui.manager is {manager}",
                f'set ui.manager = "{other(manager)}" in rebake.toml, or run {manager} install '
                f"in {folder} and commit {mine.name}",
            )
        return
    if manager == "npm" and (lacking := _lacking(folder / "package.json", mine)):
        raise ProjectError(
            mine,
            f"lacks {', '.join(lacking)}, which package.json names",
            f"run npm install in {folder}, and commit both files",
        )


def differing(folder: Path) -> tuple[str, ...]:
    """The packages that both lock-files name, in versions that have none in common.

    Empty where there are not both. Packages for other kinds of machine may be in one alone.
    """
    files = [lock_file(folder, manager) for manager in LOCK_FILES]
    if not all(file.is_file() for file in files):
        return ()
    try:
        bun, npm = bun_versions(files[0].read_text("utf-8")), npm_versions(files[1])
    except OSError as error:
        raise ProjectError(folder, f"can't be read: {error.strerror}") from error
    return tuple(sorted(name for name in bun.keys() & npm.keys() if not bun[name] & npm[name]))


def bun_versions(text: str) -> dict[str, set[str]]:
    """The versions of each package in the text of a bun.lock."""
    found: dict[str, set[str]] = {}
    for match in _BUN_LINE.finditer(text):
        found.setdefault(match["name"], set()).add(match["version"])
    return found


def npm_versions(file: Path) -> dict[str, set[str]]:
    """The versions of each package in a package-lock.json.

    Raises:
        ProjectError: it is no lock-file of npm 7 or newer.
    """
    found: dict[str, set[str]] = {}
    for place, entry in _packages(file).items():
        if place and isinstance(entry, dict):
            name = str(entry.get("name") or place.rpartition("node_modules/")[2])
            found.setdefault(name, set()).add(str(entry.get("version", "")))
    return found


def _lacking(manifest: Path, lock: Path) -> list[str]:
    """The dependencies of package.json that have no place in npm's lock-file."""
    places = _packages(lock)
    try:
        document = json.loads(manifest.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError):
        return []  # whoever reads it says so, in better words
    names = [
        name
        for table in ("dependencies", "devDependencies")
        for name in (document.get(table) or {} if isinstance(document, dict) else {})
    ]
    return [name for name in names if f"node_modules/{name}" not in places]


def _packages(lock: Path) -> Mapping[str, object]:
    how = "make it again: npm install"
    try:
        document = json.loads(lock.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ProjectError(lock, f"can't be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ProjectError(lock, "is not UTF-8 text", how) from error
    except json.JSONDecodeError as error:
        raise ProjectError(lock, f"is not valid JSON: {error.msg}", how, error.lineno) from error
    packages = document.get("packages") if isinstance(document, dict) else None
    if not isinstance(packages, dict):
        raise ProjectError(lock, "is no lock-file of npm 7 or newer", how)
    return packages
