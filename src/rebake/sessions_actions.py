"""The checks that need more than one room: rebake.toml, the base images' lock, the smoke tests."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rebake.checks.run import ACTIONS, Action
from rebake.errors import ConfigError, NotAProject, ProjectError, RebakeError
from rebake.process import Outcome

if TYPE_CHECKING:
    from rebake.engine.endpoint import Endpoint
    from rebake.project.project import Project

LOCK_FILE = "base-images.lock.json"


def actions(find_endpoint: Callable[[], Endpoint | str]) -> Mapping[str, Action]:
    """Return all actions by name.

    Args:
        find_endpoint: finds the engine, or says why there is none; asked by the smoke tests alone.
    """

    def smoke(_part: object, _tool: object, root: Path) -> Outcome:
        from rebake.project.project import open_project
        from rebake.stack.smoke import run_smoke

        endpoint = find_endpoint()
        if isinstance(endpoint, str):  # the part's tool was found, so this does not happen
            return told([endpoint], time.monotonic())
        return run_smoke(open_project(root), endpoint)

    return {
        **ACTIONS,
        "config": lambda _part, _tool, root: check_settings(root),
        "base-images-lock": lambda _part, _tool, root: check_lock(root),
        "smoke": smoke,
    }


def check_settings(root: Path) -> Outcome:
    """Hold rebake.toml to what it may say, and to what is in the repository."""
    started = time.monotonic()
    try:
        faults, warnings = _settings(root)
    except ConfigError as error:
        return told([str(problem) for problem in error.problems], started)
    except (NotAProject, ProjectError) as error:
        return told([error.what], started)
    return told(faults, started, [f"warning: {text}" for text in warnings])


def _settings(root: Path) -> tuple[list[str], list[str]]:
    from rebake.doctor import settings
    from rebake.doctor.case import Case
    from rebake.project.project import open_project

    project = open_project(root)
    found = list(settings.check(Case(project, remember=False)))
    faults = [f"rebake.toml: {d.message}; {d.fix}" for d in found if d.level == "error"]
    warnings = [f"rebake.toml: {d.message}; {d.fix}" for d in found if d.level == "warning"]
    return [*_paths(project), *faults], warnings


def _paths(project: Project) -> Iterator[str]:
    config = project.config
    folders = {"backend.path": config.backend.path}
    if config.ui.path:
        folders["ui.path"] = config.ui.path
    files = {
        "docker.bake": config.docker.bake,
    }
    if not project.runs_itself:
        files["docker.compose_prod"] = config.docker.compose_prod
        files["docker.compose_dev"] = config.docker.compose_dev
    for key, name in folders.items():
        if not (project.root / name).is_dir():
            yield f"rebake.toml: {key}: there is no folder {name}"
    for key, name in files.items():
        if not (project.root / name).is_file():
            yield f"rebake.toml: {key}: there is no file {name}"


def check_lock(root: Path) -> Outcome:
    """Hold the base images' lock to its form and to the configured base images."""
    from rebake.engine.base_image_lock import faults
    from rebake.project.project import open_project

    started = time.monotonic()
    try:
        project = open_project(root)
        table = project.config.base_images
        file = project.bake_file.parent / LOCK_FILE
        used = tuple(project.base_images.values())
        found = faults(file, used=used, known=(table.rust, table.bun, table.node))
    except RebakeError as error:  # told in full by the other part
        return told([error.what], started)
    shown = file.relative_to(root).as_posix() if file.is_relative_to(root) else str(file)
    return told([f"{shown}: {fault}" for fault in found], started)


def told(faults: Sequence[str], started: float, more: Sequence[str] = ()) -> Outcome:
    """The outcome of a check that found these faults, one a line."""
    text = "".join(f"{line}\n" for line in [*faults, *more])
    return Outcome(("check",), int(bool(faults)), text, "", time.monotonic() - started)
