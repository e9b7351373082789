"""Which versions of engine, buildx and Compose are good enough; pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from msgspec import Struct

LEAST = {"engine": (23,), "buildx": (0, 12), "compose": (2, 20)}
_LEAST_PODMAN_API = (1, 41)
_INSTALL = {
    "buildx": "docker-buildx-plugin (Debian, Ubuntu: docker-buildx; macOS: brew install "
    "docker-buildx), or let rebake fetch it: invoke engine install",
    "compose": "docker-compose-plugin (Ubuntu: docker-compose-v2; macOS: brew install "
    "docker-compose), or let rebake fetch it: invoke engine install",
}


class Versions(Struct, frozen=True):
    """The versions of one engine and its client; empty where something is not there."""

    engine: str = ""
    client: str = ""
    buildx: str = ""
    compose: str = ""
    api: str = ""
    podman: bool = False

    def document(self) -> dict[str, str]:
        """The part of `--json` for versions."""
        return {
            "engine": self.engine,
            "client": self.client,
            "buildx": self.buildx,
            "compose": self.compose,
            "api": self.api,
        }


def numbers(text: str) -> tuple[int, ...]:
    """Return the leading numbers of a version: `v0.29.1+ds1` gives (0, 29, 1)."""
    match = re.search(r"\d+(?:\.\d+)*", text)
    return tuple(int(part) for part in match[0].split(".")) if match else ()


def parse_version_json(text: str) -> Versions | None:
    """Read `docker version --format json`; None when no server is in it."""
    try:
        document = json.loads(text)
    except ValueError:
        return None
    server = document.get("Server") if isinstance(document, Mapping) else None
    if not isinstance(server, Mapping) or not server.get("Version"):
        return None
    client = document.get("Client") or {}
    components = server.get("Components") or ()
    names = " ".join(str(part.get("Name", "")) for part in components if isinstance(part, Mapping))
    return Versions(
        engine=str(server["Version"]),
        client=str(client.get("Version", "")),
        api=str(server.get("ApiVersion", "")),
        podman="podman" in names.lower(),
    )


def parse_buildx(text: str) -> str:
    """Read `docker buildx version`: `github.com/docker/buildx v0.29.1 …`."""
    words = text.split()
    return words[1].lstrip("v") if len(words) > 1 and "buildx" in words[0] else ""


def parse_compose(text: str) -> str:
    """Read `docker compose version --short`."""
    word = text.strip().lstrip("v")
    return word if numbers(word) else ""


def faults(found: Versions, *, compose_v1: bool = False) -> list[str]:
    """Say what is missing or too old; empty when all is well.

    Args:
        found: the versions.
        compose_v1: whether the old `docker-compose` program is on PATH.
    """
    lines = []
    if found.podman:
        if numbers(found.api) < _LEAST_PODMAN_API:
            lines.append(f"Podman's API is {found.api}, at least 1.41 is needed")
    elif numbers(found.engine) < LEAST["engine"]:
        lines.append(f"engine {found.engine} is too old: at least 23 is needed")
    for part, name in (("buildx", "the client's buildx plugin"), ("compose", "Compose v2")):
        version = getattr(found, part)
        least = LEAST[part]
        wanted = ".".join(map(str, least))
        if not version:
            old = " (Compose v1, `docker-compose`, is too old)" if compose_v1 else ""
            word = old if part == "compose" else ""
            lines.append(f"{name} is missing{word}: install {_INSTALL[part]}")
        elif numbers(version) < least:
            lines.append(f"{part} {version} is too old: at least {wanted} is needed")
    return lines
