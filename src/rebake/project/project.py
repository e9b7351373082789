"""The project at hand: its folders, its names, and the services that it has."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs
from msgspec import Struct

from rebake.config.load import Loaded, find_root, load
from rebake.errors import ProjectError, UnknownName, UsageError
from rebake.project.cargo import Workspace, read_workspace
from rebake.project.git import common_dir, worktrees
from rebake.project.packages import lock_file, require_lock_file
from rebake.results import Mode

if TYPE_CHECKING:
    from rebake.config.model import Config

_STATE_HOME = "REBAKE_STATE_HOME"


class Project(Struct, frozen=True, dict=True):
    """A repository with a rebake.toml."""

    root: Path
    loaded: Loaded

    @property
    def config(self) -> Config:
        """The effective configuration."""
        return self.loaded.config

    @cached_property
    def slug(self) -> str:
        """The project's name, fit for image names, caches and Compose."""
        return self.config.project.name or slugify(self.root.name)

    @cached_property
    def worktree_id(self) -> str:
        """Eight hex digits of this folder's path: two checkouts never share containers."""
        return _digest(self.root)

    @property
    def siblings(self) -> tuple[str, ...]:
        """The unique names of this repository's other worktrees."""
        others = [folder for folder in worktrees(self.root) if folder != self.root.resolve()]
        return tuple(worktree_name(self.slug, folder) for folder in others)

    @property
    def name(self) -> str:
        """The unique name of this worktree's images, containers and volumes."""
        return f"{self.slug}-{self.worktree_id}"

    @cached_property
    def cache_id(self) -> str:
        """The unique name of this repository's cache mounts: its worktrees share them.

        Sharing is safe, since the build shows cargo a time for each content
        (docker/tools/step/sources.rs); two projects never share.
        """
        shared = common_dir(self.root) or self.root.resolve()
        return f"{self.slug}-{_digest(shared)}"

    def compose_name(self, mode: Mode) -> str:
        """The Compose project name of a stack, which is also the prefix of its images."""
        return self.name if mode == "prod" else f"{self.name}-dev"

    @property
    def runs_itself(self) -> bool:
        """Whether the project's stack is its own affair: rebake builds its images alone."""
        return not self.config.docker.compose_prod

    def check_layout(self, task: str) -> None:
        """Refuse a task that knows the template's layout alone.

        Raises:
            UsageError: the project runs its stack itself.
        """
        if self.runs_itself:
            raise UsageError(
                f"{task} is for projects that were made from the template; this one was adopted",
                "docs/how-to/adopt.md says what there is for it",
            )

    def compose_file(self, mode: Mode) -> Path:
        """The compose file of a mode.

        Raises:
            UsageError: the project runs its stack itself.
        """
        docker = self.config.docker
        name = docker.compose_prod if mode == "prod" else docker.compose_dev
        if not name:
            raise UsageError(
                "this project runs its stack itself (docker.compose_prod in rebake.toml is empty)",
                "docker compose up --build, beside its compose file",
            )
        return self.root / name

    @property
    def bake_file(self) -> Path:
        """The bake file."""
        return self.root / self.config.docker.bake

    @property
    def backend(self) -> Path:
        """The cargo workspace's folder."""
        return self.root / self.config.backend.path

    @property
    def ui(self) -> Path:
        """The UI's folder."""
        return self.root / self.config.ui.path

    @property
    def folders(self) -> dict[str, Path]:
        """The folder of each half that there is, by the half's name."""
        return {"backend": self.backend, **({"ui": self.ui} if self.config.ui.path else {})}

    @property
    def dockerfiles(self) -> dict[str, Path]:
        """The Dockerfile of each half that there is, by the half's name."""
        names = {"backend": self.config.backend.dockerfile, "ui": self.config.ui.dockerfile}
        return {half: folder / names[half] for half, folder in self.folders.items()}

    @property
    def ui_lock_file(self) -> Path:
        """The lock-file of the UI's packages, be it there or not."""
        return lock_file(self.ui, self.config.ui.manager)

    @property
    def base_images(self) -> dict[str, str]:
        """What the Dockerfiles start from, by the key in the configuration."""
        table = self.config.base_images
        images = {"rust": table.rust}
        if not self.config.ui.path:
            return images
        images["bun"] = table.bun
        if self.config.ui.manager == "npm":
            images["node"] = table.node
        if self.config.ui.runtime == "nginx":
            images["nginx"] = table.nginx
        return images

    @cached_property
    def workspace(self) -> Workspace:
        """The cargo workspace; read once.

        Raises:
            ProjectError: it can't be used, or a configured service has no binary in it.
        """
        workspace = read_workspace(self.backend)
        names = [binary.name for binary in workspace.binaries]
        for service in self.config.backend.services:
            if service not in names:
                raise ProjectError(
                    self.root / "rebake.toml",
                    f"backend.services: {service!r} is no binary of {self.backend / 'Cargo.toml'}",
                    f"its binaries are {', '.join(names) or 'none'}",
                )
        return workspace

    def read_manifests(self, services: Sequence[str] | None = None) -> None:
        """Read what a build can't do without, so that what is wrong with it is told early.

        Args:
            services: what will be built; everything when None.

        Raises:
            ProjectError: the cargo workspace can't be used, or the lock-file of the UI's packages
                is not the one of `ui.manager`.
        """
        _ = self.workspace
        if "ui" in (self.config.services if services is None else services):
            require_lock_file(self.ui, self.config.ui.manager)

    @property
    def state(self) -> Path:
        """The folder for what is kept about this worktree, outside the repository."""
        return state_home() / "projects" / self.name

    def services(self, asked: Sequence[str] = ()) -> tuple[str, ...]:
        """Resolve names and aliases of services; all of them when none is asked.

        Raises:
            UnknownName: a name is neither a service nor an alias.
        """
        if not asked:
            return self.config.services
        found: list[str] = []
        for word in asked:
            name = self.config.aliases.get(word, word)
            if name not in self.config.services:
                raise UnknownName("service", word, [*self.config.services, *self.config.aliases])
            if name not in found:
                found.append(name)
        return tuple(found)


