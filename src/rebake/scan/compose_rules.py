"""The rules for compose files, over what `docker compose config` makes of them. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from msgspec import Struct

from rebake.results import Level, Mode

Service = Mapping[str, Any]
# Whether a service that is built here has a health check in its Dockerfile; None: not known.
HasCheck = Callable[[str], bool | None]
_ALL = {"", "0.0.0.0", "::"}  # noqa: S104 - a comparison
_DATABASES = re.compile(
    r"(?:^|/)(?:postgres|postgis|timescaledb|mysql|mariadb|mongo|redis|valkey|rabbitmq|"
    r"elasticsearch|opensearch|clickhouse-server|cassandra|minio|meilisearch|nats|etcd)(?:[-:@]|$)"
)
_SECRET = re.compile(r"(?:PASSWORD|PASSWD|SECRET|TOKEN|API_?KEY|PRIVATE_KEY)$", re.IGNORECASE)


class Breach(Struct, frozen=True):
    """A rule that a service breaks. Breaches with the same words are shown as one.

    Attributes:
        rule: its id, which an ignore names.
    """

    rule: str
    service: str
    level: Level
    message: str
    why: str
    fix: str


def breaches(document: Mapping[str, Any], mode: Mode, has_check: HasCheck) -> Iterator[Breach]:
    """Yield what the services of a stack break.

    Args:
        document: what `docker compose config --format json` prints.
        mode: prod is held to more than dev.
        has_check: whether the image of a service has a health check of its own.
    """
    services = document.get("services") or {}
    made = {str(s.get("image") or "") for s in services.values() if s.get("build")}
    for name, service in services.items():
        if service.get("scale") == 0 or (service.get("deploy") or {}).get("replicas") == 0:
            continue  # it is only built
        yield from _image(name, service, made)
        yield from _power(name, service, mode)
        yield from _reach(name, service)
        yield from _health(name, service, has_check)
        yield from _state(name, service)
        if mode == "prod":
            yield from _hardening(name, service)
            yield from _limits(name, service)
            yield from _secrets(name, service)


def _image(name: str, service: Service, made: set[str]) -> Iterator[Breach]:
    image = str(service.get("image") or "")
    if service.get("build") or image in made or "@sha256:" in image:  # built here, or pinned
        return
    tag = image.rpartition("/")[2].partition(":")[2]
    if tag in {"", "latest"}:
        yield Breach(
            "compose-image-pinned", name, "warning", f"image {image} has no version",
            "tomorrow's pull is another program, and nobody decided so",
            f"pin it: docker buildx imagetools inspect {image}, then image: …:<version>@sha256:…",
        )  # fmt: skip
    else:
        yield Breach(
            "compose-image-pinned", name, "warning", f"image {image} is not pinned by digest",
            "a tag can be moved: two machines may run two programs",
            f"docker buildx imagetools inspect {image}, then image: {image}@sha256:…",
        )  # fmt: skip


def _power(name: str, service: Service, mode: Mode) -> Iterator[Breach]:
    bad: Level = "error" if mode == "prod" else "warning"
    if service.get("privileged"):
        yield Breach(
            "compose-privileged", name, bad,
            "privileged: true", "who breaks into it is root on the host",
            "take it out; name single capabilities under cap_add",
        )  # fmt: skip
    for volume in service.get("volumes") or ():
        if str(volume.get("source", "")).endswith("/docker.sock"):
            yield Breach(
                "compose-docker-sock", name, bad,
                "docker.sock is mounted", "who breaks into it is root on the host",
                "take it out, or put a proxy before it that lets through what is needed",
            )  # fmt: skip
    for key in ("network_mode", "pid", "ipc", "uts", "userns_mode", "cgroup"):
        if service.get(key) == "host":
            yield Breach(
                "compose-host-namespace", name, bad,
                f"{key}: host", "the container sees the host's own",
                "take it out; publish single ports",
            )  # fmt: skip

    for option in service.get("security_opt") or ():
        kind, _, profile = str(option).replace("=", ":").partition(":")
        if kind in {"seccomp", "apparmor"} and profile in {"unconfined", "disable"}:
            yield Breach(
                "compose-seccomp", name, bad, f"{kind}: {profile}",
                "the container may make every call of the kernel's",
                "take it out: the engine's own profile is the default",
            )  # fmt: skip


def _reach(name: str, service: Service) -> Iterator[Breach]:
    if service.get("container_name"):
        yield Breach(
            "compose-container-name", name, "warning",
            f"container_name: {service['container_name']}",
            "a second checkout replaces the first one's container",
            "take it out: Compose names containers by project",
        )  # fmt: skip
    for port in service.get("ports") or ():
        if isinstance(port, Mapping) and str(port.get("host_ip") or "") in _ALL:
            shown = port.get("published") or port.get("target")
            yield Breach(
                "compose-port-address", name, "warning",
                f"port {shown} is published on every address",
                "everyone in the network reaches it, past the host's firewall",
                f'"127.0.0.1:{shown}:{port.get("target")}"',
            )  # fmt: skip


def _health(name: str, service: Service, has_check: HasCheck) -> Iterator[Breach]:
    check = service.get("healthcheck") or {}
    off = check.get("disable") or list(check.get("test") or ()) == ["NONE"]
    if not off and (check.get("test") or has_check(name) is not False):
        return
    yield Breach(
        "compose-healthcheck", name, "warning", "no health check",
        "others start before it answers, and a hung one is never noticed",
        "healthcheck: {test: [CMD, …]}, or HEALTHCHECK in its Dockerfile",
    )  # fmt: skip


def _state(name: str, service: Service) -> Iterator[Breach]:
    volumes = service.get("volumes") or ()
    for volume in volumes:
        if volume.get("type") == "volume" and not volume.get("source"):
            yield Breach(
                "compose-named-volume", name, "warning",
                f"a volume without a name at {volume.get('target')}",
                "each new container gets an empty one",
                f"volumes: [data:{volume.get('target')}], and data below the top-level volumes",
            )  # fmt: skip
    if not _DATABASES.search(str(service.get("image") or "")):
        return
    if not any(v.get("type") in {"volume", "bind"} for v in volumes):
        yield Breach(
            "compose-named-volume", name, "warning", "a database without a named volume",
            "its data goes with the container: `down` deletes it",
            "volumes: [data:/…], and data below the top-level volumes",
        )  # fmt: skip


def _hardening(name: str, service: Service) -> Iterator[Breach]:
    why = "who breaks into it can do more than it needs"
    if "ALL" not in {str(c).upper() for c in service.get("cap_drop") or ()}:
        yield Breach(
            "compose-cap-drop", name, "warning", "keeps root's capabilities", why, "cap_drop: [ALL]"
        )
    options = {str(option).replace(":", "=") for option in service.get("security_opt") or ()}
    if not options & {"no-new-privileges", "no-new-privileges=true"}:
        yield Breach(
            "compose-no-new-privileges",
            name,
            "warning",
            "may gain privileges",
            why,
            'security_opt: ["no-new-privileges:true"]',
        )
    if not service.get("read_only"):
        yield Breach(
            "compose-read-only", name, "warning", "its root file system can be written to", why,
            "read_only: true, and tmpfs for what it writes",
        )  # fmt: skip
    elif not service.get("tmpfs") and not any(
        volume.get("type") == "tmpfs" for volume in service.get("volumes") or ()
    ):
        yield Breach(
            "compose-tmpfs", name, "warning", "has no tmpfs beside its read-only root",
            "a program that wants a temporary file fails, and somebody makes the root writable",
            "tmpfs: [/tmp:size=16m,mode=1777,noexec,nosuid,nodev]",
        )  # fmt: skip
    if str(service.get("user") or "").partition(":")[0] in {"0", "root"}:
        yield Breach("compose-root", name, "warning", "runs as root", why, 'user: "65532:65532"')


def _limits(name: str, service: Service) -> Iterator[Breach]:
    given = ((service.get("deploy") or {}).get("resources") or {}).get("limits") or {}
    why = "one service that runs wild takes the whole machine down"
    for words, keys, fix in (
        ("memory", ("mem_limit", "memory"), "mem_limit: 256m"),
        ("CPU", ("cpus", "cpus"), "cpus: 1"),
        ("process", ("pids_limit", "pids"), "pids_limit: 128"),
    ):
        if not service.get(keys[0]) and not given.get(keys[1]):
            yield Breach("compose-limits", name, "warning", f"no {words} limit", why, fix)


def _secrets(name: str, service: Service) -> Iterator[Breach]:
    environment = service.get("environment") or {}
    found = [key for key, value in environment.items() if value and _SECRET.search(key)]
    if found:
        yield Breach(
            "compose-secrets", name, "warning",
            f"secrets in the environment: {', '.join(sorted(found))}",
            "they stand in `docker inspect`, in logs and in every child process",
            "secrets: with a file each, and a variable that names the file",
        )  # fmt: skip
