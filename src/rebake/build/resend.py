"""Shows BuildKit the sources under a new name when it would miss, or has missed, a change.

BuildKit keeps what it was sent last, and asks only for files whose size, modification time or mode
differ from that (fsutil's `sameFile`). An edit that keeps all three is never sent. What it keeps
stands under a key that buildx makes from the last part of the context's path and from nothing
else of it: all folders named `backend` of a user share one. So a symbolic link with another name is
enough for everything to be sent again, from the user's own files, which stay as they are. The link
is kept and used from then on, since the old key still holds the old content.

Two nets: `missed` looks ahead at the files that no build id holds (Dockerfile, `.dockerignore`,
the tools); the gate in `build.run` finds the rest, since an image of old sources has another id.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from rebake.build.plan import BuildPlan
from rebake.project.project import Project

_SHOWN = "shown.json"


def with_names(project: Project, plan: BuildPlan) -> BuildPlan:
    """Return the plan with the names that its contexts were given by `renew`, if any."""
    found = {}
    for variable, context in _contexts(project).items():
        for link in sorted(_links(project, context)):
            if link.resolve() == context.resolve():
                found[variable] = str(link)
    return replace(plan, variables={**plan.variables, **found}) if found else plan


def renew(project: Project, plan: BuildPlan) -> BuildPlan:
    """Return the plan with a new name for each of its contexts.

    Raises:
        OSError: this file system or this user can't make links.
    """
    used = {image.context for image in plan.images}
    variables = dict(plan.variables)
    for variable, context in _contexts(project).items():
        # The UI's image takes the backend's `web`.
        if context in used or project.ui in used:
            old = _links(project, context)
            link = project.state / "contexts" / f"{context.name}-{secrets.token_hex(4)}"
            link.parent.mkdir(parents=True, exist_ok=True)
            _link(link, context.resolve())
            for one in old:
                with contextlib.suppress(OSError):
                    one.unlink()
            variables[variable] = str(link)
    return replace(plan, variables=variables)


def missed(project: Project, plan: BuildPlan) -> tuple[Path, ...]:
    """Return the files outside of the build id that changed, but not so that BuildKit would see it.

    What is shown now is remembered for the next time.
    """
    file = project.state / _SHOWN
    try:
        known = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        known = {}
    now: dict[str, list[object]] = {}
    for path in _beside(project, plan):
        with contextlib.suppress(OSError):
            status = path.stat()
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            now[str(path)] = [status.st_size, status.st_mtime_ns, status.st_mode, digest]
    shown = known if isinstance(known, dict) else {}
    if now != {path: shown.get(path) for path in now}:
        _write(file, {**shown, **now})
    return tuple(
        Path(path)
        for path, (*stamp, digest) in now.items()
        if isinstance(before := shown.get(path), list)
        and before[:-1] == stamp
        and before[-1] != digest
    )


def _contexts(project: Project) -> Mapping[str, Path]:
    """The variables of the bake file that name the contexts."""
    return {"REBAKE_BACKEND_CONTEXT": project.backend, "REBAKE_UI_CONTEXT": project.ui}


def _links(project: Project, context: Path) -> list[Path]:
    return list((project.state / "contexts").glob(f"{context.name}-{'[0-9a-f]' * 8}"))


def _beside(project: Project, plan: BuildPlan) -> Iterator[Path]:
    for context in sorted({image.context for image in plan.images}):
        yield from (context / name for name in ("Dockerfile", ".dockerignore"))
    yield from sorted((project.bake_file.parent / "tools").glob("*"))


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
