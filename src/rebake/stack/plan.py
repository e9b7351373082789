"""Plans a stack: its ports, its variables and the Compose commands. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rebake.project.project import Project
from rebake.results import Mode

Half = Literal["backend", "ui"]


@dataclass(frozen=True)
class StackPlan:
    """What a stack runs, and where it will be reached."""

    mode: Mode
    name: str
    compose_file: Path
    services: tuple[str, ...]
    address: str
    ports: Mapping[str, int]
    variables: Mapping[str, str]
    start_timeout_s: int

    @property
    def urls(self) -> dict[str, str]:
        """Each service's address, as a browser on this machine would write it."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.address, self.address)  # noqa: S104
        return {name: f"http://{_bracketed(host)}:{port}" for name, port in self.ports.items()}


def plan_stack(
    project: Project,
    mode: Mode,
    ports: Mapping[str, int],
    *,
    host_settings: Path,
    owner: tuple[int, int] | None,
    watch: str,
    images: Mapping[str, str] | None = None,
    packages: str = "",
) -> StackPlan:
    """Plan the stack of a mode.

    Args:
        project: the project.
        mode: dev or prod.
        ports: the port of each service on this machine.
        host_settings: the folder with the host's settings.
        owner: user and group id that the dev containers run as; None where there is no such thing.
        watch: events or polling.
        images: references to run instead of the built ones, by service.
        packages: what `packages_key` says of the UI's lock-file; names the dev stack's volume.
    """
    table = project.config.dev if mode == "dev" else project.config.prod
    variables = {
        "BIND_ADDRESS": _bracketed(table.address),
        "REBAKE_HOST_SETTINGS": str(host_settings),
        **{f"{variable_name(name)}_PORT": str(port) for name, port in ports.items()},
        **{f"{variable_name(name)}_IMAGE": ref for name, ref in (images or {}).items()},
    }
    if mode == "dev":
        variables["WATCH"] = watch
        if packages:
            variables["UI_PACKAGES"] = packages
        if project.config.ui.manager != "bun":  # what the compose file says without a word
            variables["UI_MANAGER"] = project.config.ui.manager
        if watch == "polling":
            variables["UI_POLLING"] = "1"
        if owner is not None:
            variables["HOST_UID"], variables["HOST_GID"] = (str(part) for part in owner)
    return StackPlan(
        mode=mode,
        name=project.compose_name(mode),
        compose_file=project.compose_file(mode),
        services=project.config.services,
        address=table.address,
        ports=ports,
        variables=variables,
        start_timeout_s=table.start_timeout_s,
    )


def packages_key(lock_file: bytes) -> str:
    """Twelve hex digits of a lock-file: what is installed for one never serves another."""
    return hashlib.sha256(lock_file).hexdigest()[:12]


def variable_name(service: str) -> str:
    """The form of a service's name in variables: `my-api` → `MY_API`."""
    return service.upper().replace("-", "_")


def compose_words(name: str, file: Path, *words: str) -> tuple[str, ...]:
    """The words after `docker` for a Compose command on one stack."""
    return ("compose", "--project-name", name, "--file", str(file), *words)


def up_words(plan: StackPlan, services: Sequence[str] = ()) -> tuple[str, ...]:
    """Create and start what is not as planned; images were built before, nothing is pulled."""
    return compose_words(
        plan.name, plan.compose_file,
        "up", "--detach", "--no-build", "--pull", "never", "--remove-orphans", *services,
    )  # fmt: skip


def seed_words(plan: StackPlan, service: str, sibling: str) -> tuple[str, ...]:
    """Fill this stack's target volume from another worktree's (docker/tools/seed-target)."""
    return compose_words(
        plan.name, plan.compose_file,
        "run", "--rm", "--no-deps", "--no-TTY", "--pull", "never",
        "--volume", f"{sibling}:/seed:ro", "--entrypoint", "seed-target", service, "/seed",
    )  # fmt: skip


def fill_words(plan: StackPlan, half: Half) -> tuple[str, ...]:
    """Fill the volumes of a half without starting its services: they are compiled, not run."""
    backend = [name for name in plan.services if name != "ui"]
    if half == "backend":
        binaries = [word for name in backend for word in ("--bin", name)]
        program, service = "with-host-settings", backend[0]
        words = ["cargo", "build", "--locked", *binaries]
    else:
        program, service, words = "install-packages", "ui", []
    return compose_words(
        plan.name, plan.compose_file,
        "run", "--rm", "--no-deps", "--no-TTY", "--pull", "never",
        "--entrypoint", program, service, *words,
    )  # fmt: skip


def target_volume(name: str) -> str:
    """The volume of what the dev stack of that Compose project has compiled."""
    return f"{name}_target"


def down_words(name: str, file: Path, *, volumes: bool = False) -> tuple[str, ...]:
    """Stop and remove a stack's containers and network, and its volumes when asked."""
    extra = ("--volumes",) if volumes else ()
    return compose_words(name, file, "down", "--remove-orphans", *extra)


def logs_words(
    name: str, file: Path, services: Sequence[str], *, follow: bool, tail: int | None
) -> tuple[str, ...]:
    """Show the logs of a stack."""
    words = ["logs", "--no-color"]
    if follow:
        words.append("--follow")
    if tail is not None:
        words += ["--tail", str(tail)]
    return compose_words(name, file, *words, *services)


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address
