"""The part `contexts` of a scan: secrets and repositories among the files that travel to a builder.

No scanner sees them: they look at images, and a multi-stage build leaves its sources behind. But
the builder keeps all that it was sent, and so does a cache in a registry.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rebake.doctor.context import made_folders
from rebake.doctor.secret_files import travelling
from rebake.scan.findings import Finding

if TYPE_CHECKING:
    from rebake.doctor.case import Case, Context

_INSTEAD = "a build gets secrets by --mount=type=secret"


def check(case: Case) -> list[Finding]:
    """Return what should not travel, by the file or the folder that does.

    Raises:
        ProjectError: a folder or an ignore file can't be read.
    """
    return [finding for context in case.contexts for finding in _in(context, case)]


def _in(context: Context, case: Case) -> Iterator[Finding]:
    ignore = case.shown(context.ignore or context.folder / ".dockerignore")
    for path, line, what in travelling(context):
        looks = f"looks like {what}" if what else "has a name that says that it holds secrets"
        yield Finding(
            "secret", "context-secret", "high", case.shown(context.folder / path),
            f"it travels to the builder, and {looks}",
            f"name it in {ignore}; {_INSTEAD}", line=line or None,
        )  # fmt: skip
    for folder in made_folders(context):
        if folder.rpartition("/")[2] == ".git":
            yield Finding(
                "secret", "context-git", "high", case.shown(context.folder / folder),
                "the repository travels to the builder, with all that was ever committed",
                f"name it in {ignore}",
            )  # fmt: skip
