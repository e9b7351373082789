"""The ids of the sources that a plan is for: of each half, and of each service's own part of it.

An edit of one service, or a dependency added to it, leaves the others' ids, and with them their
binaries and images, as they are. A service's part is all of its half, less the packages of the
workspace that it is not compiled from, and less what only others need of the Cargo.lock. Like the
id of a half (`build.inputs`), that of a service is worked out twice: here, and by
docker/tools/step/ids.rs in the builder.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec.structs import replace

from rebake.build.inputs import build_id
from rebake.build.lock_part import LOCK, LockFile
from rebake.build.plan import BuildPlan, Scope
from rebake.history.records import FileDigest
from rebake.project.cargo import Workspace

_PLAIN = re.compile(
    r"[A-Za-z0-9._/-]+"
)  # what the builder's shell takes apart at blanks and commas


def expecting(
    plan: BuildPlan, workspace: Workspace, inputs: Mapping[str, Sequence[FileDigest]]
) -> BuildPlan:
    """Return a plan for these sources.

    Args:
        plan: the plan.
        workspace: the backend's cargo workspace.
        inputs: the files of each half.
    """
    halves = {half: build_id(inputs[half]) for half in plan.halves}
    if plan.mode != "prod" or "backend" not in halves:
        return plan.expecting(halves)
    scopes = with_lock(others(workspace), inputs["backend"], workspace.root)
    # All that cargo makes, not only what is asked for: one build makes the binaries of them all.
    services = {
        binary.name: build_id(own(inputs["backend"], [scopes.get(binary.name, Scope())]))
        for binary in workspace.binaries
        if _PLAIN.fullmatch(binary.name)
    }
    return plan.expecting(halves, services, scopes)


def others(workspace: Workspace) -> dict[str, Scope]:
    """Return for each binary the folders of the packages that it is not compiled from.

    Folders are relative to the workspace, with slashes. Binaries that need everything are left
    out, and so are all where a folder's name would have to be quoted.
    """
    place = {
        member: member.relative_to(workspace.root).as_posix()
        for member in workspace.members
        if member.is_relative_to(workspace.root)
    }
    found = {}
    for binary in workspace.binaries:
        used = _reach(workspace, binary.crate)
        unused = [m for m in place if m not in used]
        # A package that is used may lie in the folder of one that is not.
        folders = [place[m] for m in unused if not any(u.is_relative_to(m) for u in used)]
        if folders:
            found[binary.name] = Scope(tuple(sorted(folders)), binary.package)
    plain = all(_PLAIN.fullmatch(one) for s in found.values() for one in (*s.folders, s.package))
    return found if plain else {}


def with_lock(
    scopes: Mapping[str, Scope], files: Sequence[FileDigest], folder: Path
) -> dict[str, Scope]:
    """Return the same, each with the digest of its package's part of the Cargo.lock.

    Args:
        scopes: by binary.
        files: the backend's.
        folder: the workspace's.
    """
    listed = next((file for file in files if file.path == LOCK and file.kind != "link"), None)
    try:
        content = (folder / LOCK).read_bytes() if listed and scopes else b""
    except OSError:
        return dict(scopes)
    # All else goes by the list. If this is another file by now, the builder will say so.
    if listed is None or hashlib.sha256(content).hexdigest() != listed.sha256:
        return dict(scopes)
    lock = LockFile(content)
    parts = {package: lock.part_of(package) for package in {s.package for s in scopes.values()}}
    digests = {p: hashlib.sha256(part).hexdigest() for p, part in parts.items() if part is not None}
    return {
        name: replace(scope, locked=digests.get(scope.package, ""))
        for name, scope in scopes.items()
    }


def own(files: Sequence[FileDigest], scopes: Sequence[Scope]) -> list[FileDigest]:
    """Return the files that any of some binaries is made from.

    Args:
        files: the backend's.
        scopes: what is no part of each; at least one.

    Returns:
        The files, with the digest of the parts for the Cargo.lock's, if parts of it alone count.
    """
    folders = frozenset.intersection(*(frozenset(scope.folders) for scope in scopes))
    below = tuple(f"{folder}/" for folder in folders)
    found = [file for file in files if not file.path.startswith(below)]
    locked = sorted({scope.locked for scope in scopes})
    if not all(locked):
        return found
    digest = "+".join(locked)
    return [
        replace(file, sha256=digest) if file.path == LOCK and file.kind != "link" else file
        for file in found
    ]


def _reach(workspace: Workspace, crate: Path) -> set[Path]:
    """The packages of the workspace that one is compiled from, itself among them."""
    found: set[Path] = set()
    todo = [crate]
    while todo:
        if (one := todo.pop()) not in found:
            found.add(one)
            todo += workspace.needs.get(one, ())
    return found
