"""Remembers which engine was found, for as long as all that led to it stays as it was.

Several results are kept, each for its own surroundings: shells with another PATH or DOCKER_HOST
take turns on one machine, and to ask a client its versions takes half a second.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from msgspec.structs import asdict

from rebake.engine.endpoint import Endpoint
from rebake.engine.ping import ping
from rebake.engine.versions import Versions

if TYPE_CHECKING:
    from rebake.engine.detect import Candidate, Detected, Surroundings
    from rebake.engine.endpoint import Kind

_AGE_S = 24 * 3600.0
_FORMAT = 3
_ENTRIES = 8
_PING_LIMIT_S = 1.0


def _fingerprint(around: Surroundings) -> dict[str, object]:
    """What a remembered result depends on besides the engine itself."""
    names = ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "XDG_RUNTIME_DIR", "PATH")
    return {
        "environ": {name: around.environ.get(name, "") for name in names},
        "engine_home": str(around.home.folder),
        "config": _mtime(around.docker_config / "config.json"),
    }


def remember(around: Surroundings, place: Candidate, found: Detected) -> None:
    """Write down what was found; where that can't be done, it is asked for each time."""
    pong = ping(place.docker_host)
    if pong is None:
        return  # ssh and TLS addresses can't be checked cheaply: ask each time
    document = {
        "fingerprint": _fingerprint(around),
        "saved_at": time.time(),
        "server": [pong.api, pong.server],
        "client_mtime": _mtime(found.endpoint.docker),
        "buildx": str(found.endpoint.buildx or ""),
        "kind": found.endpoint.kind,
        "docker_host": found.endpoint.docker_host,
        "docker": str(found.endpoint.docker),
        "env": dict(found.endpoint.env),
        "versions": asdict(found.versions),
        "driver": found.driver,
    }
    others = [e for e in _entries(around) if e.get("fingerprint") != document["fingerprint"]]
    entries = [document, *others[: _ENTRIES - 1]]
    try:
        around.cache.parent.mkdir(parents=True, exist_ok=True)
        temporary = around.cache.with_name(f"{around.cache.name}.{os.getpid()}")
        text = json.dumps({"format": _FORMAT, "entries": entries})
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(around.cache)
    except OSError:
        return  # a cache that can't be written is none


def _entries(around: Surroundings) -> list[dict[str, Any]]:
    """What is remembered for any surroundings, the newest first; empty when it can't be read."""
    try:
        document = json.loads(around.cache.read_text(encoding="utf-8"))
        entries = document["entries"] if document["format"] == _FORMAT else ()
        return [entry for entry in entries if isinstance(entry, dict)]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def recall(
    around: Surroundings, places: Sequence[Candidate]
) -> tuple[Endpoint, Versions, str] | None:
    """Return the engine that was found in these surroundings, its versions and storage driver.

    None when there is none, or when it does not hold any more.
    """
    fingerprint = _fingerprint(around)
    saved = next((e for e in _entries(around) if e.get("fingerprint") == fingerprint), None)
    if saved is None:
        return None
    try:
        endpoint = Endpoint(
            cast("Kind", saved["kind"]),
            saved["docker_host"],
            Path(saved["docker"]),
            saved["env"],
            Path(saved["buildx"]) if saved["buildx"] else None,
        )
        found = endpoint, Versions(**saved["versions"]), str(saved["driver"])
        holds = (
            0 <= time.time() - saved["saved_at"] < _AGE_S
            and 0 != _mtime(endpoint.docker) == saved["client_mtime"]
            and (endpoint.buildx is None or endpoint.buildx.is_file())
            and _still_first(endpoint.docker_host, saved["server"], places)
        )
    except (ValueError, KeyError, TypeError):
        return None
    return found if holds else None


def _still_first(docker_host: str, server: object, places: Sequence[Candidate]) -> bool:
    """Tell whether the engine answers as before, and none that comes before it has come up."""
    for place in places:
        pong = ping(place.docker_host, _PING_LIMIT_S)
        if place.docker_host == docker_host:
            return pong is not None and [pong.api, pong.server] == server
        if pong is not None:
            return False
    return False


def _mtime(file: Path) -> int:
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return 0
