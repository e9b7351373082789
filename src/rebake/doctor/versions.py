"""Check `versions`: engine, client, buildx and Compose against what is needed."""

from __future__ import annotations

from collections.abc import Iterator

from rebake.doctor.case import Case
from rebake.doctor.diagnosis import Diagnosis, ok, warning
from rebake.engine.versions import LEAST, Versions, numbers

# Engine 25 is the first that speaks the API that quick questions are asked in (engine/api.py).
_GOOD = {"engine": (25,)}


def check(case: Case) -> Iterator[Diagnosis]:
    """Name the versions; too old ones are refused before (see the check `engine`)."""
    yield from judge(case.engine.versions)


def judge(found: Versions) -> Iterator[Diagnosis]:
    """Judge versions that are at least those that are needed. Pure."""
    words = []
    for part, least in LEAST.items():
        version = getattr(found, part)
        floor = ".".join(map(str, least))
        words.append(f"{part} {version or 'unknown'} (at least {floor})")
    yield ok(", ".join([*words, f"client {found.client}" if found.client else "client unknown"]))
    if found.podman:
        yield warning(
            f"the engine is Podman ({found.engine})",
            why="its builder is not BuildKit: cache mounts are not kept as Docker keeps them",
            fix="use Docker Engine: invoke engine start sets one up on Linux",
        )
        return
    good = _GOOD["engine"]
    if numbers(found.engine) < good:
        yield warning(
            f"engine {found.engine} is older than {good[0]}",
            why="sizes and cache mounts can't be asked for quickly, and health checks start slowly",
            fix="update Docker Engine",
        )
    if found.client and numbers(found.client)[:1] < numbers(found.engine)[:1]:
        yield warning(
            f"the client is {found.client}, the engine {found.engine}",
            why="an old client does not know all that the engine can do",
            fix="update the docker client",
        )
