"""Which ports a stack takes: the configured ones, or the next free ones in dev."""

from __future__ import annotations

import contextlib
import errno
import socket
import sys
from collections.abc import Collection, Iterator, Mapping

import psutil

from rebake.errors import PortInUse

_FIRST_PORT = 5173  # for a service that no port is configured for
_LOWEST, _HIGHEST = 1024, 65535
_CONNECT_TIMEOUT_S = 0.2
# The other family's address that a browser tries for the same name (`localhost`).
_SIBLINGS = {"127.0.0.1": "::1", "::1": "127.0.0.1", "0.0.0.0": "::", "::": "0.0.0.0"}  # noqa: S104 - a comparison
_WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - a comparison


def wanted(services: Collection[str], configured: Mapping[str, int]) -> dict[str, int]:
    """One port for each service: the configured one, else the next one above all of them."""
    following = max(configured.values(), default=_FIRST_PORT - 1) + 1
    ports: dict[str, int] = {}
    for service in services:
        if service in configured:
            ports[service] = configured[service]
        else:
            ports[service], following = following, following + 1
    return ports


def is_free(address: str, port: int) -> bool:
    """Whether a server could listen there now.

    Where it can't be known (the port needs privileges, the address is another machine's), only
    a server that answers there makes it taken.
    """
    family = _family(address)
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            if sys.platform == "win32":
                # Without it, Windows lets two programs listen on one port.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
            else:
                # As servers do: a connection of the last one that lingers is no owner.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            probe.bind((address, port))
            probe.listen(1)
    except OSError as error:
        if error.errno == errno.EADDRINUSE or _windows_refusal(error):
            return False
        if error.errno == errno.EAFNOSUPPORT:
            return True
        return not _answers(address, port)
    # Elsewhere than on Linux, a server on all addresses does not hinder one on a single address.
    return sys.platform == "linux" or not _answers(address, port)


def owner(address: str, port: int) -> str:
    """Who listens there: `python3 (pid 123)`, or `another program` when the system won't say."""
    for address_there, pid in _listeners(port):
        if pid is not None and _same_place(address, address_there):
            with contextlib.suppress(psutil.Error):
                return f"{psutil.Process(pid).name()} (pid {pid})"
    return "another program"


def choose(
    wanted: Mapping[str, int], address: str, taken: Mapping[str, int] | None = None
) -> dict[str, int]:
    """The ports for `dev`: those that are wanted, or the next free ones above them.

    The answer depends only on the arguments and on what is free: two runs agree.

    Args:
        wanted: the configured port of each service.
        address: where they are bound.
        taken: the ports that our own running stack holds: they count as ours.
    """
    ours = dict(taken or {})
    chosen: dict[str, int] = {}
    for service, port in wanted.items():
        for candidate in _candidates(port, ours.get(service)):
            others = {p for name, p in {**wanted, **ours, **chosen}.items() if name != service}
            if candidate in others:
                continue
            if candidate == ours.get(service) or _is_clear(address, candidate):
                chosen[service] = candidate
                break
        else:
            raise PortInUse(service, port, owner(address, port), f"dev.ports.{service}")
    return chosen


def lost(chosen: Mapping[str, int], address: str, ours: Mapping[str, int]) -> tuple[str, ...]:
    """The services whose chosen port somebody else has taken since; `ours` our containers hold."""
    held = set(ours.values())
    return tuple(n for n, port in chosen.items() if port not in held and not is_free(address, port))


def require(
    wanted: Mapping[str, int],
    address: str,
    taken: Mapping[str, int] | None = None,
    table: str = "prod.ports",
) -> dict[str, int]:
    """The ports for `prod`: exactly those that are wanted.

    Args:
        wanted: the configured port of each service.
        address: where they are bound.
        taken: the ports that our own running stack holds.
        table: the table of rebake.toml that they come from, for the error.

    Raises:
        PortInUse: another program holds one of them; it is named.
    """
    ours = set((taken or {}).values())
    for service, port in wanted.items():
        if port not in ours and not is_free(address, port):
            raise PortInUse(service, port, owner(address, port), f"{table}.{service}")
    return dict(wanted)


def _candidates(port: int, ours: int | None) -> Iterator[int]:
    yield port
    if ours is not None:
        yield ours  # a second `up` keeps what the first one had to take instead
    yield from range(port + 1, _HIGHEST + 1)
    yield from range(_LOWEST, port)


def _is_clear(address: str, port: int) -> bool:
    """Free, on the other loopback too: a browser may try that one for `localhost`."""
    sibling = _SIBLINGS.get(address)
    return is_free(address, port) and (sibling is None or is_free(sibling, port))


def _answers(address: str, port: int) -> bool:
    try:
        with socket.create_connection(
            (_WILDCARDS.get(address, address), port), timeout=_CONNECT_TIMEOUT_S
        ):
            return True
    except OSError:
        return False


def _windows_refusal(error: OSError) -> bool:
    # WSAEADDRINUSE, and WSAEACCES: another one holds it exclusively.
    return sys.platform == "win32" and error.winerror in {10048, 10013}


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _listeners(port: int) -> list[tuple[str, int | None]]:
    try:
        connections = psutil.net_connections(kind="tcp")
    except (psutil.Error, PermissionError, OSError):  # macOS: only root may see all of them
        return _own_listeners(port)
    return [
        (c.laddr.ip, c.pid)
        for c in connections
        if c.status == psutil.CONN_LISTEN and c.laddr and c.laddr.port == port
    ]


def _own_listeners(port: int) -> list[tuple[str, int | None]]:
    found: list[tuple[str, int | None]] = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, PermissionError):
            found += [
                (c.laddr.ip, process.pid)
                for c in process.net_connections(kind="tcp")
                if c.status == psutil.CONN_LISTEN and c.laddr and c.laddr.port == port
            ]
    return found


def _same_place(ours: str, theirs: str) -> bool:
    return ours == theirs or ours in _WILDCARDS or theirs in _WILDCARDS or theirs in _SIBLINGS
