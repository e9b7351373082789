"""The plan of native mode: which processes run, with which arguments, addresses and data.

Pure: made from the project, the ports and the programs that were found; `native_tools` finds
them. The plan travels as a JSON file to the supervisor, which is a process of its own.
"""

from __future__ import annotations

import json
import os
import re
import urllib.parse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field, to_builtins

from rebake.process import Command
from rebake.project.packages import LOCK_FILES, install_words

if TYPE_CHECKING:
    from rebake.project.project import Project

UI = "ui"
API = "api"
HEALTH_PATH = "/healthz"
MARK = "NATIVE_STACK_ID"  # in the environment of all that a native stack starts
SCHEMA_VERSION = 1
_REACHABLE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - a comparison


class Tools(Struct, frozen=True):
    """The programs that native mode needs."""

    cargo: Path
    bun: Path
    npm: Path | None = None  # where ui.manager is npm


class NativeService(Struct, frozen=True):
    """One process of the stack.

    Attributes:
        name: the service's name.
        argv: what runs; empty for a binary of the workspace, whose path cargo tells.
        cwd: the folder that it runs in.
        env: what its environment has more than ours.
        address: where it listens.
        port: the port there.
        url: where a person reaches it.
        binary: the cargo binary that it is, or None.
        pass_socket: whether the supervisor listens for it, so that a restart refuses nobody.
        programs: a folder that stands first on its PATH.
    """

    name: str
    argv: tuple[str, ...]
    cwd: Path
    env: Mapping[str, str | None]
    address: str
    port: int
    url: str
    binary: str | None = None
    pass_socket: bool = False
    programs: str | None = None

    @property
    def health_url(self) -> str:
        """What answers 200 when it is healthy."""
        return self.url + HEALTH_PATH


class NativePlan(Struct, frozen=True):
    """A whole native stack.

    Attributes:
        mark: what marks the stack's processes, and no other stack's.
        services: what runs, in the order of their start.
        backend: the cargo workspace's folder.
        build: the command that compiles all binaries at once.
        ui: the UI's folder.
        install: the command that installs the UI's packages.
        lock: the name of their lock-file.
        polling: look at the files instead of waiting for events.
        owner: the process (id and start time) that the stack must not outlive; none when detached.
        programs: the binaries of the first build.
    """

    mark: str
    services: tuple[NativeService, ...]
    backend: Path
    build: tuple[str, ...]
    ui: Path
    install: tuple[str, ...]
    lock: str = "bun.lock"
    polling: bool = False
    owner: tuple[int, float] | None = None
    programs: Mapping[str, Path] = field(default_factory=dict)
    schema_version: int = field(default=SCHEMA_VERSION)

    @property
    def urls(self) -> dict[str, str]:
        """Where to reach each service."""
        return {service.name: service.url for service in self.services}

    @property
    def ports(self) -> dict[str, int]:
        """The port of each service."""
        return {service.name: service.port for service in self.services}

    @property
    def binaries(self) -> tuple[str, ...]:
        """The workspace's binaries that run."""
        return tuple(s.binary for s in self.services if s.binary is not None)

    def service(self, name: str) -> NativeService:
        """The service of that name."""
        return next(service for service in self.services if service.name == name)

    def build_command(self) -> Command:
        """Compile all binaries at once."""
        # The bar carries how many crates are done; elsewhere than on a terminal cargo hides it.
        env = {
            "CARGO_TERM_PROGRESS_WHEN": "always",
            "CARGO_TERM_PROGRESS_WIDTH": "80",
            "CARGO_TERM_COLOR": "never",
            "CARGO_TERM_QUIET": "false",
            MARK: self.mark,
        }
        return Command(self.build, cwd=self.backend, env=env, what="cargo build")

    def install_command(self) -> Command:
        """Install the UI's packages."""
        return Command(
            self.install,
            cwd=self.ui,
            env={"NO_COLOR": "1", MARK: self.mark},
            what="the install of the UI's packages",
        )

    def command(self, service: NativeService, program: Path | None = None) -> Command:
        """Run a service; `program` is the binary that cargo made."""
        argv = service.argv or (str(program),)
        env = {**service.env, MARK: self.mark}
        if service.programs:
            env["PATH"] = os.pathsep.join([service.programs, os.environ.get("PATH", os.defpath)])
        return Command(argv, cwd=service.cwd, env=env, what=service.name)

    def same_stack(self, other: NativePlan) -> bool:
        """Whether a running stack of the other plan is what this one asks for."""
        return (self.services, self.build, self.polling) == (
            other.services,
            other.build,
            other.polling,
        )


