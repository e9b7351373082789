"""Check `workspace`: the cargo workspace can be read, and has the services' binaries."""

from __future__ import annotations

from collections.abc import Iterator

from rebake.doctor.case import Case
from rebake.doctor.diagnosis import Diagnosis, ok


def check(case: Case) -> Iterator[Diagnosis]:
    """Read the workspace; what is wrong with it is raised, with file and line."""
    workspace = case.project.workspace
    yield ok(f"{len(workspace.members)} crates, {len(workspace.binaries)} binaries")
