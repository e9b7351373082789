"""Measures the machine while something runs: CPU seconds and memory, alike for all subjects."""

from __future__ import annotations

import os
import threading
import time
from types import TracebackType
from typing import Self

import psutil

from rebake.engine.endpoint import Endpoint

_EVERY_S = 0.1
_SETTLE_S = 10.0  # how long a sample waits for what the one before it left the engine to do
_QUIET_PERCENT = 10.0  # of all cores
_LOOK_S = 0.2
_QUIET_LOOKS = 2  # one after the other
_VIRTUAL = {"docker-desktop", "colima", "orbstack"}  # the engine is in a virtual machine


def engine_is_here(endpoint: Endpoint) -> bool:
    """Whether the engine's work is seen in this machine's own numbers."""
    return endpoint.docker_host.startswith("unix://") and endpoint.kind not in _VIRTUAL


def settle(limit_s: float = _SETTLE_S) -> bool:
    """Wait until the machine has nothing to do, so that a sample holds its own work alone.

    An engine goes on for a while after an answer: it removes what a container or an image left. And
    what was written before may still be on its way to the disk, which this sample would wait for.

    Args:
        limit_s: seconds after which the sample begins all the same.

    Returns:
        Whether it came to be quiet.
    """
    # No processor shows that. On Windows, nobody can be asked for it.
    getattr(os, "sync", lambda: None)()
    quiet = 0
    until = time.monotonic() + limit_s
    while time.monotonic() < until:
        quiet = quiet + 1 if psutil.cpu_percent(_LOOK_S) < _QUIET_PERCENT else 0
        if quiet == _QUIET_LOOKS:
            return True
    return False


class Meter:
    """Counts the whole machine's CPU seconds and the most memory, while a `with` block runs.

    Args:
        active: count nothing when False: the work is done elsewhere.
    """

    def __init__(self, *, active: bool) -> None:
        self._active = active
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.cpu_s: float | None = None
        self.peak_bytes: int | None = None

    def __enter__(self) -> Self:
        if self._active:
            self._cpu_before = _cpu_s()
            self._used_before = self._most = _used_bytes()
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._active:
            self._end.set()
            self._thread.join()
            self.cpu_s = _cpu_s() - self._cpu_before
            self.peak_bytes = max(self._most, _used_bytes()) - self._used_before

    def _watch(self) -> None:
        while not self._end.wait(_EVERY_S):
            self._most = max(self._most, _used_bytes())


def _cpu_s() -> float:
    times = psutil.cpu_times()
    names = ("user", "system", "irq", "softirq")  # `user` holds `nice` and guests on Linux not
    return sum(getattr(times, name, 0.0) for name in names) + getattr(times, "nice", 0.0)


def _used_bytes() -> int:
    memory = psutil.virtual_memory()
    return int(memory.total - memory.available)
