"""Makes what a benchmark works on: a project's own files, or a generated workspace with them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from rebake.benchmark.copies import listed_files, write_project
from rebake.benchmark.generate import project_files
from rebake.benchmark.layout import read_layout
from rebake.benchmark.made import LABEL_RUN, Made
from rebake.benchmark.measure import engine_is_here
from rebake.benchmark.rendering import tools_folder
from rebake.benchmark.subject import Site
from rebake.engine import base_images, registry_probe
from rebake.engine.base_images import BaseImage
from rebake.errors import RebakeError
from rebake.process import run
from rebake.project.project import Project, open_project

Say = Callable[[str], None]
_TAKEN_OVER = ("backend/Dockerfile", "backend/.dockerignore")


def make_site(
    project: Project,
    made: Made,
    host_settings: Path,
    proxies: Mapping[str, str],
    runtime_image: str,
) -> Site:
    """Gather what all subjects of a project are given.

    Raises:
        ProjectError: the project can't be built or edited.
    """
    table = project.config.base_images
    return Site(
        made=made,
        endpoint=made.endpoint,
        layout=read_layout(project),
        project=project.root,
        files=listed_files(project.root),
        host_settings=host_settings,
        rust_image=table.rust,
        bun_image=table.bun,
        runtime_image=runtime_image,
        local=engine_is_here(made.endpoint),
        proxies=proxies,
        ui_manager=project.config.ui.manager,
        node_image=table.node,
    )


def generate(donor: Project, count: int, made: Made, host_settings: Path) -> Project:
    """Write a project of `count` services, built the way that `donor` is, and lock its crates.

    Raises:
        CommandFailed: cargo can't lock them.
        ProjectError: the donor has no bake file or Dockerfile in the usual place.
    """
    folder = made.folder / "generated"
    write_generated(donor, count, folder)
    _lock(donor.config.base_images.rust, folder / "backend", made, host_settings)
    return open_project(folder)


def write_generated(donor: Project, count: int, folder: Path) -> None:
    """Write a project of `count` services, with the files that say how `donor` is built."""
    files = {
        name: (donor.root / name).read_text(encoding="utf-8")
        for name in listed_files(donor.root)
        if name in _TAKEN_OVER or name.startswith("docker/")
    }
    write_project(project_files(count, files), folder)
    for name in files:
        shutil.copymode(donor.root / name, folder / name)  # the tools are programs
    (folder / "ui").mkdir(exist_ok=True)


def choose_runtime_image(project: Project, made: Made, say: Say) -> tuple[str, str]:
    """Return what the other recipes' images stand on, and a note where it is not the usual one."""
    wanted = project.config.benchmark.runtime_image
    image = BaseImage("runtime", wanted)
    if base_images.survey(made.endpoint, [wanted]):
        return wanted, ""
    try:
        if any(registry_probe.probe(made.endpoint, [image]).values()):
            base_images.ensure(made.endpoint, [image], source="pull", say=say)
            return wanted, ""
    except RebakeError as error:
        say(f"{wanted} can't be pulled: {error.what}")
    other = project.config.base_images.bun
    return other, (
        f"no registry gives {wanted}: the images of the other recipes stand on {other}, "
        "and their sizes hold it"
    )


def _lock(image: str, backend: Path, made: Made, host_settings: Path) -> None:
    mounts = (
        f'type=bind,"src={backend}",dst=/src',
        f'type=bind,"src={tools_folder()}",dst=/tools,readonly',
        f'type=bind,"src={host_settings / "ca.pem"}",dst=/run/secrets/ca,readonly',
        f'type=bind,"src={host_settings / "cargo-config.toml"}",dst=/cargo/config.toml,readonly',
    )
    words = [word for mount in mounts for word in ("--mount", mount)]
    run(
        made.endpoint.command(
            *("run", "--rm", "--pull", "never", "--label", f"{LABEL_RUN}={made.run}"),
            *("--env=CARGO_HOME=/cargo", "--workdir", "/src", *words, image),
            *("sh", "/tools/with-host-settings", "cargo", "generate-lockfile"),
        )
    ).check()
