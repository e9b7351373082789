"""Which files of the repository there are to check."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from rebake.checks.plan import Tree
from rebake.errors import RebakeError
from rebake.process import Command, run

_SHELL = re.compile(rb"#!\s*(?:\S*/env\s+)?(?:\S*/)?(?:ba|da|k)?sh\b")
# Where git can't tell: what no check wants to see.
_GENERATED = frozenset({"node_modules", "target", "dist", "__pycache__", "wheels", "vendor"})
_HIDDEN_BUT_OURS = frozenset({".ci", ".github", ".sqlx", ".cargo"})


def read_tree(root: Path, backend: str, ui: str, compose: tuple[str, ...]) -> Tree:
    """Return the repository's files, new ones too, without those that git ignores."""
    files = tuple(sorted(_from_git(root) or _from_disk(root)))
    shell = tuple(name for name in files if _is_shell(root / name))
    present = tuple(name for name in compose if (root / name).is_file())
    return Tree(files, shell, backend, ui, compose=present)


def _from_git(root: Path) -> list[str]:
    words = ("ls-files", "--cached", "--others", "--exclude-standard", "-z")
    try:
        outcome = run(Command.of("git", *words, cwd=root))
    except RebakeError:
        return []
    names = outcome.stdout.split("\0") if outcome.ok else []
    return [name for name in set(names) if name and (root / name).is_file()]


def _from_disk(root: Path) -> Iterator[str]:
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if _is_source(name)]
        place = Path(folder).relative_to(root)
        yield from ((place / name).as_posix() for name in names)


def _is_source(folder: str) -> bool:
    return folder not in _GENERATED and (not folder.startswith(".") or folder in _HIDDEN_BUT_OURS)


def _is_shell(path: Path) -> bool:
    if path.suffix not in {"", ".sh", ".bash"}:
        return False
    if path.suffix:
        return True
    try:
        with path.open("rb") as file:
            return _SHELL.match(file.read(80)) is not None
    except OSError:
        return False
