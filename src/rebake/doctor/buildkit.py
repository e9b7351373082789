"""Check `buildkit`: which builder builds go to, and whether the caches are kept in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rebake.doctor.case import Case
from rebake.doctor.diagnosis import Diagnosis, error, ok, warning


def check(case: Case) -> Iterator[Diagnosis]:
    """Look at the current builder."""
    environ = case.around.environ
    if environ.get("DOCKER_BUILDKIT") == "0":
        yield warning(
            "DOCKER_BUILDKIT is 0",
            why="`docker build` by hand then takes the old builder, without cache mounts",
            fix="unset DOCKER_BUILDKIT",
        )
    named = environ.get("BUILDX_BUILDER", "")
    known = [str(entry.get("Name")) for entry in case.builders]
    if named and named not in known:
        yield error(
            f"BUILDX_BUILDER names {named!r}, and there is no such builder",
            why="every build fails at once",
            fix=f"unset BUILDX_BUILDER, or one of {', '.join(known)}",
        )
        return
    yield from judge(case.builder)


def judge(builder: Mapping[str, Any]) -> Iterator[Diagnosis]:
    """Judge a builder of `docker buildx ls --format json`. Pure."""
    name, driver = builder.get("Name"), builder.get("Driver")
    nodes = [node for node in builder.get("Nodes") or () if isinstance(node, dict)]
    broken = str(builder.get("Err") or builder.get("Error") or "")
    broken = broken or next((str(n["Err"]) for n in nodes if n.get("Err")), "")
    if broken:
        yield error(
            f"the builder {name} can't be used: {broken}",
            why="every build fails",
            fix="docker buildx use default",
        )
        return
    version = next((str(n["Version"]) for n in nodes if n.get("Version")), "")
    words = f"builder {name}, driver {driver}"
    if version and not version.startswith("v0.0.0"):  # distributions build it without its number
        words += f", BuildKit {version}"
    if driver != "docker":
        yield warning(
            words,
            why="images have to be copied from this builder into the engine after each build, and "
            "its caches are its own: they are lost with it",
            fix="docker buildx use default",
        )
        return
    yield ok(words)
