"""Check `files`: what builds and stacks are made from is there."""

from __future__ import annotations

from collections.abc import Iterator

from rebake.doctor.case import Case
from rebake.doctor.diagnosis import Diagnosis, error, ok


def check(case: Case) -> Iterator[Diagnosis]:
    """Look for each file."""
    project = case.project
    needed = {
        project.bake_file: "docker.bake",
        **{file: f"{half}.path" for half, file in project.dockerfiles.items()},
    }
    if not project.runs_itself:
        needed[project.compose_file("dev")] = "docker.compose_dev"
        needed[project.compose_file("prod")] = "docker.compose_prod"
    missing = {file: key for file, key in needed.items() if not file.is_file()}
    for file, key in missing.items():
        yield error(
            f"{case.shown(file)} is not there",
            why="images are made from it",
            fix=f"git checkout -- {case.shown(file)}, or set {key} in rebake.toml",
        )
    if not missing:
        yield ok("bake file, compose files and Dockerfiles are there")
