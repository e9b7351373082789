"""Writes the ignore files of an adopted project: what its own one says, then ours. Pure.

What travels too much costs time, what travels too little changes the build. So only what no build
can need is left out here: what tools made, and what `rebake adopt` itself writes.
"""

from __future__ import annotations

from rebake.scaffold.adopt_compose import OVERRIDE_NAMES
from rebake.scaffold.adopt_view import Kind

# Crates that read the repository while they are compiled.
READ_GIT = ("vergen", "shadow-rs", "built", "git-version", "git2", "gix")
_OURS = (
    *("rebake.toml", "tasks.py", "noxfile.py", "pyproject.toml", "scripts/bootstrap.py"),
    *("docker/rebake", "vendor/rebake-*.whl", "docker-compose.rebake.yml"),
)
_MADE = {"backend": ("target", "**/node_modules"), "ui": ("**/node_modules", "target")}
_EVERYWHERE = (".rebake", ".venv", "**/__pycache__", "**/.DS_Store", "**/*.rs.bk", "**/*.sw[op]")


def ignore_text(
    kind: Kind, folder: str, theirs: str, *, other: str, compose: str, lock: str
) -> str:
    """Return the ignore file of a half.

    Args:
        kind: which half.
        folder: its folder, from the project's root.
        theirs: the ignore file that its builds had; empty for none.
        other: the folder of the other half; empty where there is none.
        compose: the compose file, from the root.
        lock: the text of Cargo.lock.
    """
    lines = ["# Written by rebake adopt: the ignore file that was there, and rebake's own lines."]
    lines += theirs.removeprefix("\ufeff").splitlines()
    lines += ["", "# rebake's own lines.", *_MADE[kind], *_EVERYWHERE]
    if kind == "backend":
        # In a UI, they may be a part of what is built.
        lines += ["**/.env", "**/.env.*"]
    if kind == "ui" or not reads_git(lock):
        lines.append(".git")
    lines += ["Dockerfile.rebake", "Dockerfile.rebake.dockerignore"]
    beside = compose.rpartition("/")[0]
    overrides = [f"{beside}/{name}" if beside else name for name in OVERRIDE_NAMES]
    ours = [*_OURS, compose, *overrides, *([other] if other and other != "." else [])]
    prefix = "" if folder == "." else f"{folder}/"
    below = [name.removeprefix(prefix) for name in ours if name.startswith(prefix)]
    return "\n".join([*lines, *(name for name in below if name)]) + "\n"


def reads_git(lock: str) -> bool:
    """Whether a crate of Cargo.lock may read the repository while it is compiled."""
    names = {line.partition('"')[2].rstrip('"') for line in lock.splitlines() if "name = " in line}
    return any(
        name == crate or name.startswith(f"{crate}-") for name in names for crate in READ_GIT
    )
