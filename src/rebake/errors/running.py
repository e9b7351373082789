"""Engines and programs that are not there, fail, are busy or take too long."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from rebake.errors.base import (
    EXIT_BUSY,
    EXIT_INTERRUPTED,
    EXIT_NO_ENGINE,
    EXIT_TIMEOUT,
    RebakeError,
    WithTail,
)


class NoEngine(RebakeError):
    """No Docker engine can be reached, or the one that is there is too old.

    `found_unusable` tells the second case: the machine has an engine and is given no other.
    """

    reason: str
    next_step: str = "invoke doctor"
    tried: Sequence[str] = ()
    found_unusable: bool = False
    exit_code: ClassVar[int] = EXIT_NO_ENGINE
    code: ClassVar[str] = "no-engine"
    says: ClassVar[str] = "{reason}"
    advises: ClassVar[str] = "{next_step}"

    @property
    def details(self) -> Sequence[str]:
        """What was tried."""
        return self.tried


class CannotRun(NoEngine):
    """This machine could have an engine of ours, but we are not allowed or not able to run one."""

    code: ClassVar[str] = "cannot-run"


class EngineLost(RebakeError):
    """The engine stopped answering in the middle of work."""

    message: str
    exit_code: ClassVar[int] = EXIT_NO_ENGINE
    code: ClassVar[str] = "engine-lost"
    says: ClassVar[str] = "{message}"
    advises: ClassVar[str] = (
        "invoke engine status, then run the command again; nothing of the result was kept"
    )


class CommandFailed(WithTail, RebakeError):
    """A program that we ran ended with an error."""

    argv: Sequence[str]
    returncode: int
    tail: Sequence[str] = ()
    next_step: str = ""
    code: ClassVar[str] = "command-failed"
    advises: ClassVar[str] = "{next_step}"

    @property
    def what(self) -> str:
        """The command and its exit code."""
        return f"{' '.join(self.argv)} ended with exit code {self.returncode}"


class ProgramMissing(RebakeError):
    """A program that is needed is not on PATH."""

    program: str
    next_step: str = ""
    code: ClassVar[str] = "program-missing"
    says: ClassVar[str] = "{program} was not found"
    advises: ClassVar[str] = "{next_step}"


class DiskFull(RebakeError):
    """Not enough space where the engine keeps its data."""

    folder: Path
    free_bytes: int
    needed_bytes: int
    code: ClassVar[str] = "disk-full"
    advises: ClassVar[str] = "free space there; what this project keeps: invoke refresh-cache show"

    @property
    def what(self) -> str:
        """How much is free and how much is needed."""
        free, need = self.free_bytes / 1e9, self.needed_bytes / 1e9
        return f"{self.folder}: {free:.1f} GB free, at least {need:.1f} GB needed"


class FileRefused(RebakeError):
    """The system refused a file or folder that we must read or write."""

    path: str
    reason: str
    code: ClassVar[str] = "file-refused"
    says: ClassVar[str] = "{path}: {reason}"
    advises: ClassVar[str] = "look at its owner and rights (ls -ld), and that the disk has room"


class PortInUse(RebakeError):
    """A port of the stack is taken by another program."""

    service: str
    port: int
    owner: str
    setting: str
    code: ClassVar[str] = "port-in-use"
    says: ClassVar[str] = "port {port} of {service} is in use by {owner}; nothing was started"
    advises: ClassVar[str] = "stop that program, or set another port: {setting} in rebake.toml"


class ServiceUnhealthy(WithTail, RebakeError):
    """A service of the stack did not become healthy."""

    service: str
    state: str
    tail: Sequence[str]
    code: ClassVar[str] = "unhealthy"
    says: ClassVar[str] = "{service} did not become healthy: {state}"
    advises: ClassVar[str] = "invoke logs {service}"


class Busy(RebakeError):
    """Another rebake process holds what this one needs."""

    resource: str
    holder: str
    exit_code: ClassVar[int] = EXIT_BUSY
    code: ClassVar[str] = "busy"
    says: ClassVar[str] = "{resource} is in use by {holder}"
    advises: ClassVar[str] = "wait for it to end, or stop it, then run the command again"


class TimedOut(RebakeError):
    """Something took longer than its limit."""

    action: str
    seconds: float
    next_step: str = ""
    exit_code: ClassVar[int] = EXIT_TIMEOUT
    code: ClassVar[str] = "timeout"
    says: ClassVar[str] = "{action} took longer than {seconds:.0f} s"
    advises: ClassVar[str] = "{next_step}"


class Interrupted(RebakeError):
    """The user pressed Ctrl-C, or the process was told to end."""

    during: str = ""
    exit_code: ClassVar[int] = EXIT_INTERRUPTED
    code: ClassVar[str] = "interrupted"

    @property
    def what(self) -> str:
        """What was under way."""
        return "interrupted" + (f" during {self.during}" if self.during else "")


class CachesHidden(RebakeError):
    """An engine that can't be asked what it keeps: its address is none that we speak to."""

    docker_host: str
    exit_code: ClassVar[int] = EXIT_NO_ENGINE
    code: ClassVar[str] = "caches-hidden"
    says: ClassVar[str] = "the engine at {docker_host} does not tell what it keeps"
    advises: ClassVar[str] = (
        "it must answer at a local socket, a named pipe or plain TCP: run this on its own machine, "
        "or forward its socket"
    )
