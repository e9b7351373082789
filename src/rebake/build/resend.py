"""Shows BuildKit the sources under a new name when it would miss, or has missed, a change.

BuildKit keeps what it was sent last, and asks only for files whose size, modification time or mode
differ from that (fsutil's `sameFile`). An edit that keeps all three is never sent. What it keeps
stands under a key that buildx makes from the last part of the context's path and from nothing
else of it: all folders named `backend` of a user share one. So a symbolic link with another name is
enough for everything to be sent again, from the user's own files, which stay as they are. The link
is kept and used from then on, since the old key still holds the old content.

Two nets: `missed` looks ahead at the files that no build id holds (Dockerfiles, their ignore files,
the tools); the check in the builder and the gate after it find the rest, since other sources have
another id.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from msgspec.structs import replace

from rebake.build.bake import BakeStopped
from rebake.build.plan import BuildPlan, Half
from rebake.errors import WrongImage
from rebake.history.records import FileDigest
from rebake.project.project import Project

_SHOWN = "shown.json"
# What `docker/tools/expect-build-id` ends with, as BuildKit tells it.
_REFUSED = re.compile(r"exit code: 65\b")
_ID = re.compile(r"\b[0-9a-f]{16}\b")


def with_names(project: Project, plan: BuildPlan) -> BuildPlan:
    """Return the plan with the names that its folders were given by `renew`, if any."""
    found: dict[Half, Path] = {}
    for half in plan.halves:
        folder = plan.folders[half]
        for link in _links(project, folder):
            if link.resolve() == folder.resolve():
                found[half] = link
    return replace(plan, contexts=found) if found else plan


def renew(project: Project, plan: BuildPlan) -> BuildPlan:
    """Return the plan with a new name for each of its folders.

    Raises:
        OSError: this file system or this user can't make links.
    """
    names: dict[Half, Path] = {}
    for half in plan.halves:
        folder = plan.folders[half]
        old = _links(project, folder)
        link = project.state / "contexts" / f"{folder.name}-{secrets.token_hex(4)}"
        link.parent.mkdir(parents=True, exist_ok=True)
        _link(link, folder.resolve())
        for one in old:
            with contextlib.suppress(OSError):
                one.unlink()
        names[half] = link
    return replace(plan, contexts=names)


def missed(project: Project, recipe: Iterable[FileDigest]) -> tuple[str, ...]:
    """Return the files of the recipe that changed, but not so that BuildKit would see it.

    What is shown now is remembered for the next time.
    """
    file = project.state / _SHOWN
    try:
        known = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        known = None
    shown = known if isinstance(known, dict) else {}
    now: dict[str, list[object]] = {}
    for one in recipe:
        with contextlib.suppress(OSError):
            status = (project.root / one.path).stat()
            now[one.path] = [status.st_size, status.st_mtime_ns, status.st_mode, one.sha256]
    if now != shown:
        _write(file, now)
    return tuple(
        path
        for path, (*stamp, digest) in now.items()
        if isinstance(before := shown.get(path), list)
        and before[:-1] == stamp
        and before[-1] != digest
    )


def had_other_sources(error: BakeStopped | WrongImage) -> bool:
    """Whether a build ended since the builder had other sources than the plan was made for."""
    if isinstance(error, WrongImage):
        return _ID.search(error.found) is not None
    failure = error.progress.failure
    return failure is not None and _REFUSED.search(failure.error) is not None


def _links(project: Project, context: Path) -> list[Path]:
    return sorted((project.state / "contexts").glob(f"{context.name}-{'[0-9a-f]' * 8}"))


def _link(link: Path, target: Path) -> None:
    try:
        link.symlink_to(target, target_is_directory=True)
    except OSError:
        if os.name != "nt":
            raise
        import _winapi  # a junction needs no rights; Python has no other call for it

        _winapi.CreateJunction(str(target), str(link))  # type: ignore[attr-defined,unused-ignore]


def _write(file: Path, document: Mapping[str, object]) -> None:
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=file.name, dir=file.parent)
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            json.dump(document, out)
        Path(name).replace(file)
