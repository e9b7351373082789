"""Check `cargo-chef`: whether what `cook` compiles is what the build then needs.

cook and build must agree in profile, platform, features, flags, folder and toolchain: where they
do not, the build compiles every dependency again, and the layer was made for nothing.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from rebake.doctor.case import Case
from rebake.doctor.diagnosis import Diagnosis, listed, ok, warning
from rebake.doctor.shell_words import CargoCall, cargo_calls
from rebake.project.dockerfile import Dockerfile, Stage
from rebake.project.dockerfile_words import Instruction, expand_known, given_values

_DECIDES = ("RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_TARGET_DIR", "CARGO_BUILD_TARGET")
_TOOLCHAIN = ("rust-toolchain.toml", "rust-toolchain")
_WHY = "the build compiles every dependency again: what was cooked is not used"


class Place(Struct, frozen=True):
    """A call of cargo in a Dockerfile, and what is in force there."""

    call: CargoCall
    stage: Stage
    line: int
    folder: str
    variables: dict[str, str]
    base: str
    before: tuple[Instruction, ...]

    def value(self, name: str) -> str:
        """The value of a variable that decides about the compilation."""
        return self.variables.get(name, "")


def check(case: Case) -> Iterator[Diagnosis]:
    """Look at each Dockerfile that uses cargo-chef."""
    used = False
    for dockerfile in case.dockerfiles:
        places = find_places(dockerfile)
        if not any(place.call.command == "chef cook" for place in places):
            continue
        used = True
        faults = list(judge(dockerfile, places, case.shown(dockerfile.path)))
        faults += _recipe_file(case, dockerfile, places)
        yield from faults
        if not faults:
            yield ok(f"{case.shown(dockerfile.path)}: cook and build agree")
    if not used:
        yield ok("no Dockerfile uses cargo-chef")


def find_places(dockerfile: Dockerfile) -> list[Place]:
    """All calls of `cargo build` and `cargo chef`, in order of the file. Pure."""
    found = []
    for stage in dockerfile.stages:
        base = dockerfile.base(dockerfile.chain(stage)[-1])
        own = len(stage.instructions)
        steps = dockerfile.all_instructions(stage)
        folder, variables = "/", dockerfile.defaults
        for number, step in enumerate(steps):
            if step.word == "WORKDIR":
                folder = _join(folder, expand_known(step.rest, variables))
            elif step.word in {"ENV", "ARG"}:
                given = {k: expand_known(v, variables) for k, v in given_values(step).items()}
                variables |= given
            elif step.word == "RUN" and number >= len(steps) - own:
                for call in cargo_calls(step.commands):
                    here = {**variables, **call.variables}
                    before = tuple(steps[:number])
                    found.append(Place(call, stage, step.line, folder, here, base, before))
    return found


def judge(dockerfile: Dockerfile, places: list[Place], shown: str) -> Iterator[Diagnosis]:
    """Compare each build with the cook that it stands on. Pure, save for a look at the folder."""
    cooks = [place for place in places if place.call.command == "chef cook"]
    for build in (place for place in places if place.call.command == "build"):
        near = [cook for cook in cooks if cook.line < build.line]
        if not near:
            continue
        differences = min(
            (list(_differences(_in_force(cook), _in_force(build))) for cook in near), key=len
        )
        if differences:
            yield warning(
                f"{shown}:{build.line}: cargo build and cargo chef cook differ: "
                f"{listed(differences, 4)}",
                why=_WHY,
                fix="give both the same options, variables, folder and base image",
            )
    for cook in cooks:
        yield from _copied_before(cook, shown)
        yield from _toolchain(cook, dockerfile.path.parent, shown)


def _in_force(place: Place) -> Place:
    """The same place with its options as the environment leaves them."""
    options = dict(place.call.options)
    if not place.call.folder and place.value("CARGO_TARGET_DIR"):
        options["--target-dir"] = [place.value("CARGO_TARGET_DIR")]
    if not place.call.targets and place.value("CARGO_BUILD_TARGET"):
        options["--target"] = [place.value("CARGO_BUILD_TARGET")]
    return replace(place, call=replace(place.call, options=options))


def _differences(cook: Place, build: Place) -> Iterator[str]:
    a, b = cook.call, build.call
    if a.profile != b.profile:
        yield f"profile {a.profile} and {b.profile}"
    if a.targets != b.targets:
        yield f"target {_set(a.targets)} and {_set(b.targets)}"
    if a.features != b.features:
        yield f"features {_set(a.features)} and {_set(b.features)}"
    if a.packages and (not b.packages or not b.packages <= a.packages):
        yield f"packages {_set(a.packages)} and {_set(b.packages) if b.packages else 'all'}"
    if a.folder != b.folder:
        yield f"target folder {a.folder or 'target'} and {b.folder or 'target'}"
    if cook.folder != build.folder:
        yield f"folder {cook.folder} and {build.folder}"
    if cook.base != build.base:
        yield f"base image {cook.base} and {build.base}"
    for name in ("RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS"):
        if cook.value(name) != build.value(name):
            yield f"{name} {cook.value(name) or 'unset'} and {build.value(name) or 'unset'}"


def _copied_before(cook: Place, shown: str) -> Iterator[Diagnosis]:
    """Sources that stand before cook: each edit cooks again."""
    for step in cook.before:
        if step.word not in {"COPY", "ADD"} or step.flag("from"):
            continue
        words = step.words[:-1]
        if any(word.rstrip("/") in {".", "src", "crates"} for word in words):
            yield warning(
                f"{shown}:{step.line}: sources are copied before cargo chef cook",
                why="each edit makes that layer new, and every dependency is compiled again",
                fix="copy only recipe.json before cook, and the sources after it",
            )


def _toolchain(cook: Place, folder: Path, shown: str) -> Iterator[Diagnosis]:
    """A toolchain file is not part of a recipe of older cargo-chefs, and decides the compiler."""
    name = next((name for name in _TOOLCHAIN if (folder / name).is_file()), None)
    if name is None:
        return
    copied = [
        word.removeprefix("./")
        for step in cook.before
        if step.word in {"COPY", "ADD"}
        for word in step.words[:-1]
    ]
    if not {name, "rust-toolchain*", "."} & set(copied):
        yield warning(
            f"{shown}:{cook.line}: cargo chef cook does not see {name}",
            why=f"it cooks with the image's compiler, the build takes that of {name}, and "
            "compiles every dependency again",
            fix=f"COPY {name} . before cargo chef cook",
        )


def _recipe_file(case: Case, dockerfile: Dockerfile, places: list[Place]) -> Iterator[Diagnosis]:
    """A recipe.json that is kept in the repository, and not made in the build."""
    file = dockerfile.path.parent / "recipe.json"
    if not file.is_file() or any(place.call.command == "chef prepare" for place in places):
        return
    faults = recipe_faults(file, dockerfile.path.parent)
    if faults:
        yield warning(
            f"{case.shown(file)} is out of date: {listed(faults)}",
            why="other dependencies are cooked than the build needs",
            fix=f"cargo chef prepare, in {case.shown(file.parent)}; or make it in a stage",
        )


def recipe_faults(file: Path, folder: Path) -> list[str]:
    """Say what of a recipe does not fit the manifests and the lock-file of a folder."""
    try:
        skeleton = json.loads(file.read_text(encoding="utf-8"))["skeleton"]
        manifests = {str(entry["relative_path"]) for entry in skeleton["manifests"]}
        locked = tomllib.loads(skeleton.get("lock_file") or "")
        now = tomllib.loads((folder / "Cargo.lock").read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyError, TypeError) as fault:
        return [f"it can't be read ({type(fault).__name__})"]
    there = {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("Cargo.toml")
        if "target" not in path.relative_to(folder).parts
    }
    then_set, now_set = _foreign(locked), _foreign(now)
    return [
        *(f"{name} is new" for name in sorted(there - manifests)),
        *(f"{name} is gone" for name in sorted(manifests - there)),
        *(f"{name} {version} is new" for name, version in sorted(now_set - then_set)),
        *(f"{name} {version} is gone" for name, version in sorted(then_set - now_set)),
    ]


def _foreign(lock: dict[str, list[dict[str, str]]]) -> set[tuple[str, str]]:
    """The packages of a lock-file that are not the workspace's own: a recipe masks those."""
    return {(p["name"], p["version"]) for p in lock.get("package", []) if "source" in p}


def _set(values: frozenset[str]) -> str:
    return " ".join(sorted(values)) or "none"


def _join(folder: str, path: str) -> str:
    path = path.strip().strip('"')
    return path.rstrip("/") or "/" if path.startswith("/") else f"{folder.rstrip('/')}/{path}"
