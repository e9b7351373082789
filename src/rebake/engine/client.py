"""Short, typed calls to the engine through python-on-whales: the only user of that library.

The library is imported when a client is made (0.17 s), so a path that must be quick should use
`containers_light`, which runs one `docker ps`. Long calls (bake, watch) are no business of this
module: see `process`. What failed is told from exit codes and from what is there afterwards; the
library's own guesses at errors, from words in the output, are not relied on.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct, field

from rebake import process
from rebake.engine.endpoint import Endpoint
from rebake.engine.image_size import unpacked_bytes
from rebake.engine.ping import ping
from rebake.errors import CommandFailed, EngineLost
from rebake.redact import Redactor

if TYPE_CHECKING:
    from python_on_whales import DockerClient

LABEL_PROJECT = "com.docker.compose.project"
LABEL_SERVICE = "com.docker.compose.service"
LABEL_FOLDER = "com.docker.compose.project.working_dir"
_LIGHT_TIMEOUT_S = 15.0
_TAIL_LINES = 20
# The library starts the client with our own environment: a change of it is for one at a time.
_environment_lock = threading.RLock()


class ImageInfo(Struct, frozen=True):
    """An image that the engine has.

    Attributes:
        id: its id in the engine's store.
        digest: the digest by which Compose and registries know it; the id where there is none.
        bytes: its size, unpacked where the engine tells that.
    """

    id: str
    digest: str
    bytes: int
    labels: Mapping[str, str] = field(default_factory=dict)
    architecture: str = ""
    os: str = ""
    tags: tuple[str, ...] = ()


class PortInfo(Struct, frozen=True):
    """A published port."""

    container_port: int
    protocol: str
    host_ip: str
    host_port: int


class ContainerInfo(Struct, frozen=True):
    """A container, running or not.

    Attributes:
        service: the Compose service; empty for one that Compose did not make.
        state: created, running, paused, restarting, exited, dead.
        health: starting, healthy, unhealthy; empty without a health check.
        working_dir: the folder of the Compose project that it belongs to.
        exit_code: of the last run; None while it runs for the first time.
    """

    name: str
    id: str
    service: str
    project: str
    state: str
    health: str
    ports: tuple[PortInfo, ...]
    working_dir: str
    exit_code: int | None
    image: str = ""


class VolumeInfo(Struct, frozen=True):
    """A named volume."""

    name: str
    driver: str
    mountpoint: str
    labels: Mapping[str, str] = field(default_factory=dict)


class SystemInfo(Struct, frozen=True):
    """What the engine says of itself."""

    name: str
    version: str
    driver: str
    data_folder: str
    architecture: str
    os: str
    cpus: int
    memory_bytes: int
    containers_running: int
    images: int


class EngineClient:
    """The calls of one engine.

    Every method raises `CommandFailed` when the engine refuses, and `EngineLost` when it has
    stopped answering; texts are redacted.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        """Make a client; this imports python-on-whales."""
        from python_on_whales import DockerClient

        self._endpoint = endpoint
        self._client: DockerClient = DockerClient(
            client_call=[str(endpoint.docker)], host=endpoint.docker_host
        )

    def image(self, ref: str) -> ImageInfo | None:
        """Return an image by reference or id; None when the engine does not have it."""
        with self._calling("image", "inspect", ref):
            if not self._client.image.exists(ref):
                return None
            found = self._client.image.inspect(ref)
            config = found.config
            digests = list(found.repo_digests or ())
            return ImageInfo(
                id=found.id,
                digest=digests[0].partition("@")[2] if digests else found.id,
                bytes=unpacked_bytes(self._endpoint.docker_host, ref) or int(found.size or 0),
                labels=dict((config.labels if config else None) or {}),
                architecture=found.architecture or "",
                os=found.os or "",
                tags=tuple(found.repo_tags or ()),
            )

    def tag(self, ref: str, name: str) -> None:
        """Give an image a further name."""
        with self._calling("image", "tag", ref, name):
            self._client.image.tag(ref, name)

    def load(self, archive: Path) -> tuple[str, ...]:
        """Load an image archive; return the names or ids that it held."""
        with self._calling("image", "load", str(archive)):
            return tuple(self._client.image.load(str(archive)))

    def remove_image(self, ref: str, *, force: bool = False) -> bool:
        """Remove an image's name (and the image with its last name); tell if it was there."""
        with self._calling("image", "rm", ref):
            if not self._client.image.exists(ref):
                return False
            self._client.image.remove(ref, force=force)
            return True

    def containers(
        self, project: str | None = None, *, stopped: bool = True
    ) -> tuple[ContainerInfo, ...]:
        """Return the containers of a Compose project, or all; stopped ones too by default."""
        filters: list[tuple[Literal["label"], str]] = []
        if project is not None:
            filters.append(("label", f"{LABEL_PROJECT}={project}"))
        with self._calling("container", "list"):
            found = self._client.container.list(all=stopped, filters=filters)
            return tuple(self._container(one) for one in found)

    def container_logs(self, name: str, tail: int = 50) -> list[str]:
        """Return the last `tail` lines that a container wrote, to either output."""
        with self._calling("container", "logs", name):
            text = self._client.container.logs(name, tail=tail)
        return str(text).splitlines()

    def volumes(self, label: str | None = None) -> tuple[VolumeInfo, ...]:
        """Return the volumes with a label (`name` or `name=value`), or all."""
        filters: list[tuple[Literal["label"], str]] = []
        if label is not None:
            filters.append(("label", label))
        with self._calling("volume", "list"):
            return tuple(
                VolumeInfo(
                    name=volume.name,
                    driver=volume.driver,
                    mountpoint=str(volume.mountpoint),
                    labels=dict(volume.labels or {}),
                )
                for volume in self._client.volume.list(filters=filters)
            )

    def system_info(self) -> SystemInfo:
        """Return what the engine says of itself."""
        with self._calling("system", "info"):
            info = self._client.system.info()
            return SystemInfo(
                name=info.name or "",
                version=info.server_version or "",
                driver=info.driver or "",
                data_folder=str(info.docker_root_dir or ""),
                architecture=info.architecture or "",
                os=info.operating_system or "",
                cpus=int(info.n_cpu or 0),
                memory_bytes=int(info.mem_total or 0),
                containers_running=int(info.containers_running or 0),
                images=int(info.images or 0),
            )

    def _container(self, one: Any) -> ContainerInfo:  # noqa: ANN401 - the library's type is loose
        labels = one.config.labels or {}
        health = one.state.health.status if one.state.health else ""
        state = str(one.state.status or "")
        never_ended = state in {"created", "running"} and not one.restart_count
        return ContainerInfo(
            name=one.name,
            id=one.id,
            service=labels.get(LABEL_SERVICE, ""),
            project=labels.get(LABEL_PROJECT, ""),
            state=state,
            health=str(health or ""),
            ports=_ports(one.network_settings.ports or {}),
            working_dir=labels.get(LABEL_FOLDER, ""),
            exit_code=None if never_ended else one.state.exit_code,
            image=one.config.image or "",
        )

    @contextlib.contextmanager
    def _calling(self, *words: str) -> Iterator[None]:
        from python_on_whales.exceptions import DockerException

        redactor = Redactor.from_environment()
        argv = redactor.argv(["docker", *words])
        with _environment(self._endpoint):
            try:
                yield
            except DockerException as error:
                raise self._failure(argv, error.return_code, error.stderr, redactor) from None
            except (FileNotFoundError, PermissionError) as error:
                raise self._failure(argv, 127, str(error), redactor) from None

    def _failure(
        self, argv: list[str], returncode: int, stderr: str | None, redactor: Redactor
    ) -> CommandFailed | EngineLost:
        local = self._endpoint.docker_host.startswith(("unix://", "npipe://"))
        if local and ping(self._endpoint.docker_host) is None:
            return EngineLost(f"the engine stopped answering during `{' '.join(argv)}`")
        tail = [redactor.text(line) for line in (stderr or "").splitlines()[-_TAIL_LINES:]]
        return CommandFailed(argv, returncode, tail)


