"""Adds or removes a network bridge through the kernel's ioctl calls.

A program of its own (standard library only), since it is what runs as root, perhaps through
sudo; and since iproute2 is not on every machine.

    python -I bridge_tool.py add NAME ADDRESS/PREFIX
    python -I bridge_tool.py remove NAME
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import socket
import struct
import sys
from pathlib import Path

_SIOCGIFFLAGS = 0x8913
_SIOCSIFFLAGS = 0x8914
_SIOCSIFADDR = 0x8916
_SIOCSIFNETMASK = 0x891C
_SIOCBRADDBR = 0x89A0
_SIOCBRDELBR = 0x89A1
_IFF_UP = 0x1
_WORDS_ADD = 3
_WORDS_REMOVE = 2


def add(name: str, address: str) -> None:
    """Make the bridge if it is not there, give it the address and bring it up."""
    interface = ipaddress.IPv4Interface(address)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        try:
            _ioctl(control, _SIOCBRADDBR, _name(name))
        except OSError as error:
            if error.errno != errno.EEXIST:
                raise
        _ioctl(control, _SIOCSIFADDR, _with_address(name, interface.ip))
        _ioctl(control, _SIOCSIFNETMASK, _with_address(name, interface.netmask))
        _set_up(control, name, up=True)


def remove(name: str) -> None:
    """Take the bridge down and delete it; only a bridge, never another kind of interface."""
    if not Path("/sys/class/net", name, "bridge").is_dir():
        return
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        with contextlib.suppress(OSError):
            _set_up(control, name, up=False)
        _ioctl(control, _SIOCBRDELBR, _name(name))


def _set_up(control: socket.socket, name: str, *, up: bool) -> None:
    request = struct.pack("16sH14x", name.encode(), 0)
    (flags,) = struct.unpack_from("H", _ioctl(control, _SIOCGIFFLAGS, request), 16)
    flags = flags | _IFF_UP if up else flags & ~_IFF_UP
    _ioctl(control, _SIOCSIFFLAGS, struct.pack("16sH14x", name.encode(), flags))


def _with_address(name: str, address: ipaddress.IPv4Address) -> bytes:
    return struct.pack("16sH2x4s8x", name.encode(), socket.AF_INET, address.packed)


def _name(name: str) -> bytes:
    return struct.pack("16s", name.encode())


def _ioctl(control: socket.socket, request: int, argument: bytes) -> bytes:
    if sys.platform == "win32":
        raise OSError(errno.ENOSYS, "bridges are made on Linux only")
    import fcntl

    return fcntl.ioctl(control.fileno(), request, argument)


def main(words: list[str]) -> int:
    """Run one of the two commands; return the exit code."""
    try:
        if len(words) == _WORDS_ADD and words[0] == "add":
            add(words[1], words[2])
        elif len(words) == _WORDS_REMOVE and words[0] == "remove":
            remove(words[1])
        else:
            sys.stderr.write(f"{__doc__}\n")
            return 2
    except OSError as error:
        sys.stderr.write(f"bridge {' '.join(words)}: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
