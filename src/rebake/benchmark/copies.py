"""Copies of a project to edit and build: the user's own files stay as they are."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from rebake.benchmark.edits import Manifests, Originals, Sources, contents, paths
from rebake.benchmark.layout import Layout
from rebake.errors import ProgramMissing
from rebake.process import Command, run

_LEFT_OUT = {".git", ".venv", ".nox", ".rebake", "target", "node_modules", "dist", "__pycache__"}


def listed_files(root: Path) -> list[str]:
    """The project's files: what git lists, or all but what is built where there is no git."""
    try:
        outcome = run(
            Command.of(
                *("git", "-C", root, "ls-files", "-z"),
                *("--cached", "--others", "--exclude-standard"),
            )
        )
    except ProgramMissing:
        return _walk(root)
    names = [name for name in outcome.stdout.split("\0") if name] if outcome.ok else _walk(root)
    return [name for name in names if (root / name).is_symlink() or (root / name).is_file()]


def digest(root: Path, names: Sequence[str]) -> str:
    """Return one digest of a project's files."""
    total = hashlib.sha256()
    for name in sorted(names):
        file = root / name
        content = os.fsencode(file.readlink()) if file.is_symlink() else file.read_bytes()
        total.update(os.fsencode(name) + b"\0" + hashlib.sha256(content).digest())
    return total.hexdigest()


def copy_project(root: Path, names: Sequence[str], target: Path) -> None:
    """Copy files with their modes and times; links stay links."""
    for name in names:
        place = target / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(root / name, place, follow_symlinks=False)


def write_project(files: Mapping[str, str], target: Path) -> None:
    """Write a generated project's files."""
    for name, text in files.items():
        place = target / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8", newline="\n")


class Copy:
    """One subject's copy of the project, and what its sources say now.

    Args:
        root: the copy's folder.
        dockerfile: the Dockerfile that takes the label, from the root; none when empty.
    """

    def __init__(self, root: Path, layout: Layout, *, dockerfile: str = "") -> None:
        self.root = root
        self.layout = layout
        self.sources = Sources()
        self._dockerfile = dockerfile
        self._originals = Originals(
            {
                path: (root / path).read_text(encoding="utf-8")
                for path in paths(layout, dockerfile=dockerfile)
            }
        )

    def know_dependencies(self, manifests: Sequence[Manifests]) -> None:
        """Take over the manifests with further dependencies, for the edits to come."""
        self._originals = Originals(self._originals.texts, manifests)

    def say(self, sources: Sources) -> None:
        """Write the files that differ, as an editor does: their times are those of now."""
        wanted = contents(self.layout, self._originals, sources, dockerfile=self._dockerfile)
        for path, text in wanted.items():
            file = self.root / path
            if file.read_text(encoding="utf-8") != text:
                file.write_text(text, encoding="utf-8", newline="")
        self.sources = sources


def _walk(root: Path) -> list[str]:
    found = []
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in _LEFT_OUT)
        found += [Path(folder, name).relative_to(root).as_posix() for name in sorted(files)]
    return found
