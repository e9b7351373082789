"""What the builder sees of a context beside the files' contents: modes, and empty folders.

They are in no build id, since Git and Windows can't agree on them, but the builder runs a step
again when they are others. So they are kept for the explanation: what is usual in a context once,
and whatever is not as usual by its path.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from rebake.errors import ProjectError
from rebake.history.evidence import USUAL
from rebake.history.records import FileDigest
from rebake.project.ignore import IgnoreMatcher, ignore_file, walk_folders


def modes_of(
    root: Path, files: Iterable[FileDigest], dockerfile: Path | None = None
) -> dict[str, str]:
    """Return the modes of a context, as `history.evidence` describes them.

    Args:
        root: the context's folder.
        files: those of its files that travel.
        dockerfile: the Dockerfile whose ignore file counts.
    """
    if os.name == "nt":  # the client makes them up there
        return {}
    kinds = {file.path: file.kind for file in files if file.kind != "link"}
    holding = {folder for path in kinds for folder in _above(path)}
    empty: set[str] = set()
    with contextlib.suppress(ProjectError):
        matcher = IgnoreMatcher.load(ignore_file(root, dockerfile))
        empty = set(walk_folders(root, matcher)) - holding
    found: dict[str, tuple[str, str]] = {}
    for path, kind in kinds.items():
        found[path] = (kind, _mode(root, path))
    for folder in holding | empty:
        found[f"{folder}/"] = ("folder", _mode(root, folder))
    usual = _usual(found)
    odd = {
        path: mode
        for path, (kind, mode) in found.items()
        if mode != usual[USUAL + kind] or path.removesuffix("/") in empty
    }
    return usual | dict(sorted(odd.items()))


def _usual(found: Mapping[str, tuple[str, str]]) -> dict[str, str]:
    counts: dict[str, Counter[str]] = {}
    for kind, mode in found.values():
        counts.setdefault(kind, Counter())[mode] += 1
    # Of two that are as many the smaller one: the same each time.
    return {
        USUAL + kind: min(some, key=lambda mode: (-some[mode], mode))
        for kind, some in sorted(counts.items())
    }


def _above(path: str) -> Iterable[str]:
    parts = path.split("/")[:-1]
    return ("/".join(parts[:end]) for end in range(1, len(parts) + 1))


def _mode(root: Path, path: str) -> str:
    try:
        return f"{stat.S_IMODE(os.lstat(root / path).st_mode):04o}"
    except OSError:
        return ""
