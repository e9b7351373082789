"""Finishes the root folder of a made base image, before it becomes a layer.

A program of its own (standard library only), since the folder belongs to root. What it takes out
is what came from this machine (package sources, host name, name servers) and what nobody reads in
an image (documentation, translations, caches, logs).

    python -I rootfs_tool.py FOLDER SPECIFICATION.json
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

_EMPTIED = (
    "etc/apt/sources.list.d",
    "etc/apt/trusted.gpg.d",
    "usr/share/doc",
    "usr/share/info",
    "usr/share/lintian",
    "usr/share/locale",
    "usr/share/man",
    "var/cache/apt",
    "var/cache/debconf",
    "var/lib/apt/lists",
    "var/log",
    "tmp",
)
_REMOVED = (
    "etc/apt/sources.list",
    "etc/apt/apt.conf.d/99mmdebstrap",
    "etc/hostname",
    "etc/resolv.conf",
    "etc/machine-id",
    "var/lib/dbus/machine-id",
    "var/cache/ldconfig/aux-cache",
)
_APT_CONF = 'Acquire::Languages "none";\nAPT::Install-Recommends "false";\n'
_WORDS = 2


def finish(root: Path, specification: dict[str, object]) -> None:
    """Clean the folder, then add what the specification names.

    Args:
        root: the image's root.
        specification: `folders` {path: mode}, `files` [{source, path, mode}], `trees`
            [{source, path}], `links` {path: target}, `users` [{name, uid, home}].
    """
    clean(root)
    for path, mode in _mapping(specification, "folders").items():
        folder = root / path
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(int(mode, 8))
    for user in _entries(specification, "users"):
        add_user(root, user["name"], int(user["uid"]), user["home"])
    for file in _entries(specification, "files"):
        target = root / file["path"]
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file["source"], target)
        target.chmod(int(file["mode"], 8))
    for tree in _entries(specification, "trees"):
        target = root / tree["path"]
        shutil.copytree(tree["source"], target, symlinks=True)
        for entry in (target, *target.rglob("*")):
            os.chown(entry, 0, 0, follow_symlinks=False)
    for path, link in _mapping(specification, "links").items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).symlink_to(link)


def clean(root: Path) -> None:
    """Take out what came from this machine and what nobody reads."""
    for name in _EMPTIED:
        folder = root / name
        if not folder.is_dir() or folder.is_symlink():
            continue
        for entry in folder.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()
    for name in _REMOVED:
        (root / name).unlink(missing_ok=True)
    configuration = root / "etc/apt/apt.conf.d"
    if configuration.is_dir():
        (configuration / "99rebake").write_text(_APT_CONF, encoding="ascii")


def add_user(root: Path, name: str, uid: int, home: str) -> None:
    """Add a user with a group of the same name and number."""
    for file, line in (
        ("etc/passwd", f"{name}:x:{uid}:{uid}::{home}:/bin/sh\n"),
        ("etc/group", f"{name}:x:{uid}:\n"),
        ("etc/shadow", f"{name}:!:20000:0:99999:7:::\n"),
    ):
        with (root / file).open("a", encoding="utf-8") as stream:
            stream.write(line)
    folder = root / home.lstrip("/")
    folder.mkdir(parents=True, exist_ok=True)
    for path in (folder, *folder.rglob("*")):
        os.chown(path, uid, uid, follow_symlinks=False)


def _mapping(specification: dict[str, object], key: str) -> dict[str, str]:
    value = specification.get(key)
    return value if isinstance(value, dict) else {}


def _entries(specification: dict[str, object], key: str) -> list[dict[str, str]]:
    value = specification.get(key)
    return value if isinstance(value, list) else []


def main(words: list[str]) -> int:
    """Finish the folder that the words name; return the exit code."""
    if len(words) != _WORDS:
        sys.stderr.write(f"{__doc__}\n")
        return 2
    try:
        finish(Path(words[0]), json.loads(Path(words[1]).read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError) as error:
        sys.stderr.write(f"{words[0]}: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
