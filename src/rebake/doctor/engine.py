"""Check `engine`: is there an engine that builds can use, and which one."""

from __future__ import annotations

from collections.abc import Iterator

from rebake.doctor.case import Case
from rebake.doctor.diagnosis import Diagnosis, error, ok, warning
from rebake.errors import NoEngine


def check(case: Case) -> Iterator[Diagnosis]:
    """Look for the engine, as a build would."""
    if case.project.config.engine.kind == "native":
        yield ok('engine.kind is "native": no engine is used')
        return
    found = case.found
    if isinstance(found, NoEngine):
        why = "; ".join(found.tried) or "without one, images can't be built"
        if found.found_unusable:
            yield error(found.what, why=why, fix=found.hint)
        else:
            yield warning(
                found.what, why=why, fix=found.hint or "invoke engine start, or invoke dev"
            )
        return
    kind, host = found.endpoint.kind, found.endpoint.docker_host
    yield ok(f"{kind}: engine {found.versions.engine} at {host}")
    platform = case.around.environ.get("DOCKER_DEFAULT_PLATFORM", "")
    own = _architecture(str(case.info.document.get("Architecture") or ""))
    if platform and own and _architecture(platform.partition("/")[2]) != own:
        yield warning(
            f"DOCKER_DEFAULT_PLATFORM is {platform}, but the engine runs on {own}",
            why="every step is emulated, which takes many times as long",
            fix="unset DOCKER_DEFAULT_PLATFORM",
        )


def _architecture(text: str) -> str:
    same = {"x86_64": "amd64", "aarch64": "arm64"}
    first = text.partition("/")[0]
    return same.get(first, first)
