"""Stops processes in stages, and turns SIGTERM into an interrupt."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psutil

GRACE_S = 5.0  # between the interrupt and the kill of a child


def stop_all(processes: Sequence[psutil.Process], grace_s: float = GRACE_S) -> None:
    """Stop processes: interrupt first (on Windows: end at once), kill after `grace_s` seconds."""
    import psutil  # not free to import, and most calls stop nothing

    for process in processes:
        with contextlib.suppress(psutil.Error):
            if sys.platform == "win32":
                process.terminate()
            else:
                process.send_signal(signal.SIGINT)
    _, alive = psutil.wait_procs(processes, timeout=grace_s)
    for process in alive:
        with contextlib.suppress(psutil.Error):
            process.kill()


def descendants_of(pid: int) -> list[psutil.Process]:
    """Return what a process started, and what that started; empty when it is gone."""
    import psutil

    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return []


def wait_for_group(group: int, timeout_s: float) -> None:
    """Wait until a process group is empty, at most `timeout_s` seconds; POSIX only."""
    deadline = time.monotonic() + timeout_s
    if sys.platform != "win32":
        with contextlib.suppress(OSError):  # an empty group is an error
            while time.monotonic() < deadline:
                os.killpg(group, 0)
                time.sleep(0.01)


def sleep_until_end(pid: int, timeout_s: float | None) -> None:
    """Sleep until a child that nobody has waited for ends, at most `timeout_s` seconds.

    `Popen.wait` with a time limit looks every 50 ms instead, which is what a short program takes.
    Without a limit, or where the system can't tell (all but Linux), this returns at once.
    """
    if timeout_s is None or sys.platform != "linux":
        return
    try:
        end = os.pidfd_open(pid)
    except OSError:  # an old kernel, a sandbox
        return
    try:
        told = select.poll()
        told.register(end, select.POLLIN)
        told.poll(max(0.0, timeout_s) * 1000)
    finally:
        os.close(end)


class HeldSignals:
    """Interrupts wait while a child is started, or one would be lost that nobody knows yet.

    Made in the main thread, it takes SIGINT and SIGTERM over at once; elsewhere it does nothing, as
    signals come to the main thread alone. The child itself is not concerned: what a process handles
    is as usual in what it starts.
    """

    def __init__(self) -> None:
        self._before: dict[int, Any] = {}
        self._came = False
        if threading.current_thread() is not threading.main_thread():
            return
        for number in (signal.SIGINT, signal.SIGTERM):
            if callable(signal.getsignal(number)):
                self._before[number] = signal.signal(number, self._note)

    def release(self) -> None:
        """Give the signals back.

        Raises:
            KeyboardInterrupt: one came meanwhile.
        """
        while self._before:
            signal.signal(*self._before.popitem())
        if self._came:
            self._came = False
            raise KeyboardInterrupt

    def _note(self, _signum: int, _frame: FrameType | None) -> None:
        self._came = True


@contextlib.contextmanager
def terminate_as_interrupt() -> Iterator[None]:
    """Raise KeyboardInterrupt on SIGTERM too (main thread only), so that children are stopped.

    `run` does so by itself; it is for those who wait for a `Running`.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handler(_signum: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, handler)
    # A shell that starts us in the background sets SIGINT to "ignored": take it back, or
    # `kill -INT` would do nothing.
    before_int = signal.getsignal(signal.SIGINT)
    if before_int is signal.SIG_IGN:
        signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
        if before_int is signal.SIG_IGN:
            signal.signal(signal.SIGINT, before_int)
