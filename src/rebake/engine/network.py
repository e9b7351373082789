"""The private engine's address range and bridge.

The range must not collide with anything that this machine can reach: its interfaces, its routes
and its name servers. It is chosen once and kept, as long as it stays free.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterable, Sequence
from ipaddress import AddressValueError, IPv4Address, IPv4Network, NetmaskValueError
from itertools import chain
from pathlib import Path

import psutil
from msgspec import Struct

from rebake import process
from rebake.engine.privilege import Privilege
from rebake.errors import NoEngine
from rebake.process import Command

_ROUTE_COLUMNS = 8
_BRIDGE_TOOL = Path(__file__).with_name("bridge_tool.py")
# Private ranges (RFC 1918) that people's networks use least, each cut into /24 for networks.
_CANDIDATES = tuple(
    chain(
        (IPv4Network(f"172.{second}.0.0/16") for second in range(31, 17, -1)),
        (IPv4Network(f"10.{second}.0.0/16") for second in range(239, 199, -1)),
    )
)


class AddressRange(Struct, frozen=True):
    """A /16: its first /24 is the bridge's, Compose's networks are cut from the rest."""

    pool: IPv4Network

    @property
    def bridge(self) -> str:
        """The bridge's own address with its prefix length, such as `172.31.0.1/24`."""
        first = next(self.pool.subnets(new_prefix=24))
        return f"{first.network_address + 1}/24"

    def daemon_settings(self) -> dict[str, object]:
        """The lines of daemon.json for networks."""
        # The pools leave the bridge's own /24 out: the upper half is plenty.
        upper = list(self.pool.subnets(new_prefix=17))[1]
        return {"default-address-pools": [{"base": str(upper), "size": 24}]}


def choose(taken: Iterable[IPv4Network], number: int = 0) -> AddressRange:
    """Return the first candidate that overlaps nothing in `taken`.

    Args:
        taken: what is in use now.
        number: the candidate to begin with. An engine that is stopped shows nothing of its range,
            so engines begin at different ones: `Home.number`.

    Raises:
        NoEngine: every private range is in use.
    """
    used = [network for network in taken if network.prefixlen > 0]
    first = number % len(_CANDIDATES)
    for candidate in _CANDIDATES[first:] + _CANDIDATES[:first]:
        if not any(candidate.overlaps(network) for network in used):
            return AddressRange(candidate)
    raise NoEngine(
        "no private address range is free for the engine's networks",
        next_step="ip route (a VPN that routes 10.0.0.0/8 and 172.16.0.0/12 is the usual reason)",
    )


def keep_or_choose(file: Path, taken: Sequence[IPv4Network], number: int = 0) -> AddressRange:
    """Return the range that `file` holds if it is still free, else a new one, which is kept.

    Raises:
        NoEngine: every private range is in use.
    """
    before = load(file)
    if before is not None and not any(
        before.pool.overlaps(network) for network in taken if network.prefixlen > 0
    ):
        return before
    chosen = choose(taken, number)
    file.write_text(json.dumps({"pool": str(chosen.pool)}) + "\n", encoding="utf-8")
    return chosen


def taken_networks(
    *, except_interfaces: Iterable[str] = (), proc: Path = Path("/proc"), etc: Path = Path("/etc")
) -> list[IPv4Network]:
    """Return what this machine's interfaces, routes and name servers occupy."""
    ours = set(except_interfaces)
    networks = [
        network
        for name, addresses in psutil.net_if_addrs().items()
        if name not in ours
        for address in addresses
        if address.family == socket.AF_INET and address.netmask
        if (network := _network(address.address, address.netmask)) is not None
    ]
    networks += parse_routes(_read(proc / "net/route"), ours)
    networks += parse_name_servers(_read(etc / "resolv.conf"))
    return networks


def parse_routes(text: str, except_interfaces: Iterable[str] = ()) -> list[IPv4Network]:
    """Read /proc/net/route: little-endian hexadecimal columns."""
    ours = set(except_interfaces)
    networks = []
    for line in text.splitlines()[1:]:
        fields = line.split()
        if len(fields) < _ROUTE_COLUMNS or fields[0] in ours:
            continue
        destination, mask = (
            IPv4Address(int.from_bytes(bytes.fromhex(fields[column]), "little"))
            for column in (1, 7)
        )
        network = _network(str(destination), str(mask))
        if network is not None and network.prefixlen > 0:
            networks.append(network)
    return networks


def parse_name_servers(text: str) -> list[IPv4Network]:
    """Read the IPv4 name servers of resolv.conf, each as a /32."""
    servers = [
        fields[1]
        for line in text.splitlines()
        if len(fields := line.split()) > 1 and fields[0] == "nameserver"
    ]
    found = (_network(server, "255.255.255.255") for server in servers)
    return [network for network in found if network is not None]


def make_bridge(name: str, address: str, python: Path, privilege: Privilege) -> None:
    """Make the bridge with this address, or set it right when it is left over.

    Raises:
        CommandFailed: the kernel refused.
    """
    _tool("add", name, address, python=python, privilege=privilege)


def remove_bridge(name: str, python: Path, privilege: Privilege) -> None:
    """Remove the bridge; nothing happens when there is none.

    Raises:
        CommandFailed: the kernel refused.
    """
    if name in psutil.net_if_addrs() or Path("/sys/class/net", name).exists():
        _tool("remove", name, python=python, privilege=privilege)


def _tool(*words: str, python: Path, privilege: Privilege) -> None:
    command = Command.of(python, "-I", _BRIDGE_TOOL, *words, what="setting up the bridge")
    process.run(privilege.command(command)).check()


def _network(address: str, mask: str) -> IPv4Network | None:
    try:
        return IPv4Network(f"{address}/{mask}", strict=False)
    except (AddressValueError, NetmaskValueError, ValueError):
        return None


def load(file: Path) -> AddressRange | None:
    """Return the range that `file` holds, or None."""
    try:
        return AddressRange(IPv4Network(json.loads(file.read_text(encoding="utf-8"))["pool"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
