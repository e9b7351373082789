"""Plans a stack: its ports, its variables and the Compose commands. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from msgspec import Struct, field
from msgspec.structs import replace

from rebake.project.project import Project
from rebake.results import Mode

Half = Literal["backend", "ui"]


class GivenSecret(Struct, frozen=True):
    """A secret as a stack gets it.

    Attributes:
        name: its name in the configuration, and of its file in `/run/secrets`.
        file: the file that holds it on this machine.
        mark: another one each time the value is another; it says nothing of the value.
        services: those that get it.
    """

    name: str
    file: Path
    mark: str
    services: tuple[str, ...]


class StackPlan(Struct, frozen=True):
    """What a stack runs, and where it will be reached.

    Attributes:
        override: what is laid over the compose file, as a compose file; empty for nothing.
        override_file: where that is written.
    """

    mode: Mode
    name: str
    compose_file: Path
    services: tuple[str, ...]
    address: str
    ports: Mapping[str, int]
    variables: Mapping[str, str]
    start_timeout_s: int
    override: Mapping[str, object] = field(default_factory=dict)
    override_file: Path | None = None

    @property
    def overrides(self) -> tuple[Path, ...]:
        """The files that are laid over the compose file."""
        return (self.override_file,) if self.override and self.override_file else ()

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
        packages: what `packages_key` says of the UI's lock-file; names the dev stack's volume.
    """
    table = project.config.dev if mode == "dev" else project.config.prod
    variables = {
        "BIND_ADDRESS": _bracketed(table.address),
        "REBAKE_HOST_SETTINGS": str(host_settings),
        **{f"{variable_name(name)}_PORT": str(port) for name, port in ports.items()},
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
        override_file=project.state / f"compose.{mode}.json",
    )


def with_override(
    plan: StackPlan, images: Mapping[str, str], secrets: Sequence[GivenSecret]
) -> StackPlan:
    """The same plan with other images, by service, and with secrets.

    It is a file that is laid over the compose file, so it holds whatever that one says.
    """
    services: dict[str, dict[str, object]] = {}
    for name, ref in images.items():
        services.setdefault(name, {})["image"] = ref
    for name in sorted({name for secret in secrets for name in secret.services}):
        mine = [secret for secret in secrets if name in secret.services]
        services.setdefault(name, {}).update(
            secrets=[{"source": _source(one), "target": one.name} for one in mine],
            # Compose makes a container anew for another label, but not for another file.
            labels={"rebake.secrets": " ".join(one.mark for one in mine)},
        )
    found: dict[str, object] = {"services": services} if services else {}
    if secrets:
        found["secrets"] = {_source(one): {"file": str(one.file)} for one in secrets}
    return replace(plan, override=found)


def _source(secret: GivenSecret) -> str:
    return f"rebake-run-{secret.name}"


def packages_key(lock_file: bytes) -> str:
    """Twelve hex digits of a lock-file: what is installed for one never serves another."""
    return hashlib.sha256(lock_file).hexdigest()[:12]


def variable_name(service: str) -> str:
    """The form of a service's name in variables: `my-api` → `MY_API`."""
    return service.upper().replace("-", "_")


def compose_words(
    name: str, file: Path, *words: str, overrides: Sequence[Path] = ()
) -> tuple[str, ...]:
    """The words after `docker` for a Compose command on one stack."""
    more = [word for override in overrides for word in ("--file", str(override))]
    return ("compose", "--project-name", name, "--file", str(file), *more, *words)


def up_words(plan: StackPlan, services: Sequence[str] = ()) -> tuple[str, ...]:
    """Create and start what is not as planned; images were built before, nothing is pulled."""
    return compose_words(
        plan.name, plan.compose_file,
        "up", "--detach", "--no-build", "--pull", "never", "--remove-orphans", *services,
        overrides=plan.overrides,
    )  # fmt: skip


def config_words(plan: StackPlan) -> tuple[str, ...]:
    """Tell what `up_words` would start, as JSON."""
    return compose_words(
        plan.name, plan.compose_file, "config", "--format", "json", overrides=plan.overrides
    )


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
