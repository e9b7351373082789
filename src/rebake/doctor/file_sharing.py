"""Check `file-sharing`: whether the engine sees the project's folder, and hears of its changes."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rebake.doctor.case import Case
from rebake.doctor.diagnosis import Diagnosis, NotChecked, error, ok, warning
from rebake.engine import api

# No image has this name: the engine looks at the mount first, and then refuses.
_NO_IMAGE = "rebake-doctor.invalid/none:none"
_NOT_FOUND, _BAD_REQUEST = 404, 400
# File systems that deliver no events of changes that happen elsewhere (statfs(2), mount(8)).
_SILENT = frozenset(
    {"9p", "cifs", "fuse.sshfs", "fuse.vmhgfs-fuse", "nfs", "nfs4", "prl_fs", "smb3", "smbfs",
     "vboxsf", "drvfs"}
)  # fmt: skip


def check(case: Case) -> Iterator[Diagnosis]:
    """Ask the engine whether it could mount the project, and look at its file system."""
    root = case.project.root
    yield from _file_system(case, root)
    shared = _desktop_folders(case)
    if shared is not None and not any(root.is_relative_to(folder) for folder in shared):
        yield error(
            f"Docker Desktop does not share {root}",
            why="the development stack mounts the sources from there",
            fix="Docker Desktop, Settings, Resources, File sharing: add the folder",
        )
        return
    sees, said = engine_sees(case, root)
    if sees:
        yield ok(f"the engine sees {root}")
    else:
        yield error(
            f"the engine does not see {root}: {said}",
            why="the development stack mounts the sources from there",
            fix=_how_to_share(case),
        )


def engine_sees(case: Case, folder: Path) -> tuple[bool, str]:
    """Ask the engine for a container with a mount of `folder`, from an image that is not there.

    The engine looks at the mount first, so nothing is ever made: "no such image" means that the
    mount would do.

    Raises:
        NotChecked: it said something else.
    """
    document = {
        "Image": _NO_IMAGE,
        "HostConfig": {"Mounts": [{"Type": "bind", "Source": str(folder), "Target": "/x"}]},
    }
    answer = api.send(case.engine.endpoint.docker_host, "/containers/create", document)
    said = str((answer.document or {}).get("message") or "") if answer is not None else ""
    if answer is not None and answer.status == _NOT_FOUND:
        return True, ""
    if answer is not None and answer.status == _BAD_REQUEST:
        return False, said
    raise NotChecked(f"the engine can't be asked for a mount{': ' if said else ''}{said}")


def _file_system(case: Case, root: Path) -> Iterator[Diagnosis]:
    kind = file_system(root, _partitions())
    if kind in _SILENT and case.project.config.dev.watch != "polling":
        where = (
            "move the project into the Linux file system (below ~)"
            if kind in {"9p", "drvfs"} and sys.platform == "linux"
            else "move the project to a local disk"
        )
        yield warning(
            f"{root} is on a file system of type {kind}",
            why="it is slow, and hot reload is not told of changes",
            fix=f'{where}, or set dev.watch = "polling" in rebake.toml',
        )


def _partitions() -> list[tuple[str, str]]:
    import psutil

    return [(part.mountpoint, part.fstype) for part in psutil.disk_partitions(all=True)]


def file_system(folder: Path, partitions: Sequence[tuple[str, str]]) -> str:
    """The type of the file system that is mounted above a folder; empty for the root's. Pure."""
    fitting = [
        (len(Path(place).parts), place, kind)
        for place, kind in partitions
        if folder.is_relative_to(place)
    ]
    _, place, kind = max(fitting, default=(0, "", ""))
    return kind.lower() if place != "/" else ""  # the whole system's own: nobody else changes it


def _desktop_folders(case: Case) -> list[Path] | None:
    """The folders that Docker Desktop shares; None where there is no such list."""
    if case.virtual_machine != "Docker Desktop" or sys.platform == "win32":
        return None
    home = case.around.user_home
    for file in (
        home / "Library/Group Containers/group.com.docker/settings-store.json",
        home / "Library/Group Containers/group.com.docker/settings.json",
        home / ".docker/desktop/settings-store.json",
        home / ".docker/desktop/settings.json",
    ):
        try:
            return shared_folders(json.loads(file.read_text(encoding="utf-8")))
        except (OSError, ValueError):
            continue
    return None


def shared_folders(settings: Mapping[str, Any]) -> list[Path] | None:
    """Read Docker Desktop's settings; None when they name no folders. Pure."""
    for key, value in settings.items():
        if key.lower() == "filesharingdirectories" and isinstance(value, list) and value:
            return [Path(os.path.expanduser(str(folder))) for folder in value]  # noqa: PTH111
    return None


def _how_to_share(case: Case) -> str:
    match case.virtual_machine:
        case "Docker Desktop":
            return "Docker Desktop, Settings, Resources, File sharing: add the folder"
        case "Colima":
            return "colima start --edit, `mounts`: add the folder; it shares the home folder alone"
        case "OrbStack":
            return "move the project below the home folder"
        case _:
            return "use an engine on this machine: the one in use is another machine's"
