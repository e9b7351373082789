"""What a build was made from and what it met, as far as the cause of a step is told by it.

Kept beside each build's record. Its parts are the same in most builds and are stored once
(`evidence_tables`). What is known of a file's content is kept by the content's digest, so ten
thousand builds that differ in a few files add a few hundred bytes each.

Nothing here holds a secret: of a secret there is its name, of a file's lines there are short
digests that only this database's key can make again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Literal

from msgspec import Struct, field

FactKind = Literal["lines", "text", "lock", "manifest"]
USUAL = "*"  # in front of a kind of file: the mode that is usual for it
LINE_BYTES = 4  # of each line's digest: two lines are taken for one in 4 billion pairs


class BakeTarget(Struct, frozen=True):
    """One target of the bake file as bake resolves it.

    Attributes:
        folder: the build context, from the project's root.
        dockerfile: the Dockerfile, from the project's root.
        stage: the stage that is built; empty for the last one.
        arguments: build arguments by name. A value that starts with `$` stands for the bake
            variable of that name: those differ from build to build.
        contexts: named contexts: a folder, `target:NAME`, or an image.
    """

    folder: str
    dockerfile: str
    stage: str = ""
    arguments: Mapping[str, str] = field(default_factory=dict)
    contexts: Mapping[str, str] = field(default_factory=dict)


class Package(Struct, frozen=True):
    """A package of a lock file: `source` is empty for one of the workspace's own."""

    name: str
    version: str
    source: str = ""
    needs: tuple[str, ...] = ()


class Manifest(Struct, frozen=True):
    """A Cargo.toml as far as the order of compilation depends on it.

    Attributes:
        name: the package's name; empty for a workspace without a package of its own.
        needs: names of the packages that it is compiled with.
        tests: names of those that only its tests need.
    """

    name: str
    needs: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()


class FileFacts(Struct, frozen=True):
    """What is known of one content of a file.

    Attributes:
        lines: `LINE_BYTES` bytes for each line; None for what is no text.
        text: the text itself, with secrets masked: only of Dockerfiles, ignore files and the
            bake file.
        lock: the packages of a lock file.
        manifest: what a Cargo.toml says.
    """

    lines: bytes | None = None
    text: str | None = None
    lock: tuple[Package, ...] | None = None
    manifest: Manifest | None = None


class Evidence(Struct, frozen=True):
    """What a build was made from, beside its files.

    Attributes:
        settings: whatever decides, by name: keys of rebake.toml, the engine, flags.
        targets: the bake targets, by name; empty where bake could not be asked.
        mounts: the project's cache mounts that were there at the start; None: not known.
        crates: the packages of which cargo compiled something, as `name@version`; None where no
            step told.
        modes: by the context's name: the usual mode of each kind (`*file`, `*exec`, `*folder`), and
            that of whatever has another one or is an empty folder, by its path; folders end with
            a slash. Octal digits.
        facts: what was learnt of files, by the SHA-256 of their content. Only written: what is
            known already is left out.
    """

    settings: Mapping[str, str] = field(default_factory=dict)
    targets: Mapping[str, BakeTarget] = field(default_factory=dict)
    mounts: tuple[str, ...] | None = None
    crates: tuple[str, ...] | None = None
    modes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    facts: Mapping[str, FileFacts] = field(default_factory=dict)


class Removal(Struct, frozen=True):
    """Caches that rebake itself removed: when (seconds since 1970), by which command, which."""

    at: float
    by: str
    names: tuple[str, ...]


def line_digests(content: bytes, key: bytes) -> bytes:
    """Return the digests of a text's lines, one after the other.

    Args:
        content: the text; its lines end with a line feed, with or without a carriage return.
        key: the database's, so that a digest tells nothing without it.
    """
    start = hashlib.blake2b(key=key, digest_size=LINE_BYTES)
    found = bytearray()
    for line in content.splitlines():
        one = start.copy()
        one.update(line)
        found += one.digest()
    return bytes(found)


def split_lines(lines: bytes) -> Sequence[bytes]:
    """Return the digests of a text's lines as a list."""
    return [lines[i : i + LINE_BYTES] for i in range(0, len(lines), LINE_BYTES)]
