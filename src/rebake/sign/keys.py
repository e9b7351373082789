"""The pair of keys: where it is, how it is made, and who may read it."""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from pathlib import Path

from rebake import process
from rebake.errors import ProjectError, UsageError
from rebake.process import Command
from rebake.sign import cosign
from rebake.sign.statement import fingerprint

PASSWORD = "COSIGN_PASSWORD"  # noqa: S105 - the variable's name, which is cosign's own


def make(program: Path, key: Path, root: Path, password: str) -> Path:
    """Make a pair of keys; return the file of the public one. Nothing is ever overwritten.

    Args:
        program: cosign.
        key: the file of the private key; the public one stands beside it, as `.pub`.
        root: the repository: no key may get into it.
        password: what the private key is locked with.

    Raises:
        UsageError: there is a key already, or it would be committed.
        CommandFailed: cosign could not.
    """
    public = public_of(key)
    require_place(key, root)
    key.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(prefix="rebake-key-") as folder:
        made = Path(folder) / "key"
        process.run(cosign.command(program, cosign.key_words(made), password)).check()
        _write_new(key, made.with_suffix(".key").read_bytes(), 0o600)
        _write_new(public, made.with_suffix(".pub").read_bytes(), 0o644)
    return public


def public_of(key: Path) -> Path:
    """The file of the public key that belongs to a private one."""
    return key.with_suffix(".pub")


def require_place(key: Path, root: Path) -> None:
    """Refuse a place where a key is already, or from where Git would take it.

    Raises:
        UsageError: it is such a place.
    """
    for file in (key, public_of(key)):
        if file.exists():
            raise UsageError(
                f"{file} is there already: a key is never overwritten",
                "use it, or name another place: sign.key in rebake.toml",
            )
    inside = key.resolve().is_relative_to(root.resolve())
    if inside and (root / ".git").exists() and not _ignored(key, root):
        raise UsageError(
            f"{key} is in the repository and not ignored by Git: a private key is never committed",
            "name a place outside of it (sign.key in rebake.toml), or a line in .gitignore",
        )


def _ignored(key: Path, root: Path) -> bool:
    return process.run(Command.of("git", "check-ignore", "--quiet", str(key), cwd=root)).ok


def _write_new(file: Path, content: bytes, mode: int) -> None:
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:
        raise UsageError(f"{file} is there already: a key is never overwritten") from None
    with os.fdopen(handle, "wb") as stream:
        stream.write(content)


def require_private(key: Path) -> None:
    """Refuse a private key that is not there, or that others can read.

    Raises:
        UsageError: there is none.
        ProjectError: others can read it.
    """
    try:
        status = key.stat()
    except FileNotFoundError:
        raise UsageError(
            f"there is no key at {key}",
            "invoke sign --make-key makes one; sign.key in rebake.toml names another place",
        ) from None
    if sys.platform != "win32" and stat.S_IMODE(status.st_mode) & 0o077:
        raise ProjectError(key, "is a private key that others can read", f"chmod 600 '{key}'")


def read_public(file: Path) -> str:
    """Return the fingerprint of a public key.

    Raises:
        UsageError: it is not there, or none.
    """
    try:
        return fingerprint(file.read_text(encoding="ascii", errors="replace"))
    except FileNotFoundError:
        raise UsageError(
            f"there is no public key at {file}",
            "get it from who signs, and name its place: sign.public_key in rebake.toml",
        ) from None
    except ValueError as error:
        raise UsageError(f"{file}: {error}", "it must be a .pub file of cosign") from None
