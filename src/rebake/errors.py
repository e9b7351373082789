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
    """The base of all errors that reach a person; raised with fields, shown by `cli`.

    A class says its words as templates over its fields: `says` (what happened) and `advises`
    (what to do next). One whose words need more than that has properties of its own.
    """

    exit_code: ClassVar[int] = EXIT_FAILED
    code: ClassVar[str] = "failed"
    says: ClassVar[str] = ""
    advises: ClassVar[str] = ""

    @property
    def what(self) -> str:
        """One line: what happened."""
        return self.says.format_map(vars(self)) if self.says else str(self.args[0])

    @property
    def hint(self) -> str:
        """What to do next."""
        return self.advises.format_map(vars(self))

    @property
    def details(self) -> Sequence[str]:
        """Lines of evidence, such as the end of a failed step's output."""
        return ()

    def __str__(self) -> str:
        parts = [self.what, *(f"  | {line}" for line in self.details)]
        if self.hint:
            parts.append(f"  next: {self.hint}")
        return "\n".join(parts)


class _WithTail:
    """Errors whose evidence is the end of some output."""

    tail: Sequence[str]

    @property
    def details(self) -> Sequence[str]:
        """The last lines."""
        return self.tail


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
    advises: ClassVar[str] = "all keys with their defaults: invoke config --defaults"

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


@dataclass(eq=False)
class MissingSecrets(RebakeError):
    """Secrets that rebake.toml declares are not there; nothing was started."""

    faults: Sequence[str]
    exit_code: ClassVar[int] = EXIT_USAGE
    code: ClassVar[str] = "missing-secrets"
    advises: ClassVar[str] = "nothing was started; set it, or change [secrets] in rebake.toml"

    @property
    def what(self) -> str:
        """The secret, or how many when there are several."""
        if len(self.faults) == 1:
            return self.faults[0]
        return f"{len(self.faults)} secrets are not there"

    @property
    def details(self) -> Sequence[str]:
        """Which, when there are several."""
        return self.faults if len(self.faults) > 1 else ()


@dataclass(eq=False)
class UsageError(RebakeError):
    """A flag, argument or environment variable that can't be used."""

    message: str
    next_step: str = ""
    exit_code: ClassVar[int] = EXIT_USAGE
    code: ClassVar[str] = "usage"
    says: ClassVar[str] = "{message}"
    advises: ClassVar[str] = "{next_step}"


@dataclass(eq=False)
class UnknownName(RebakeError):
    """A name (service, task, cache) that does not exist; the nearest one is named."""

    kind: str
    name: str
    known: Sequence[str]
    exit_code: ClassVar[int] = EXIT_USAGE
    code: ClassVar[str] = "unknown-name"
    says: ClassVar[str] = "no {kind} named {name!r}"

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
    advises: ClassVar[str] = "{next_step}"

    @property
    def what(self) -> str:
        """The file, the line where it is known, and what is wrong."""
        place = f"{self.path}:{self.line}" if self.line else str(self.path)
        return f"{place}: {self.message}"


@dataclass(eq=False)
class NotAProject(RebakeError):
    """No rebake.toml here or in a folder above."""

    folder: Path
    exit_code: ClassVar[int] = EXIT_USAGE
    code: ClassVar[str] = "not-a-project"
    says: ClassVar[str] = "no rebake.toml in {folder} or in a folder above it"
    advises: ClassVar[str] = "run this in the project's folder, the one that holds rebake.toml"


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
    says: ClassVar[str] = "{reason}"
    advises: ClassVar[str] = "{next_step}"

    @property
    def details(self) -> Sequence[str]:
        """What was tried."""
        return self.tried


@dataclass(eq=False)
class CannotRun(NoEngine):
    """This machine could have an engine of ours, but we are not allowed or not able to run one."""

    code: ClassVar[str] = "cannot-run"


@dataclass(eq=False)
class EngineLost(RebakeError):
    """The engine stopped answering in the middle of work."""

    message: str
    exit_code: ClassVar[int] = EXIT_NO_ENGINE
    code: ClassVar[str] = "engine-lost"
    says: ClassVar[str] = "{message}"
    advises: ClassVar[str] = (
        "invoke engine status, then run the command again; nothing of the result was kept"
    )


@dataclass(eq=False)
class CommandFailed(_WithTail, RebakeError):
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


@dataclass(eq=False)
class ProgramMissing(RebakeError):
    """A program that is needed is not on PATH."""

    program: str
    next_step: str = ""
    code: ClassVar[str] = "program-missing"
    says: ClassVar[str] = "{program} was not found"
    advises: ClassVar[str] = "{next_step}"


