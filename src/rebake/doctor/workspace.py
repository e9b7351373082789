"""Check `workspace`: the cargo workspace can be read, and has the services' binaries."""

from __future__ import annotations

import re
from collections.abc import Iterator

from rebake.doctor.case import Case
from rebake.doctor.diagnosis import Diagnosis, error, ok
from rebake.engine.versions import numbers


def check(case: Case) -> Iterator[Diagnosis]:
    """Read the workspace; what is wrong with it is raised, with file and line."""
    workspace = case.project.workspace
    image = case.project.config.base_images.rust
    wanted, has = workspace.rust_version or "", image_version(image)
    if wanted and has and has < numbers(wanted)[: len(has)]:
        yield error(
            f"rust-version is {wanted}, and base_images.rust is {image}",
            why="cargo refuses to compile: no image can be built",
            fix="a newer image in rebake.toml, or an older rust-version in Cargo.toml",
        )
    yield ok(f"{len(workspace.members)} crates, {len(workspace.binaries)} binaries")


def image_version(ref: str) -> tuple[int, ...]:
    """The version in an image's tag, `rust:1.97-slim` gives (1, 97); empty without one. Pure."""
    match = re.search(r":v?(\d+(?:\.\d+)*)", ref)
    return numbers(match[1]) if match else ()
