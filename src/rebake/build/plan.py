"""Plans an image build: from the project and what is asked to one `docker buildx bake`. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rebake.project.project import Project
from rebake.results import Mode


@dataclass(frozen=True)
class PlannedImage:
    """One image that a build makes."""

    service: str
    target: str
    ref: str
    context: Path


@dataclass(frozen=True)
class BuildPlan:
    """Everything that a build needs to know."""

    mode: Mode
    root: Path
    bake_file: Path
    images: tuple[PlannedImage, ...]
    variables: Mapping[str, str]
    no_cache: bool = False

    @property
    def targets(self) -> tuple[str, ...]:
        """The targets of the bake file, in order, each once."""
        return tuple(dict.fromkeys(image.target for image in self.images))


def plan_build(
    project: Project,
    mode: Mode,
    services: Sequence[str],
    host_settings: Path,
    proxies: Mapping[str, str] | None = None,
    *,
    no_cache: bool = False,
    again: str = "",
) -> BuildPlan:
    """Plan the images of `services` for a mode.

    Args:
        project: the project.
        mode: prod: an image each service; dev: one image each half, with the sources mounted later.
        services: resolved names of services.
        host_settings: the folder with the host's settings, given to the build as secrets.
        proxies: proxy variables of the host (`HTTPS_PROXY`).
        no_cache: run every step again, and throw the cache mounts' content away: that is what
            BuildKit does (seen on 28.5).
        again: any new text makes the compiling steps run again, on warm cache mounts.
    """
    prefix = project.compose_name(mode)
    images = []
    for service in services:
        context = project.ui if service == "ui" else project.backend
        if mode == "prod":
            images.append(PlannedImage(service, service, f"{prefix}-{service}:prod", context))
        else:
            half = "ui" if service == "ui" else "backend"
            images.append(PlannedImage(service, f"{half}-dev", f"{prefix}-{half}:dev", context))
    variables = {
        "PROJECT": project.name,
        "CACHE_ID": project.cache_id,
        "RUST_IMAGE": project.config.base_images.rust,
        "BUN_IMAGE": project.config.base_images.bun,
        "REBAKE_HOST_SETTINGS": str(host_settings),
        **(proxies or {}),
        **({"REBUILD": again} if again else {}),
    }
    return BuildPlan(
        mode, project.root, project.bake_file, tuple(images), variables, no_cache=no_cache
    )


def bake_words(plan: BuildPlan, metadata: Path) -> tuple[str, ...]:
    """The words after `docker` for this plan; exact, since tests and --dry-run show them."""
    words = [
        "buildx", "bake",
        "--file", str(plan.bake_file),
        "--progress", "rawjson",
        "--metadata-file", str(metadata),
        "--load",
        # Bake asks before it reads outside the project: the host's settings are there.
        "--allow", f"fs.read={plan.variables['REBAKE_HOST_SETTINGS']}",
    ]  # fmt: skip
    if plan.no_cache:
        words.append("--no-cache")
    return (*words, *plan.targets)