@dataclass(eq=False)
class BuildFailed(_WithTail, RebakeError):
    """A step of an image build failed."""

    step: str
    tail: Sequence[str]
    message: str = ""
    next_step: str = "mend it and run the command again; finished steps are kept"
    code: ClassVar[str] = "build-failed"
    advises: ClassVar[str] = "{next_step}"

    @property
    def what(self) -> str:
        """The failing step."""
        return f"the build failed in {self.step}" + (f": {self.message}" if self.message else "")


@dataclass(eq=False)
class NotWarm(RebakeError):
    """A build that had to be fully cached ran a step."""

    lines: Sequence[str]
    code: ClassVar[str] = "not-warm"
    says: ClassVar[str] = "the build was not fully cached"
    advises: ClassVar[str] = "keep what is named here the same from build to build"

    @property
    def details(self) -> Sequence[str]:
        """What ran, and why."""
        return self.lines


@dataclass(eq=False)
class WrongImage(RebakeError):
    """An image whose build id is not the one of the sources: it must not be used."""

    service: str
    expected: str
    found: str
    code: ClassVar[str] = "wrong-image"
    says: ClassVar[str] = (
        "the image of {service} holds build {found}, but the sources are {expected}; "
        "it was not started"
    )
    advises: ClassVar[str] = "invoke rebuild {service} (were files changed while the build ran?)"


@dataclass(eq=False)
class NotVerified(RebakeError):
    """An image whose signature is missing, or does not say what it must; nothing was started."""

    refusals: Sequence[str]
    code: ClassVar[str] = "not-verified"
    advises: ClassVar[str] = (
        "invoke sign signs what a build here made; anything else is a reason to look closely"
    )

    @property
    def what(self) -> str:
        """The image and why it is refused, or how many when there are several."""
        if len(self.refusals) == 1:
            return self.refusals[0]
        return f"{len(self.refusals)} images are refused"

    @property
    def details(self) -> Sequence[str]:
        """Which images and why, when there are several."""
        return self.refusals if len(self.refusals) > 1 else ()


@dataclass(eq=False)
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


@dataclass(eq=False)
class FileRefused(RebakeError):
    """The system refused a file or folder that we must read or write."""

    path: str
    reason: str
    code: ClassVar[str] = "file-refused"
    says: ClassVar[str] = "{path}: {reason}"
    advises: ClassVar[str] = "look at its owner and rights (ls -ld), and that the disk has room"


@dataclass(eq=False)
class PortInUse(RebakeError):
    """A port of the stack is taken by another program."""

    service: str
    port: int
    owner: str
    setting: str
    code: ClassVar[str] = "port-in-use"
    says: ClassVar[str] = "port {port} of {service} is in use by {owner}; nothing was started"
    advises: ClassVar[str] = "stop that program, or set another port: {setting} in rebake.toml"


@dataclass(eq=False)
class ServiceUnhealthy(_WithTail, RebakeError):
    """A service of the stack did not become healthy."""

    service: str
    state: str
    tail: Sequence[str]
    code: ClassVar[str] = "unhealthy"
    says: ClassVar[str] = "{service} did not become healthy: {state}"
    advises: ClassVar[str] = "invoke logs {service}"


@dataclass(eq=False)
class Busy(RebakeError):
    """Another rebake process holds what this one needs."""

    resource: str
    holder: str
    exit_code: ClassVar[int] = EXIT_BUSY
    code: ClassVar[str] = "busy"
    says: ClassVar[str] = "{resource} is in use by {holder}"
    advises: ClassVar[str] = "wait for it to end, or stop it, then run the command again"


@dataclass(eq=False)
class TimedOut(RebakeError):
    """Something took longer than its limit."""

    action: str
    seconds: float
    next_step: str = ""
    exit_code: ClassVar[int] = EXIT_TIMEOUT
    code: ClassVar[str] = "timeout"
    says: ClassVar[str] = "{action} took longer than {seconds:.0f} s"
    advises: ClassVar[str] = "{next_step}"


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
class ChecksFailed(RebakeError):
    """`invoke doctor` found errors."""

    messages: Sequence[str]
    code: ClassVar[str] = "checks-failed"
    advises: ClassVar[str] = "each finding says how to mend it"

    @property
    def what(self) -> str:
        """How many."""
        count = len(self.messages)
        return f"doctor found {count} error{'s' if count != 1 else ''}"


