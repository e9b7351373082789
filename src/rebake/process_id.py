"""A process that can't be taken for another one: its id and its start time.

An id alone proves nothing: the system gives it to others later.
"""

from __future__ import annotations

import sys
from pathlib import Path

from msgspec import Struct

_START_TOLERANCE_S = 1.0  # where the start time is derived from a clock that may be set


class ProcessId(Struct, frozen=True):
    """A process that can't be taken for another one."""

    pid: int
    started: float

    @classmethod
    def of(cls, pid: int) -> ProcessId | None:
        """The running process of that id, or None."""
        started = _started(pid)
        return None if started is None else cls(pid, started)

    @property
    def alive(self) -> bool:
        """Whether this very process runs."""
        started = _started(self.pid)
        if started is None:
            return False
        tolerance = 0.0 if sys.platform == "linux" else _START_TOLERANCE_S
        return abs(started - self.started) <= tolerance


def _started(pid: int) -> float | None:
    """When a process started; None when it does not run (a zombie does not)."""
    if sys.platform == "linux":  # ticks since the boot: no clock that is set can change them
        try:
            fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return None
        words = fields.rpartition(")")[2].split()
        return None if words[0] in {"Z", "X"} else float(words[19])
    import psutil  # not free to import

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.Error:
        return None
