"""The catalogue of errors: every failure that rebake reports, with its words and exit code.

Each class holds what happened as fields; the words are made in one place, here. Every error
says what happened (`what`), where (`where`) and what to do next (`hint`).

Exit codes: 0 done, 1 failed, 2 usage or configuration, 69 no engine, 75 busy or locked,
124 timed out, 130 interrupted (69 and 75 as in BSD's sysexits, 124 as in timeout(1)).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_NO_ENGINE = 69
EXIT_BUSY = 75
EXIT_TIMEOUT = 124
EXIT_INTERRUPTED = 130


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the entry of `known` that looks most like `word`, or None when none is close."""
    matches = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return matches[0] if matches else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `did you mean X?`, or the list of what is known when nothing is close."""
    options = sorted(known)
    match = nearest(word, options)
    if match:
        return f"did you mean {match}?"
    return f"known: {', '.join(options)}" if options else ""


class RebakeError(Exception):
    """The base of all errors that reach a person; raised with fields, shown by `cli`."""

    exit_code: ClassVar[int] = EXIT_FAILED
    code: ClassVar[str] = "failed"

    @property
    def what(self) -> str:
        """One line: what happened."""
        return str(self.args[0]) if self.args else self.code

    @property
    def where(self) -> str:
        """The file, line, key, command or step; empty when the message already says it."""
        return ""

    @property
    def hint(self) -> str:
        """What to do next."""
        return ""

    @property
    def details(self) -> Sequence[str]:
        """Lines of evidence, such as the end of a failed step's output."""
        return ()

    def __str__(self) -> str:
        parts = [self.what]
        if self.where:
            parts.append(f"  at: {self.where}")
        parts += [f"  | {line}" for line in self.details]
        if self.hint:
            parts.append(f"  next: {self.hint}")
        return "\n".join(parts)


@dataclass(frozen=True)
class Problem:
    """One fault of a configuration file: where it stands and what was expected."""

    file: Path
    key: str
    message: str
    expected: str = ""
    line: int | None = None
    suggestion: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else str(self.file)
        text = f"{place}: {self.key}: {self.message}"
        if self.expected:
            text += f"; expected {self.expected}"
        if self.suggestion:
            text += f"; {self.suggestion}"
        return text


@dataclass(eq=False)
class ConfigError(RebakeError):
    """Everything that is wrong with the configuration, all at once."""

    problems: Sequence[Problem]
    exit_code: ClassVar[int] = EXIT_USAGE
    code: ClassVar[str] = "config"

    @property
    def what(self) -> str:
        """One line, or a heading when there are several problems."""
        if len(self.problems) == 1:
            return str(self.problems[0])
        return f"{len(self.problems)} problems in the configuration"

    @property
    def details(self) -> Sequence[str]:
        """The problems, one a line, when there are several."""
        return [str(p) for p in self.problems] if len(self.problems) > 1 else ()

    @property
    def hint(self) -> str:
        """Where the reference is."""
        return "all keys with their defaults: invoke config --defaults"


@dataclass(eq=False)
class UsageError(RebakeError):
    """A flag, argument or environment variable that can't be used."""

    message: str
    next_step: str = ""
    exit_code: ClassVar[int] = EXIT_USAGE
    code: ClassVar[str] = "usage"

    @property
    def what(self) -> str:
        """The message."""
        return self.message

    @property
    def hint(self) -> str:
        """The next step."""
        return self.next_step


@dataclass(eq=False)
class UnknownName(RebakeError):
    """A name (service, task, cache) that does not exist; the nearest one is named."""

    kind: str
    name: str
    known: Sequence[str]
    exit_code: ClassVar[int] = EXIT_USAGE
    code: ClassVar[str] = "unknown-name"

    @property
    def what(self) -> str:
        """The unknown name."""
        return f"no {self.kind} named {self.name!r}"

    @property
    def hint(self) -> str:
        """The nearest name, or all of them."""
        return did_you_mean(self.name, self.known)