def open_project(
    start: Path | None = None, *, kept: bool = False, dry_run: bool = False, **flags: object
) -> Project:
    """Find and load the project at or above `start` (the current folder by default).

    Args:
        start: where to begin.
        kept: keep settings that are good, and don't check them again.
        dry_run: use what is kept, but write nothing.
        flags: values of flags by key.

    Raises:
        NotAProject: there is no rebake.toml.
        ConfigError: its configuration has faults.
    """
    root = find_root((start or Path.cwd()).resolve())
    given = {key: value for key, value in flags.items() if value is not None}
    keep_in = state_home() / "settings" / f"{_digest(root)}.json" if kept else None
    return Project(root, load(root, flags=given, keep_in=keep_in, read_only=dry_run))


def worktree_name(slug: str, folder: Path) -> str:
    """The unique name of the images, containers and volumes of a worktree in some folder."""
    return f"{slug}-{_digest(folder)}"


def state_home() -> Path:
    """The folder of what is kept for this user; the variable REBAKE_STATE_HOME overrides it."""
    home = os.environ.get(_STATE_HOME)
    return Path(home) if home else platformdirs.user_state_path("rebake")


def slugify(text: str) -> str:
    """Make a slug of any text: ASCII letters, digits and dashes.

    Text with nothing to keep (`日本`) becomes a digest, since Compose refuses an empty name.
    """
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    slug = re.sub(r"[^a-z0-9]+", "-", ascii_text.lower()).strip("-")[:40].strip("-")
    return slug or "p" + hashlib.sha256(text.encode()).hexdigest()[:8]


def _digest(folder: Path) -> str:
    return hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:8]
