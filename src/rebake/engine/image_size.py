"""Asks the engine's API, and how large an image is unpacked: what its containers have on disk.

With the containerd image store, `docker image inspect` tells the compressed size, and no command
of the client tells the other one. The engine's API does, from version 1.48 (`manifests=1`).
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
from urllib.parse import quote

_TIMEOUT_S = 5.0


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("docker", timeout=_TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def unpacked_bytes(docker_host: str, ref: str) -> int | None:
    """Return an image's unpacked bytes; None where the engine can't be asked or does not say.

    Only a local Unix socket is asked: elsewhere the size that the client tells must do.
    """
    answers = ask(docker_host, f"/v1.48/images/{quote(ref, safe='')}/json?manifests=1")
    return parse(answers[0]) if answers else None


def ask(docker_host: str, *paths: str) -> tuple[bytes, ...] | None:
    """Return the answers to GET requests; None where one of them is not to be had.

    Only a local Unix socket is asked.
    """
    if not docker_host.startswith("unix://") or not hasattr(socket, "AF_UNIX"):
        return None
    connection = _UnixConnection(docker_host.removeprefix("unix://"))
    bodies = []
    try:
        with contextlib.closing(connection):
            for path in paths:
                connection.request("GET", path)
                answer = connection.getresponse()
                if answer.status != http.client.OK:
                    return None
                bodies.append(answer.read())
    except (OSError, http.client.HTTPException):
        return None
    return tuple(bodies)


def parse(body: bytes) -> int | None:
    """Read the answer: the sum over the platforms that are there."""
    try:
        document = json.loads(body)
    except ValueError:
        return None
    sizes = [
        int(manifest["ImageData"]["Size"]["Unpacked"])
        for manifest in document.get("Manifests") or ()
        if manifest.get("Kind") == "image" and manifest.get("Available")
    ]
    return sum(sizes) or None
