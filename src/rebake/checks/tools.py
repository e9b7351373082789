"""The tools that checks need: from the machine, or out of a base image."""

from __future__ import annotations

import os
import re
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from msgspec import Struct, field
from msgspec.structs import replace

from rebake.errors import RebakeError
from rebake.process import Command, run, which

_VERSION = re.compile(r"(\d+)\.(\d+)(?:\.(\d+))?")
_PROBE_S = 60.0


class Docker(Protocol):
    """The engine's client, as `rebake.engine.endpoint.Endpoint` is one."""

    def command(self, *words: str | Path, **options: object) -> Command:
        """Return a command of the docker client."""


class Tool(Protocol):
    """Something that turns arguments into a command."""

    def command(self, argv: Sequence[str], cwd: Path, env: Mapping[str, str]) -> Command:
        """Return the command that runs the tool with `argv` in `cwd`."""


class Program(Struct, frozen=True):
    """A program of this machine.

    Attributes:
        path: where it is.
        helpers: a further folder on its PATH, for what it calls itself.
    """

    path: Path
    helpers: Path | None = None

    def command(self, argv: Sequence[str], cwd: Path, env: Mapping[str, str]) -> Command:
        """Return the command; the program's own folder leads PATH for what it calls itself."""
        first = [str(self.path.parent), *([str(self.helpers)] if self.helpers else [])]
        path = os.pathsep.join([*first, os.environ.get("PATH", os.defpath)])
        return Command((str(self.path), *argv), cwd=cwd, env={"PATH": path, **env})


class Client(Struct, frozen=True):
    """The docker client of an engine."""

    docker: Docker

    def command(self, argv: Sequence[str], cwd: Path, env: Mapping[str, str]) -> Command:
        """Return the client's command."""
        return self.docker.command(*argv, cwd=cwd, env=dict(env))


class InContainer(Struct, frozen=True):
    """A program of a base image; the repository is mounted under the path that it has here.

    Attributes:
        docker: the client.
        image: the base image.
        words: the program and what always comes first.
        root: the repository.
        project: the worktree's unique name: volumes and containers carry it.
        volumes: the folder in the container by the volume's short name.
        files: further files of this machine, read-only: their place in the container.
        env: variables for the program.
        as_user: run as the calling user, for a program that writes into the repository.
    """

    docker: Docker
    image: str
    words: tuple[str, ...]
    root: Path
    project: str
    volumes: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[Path, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    as_user: bool = False

    def command(self, argv: Sequence[str], cwd: Path, env: Mapping[str, str]) -> Command:
        """Return the `docker run` that does it."""
        words = ["run", "--rm", "--init", "--label", f"rebake.project={self.project}"]
        if self.as_user and sys.platform != "win32":
            words += ["--user", f"{os.getuid()}:{os.getgid()}"]
        words += ["--mount", _bind(self.root, str(self.root)), "--workdir", str(cwd)]
        for source, target in self.files.items():
            words += ["--mount", _bind(source, target) + ",readonly"]
        for name, folder in self.volumes.items():
            words += ["--mount", f"type=volume,source={self.project}-{name},target={folder}"]
        for key, value in {**self.env, **env}.items():
            words += ["--env", f"{key}={value}"]
        for key in _PASSED_ON:
            words += ["--env", key] if key in os.environ else []
        return self.docker.command(*words, self.image, *self.words, *argv, cwd=self.root)


_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
# By name alone: a proxy's password is not to stand in an argv.
_PASSED_ON = (*_PROXIES, *(name.lower() for name in _PROXIES), "CI", "CARGO_NET_OFFLINE")
_CA_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
)
# The official images carry neither clippy nor rustfmt.
_CARGO = (
    'cargo "$1" --version >/dev/null 2>&1 || rustup component add clippy rustfmt >&2; '
    'exec cargo "$@"'
)


def cargo_in_container(docker: Docker, image: str, root: Path, project: str) -> InContainer:
    """Return the cargo of a base image; what it downloads and compiles is kept in volumes."""
    home = Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo")
    settings = home / "config.toml"
    files = {settings: "/cargo/config.toml"} if settings.is_file() else {}
    bundle, env = _certificates()
    env |= {"CARGO_HOME": "/cargo", "CARGO_TARGET_DIR": "/target"}
    if bundle:
        env["CARGO_HTTP_CAINFO"] = env["SSL_CERT_FILE"]
    return InContainer(
        *(docker, image, ("sh", "-c", _CARGO, "cargo"), root, project),
        volumes={"checks-cargo": "/cargo", "checks-target": "/target"},
        files={**files, **bundle},
        env=env,
    )


