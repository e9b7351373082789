"""What git says of this worktree; everything works without git too."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from rebake.errors import ProgramMissing, TimedOut
from rebake.process import Command, run


class GitState(Struct, frozen=True):
    """The commit that is checked out, and whether files differ from it."""

    head: str
    dirty: bool


def read_state(root: Path) -> GitState | None:
    """Return the state of the worktree, or None where there is no git or no commit."""
    command = Command.of(
        "git", "-C", root, "status", "--porcelain=v2", "--branch", "--untracked-files=normal",
        env={"GIT_OPTIONAL_LOCKS": "0"}, timeout_s=10.0,
    )  # fmt: skip
    try:
        outcome = run(command)
    except (ProgramMissing, TimedOut):
        return None
    return parse_status(outcome.stdout) if outcome.ok else None


def parse_status(text: str) -> GitState | None:
    """Read the output of `git status --porcelain=v2 --branch`."""
    head, dirty = "", False
    for line in text.splitlines():
        if line.startswith("# branch.oid "):
            head = line.removeprefix("# branch.oid ")
        elif not line.startswith("#"):
            dirty = True
    return None if head in {"", "(initial)"} else GitState(head, dirty)


def common_dir(root: Path) -> Path | None:
    """Return the folder that all worktrees of this repository share, or None without git.

    Read from the files themselves (gitrepository-layout(5)), since it is asked at each build.
    """
    for folder in (root, *root.parents):
        entry = folder / ".git"
        if entry.is_dir():
            return entry.resolve()
        if entry.is_file():
            try:
                target = entry.read_text(encoding="utf-8").removeprefix("gitdir:").strip()
                private = (folder / target).resolve()
                shared = (private / "commondir").read_text(encoding="utf-8").strip()
            except OSError:
                return None
            return (private / shared).resolve()
    return None


def worktrees(root: Path) -> tuple[Path, ...]:
    """Return the folders of all worktrees of this repository that are there; empty without git."""
    shared = common_dir(root)
    if shared is None:
        return ()
    found = [shared.parent] if shared.name == ".git" else []
    for entry in sorted(shared.glob("worktrees/*/gitdir")):
        try:
            found.append((entry.parent / entry.read_text(encoding="utf-8").strip()).parent)
        except OSError:
            continue
    return tuple(folder.resolve() for folder in found if folder.is_dir())
