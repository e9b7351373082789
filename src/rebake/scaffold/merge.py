"""Three-way: what a project was made of, what it is now, and what the template makes today.

The merge is git's own, in a repository of its own that borrows the project's objects. So the
project is not touched before the result is known, and a file that was renamed here still gets its
changes.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from msgspec import Struct

from rebake.errors import UsageError
from rebake.scaffold.repository import by_nobody, git, try_git

_BASE, _OURS, _THEIRS = "1", "2", "3"
_WORDS = {
    frozenset({_OURS, _THEIRS}): "added here and in the template, differently",
    frozenset({_BASE, _OURS}): "deleted in the template, changed here; it was kept",
    frozenset({_BASE, _THEIRS}): "deleted here, changed in the template; it is back",
    frozenset({_BASE}): "renamed differently here and in the template",
    frozenset({_OURS}): "renamed here",
    frozenset({_THEIRS}): "renamed in the template",
}


class Change(Struct, frozen=True):
    """A file that the update changes: `A` new, `M` changed, `D` gone, `T` a link now, or none."""

    kind: str
    path: str


class Merged(Struct, frozen=True):
    """What comes out.

    Attributes:
        folder: the merged files.
        changes: what differs from the project.
        conflicts: files that need a decision, each with what happened to it.
        diff: the changes as a patch.
    """

    folder: Path
    changes: tuple[Change, ...]
    conflicts: tuple[str, ...]
    diff: str


def merge(project: Path, base: Path, theirs: Path, work: Path) -> Merged:
    """Bring together what changed here and what changed in the template.

    Args:
        project: the project's folder, in a repository; its HEAD is what counts.
        base: what the template made, then.
        theirs: what it makes today.
        work: an absent folder for the result.

    Raises:
        CommandFailed: git refused.
    """
    work.mkdir()
    git(work, "init", "--quiet", "--template=", ".")
    objects = Path(project, git(project, "rev-parse", "--git-path", "objects")).resolve()
    alternates = work / ".git" / "objects" / "info" / "alternates"
    alternates.parent.mkdir(parents=True, exist_ok=True)
    alternates.write_bytes(os.fsencode(objects) + b"\n")
    prefix = git(project, "rev-parse", "--show-prefix").rstrip("/")
    ours_tree = git(project, "rev-parse", f"HEAD:{prefix}")
    nobody = by_nobody()
    first = _commit(work, _tree(work, base), None)
    ours, template = _commit(work, ours_tree, first), _commit(work, _tree(work, theirs), first)
    git(work, "branch", "template", template)
    git(work, "branch", "yours", ours)
    git(work, "checkout", "--quiet", "--force", "yours")
    outcome = try_git(
        work, "merge", "--no-ff", "--no-commit", "--quiet", "template", **nobody,
    )  # fmt: skip
    conflicts = _conflicts(work)
    if not outcome.ok and not conflicts:
        outcome.check("report this")
    git(work, "add", "--all", "--force")
    return Merged(work, _changes(work, ours), conflicts, _diff(work, ours))


def apply(merged: Merged, project: Path) -> None:
    """Carry the changes over into the project's folder.

    Nothing is overwritten that git does not have: the caller has seen to it that everything is
    committed, and a new file takes no place that is taken.

    Raises:
        UsageError: a place is taken; nothing was changed.
    """
    root = project.resolve()
    for change in merged.changes:
        target = project / change.path
        if not target.parent.resolve().is_relative_to(root):
            raise UsageError(f"{target} is outside of the project", "remove the link on its way")
        new = change.kind == "A" and os.path.lexists(target)
        if new and not _same(target, merged.folder / change.path):
            raise UsageError(
                f"{target} is there, and git does not know it; the template has such a file too",
                "move it away, or commit it",
            )
    for change in merged.changes:
        if change.kind == "D":
            (project / change.path).unlink(missing_ok=True)
            _tidy((project / change.path).parent, root)
    for change in merged.changes:
        if change.kind != "D":
            _put(merged.folder / change.path, project / change.path)


def check_clean(project: Path) -> None:
    """Refuse a project whose edits git does not have yet.

    Raises:
        UsageError: it is none of git's, or there are such edits.
    """
    status = try_git(project, "status", "--porcelain", "--untracked-files=no", "--", ".")
    if not status.ok or not try_git(project, "rev-parse", "--verify", "--quiet", "HEAD").ok:
        raise UsageError(f"{project} has no commit in git", "git init && git add -A && git commit")
    if lines := status.stdout.splitlines():
        shown = ", ".join(line[3:] for line in lines[:3]) + (", …" if len(lines) > 3 else "")  # noqa: PLR2004
        raise UsageError(
            f"there are edits that are not committed: {shown}",
            "commit them, or git stash; so the update can lose nothing",
        )


def _tree(work: Path, folder: Path) -> str:
    index = str(work / ".git" / "index-of-tree")
    Path(index).unlink(missing_ok=True)
    env = {"GIT_INDEX_FILE": index}
    git(work, f"--work-tree={folder.resolve()}", "add", "--all", "--force", ".", **env)
    return git(work, "write-tree", **env)


def _commit(work: Path, tree: str, parent: str | None) -> str:
    words = ("-p", parent) if parent else ()
    return git(work, "commit-tree", tree, *words, "-m", "x", **by_nobody())


def _conflicts(work: Path) -> tuple[str, ...]:
    stages: dict[str, set[str]] = {}
    for entry in git(work, "ls-files", "--unmerged", "-z").split("\0"):
        meta, _, path = entry.partition("\t")
        if path:
            stages.setdefault(path, set()).add(meta.split()[2])
    return tuple(f"{path}: {_word(work, path, stages[path])}" for path in sorted(stages))


def _word(work: Path, path: str, stages: set[str]) -> str:
    if stages == {_BASE, _OURS, _THEIRS}:
        marked = b"<<<<<<<" in (work / path).read_bytes() if (work / path).is_file() else False
        return "changed here and in the template" if marked else "not text; yours was kept"
    return _WORDS[frozenset(stages)]


def _changes(work: Path, ours: str) -> tuple[Change, ...]:
    words = git(work, "diff", "--cached", "--name-status", "--no-renames", "-z", ours).split("\0")
    return tuple(Change(k, p) for k, p in zip(words[::2], words[1::2], strict=False) if p)


def _diff(work: Path, ours: str) -> str:
    return git(work, "diff", "--cached", "--no-color", "--no-ext-diff", "--no-textconv", ours)


def _same(one: Path, other: Path) -> bool:
    return one.is_file() and other.is_file() and one.read_bytes() == other.read_bytes()


def _put(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    new = target.with_name(f".{target.name}.rebake-new")
    shutil.copy2(source, new, follow_symlinks=False)
    if not new.is_symlink():
        os.utime(new)  # cargo and bundlers look at times
    new.replace(target)


def _tidy(folder: Path, root: Path) -> None:
    while folder.resolve() != root and folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent
