"""What somebody wrote that can't be: configuration, words, names, the project's own files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from rebake.errors.base import EXIT_USAGE, Problem, RebakeError, did_you_mean


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


class UsageError(RebakeError):
    """A flag, argument or environment variable that can't be used."""

    message: str
    next_step: str = ""
    exit_code: ClassVar[int] = EXIT_USAGE
    code: ClassVar[str] = "usage"
    says: ClassVar[str] = "{message}"
    advises: ClassVar[str] = "{next_step}"


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


class NotAProject(RebakeError):
    """No rebake.toml here or in a folder above."""

    folder: Path
    exit_code: ClassVar[int] = EXIT_USAGE
    code: ClassVar[str] = "not-a-project"
    says: ClassVar[str] = "no rebake.toml in {folder} or in a folder above it"
    advises: ClassVar[str] = "run this in the project's folder, the one that holds rebake.toml"
