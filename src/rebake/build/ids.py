"""The ids of the sources that a plan is for: of each half, and of each service's own part of it.

An edit of one service leaves the others' ids, and with them their binaries and images, as they
are. A service's part is all of its half, less the packages of the workspace that it is not compiled
from. Like the id of a half (`build.inputs`), that of a service is worked out twice: here, and by
docker/tools/step/ids.rs in the builder.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from rebake.build.inputs import build_id
from rebake.build.plan import BuildPlan
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
    scopes = others(workspace)
    # All that cargo makes, not only what is asked for: one build makes the binaries of them all.
    services = {
        binary.name: build_id(without(inputs["backend"], scopes.get(binary.name, ())))
        for binary in workspace.binaries
        if _PLAIN.fullmatch(binary.name)
    }
    return plan.expecting(halves, services, scopes)


def others(workspace: Workspace) -> dict[str, tuple[str, ...]]:
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
            found[binary.name] = tuple(sorted(folders))
    plain = all(_PLAIN.fullmatch(folder) for some in found.values() for folder in some)
    return found if plain else {}


def without(files: Sequence[FileDigest], folders: Sequence[str]) -> list[FileDigest]:
    """Return the files that lie in none of the folders."""
    below = tuple(f"{folder}/" for folder in folders)
    return [file for file in files if not file.path.startswith(below)]


def _reach(workspace: Workspace, crate: Path) -> set[Path]:
    """The packages of the workspace that one is compiled from, itself among them."""
    found: set[Path] = set()
    todo = [crate]
    while todo:
        if (one := todo.pop()) not in found:
            found.add(one)
            todo += workspace.needs.get(one, ())
    return found
