"""Asks an engine whether it is there, without starting the client (a few milliseconds)."""

from __future__ import annotations

import re
import socket
from pathlib import Path
from urllib.parse import urlsplit

from msgspec import Struct

DEFAULT_TIMEOUT_S = 1.0
_REQUEST = b"GET /_ping HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n"
_LIMIT = 65536


class Pong(Struct, frozen=True):
    """What the answer's headers say."""

    api: str
    server: str = ""


def ping(docker_host: str, timeout_s: float = DEFAULT_TIMEOUT_S) -> Pong | None:
    """Return the engine's answer, or None when there is none in time.

    An address that can't be asked without the client (ssh, TLS) gives None as well.
    """
    try:
        answer = _ask(docker_host, timeout_s)
    except (OSError, ValueError):
        return None
    return parse(answer)


def parse(answer: bytes) -> Pong | None:
    """Read the answer to a ping; None when it is not a good one."""
    head = answer.split(b"\r\n\r\n", 1)[0].decode("latin-1")
    if not re.match(r"HTTP/1\.[01] 200", head):
        return None
    api = re.search(r"(?im)^api-version:\s*(\S+)", head)
    server = re.search(r"(?im)^server:\s*(.+?)\s*$", head)
    return Pong(api=api[1] if api else "", server=server[1] if server else "")


def _ask(docker_host: str, timeout_s: float) -> bytes:
    url = urlsplit(docker_host)
    if url.scheme == "unix":
        if not hasattr(socket, "AF_UNIX"):
            raise OSError("no unix sockets here")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(timeout_s)
            connection.connect(docker_host.removeprefix("unix://"))
            return _exchange(connection)
    if url.scheme == "tcp" and url.hostname and url.port:
        with socket.create_connection((url.hostname, url.port), timeout_s) as connection:
            return _exchange(connection)
    if url.scheme == "npipe":
        pipe = docker_host.removeprefix("npipe://").replace("/", "\\")
        with Path(pipe).open("r+b", buffering=0) as stream:
            stream.write(_REQUEST)
            return stream.read(_LIMIT) or b""
    raise ValueError(docker_host)


def _exchange(connection: socket.socket) -> bytes:
    connection.sendall(_REQUEST)
    answer = b""
    while b"\r\n\r\n" not in answer and len(answer) < _LIMIT:
        part = connection.recv(4096)
        if not part:
            break
        answer += part
    return answer