@dataclass(eq=False)
class ProjectError(RebakeError):
    """A project file that can't be used: missing, unreadable, or it does not parse."""

    path: Path
    message: str
    next_step: str = ""
    line: int | None = None
    exit_code: ClassVar[int] = EXIT_USAGE
    code: ClassVar[str] = "project"

    @property
    def what(self) -> str:
        """The file and what is wrong with it."""
        place = f"{self.path}:{self.line}" if self.line else str(self.path)
        return f"{place}: {self.message}"

    @property
    def hint(self) -> str:
        """The next step."""
        return self.next_step


@dataclass(eq=False)
class NotAProject(RebakeError):
    """No rebake.toml here or in a folder above."""

    folder: Path
    exit_code: ClassVar[int] = EXIT_USAGE
    code: ClassVar[str] = "not-a-project"

    @property
    def what(self) -> str:
        """The folder that was looked at."""
        return f"no rebake.toml in {self.folder} or in a folder above it"

    @property
    def hint(self) -> str:
        """Where to go."""
        return "run this in the project's folder, the one that holds rebake.toml"


@dataclass(eq=False)
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

    @property
    def what(self) -> str:
        """Why there is none."""
        return self.reason

    @property
    def details(self) -> Sequence[str]:
        """What was tried."""
        return self.tried

    @property
    def hint(self) -> str:
        """The command that mends it."""
        return self.next_step


@dataclass(eq=False)
class EngineLost(RebakeError):
    """The engine stopped answering in the middle of work."""

    message: str
    exit_code: ClassVar[int] = EXIT_NO_ENGINE
    code: ClassVar[str] = "engine-lost"

    @property
    def what(self) -> str:
        """What broke off."""
        return self.message

    @property
    def hint(self) -> str:
        """How to go on."""
        return "invoke engine status, then run the command again; nothing of the result was kept"


@dataclass(eq=False)
class CommandFailed(RebakeError):
    """A program that we ran ended with an error."""

    argv: Sequence[str]
    returncode: int
    tail: Sequence[str] = ()
    next_step: str = ""
    code: ClassVar[str] = "command-failed"

    @property
    def what(self) -> str:
        """The command and its exit code."""
        return f"{' '.join(self.argv)} ended with exit code {self.returncode}"

    @property
    def details(self) -> Sequence[str]:
        """The last lines of its output."""
        return self.tail

    @property
    def hint(self) -> str:
        """The next step."""
        return self.next_step


@dataclass(eq=False)
class ProgramMissing(RebakeError):
    """A program that is needed is not on PATH."""

    program: str
    next_step: str = ""
    code: ClassVar[str] = "program-missing"

    @property
    def what(self) -> str:
        """The missing program."""
        return f"{self.program} was not found"

    @property
    def hint(self) -> str:
        """How to get it."""
        return self.next_step


@dataclass(eq=False)
class BuildFailed(RebakeError):
    """A step of an image build failed."""

    step: str
    tail: Sequence[str]
    message: str = ""
    next_step: str = "mend it and run the command again; finished steps are kept"
    code: ClassVar[str] = "build-failed"

    @property
    def what(self) -> str:
        """The failing step."""
        return f"the build failed in {self.step}" + (f": {self.message}" if self.message else "")

    @property
    def details(self) -> Sequence[str]:
        """The step's last lines."""
        return self.tail

    @property
    def hint(self) -> str:
        """The next step."""
        return self.next_step


@dataclass(eq=False)
class WrongImage(RebakeError):
    """An image whose build id is not the one of the sources: it must not be used."""

    service: str
    expected: str
    found: str
    code: ClassVar[str] = "wrong-image"

    @property
    def what(self) -> str:
        """Both ids."""
        return (
            f"the image of {self.service} holds build {self.found}, but the sources are "
            f"{self.expected}; it was not started"
        )

    @property
    def hint(self) -> str:
        """How to get a right one."""
        return f"invoke rebuild {self.service} (were files changed while the build ran?)"


