"""Finds the cargo workspace and the compose file of a project that exists."""

from __future__ import annotations

import contextlib
import os
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

from rebake.errors import ProjectError, UsageError
from rebake.project.cargo import read_manifest
from rebake.scaffold.adopt_compose import OVERRIDE_NAMES, ComposeFile, read_compose

OURS = "docker-compose.rebake.yml"
_DEEPEST = 4
_LARGEST = 1_000_000  # bytes of a manifest or a compose file
_NOT_LOOKED_INTO = frozenset({"node_modules", "target", "vendor", "dist", "build", "__pycache__"})


def files_of(root: Path) -> list[str]:
    """Return the files of a project that matter, from its root, the outer ones first."""
    return sorted(_walk(root), key=lambda name: (name.count("/"), name))


def is_plain(name: str) -> bool:
    """Whether a path means itself in Dockerfiles, ignore files and compose files."""
    return re.search(r"[\x00-\x1f\x7f\"'`$\\*?\[\]!#]", name) is None


def workspace_folder(root: Path, files: list[str], asked: str) -> str:
    """Return the folder of the cargo workspace, from the root.

    Raises:
        UsageError: there is none, or there are several.
    """
    found = _asked(root, asked, "backend") if asked else _outermost(root, files)
    if not is_plain(found):
        raise UsageError(
            f"{found!r}: a name with such characters can't be written down everywhere",
            "give the folder of the cargo workspace another name",
        )
    return found


def _outermost(root: Path, files: list[str]) -> str:
    manifests = [name for name in files if posixpath.basename(name) == "Cargo.toml"]
    outer = min((name.count("/") for name in manifests), default=0)
    parsed = {}
    for name in manifests:
        # A broken one deep inside may be a test's; the outermost ones are told.
        with contextlib.suppress(*([] if name.count("/") == outer else [ProjectError])):
            parsed[name] = read_manifest(root / name)
    found = [name for name in parsed if "workspace" in parsed[name]] or list(parsed)
    if not found:
        raise UsageError(
            f"{root}: there is no Cargo.toml", "rebake adopts projects with a cargo workspace"
        )
    depth = found[0].count("/")
    best = [name for name in found if name.count("/") == depth]
    if len(best) > 1:
        shown = ", ".join(posixpath.dirname(name) for name in best)
        raise UsageError(
            f"there are several cargo workspaces: {shown}",
            f"name one: --data backend={posixpath.dirname(best[0])}",
        )
    return posixpath.dirname(best[0]) or "."


def require_compose(root: Path, files: list[str]) -> list[str]:
    """Return the compose files that there are.

    Raises:
        UsageError: there is none.
    """
    names = [name for name in files if _is_compose(posixpath.basename(name))]
    if not names:
        raise UsageError(
            f"{root}: there is no compose file",
            "name it: --data compose=FILE; without one there is nothing to put on the fast build",
        )
    return names


def compose_file(root: Path, files: list[str], asked: str) -> tuple[ComposeFile, list[str]]:
    """Return the compose file to build on, and what there is to say of the others.

    Raises:
        UsageError: there is none with a service that is built.
    """
    if asked:
        return read_compose(root / _asked(root, asked, "compose")), []
    names = require_compose(root, files)
    read: list[ComposeFile] = []
    notes: list[str] = []
    for name in names:
        try:
            read.append(read_compose(root / name))
        except ProjectError as error:
            notes.append(f"not looked at: {error.what}")
    found = [one for one in read if one.built]
    if not found:
        raise UsageError(f"no service is built in {', '.join(names)}", "--data compose=FILE")
    best = max(found, key=lambda one: (one.is_default, len(one.built)))
    others = [one.path.relative_to(root).as_posix() for one in found if one is not best]
    if others:
        notes.append(f"not taken: {', '.join(others)}; choose by --data compose=FILE")
    return best, notes


def _is_compose(name: str) -> bool:
    stem = name.removeprefix("docker-")
    plain = stem.startswith("compose") and name.endswith((".yml", ".yaml"))
    return plain and name != OURS and name not in OVERRIDE_NAMES


def _asked(root: Path, name: str, question: str) -> str:
    found = Path(os.path.normpath(root / name))
    if not found.is_relative_to(root) or not found.resolve().is_relative_to(root.resolve()):
        raise UsageError(f"--data {question}={name} leaves the project's folder")
    if not found.exists():
        raise UsageError(f"--data {question}={name}: there is no such file or folder in {root}")
    return found.relative_to(root).as_posix()


def _walk(root: Path) -> Iterator[str]:
    """Yield the files that matter, from the root; links are not followed."""
    for place, folders, names in os.walk(root):
        here = Path(place).relative_to(root)
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".") and name not in _NOT_LOOKED_INTO
            and len(here.parts) < _DEEPEST
        ]  # fmt: skip
        for name in names:
            wanted = name in {"Cargo.toml", "package.json"} or _is_compose(name)
            path = Path(place) / name
            if wanted and not path.is_symlink() and path.stat().st_size < _LARGEST:
                yield (here / name).as_posix()
