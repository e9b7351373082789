"""Templates, updates, and files that a service can't be put into."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rebake.errors.base import EXIT_USAGE, RebakeError


class TemplateRefused(RebakeError):
    """A template that can't be used: it is not there, or it would do more than make files."""

    source: str
    reason: str
    next_step: str = "name another one: --source REPOSITORY"
    exit_code: ClassVar[int] = EXIT_USAGE
    code: ClassVar[str] = "template"
    says: ClassVar[str] = "template {source}: {reason}"
    advises: ClassVar[str] = "{next_step}"


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


class FilesInTheWay(RebakeError):
    """Files that `rebake adopt` would write are there already; none is ever overwritten."""

    files: Sequence[str]
    next_step: str = "move them aside, or look whether this project was adopted before"
    exit_code: ClassVar[int] = EXIT_USAGE
    code: ClassVar[str] = "files-in-the-way"
    advises: ClassVar[str] = "{next_step}"

    @property
    def what(self) -> str:
        """The file, or how many."""
        if len(self.files) == 1:
            return f"{self.files[0]} is there already; nothing was written"
        return f"{len(self.files)} files are there already; nothing was written"

    @property
    def details(self) -> Sequence[str]:
        """Which, when there are several."""
        return self.files if len(self.files) > 1 else ()