@dataclass(eq=False)
class DiskFull(RebakeError):
    """Not enough space where the engine keeps its data."""

    folder: Path
    free_bytes: int
    needed_bytes: int
    code: ClassVar[str] = "disk-full"

    @property
    def what(self) -> str:
        """How much is free and how much is needed."""
        free, need = self.free_bytes / 1e9, self.needed_bytes / 1e9
        return f"{self.folder}: {free:.1f} GB free, at least {need:.1f} GB needed"

    @property
    def hint(self) -> str:
        """What to clean."""
        return "free space there; what this project keeps: docker system df"


@dataclass(eq=False)
class PortInUse(RebakeError):
    """A port of the stack is taken by another program."""

    service: str
    port: int
    owner: str
    setting: str
    code: ClassVar[str] = "port-in-use"

    @property
    def what(self) -> str:
        """The port and its owner."""
        return f"port {self.port} of {self.service} is in use by {self.owner}; nothing was started"

    @property
    def hint(self) -> str:
        """Which setting changes it."""
        return f"stop that program, or set another port: {self.setting} in rebake.toml"


@dataclass(eq=False)
class ServiceUnhealthy(RebakeError):
    """A service of the stack did not become healthy."""

    service: str
    state: str
    tail: Sequence[str]
    code: ClassVar[str] = "unhealthy"

    @property
    def what(self) -> str:
        """The service and its state."""
        return f"{self.service} did not become healthy: {self.state}"

    @property
    def details(self) -> Sequence[str]:
        """Its last log lines."""
        return self.tail

    @property
    def hint(self) -> str:
        """Where to look."""
        return f"invoke logs {self.service}"


@dataclass(eq=False)
class Busy(RebakeError):
    """Another rebake process holds what this one needs."""

    resource: str
    holder: str
    exit_code: ClassVar[int] = EXIT_BUSY
    code: ClassVar[str] = "busy"

    @property
    def what(self) -> str:
        """What is held, and by whom."""
        return f"{self.resource} is in use by {self.holder}"

    @property
    def hint(self) -> str:
        """Wait or stop the other one."""
        return "wait for it to end, or stop it, then run the command again"


@dataclass(eq=False)
class TimedOut(RebakeError):
    """Something took longer than its limit."""

    action: str
    seconds: float
    next_step: str = ""
    exit_code: ClassVar[int] = EXIT_TIMEOUT
    code: ClassVar[str] = "timeout"

    @property
    def what(self) -> str:
        """The action and its limit."""
        return f"{self.action} took longer than {self.seconds:.0f} s"

    @property
    def hint(self) -> str:
        """The next step."""
        return self.next_step


@dataclass(eq=False)
class Interrupted(RebakeError):
    """The user pressed Ctrl-C, or the process was told to end."""

    during: str = ""
    exit_code: ClassVar[int] = EXIT_INTERRUPTED
    code: ClassVar[str] = "interrupted"

    @property
    def what(self) -> str:
        """What was under way."""
        return "interrupted" + (f" during {self.during}" if self.during else "")


@dataclass(eq=False)
class CannotRun(NoEngine):
    """This machine could have an engine of ours, but we are not allowed or not able to run one."""

    code: ClassVar[str] = "cannot-run"


@dataclass(eq=False)
class ChecksFailed(RebakeError):
    """`invoke doctor` found errors."""

    messages: Sequence[str]
    code: ClassVar[str] = "checks-failed"

    @property
    def what(self) -> str:
        """How many."""
        count = len(self.messages)
        return f"doctor found {count} error{'s' if count != 1 else ''}"

    @property
    def details(self) -> Sequence[str]:
        """The findings."""
        return self.messages

    @property
    def hint(self) -> str:
        """The mends stand beside the findings."""
        return "each finding above says how to mend it"