@dataclass(eq=False)
class QueriesChanged(RebakeError):
    """`invoke sqlx-prepare --check`: the committed query data is not what the queries ask for."""

    changes: Sequence[str]
    code: ClassVar[str] = "queries-changed"
    advises: ClassVar[str] = "invoke sqlx-prepare, and commit what it writes"

    @property
    def what(self) -> str:
        """How many files."""
        count = len(self.changes)
        return f"{count} file{'' if count == 1 else 's'} of query data out of date"

    @property
    def details(self) -> Sequence[str]:
        """Each file."""
        return self.changes


@dataclass(eq=False)
class LimitsMissed(RebakeError):
    """`invoke benchmark --check` or `invoke workflow-test` measured more than is allowed."""

    missed: Sequence[str]
    checked: int
    code: ClassVar[str] = "limits-missed"
    advises: ClassVar[str] = "the limits are in [benchmark.limits] of rebake.toml"

    @property
    def what(self) -> str:
        """How many."""
        return f"{len(self.missed)} of {self.checked} limits are not kept"

    @property
    def details(self) -> Sequence[str]:
        """Which."""
        return self.missed


@dataclass(eq=False)
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


@dataclass(eq=False)
class NotFreed(RebakeError):
    """Cleaning freed less than it said."""

    said_bytes: int
    freed_bytes: int
    kept: Sequence[str]
    code: ClassVar[str] = "not-freed"
    advises: ClassVar[str] = "invoke refresh-cache show; a build or a container may hold them"

    @property
    def what(self) -> str:
        """How much of how much."""
        said, freed = self.said_bytes / 1e6, self.freed_bytes / 1e6
        return f"{freed:.1f} MB of {said:.1f} MB were freed"

    @property
    def details(self) -> Sequence[str]:
        """What stayed."""
        return self.kept


@dataclass(eq=False)
class ScannerFailed(_WithTail, RebakeError):
    """A scanner did not scan, or its report can't be read: nothing is known to be clean."""

    scanner: str
    message: str
    tail: Sequence[str] = ()
    next_step: str = ""
    code: ClassVar[str] = "scanner-failed"
    says: ClassVar[str] = "{scanner} failed: {message}"
    advises: ClassVar[str] = "{next_step}"


@dataclass(eq=False)
class DatabaseUnusable(RebakeError):
    """A vulnerability database that is missing, cut off, of another schema, or too old."""

    path: Path
    message: str
    code: ClassVar[str] = "database-unusable"
    says: ClassVar[str] = "{path}: {message}; without a database nothing is known to be clean"
    advises: ClassVar[str] = (
        "delete that folder and scan with a network, or name a registry that has the database: "
        "scan.db_repository in rebake.toml"
    )


@dataclass(eq=False)
class ToolRefused(RebakeError):
    """A tool that must not be run: a version known to be malicious, or a wrong checksum."""

    tool: str
    message: str
    next_step: str = ""
    code: ClassVar[str] = "tool-refused"
    says: ClassVar[str] = "{tool} is refused: {message}"
    advises: ClassVar[str] = "{next_step}"


@dataclass(eq=False)
class TemplateRefused(RebakeError):
    """A template that can't be used: it is not there, or it would do more than make files."""

    source: str
    reason: str
    next_step: str = "name another one: --source REPOSITORY"
    exit_code: ClassVar[int] = EXIT_USAGE
    code: ClassVar[str] = "template"
    says: ClassVar[str] = "template {source}: {reason}"
    advises: ClassVar[str] = "{next_step}"


@dataclass(eq=False)
class NoPlace(RebakeError):
    """A file was edited so that a service can't be put into it, or taken out, by rule."""

    file: str
    reason: str
    next_step: str = ""
    exit_code: ClassVar[int] = EXIT_USAGE
    code: ClassVar[str] = "no-place"
    says: ClassVar[str] = "{file}: {reason}; nothing was changed"

    @property
    def hint(self) -> str:
        """The way back, or the way by hand."""
        by_hand = "or do by hand, in all files, what they have for another service"
        return self.next_step or f"git log -p {self.file} shows what became of it; {by_hand}"


@dataclass(eq=False)
class UpdateConflicts(RebakeError):
    """An update changed the very lines that were changed here too; both are in the files."""

    conflicts: Sequence[str]
    code: ClassVar[str] = "update-conflicts"

    @property
    def what(self) -> str:
        """How many files."""
        count = len(self.conflicts)
        files = "1 file needs" if count == 1 else f"{count} files need"
        return f"{files} a decision; the rest of the update is done"

    @property
    def details(self) -> Sequence[str]:
        """Each file, and what happened to it."""
        return self.conflicts

    @property
    def hint(self) -> str:
        """Where to look."""
        return (
            "look for <<<<<<< in these files and keep what is right, then commit; "
            "git stash -u puts the whole update aside"
        )
