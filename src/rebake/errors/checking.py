"""Checks that did not pass, and checks that could not be done."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from rebake.errors.base import RebakeError, WithTail


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


class ScannerFailed(WithTail, RebakeError):
    """A scanner did not scan, or its report can't be read: nothing is known to be clean."""

    scanner: str
    message: str
    tail: Sequence[str] = ()
    next_step: str = ""
    code: ClassVar[str] = "scanner-failed"
    says: ClassVar[str] = "{scanner} failed: {message}"
    advises: ClassVar[str] = "{next_step}"


class DatabaseUnusable(RebakeError):
    """A vulnerability database that is missing, cut off, of another schema, or too old."""

    path: Path
    message: str
    code: ClassVar[str] = "database-unusable"
    says: ClassVar[str] = "{path}: {message}; without a database nothing is known to be clean"
    advises: ClassVar[str] = (
        "delete that folder and scan with a network, or name where the database is: "
        "scan.db_repository in rebake.toml for Trivy's, GRYPE_DB_UPDATE_URL for Grype's"
    )


class ToolRefused(RebakeError):
    """A tool that must not be run: a version known to be malicious, or a wrong checksum."""

    tool: str
    message: str
    next_step: str = ""
    code: ClassVar[str] = "tool-refused"
    says: ClassVar[str] = "{tool} is refused: {message}"
    advises: ClassVar[str] = "{next_step}"
