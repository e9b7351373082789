"""Asks the engine's HTTP API directly: a few milliseconds where the client needs fifty.

Only for questions that a build asks each time. The address may be a Unix socket, a named pipe or
plain TCP; any other (ssh, TLS) can't be asked like this, and the caller falls back to the client.

Source: https://docs.docker.com/reference/api/engine/version/v1.48/
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
from collections.abc import Mapping
from io import BufferedReader
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from msgspec import Struct

VERSION = "v1.44"  # of engine 25.0; every engine since then speaks it
TIMEOUT_S = 5.0


class Answer(Struct, frozen=True):
    """What the engine said: the HTTP status, and its document (None when it is no JSON)."""

    status: int
    document: Any

    @property
    def ok(self) -> bool:
        """Whether the engine did what it was asked for."""
        return http.client.OK <= self.status < http.client.MULTIPLE_CHOICES


def ask(
    docker_host: str,
    path: str,
    query: Mapping[str, str] | None = None,
    *,
    method: str = "GET",
    version: str = VERSION,
    timeout_s: float = TIMEOUT_S,
) -> Answer | None:
    """Ask one question.

    Args:
        docker_host: the engine's address.
        path: of the API, without the version: `/images/api:prod/json`, quoted already.
        query: parameters, not quoted yet.
        method: `GET`, `POST` or `DELETE`.
        version: of the API; an engine that does not know it refuses.
        timeout_s: seconds for each read.

    Returns:
        The answer, or None where the engine can't be asked without the client or did not answer.
    """
    target = f"/{version}{path}" + (f"?{urlencode(query)}" if query else "")
    return _exchange(docker_host, method, target, timeout_s)


def send(docker_host: str, path: str, document: object) -> Answer | None:
    """Post a document; the arguments and the result are those of `ask`."""
    body = json.dumps(document).encode()
    return _exchange(docker_host, "POST", f"/{VERSION}{path}", TIMEOUT_S, body)


def _exchange(
    docker_host: str, method: str, target: str, timeout_s: float, content: bytes | None = None
) -> Answer | None:
    connection = _connection(docker_host, timeout_s)
    if connection is None:
        return None
    headers = {"Connection": "close"}
    if content is not None:
        headers["Content-Type"] = "application/json"
    try:
        with contextlib.closing(connection):
            connection.request(method, target, content, headers)
            answer = connection.getresponse()
            body = answer.read()
    except (OSError, http.client.HTTPException):
        return None
    try:
        return Answer(answer.status, json.loads(body))
    except ValueError:
        return Answer(answer.status, None)


def can_ask(docker_host: str) -> bool:
    """Whether an address is one that can be asked without the client."""
    return _connection(docker_host, TIMEOUT_S) is not None


def _connection(docker_host: str, timeout_s: float) -> http.client.HTTPConnection | None:
    url = urlsplit(docker_host)
    if url.scheme == "unix" and hasattr(socket, "AF_UNIX"):
        return _UnixConnection(docker_host.removeprefix("unix://"), timeout_s)
    if url.scheme == "npipe":
        return _PipeConnection(docker_host.removeprefix("npipe://").replace("/", "\\"), timeout_s)
    if url.scheme == "tcp" and url.hostname and url.port:
        return http.client.HTTPConnection(url.hostname, url.port, timeout=timeout_s)
    return None


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str, timeout_s: float) -> None:
        super().__init__("docker", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class _PipeConnection(http.client.HTTPConnection):
    """HTTP over a Windows named pipe, which is opened like a file."""

    def __init__(self, path: str, timeout_s: float) -> None:
        super().__init__("docker", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = _Pipe(self._path)


class _Pipe:
    """As much of a socket as http.client needs."""

    def __init__(self, path: str) -> None:
        self._file = Path(path).open("r+b", buffering=0)  # noqa: SIM115 - closed by close()

    def sendall(self, data: bytes) -> None:
        self._file.write(data)

    def makefile(self, _mode: str) -> BufferedReader:
        return BufferedReader(self._file)

    def close(self) -> None:
        self._file.close()