def containers_light(endpoint: Endpoint, project: str) -> tuple[ContainerInfo, ...]:
    """Return a Compose project's containers by `docker ps` and one inspect, without the library.

    Raises:
        CommandFailed: the engine refuses.
    """
    listed = process.run(
        endpoint.command(
            *("ps", "--all", "--quiet", "--no-trunc"),
            *("--filter", f"label={LABEL_PROJECT}={project}"),
            timeout_s=_LIGHT_TIMEOUT_S,
        )
    ).check()
    ids = listed.stdout.split()
    if not ids:
        return ()
    # One that went away in between makes the exit code 1; the others are still in the output.
    outcome = process.run(
        endpoint.command("container", "inspect", *ids, timeout_s=_LIGHT_TIMEOUT_S)
    )
    return parse_containers(outcome.stdout)


def parse_containers(text: str) -> tuple[ContainerInfo, ...]:
    """Read `docker container inspect`."""
    try:
        entries = json.loads(text or "[]")
    except ValueError:
        return ()
    return tuple(_container_of(entry) for entry in entries)


def _container_of(entry: Mapping[str, Any]) -> ContainerInfo:
    state = entry.get("State") or {}
    config = entry.get("Config") or {}
    labels = config.get("Labels") or {}
    status = str(state.get("Status", ""))
    never_ended = status in {"created", "running"} and not entry.get("RestartCount")
    return ContainerInfo(
        name=str(entry.get("Name", "")).lstrip("/"),
        id=str(entry.get("Id", "")),
        service=labels.get(LABEL_SERVICE, ""),
        project=labels.get(LABEL_PROJECT, ""),
        state=status,
        health=str((state.get("Health") or {}).get("Status", "")),
        ports=_ports((entry.get("NetworkSettings") or {}).get("Ports") or {}),
        working_dir=labels.get(LABEL_FOLDER, ""),
        exit_code=None if never_ended else state.get("ExitCode"),
        image=str(config.get("Image", "")),
    )


def _ports(published: Mapping[str, Any]) -> tuple[PortInfo, ...]:
    return tuple(
        PortInfo(
            container_port=int(name.partition("/")[0]),
            protocol=name.partition("/")[2] or "tcp",
            host_ip=str(binding.get("HostIp", "")),
            host_port=int(binding.get("HostPort") or 0),
        )
        for name, bindings in published.items()
        for binding in bindings or ()
    )


@contextlib.contextmanager
def _environment(endpoint: Endpoint) -> Iterator[None]:
    """Lay the endpoint's variables over ours while the library starts the client."""
    wanted: dict[str, str | None] = {**endpoint.environment(), "DOCKER_CONTEXT": None}
    with _environment_lock:
        before = {name: os.environ.get(name) for name in wanted}
        try:
            _set(wanted)
            yield
        finally:
            _set(before)


def _set(variables: Mapping[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
