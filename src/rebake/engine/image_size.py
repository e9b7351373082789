"""How large an image is unpacked: what its containers have on disk.

With the containerd image store, `docker image inspect` tells the compressed size, and no command
of the client tells the other one. The engine's API does, from version 1.48 (`manifests=1`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from rebake.engine import api

_VERSION = "v1.48"  # of engine 28.0, the first that tells it
_BAD_REQUEST = 400  # what an older engine says to a version that it does not know


def unpacked_bytes(docker_host: str, ref: str) -> int | None:
    """Return an image's unpacked bytes; None where the engine can't be asked or does not say."""
    answer = describe(docker_host, ref)
    return parse(answer.document) if answer is not None and answer.ok else None


def describe(docker_host: str, ref: str) -> api.Answer | None:
    """Ask for an image's description, with its manifests where the engine knows of them."""
    path = f"/images/{quote(ref, safe='')}/json"
    answer = api.ask(docker_host, path, {"manifests": "1"}, version=_VERSION)
    if answer is not None and answer.status == _BAD_REQUEST:
        return api.ask(docker_host, path)
    return answer


def parse(document: Any) -> int | None:  # noqa: ANN401 - as json.loads gives it
    """Read the engine's description of an image: the sum over the platforms that are there."""
    if not isinstance(document, Mapping):
        return None
    sizes = [
        int(manifest["ImageData"]["Size"]["Unpacked"])
        for manifest in document.get("Manifests") or ()
        if manifest.get("Kind") == "image" and manifest.get("Available")
    ]
    return sum(sizes) or None
