"""git, told to run nothing of the repositories that it reads."""

from __future__ import annotations

import os
from pathlib import Path

from rebake.process import Command, Outcome, run

_QUIET = (
    *("-c", f"core.hooksPath={os.devnull}", "-c", "core.fsmonitor=false"),
    *("-c", "core.autocrlf=false", "-c", "core.safecrlf=false", "-c", "commit.gpgSign=false"),
    # Of the user's settings none may change what a merge looks like.
    *("-c", "merge.conflictStyle=merge", "-c", "merge.renames=true"),
    *("-c", "advice.detachedHead=false", "-c", "init.defaultBranch=main", "-c", "gc.auto=0"),
)
_ENV: dict[str, str | None] = {
    "GIT_TERMINAL_PROMPT": "0",
    # Not `ext`, which runs a command.
    "GIT_ALLOW_PROTOCOL": "file:git:http:https:ssh",
    "GIT_LFS_SKIP_SMUDGE": "1",
    # Set where we are called from a hook; they would lead git to another repository.
    "GIT_DIR": None,
    "GIT_WORK_TREE": None,
    "GIT_INDEX_FILE": None,
    "GIT_OBJECT_DIRECTORY": None,
    "LC_ALL": "C",
}
NOBODY = ("rebake", "rebake@localhost")


def try_git(folder: Path, *words: str | Path, **env: str) -> Outcome:
    """Run git in a folder and return what came of it."""
    what = next((f"git {word}" for word in words if not str(word).startswith("-")), "git")
    return run(Command.of("git", *_QUIET, *words, cwd=folder, env={**_ENV, **env}, what=what))


def git(folder: Path, *words: str | Path, **env: str) -> str:
    """Run git in a folder and return its output, without the line end.

    Raises:
        CommandFailed: it ended with another code than 0.
    """
    return try_git(folder, *words, **env).check("see what git says above").stdout.rstrip("\n")


def top_of(folder: Path) -> Path | None:
    """Return the top of the worktree that a folder is in; None outside of any."""
    outcome = try_git(folder, "rev-parse", "--show-toplevel")
    return Path(outcome.stdout.rstrip("\n")) if outcome.ok else None


def as_author(folder: Path) -> dict[str, str]:
    """Return the variables that let git commit in a folder where it does not know who we are."""
    known = try_git(folder, "config", "user.email").ok and try_git(folder, "config", "user.name").ok
    named = os.environ.get("GIT_AUTHOR_EMAIL") and os.environ.get("GIT_COMMITTER_EMAIL")
    return {} if known or named else by_nobody()


def by_nobody() -> dict[str, str]:
    """Return the variables of a commit whose author does not matter."""
    name, mail = NOBODY
    return {
        "GIT_AUTHOR_NAME": name,
        "GIT_AUTHOR_EMAIL": mail,
        "GIT_COMMITTER_NAME": name,
        "GIT_COMMITTER_EMAIL": mail,
    }


def first_commit(folder: Path, message: str) -> tuple[str, bool]:
    """Make a folder a repository with all its files in one commit.

    Returns:
        The commit, and whether git did not know who we are.

    Raises:
        CommandFailed: git refused.
    """
    git(folder, "init", "--quiet", "--template=", ".")
    git(folder, "add", "--all")
    author = as_author(folder)
    git(folder, "commit", "--quiet", "--no-verify", "-m", message, **author)
    return git(folder, "rev-parse", "HEAD"), bool(author)