def with_deny(cargo: Tool, deny: Path) -> Tool | str:
    """Return cargo with its subcommand `deny`, a program of this machine; or why it can't be.

    Args:
        cargo: the machine's cargo, or a base image's.
        deny: the program `cargo-deny`.
    """
    if isinstance(cargo, InContainer):
        if sys.platform != "linux":
            return "cargo-deny of this system does not run in a container"
        return replace(cargo, files={**cargo.files, deny: "/usr/local/bin/cargo-deny"})
    if isinstance(cargo, Program):
        return replace(cargo, helpers=deny.parent)
    return cargo


def bun_in_container(docker: Docker, image: str, root: Path, project: str) -> InContainer:
    """Return the bun of a base image."""
    return _javascript_in_container(docker, image, "bun", root, project)


def npm_in_container(docker: Docker, image: str, root: Path, project: str) -> InContainer:
    """Return the npm of a base image."""
    return _javascript_in_container(docker, image, "npm", root, project)


def _javascript_in_container(
    docker: Docker, image: str, program: str, root: Path, project: str
) -> InContainer:
    settings = Path.home() / ".npmrc"
    files = {settings: "/tmp/.npmrc"} if settings.is_file() else {}  # noqa: S108 - in the container
    bundle, env = _certificates()
    if bundle:
        env["NODE_EXTRA_CA_CERTS"] = env["SSL_CERT_FILE"]
    return InContainer(
        *(docker, image, (program,), root, project),
        files={**files, **bundle},
        env={"HOME": "/tmp", **env},  # noqa: S108 - in the container
        as_user=True,
    )


def _certificates() -> tuple[dict[Path, str], dict[str, str]]:
    place = "/etc/rebake-ca.crt"
    for name in (os.environ.get("SSL_CERT_FILE", ""), *_CA_BUNDLES):
        if name and Path(name).is_file():
            return {Path(name).resolve(): place}, {"SSL_CERT_FILE": place}
    return {}, {}


def _bind(source: Path, target: str) -> str:
    # The value is a line of CSV: a comma or a quote in a path needs quotes around the field.
    def quoted(text: str) -> str:
        return '"' + text.replace('"', '""') + '"'

    return ",".join(["type=bind", quoted(f"source={source}"), quoted(f"target={target}")])


def version_of(text: str) -> tuple[int, ...]:
    """Return the first version in a text; empty when there is none."""
    match = _VERSION.search(text)
    return tuple(int(part) for part in match.groups() if part) if match else ()


def answers(program: Path, *words: str) -> tuple[int, ...]:
    """Return the version that a program tells; empty when it does not run."""
    try:
        outcome = run(Command.of(program, *words, timeout_s=_PROBE_S))
    except RebakeError:
        return ()
    return version_of(outcome.stdout) if outcome.ok else ()


def toolkit_program(name: str) -> Program | None:
    """Return a program of the environment that we run in."""
    if name == "python":
        return Program(Path(sys.executable))
    folder = Path(sys.executable).parent
    found = which(name, path=str(folder))
    return Program(found) if found else None


def oldest_rust(backend: Path) -> tuple[int, ...]:
    """Return the `rust-version` of a cargo workspace; empty when it names none."""
    try:
        document = tomllib.loads((backend / "Cargo.toml").read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError):
        return ()  # cargo's own words about it are the better ones
    workspace = document.get("workspace", document)
    return version_of(str(workspace.get("package", {}).get("rust-version", "")))


def local_cargo(backend: Path, *component: str) -> Program | None:
    """Return this machine's cargo where it is new enough and has the components asked for."""
    home = Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo")
    cargo = which("cargo") or which("cargo", path=str(home / "bin"))
    if cargo is None:
        return None
    # In the workspace's folder: a rust-toolchain.toml there decides which one answers.
    probe = Command.of(cargo, "--version", cwd=backend, timeout_s=_PROBE_S)
    try:
        outcome = run(probe)
    except RebakeError:
        return None
    if not outcome.ok or version_of(outcome.stdout) < oldest_rust(backend):
        return None
    for name in component:
        if not answers(cargo, name, "--version"):
            return None
    return Program(cargo)
