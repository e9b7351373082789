"""Reads the logs of a native stack: their ends, and what is added to them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec import Struct, field

from rebake.stack.native_state import Home

OnLog = Callable[[str, str], None]  # service, line

_POLL_S = 0.1
_BLOCK = 65536


def last_lines(log: Path, count: int) -> list[str]:
    """The last lines of a log; none when it is not there."""
    if count <= 0:
        return []
    try:
        with log.open("rb") as file:
            position = file.seek(0, 2)
            data = b""
            while position > 0 and data.count(b"\n") <= count:
                step = min(_BLOCK, position)
                position = file.seek(position - step)
                data = file.read(step) + data
    except OSError:
        return []
    return data.decode("utf-8", errors="replace").splitlines()[-count:]


class _Tail(Struct):
    """Where we are in a log."""

    log: Path
    position: int = 0
    inode: int = 0
    rest: bytes = field(default=b"")

    @classmethod
    def at_end(cls, log: Path) -> _Tail:
        try:
            status = log.stat()
        except OSError:
            return cls(log)
        return cls(log, status.st_size, status.st_ino)

    def new_lines(self) -> list[str]:
        try:
            with self.log.open("rb") as file:
                status = self.log.stat()
                if status.st_ino != self.inode or status.st_size < self.position:
                    self.position, self.inode, self.rest = 0, status.st_ino, b""
                file.seek(self.position)
                data = self.rest + file.read()
                self.position = file.tell()
        except OSError:
            return []
        *lines, self.rest = data.split(b"\n")
        return [line.decode("utf-8", errors="replace").rstrip("\r") for line in lines]


class Follower:
    """Passes on what is added to logs."""

    def __init__(self, home: Home, names: Sequence[str], on_log: OnLog) -> None:
        self._tails = {name: _Tail.at_end(home.log(name)) for name in names}
        self._on_log = on_log

    def step(self) -> None:
        """Pass on what is new."""
        for name, tail in self._tails.items():
            for line in tail.new_lines():
                self._on_log(name, line)

    def follow(self, goes_on: Callable[[], bool]) -> None:
        """Pass on what comes, for as long as `goes_on` says so, and the last of it."""
        while goes_on():
            self.step()
            time.sleep(_POLL_S)
        self.step()