def make_plan(
    project: Project,
    ports: Mapping[str, int],
    tools: Tools,
    *,
    data: Path,
    mark: str,
    address: str | None = None,
    owner: tuple[int, float] | None = None,
) -> NativePlan:
    """Plan the native stack of a project.

    Args:
        project: the project; its backend and UI were read already.
        ports: the port of each service.
        tools: the programs to use.
        data: the folder of the services' data; it outlives them.
        mark: what marks the stack's processes.
        address: where to listen; `dev.address` when None.
        owner: the process that the stack must not outlive.
    """
    config = project.config
    address = address or config.dev.address
    sockets = os.name != "nt" and _takes_sockets(project.backend)
    shared: dict[str, str | None] = {"DATABASE_URL": database_url(data / "app.db")}
    services = [
        NativeService(
            name=name,
            argv=(),
            cwd=project.backend,
            env={
                **shared,
                address_variable(name): host_and_port(address, ports[name]),
                **dict.fromkeys(("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")),
            },
            address=address,
            port=ports[name],
            url=url(address, ports[name]),
            binary=name,
            pass_socket=sockets,
        )
        for name in config.backend.services
    ]
    backend_names = config.backend.services
    api = API if API in backend_names else backend_names[0]
    ui = NativeService(
        name=UI,
        argv=(str(tools.bun), "run", "dev"),
        cwd=project.ui,
        env={
            "HOST": address,
            "PORT": str(ports[UI]),
            "API_URL": url(address, ports[api]),
            "UI_POLLING": "1" if config.dev.watch == "polling" else None,
        },
        address=address,
        port=ports[UI],
        url=url(address, ports[UI]),
        programs=str(tools.bun.parent),  # package.json's scripts call `bun`
    )
    binaries = [word for name in backend_names for word in ("--bin", name)]
    return NativePlan(
        mark=mark,
        services=(*services, ui),
        backend=project.backend,
        build=(
            str(tools.cargo), "build", "--locked", *binaries,
            "--message-format", "json-render-diagnostics",
        ),
        ui=project.ui,
        install=(str(tools.npm or tools.bun), *install_words(config.ui.manager)),
        lock=LOCK_FILES[config.ui.manager],
        polling=config.dev.watch == "polling",
        owner=owner,
    )  # fmt: skip


def address_variable(service: str) -> str:
    """The variable that tells a backend service where to listen: `API_ADDR`."""
    return re.sub(r"[^A-Z0-9]", "_", service.upper()) + "_ADDR"


def host_and_port(address: str, port: int) -> str:
    """`127.0.0.1:80`, or `[::1]:80`."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def url(address: str, port: int) -> str:
    """Where a person reaches a server that listens there."""
    return "http://" + host_and_port(_REACHABLE.get(address, address), port)


def database_url(file: Path) -> str:
    """The SQLite URL of a file, whatever is in its name."""
    return "sqlite://" + urllib.parse.quote(file.as_posix(), safe="/:")


def to_json(plan: NativePlan) -> str:
    """The plan as a JSON document."""
    return json.dumps(to_builtins(plan, enc_hook=str), indent=1)


def from_json(text: str) -> NativePlan:
    """Read what `to_json` wrote.

    Raises:
        ValueError: it is no plan, or another version's.
    """
    try:
        document: dict[str, Any] = json.loads(text)
        if document["schema_version"] != SCHEMA_VERSION:
            msg = f"schema version {document['schema_version']}"
            raise ValueError(msg)
        services = [
            NativeService(**{**s, "argv": tuple(s["argv"]), "cwd": Path(s["cwd"])})
            for s in document["services"]
        ]
        owner = document["owner"]
        return NativePlan(
            mark=document["mark"],
            services=tuple(services),
            backend=Path(document["backend"]),
            build=tuple(document["build"]),
            ui=Path(document["ui"]),
            install=tuple(document["install"]),
            lock=str(document.get("lock", "bun.lock")),
            polling=document["polling"],
            owner=None if owner is None else (int(owner[0]), float(owner[1])),
            programs={name: Path(path) for name, path in document["programs"].items()},
        )
    except (KeyError, TypeError, AttributeError) as error:
        msg = f"not a plan of a native stack: {error!r}"
        raise ValueError(msg) from error


def _takes_sockets(backend: Path) -> bool:
    """Whether the services take over a listening socket (systemd's protocol)."""
    try:
        lock = (backend / "Cargo.lock").read_text(encoding="utf-8")
    except OSError:
        return False
    return bool(re.search(r'^name = "(listenfd|sd-listen-fds)"$', lock, re.MULTILINE))
