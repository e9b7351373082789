"""Check `release-profile`: whether the release profile lets an edit be compiled incrementally.

rustc compiles a crate in up to 256 parts where it does so incrementally, and after an edit only
those that changed. `codegen-units` makes them fewer and larger; `lto` puts all of them together
again, with those of all crates. Figures: docs/explanation/decisions.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rebake.doctor.case import Case
from rebake.doctor.diagnosis import Diagnosis, ok, warning
from rebake.project.cargo import INCREMENTAL_PARTS, read_manifest
from rebake.project.dockerfile import Dockerfile
from rebake.project.dockerfile_words import expand_known, given_values

_WHOLE = ("true", "fat", "thin")
_PREFIX = "CARGO_PROFILE_RELEASE_"


def check(case: Case) -> Iterator[Diagnosis]:
    """Read the workspace's profile, and what the backend's Dockerfile says instead."""
    project = case.project
    file = project.workspace.root / "Cargo.toml"
    profile = read_manifest(file).get("profile", {}).get("release", {})
    path = project.dockerfiles.get("backend", project.backend / "Dockerfile")
    dockerfile = case.dockerfile(path.parent, path.name)
    given = variables(dockerfile) if dockerfile is not None else {}
    if not incremental(profile, given):
        yield ok("release builds are not compiled incrementally")
        return
    shown = case.shown(path) if dockerfile is not None else ""
    faults = [
        *_whole_program(profile, given, case.shown(file), shown),
        *_parts(profile, given, case.shown(file), shown),
    ]
    yield from faults
    if not faults:
        yield ok("an edit compiles what it changes")


def variables(dockerfile: Dockerfile) -> dict[str, str]:
    """What the stages of a Dockerfile say of the release profile. Pure."""
    found: dict[str, str] = {}
    for stage in dockerfile.stages:
        known = dockerfile.defaults
        for step in stage.instructions:
            if step.word in {"ENV", "ARG"}:
                given = {name: expand_known(v, known) for name, v in given_values(step).items()}
                known |= given
                found |= {
                    name: value
                    for name, value in given.items()
                    if name.startswith(_PREFIX) or name == "CARGO_INCREMENTAL"
                }
    return found


def incremental(profile: Mapping[str, Any], given: Mapping[str, str]) -> bool:
    """Whether cargo compiles incrementally: variables go before the manifest. Pure."""
    if "CARGO_INCREMENTAL" in given:
        return given["CARGO_INCREMENTAL"] == "1"
    return given.get(f"{_PREFIX}INCREMENTAL", str(profile.get("incremental"))).lower() == "true"


def _whole_program(
    profile: Mapping[str, Any], given: Mapping[str, str], manifest: str, dockerfile: str
) -> Iterator[Diagnosis]:
    value, place = _value("lto", profile, given, manifest, dockerfile)
    if value in _WHOLE:
        yield warning(
            f"{place}: the release profile has lto = {value}",
            why="each edit optimises the whole program anew, dependencies and all",
            fix="leave it out, where an edit matters more than some percent of the program's speed",
        )


def _parts(
    profile: Mapping[str, Any], given: Mapping[str, str], manifest: str, dockerfile: str
) -> Iterator[Diagnosis]:
    value, place = _value("codegen-units", profile, given, manifest, dockerfile)
    if value.isdigit() and int(value) < INCREMENTAL_PARTS:
        yield warning(
            f"{place}: the release profile has codegen-units = {value}",
            why="after an edit rustc compiles larger parts of a crate than it would (up to "
            f"{INCREMENTAL_PARTS} by default): with 16, an edit of the template took ten times as "
            "long",
            fix="leave it out, or say it of dependencies alone: "
            f'codegen-units = {value} below [profile.release.package."*"]',
        )


def _value(
    name: str, profile: Mapping[str, Any], given: Mapping[str, str], manifest: str, dockerfile: str
) -> tuple[str, str]:
    """A setting of the profile, and the file that has the last word on it."""
    variable = _PREFIX + name.upper().replace("-", "_")
    if variable in given:
        return given[variable].lower(), dockerfile
    return str(profile.get(name, "")).lower(), manifest
