"""HTTP as the smoke tests need it: whole requests, and one that stays half sent.

No proxy of the environment stands in between.
"""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Self
from urllib.parse import urljoin, urlsplit

from msgspec import Struct

TIMEOUT_S = 10.0
_CONTINUE_S = 1.0  # for the interim answer; a server need not send it


class Answer(Struct, frozen=True):
    """An answer; status 0 when there was none, and then `text` says why."""

    status: int
    text: str = ""
    location: str = ""

    @property
    def good(self) -> bool:
        """Whether the server did what it was asked."""
        return http.HTTPStatus.OK <= self.status < http.HTTPStatus.MULTIPLE_CHOICES

    @property
    def document(self) -> Mapping[str, Any]:
        """The JSON object in it; empty when there is none."""
        with suppress(ValueError):
            found = json.loads(self.text)
            if isinstance(found, dict):
                return found
        return {}

    def __str__(self) -> str:
        return str(self.status) if self.status else self.text


def ask(method: str, url: str, body: str = "", timeout_s: float = TIMEOUT_S) -> Answer:
    """Send a request; what goes wrong is an answer of status 0."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout_s)
    try:
        connection.request(method, parts.path or "/", body or None, _headers(body))
        return _read(connection.getresponse())
    except (OSError, http.client.HTTPException) as error:
        return Answer(0, str(error) or type(error).__name__)
    finally:
        connection.close()


def round_trip(base: str, path: str, body: str) -> str:
    """Create something, read it, delete it, and see that it is gone.

    Args:
        base: where the service is.
        path: the collection's path.
        body: what is posted to it, a JSON object.

    Returns:
        What went wrong; empty when all is well.
    """
    made = ask("POST", base + path, body)
    if not made.good:
        return f"POST {path} answers {made}, expected 201: {made.text[:200]}"
    place = made.location or f"{path.rstrip('/')}/{made.document.get('id', '')}"
    url = urljoin(base, place)
    read = ask("GET", url)
    sent = json.loads(body)
    kept = {name: read.document.get(name) for name in sent}
    faults = []
    if not read.good:
        faults.append(f"GET {place} answers {read}, expected 200")
    elif kept != sent:
        faults.append(f"GET {place} has {json.dumps(kept)}, expected {body}")
    gone = ask("DELETE", url)
    if not gone.good:
        faults.append(f"DELETE {place} answers {gone}, expected 204")
    elif (after := ask("GET", url)).status not in {http.HTTPStatus.NOT_FOUND, http.HTTPStatus.GONE}:
        faults.append(f"GET {place} answers {after} after the delete, expected 404")
    return "; ".join(faults)


class HalfSent:
    """A POST of which the head and half of the body are on their way."""

    def __init__(self, base: str, path: str, body: str) -> None:
        """Send the first half, once the server has taken the request in."""
        parts = urlsplit(base)
        data = body.encode()
        self._rest = data[len(data) // 2 :]
        self._socket = socket.create_connection((parts.hostname, parts.port), timeout=TIMEOUT_S)
        lines = [f"POST {path} HTTP/1.1", f"Host: {parts.netloc}", "Expect: 100-continue"]
        lines += [f"{name}: {value}" for name, value in _headers(body).items()]
        lines.append(f"Content-Length: {len(data)}")
        head = "".join(f"{line}\r\n" for line in lines) + "\r\n"
        self._socket.sendall(head.encode())
        self._socket.settimeout(_CONTINUE_S)
        self._early = b""
        with suppress(TimeoutError):
            self._early = self._socket.recv(1024)
        self._socket.settimeout(TIMEOUT_S)
        self._socket.sendall(data[: len(data) // 2])

    def finish(self) -> Answer:
        """Send the other half, and read the answer."""
        try:
            self._socket.sendall(self._rest)
            if self._early and b" 100 " not in self._early.split(b"\r\n")[0]:
                status = self._early.split(b" ")[1]  # it did not wait for the body
                return Answer(int(status), self._early.decode("utf-8", "replace"))
            answer = http.client.HTTPResponse(self._socket)
            answer.begin()
            return _read(answer)
        except (OSError, ValueError, IndexError, http.client.HTTPException) as error:
            return Answer(0, str(error) or type(error).__name__)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()


def _headers(body: str) -> dict[str, str]:
    return {"Content-Type": "application/json"} if body else {}


def _read(answer: http.client.HTTPResponse) -> Answer:
    text = answer.read().decode("utf-8", "replace")
    return Answer(answer.status, text, answer.getheader("Location") or "")
