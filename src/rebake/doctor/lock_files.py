"""Check `lock-files`: Cargo.lock, bun.lock and package-lock.json against their manifests."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from rebake.doctor import cargo_lock, javascript_lock
from rebake.doctor.case import Case
from rebake.doctor.diagnosis import Diagnosis, error, listed, ok, warning
from rebake.doctor.workspace import image_version
from rebake.errors import RebakeError
from rebake.project import packages

_WHY = "builds run with --locked or --frozen-lockfile: they fail, or take what was not reviewed"
# The cargo that first reads each version of Cargo.lock (The Cargo Book, "rust-version").
_KNOWS = {3: (1, 53), 4: (1, 78)}
_JAVASCRIPT: dict[str, tuple[Callable[[Path], Iterator[str]], str]] = {
    "bun.lock": (javascript_lock.bun_faults, "bun install --lockfile-only"),
    "package-lock.json": (javascript_lock.npm_faults, "npm install --package-lock-only"),
}


def check(case: Case) -> Iterator[Diagnosis]:
    """Compare each lock-file with its manifests."""
    yield from _cargo(case)
    yield from _javascript(case)


def _cargo(case: Case) -> Iterator[Diagnosis]:
    lock = case.project.backend / "Cargo.lock"
    mend = f"cargo update --workspace, in {case.shown(case.project.backend)}, and commit it"
    if not lock.is_file():
        yield _missing(case, lock, "cargo generate-lockfile")
        return
    try:
        text = lock.read_text(encoding="utf-8")
        found = list(cargo_lock.faults(case.project.workspace, text))
    except (OSError, ValueError) as fault:  # TOMLDecodeError is a ValueError
        what = "is not TOML" if isinstance(fault, tomllib.TOMLDecodeError) else "can't be read"
        yield error(f"{case.shown(lock)} {what}: {fault}", why=_WHY, fix=mend)
        return
    yield _told(case, lock, found, mend)
    yield from _format(case, lock, text)


def _format(case: Case, lock: Path, text: str) -> Iterator[Diagnosis]:
    """A lock-file in a form that the compiler of the image does not know yet."""
    image = case.project.config.base_images.rust
    version, has = tomllib.loads(text).get("version", 1), image_version(image)
    least = _KNOWS.get(version)
    if least is not None and has and has < least[: len(has)]:
        yield error(
            f"{case.shown(lock)} has version {version}, which cargo of {image} does not know",
            why="cargo refuses to read it: no image can be built",
            fix=f"rust {'.'.join(map(str, least))} or newer as base_images.rust in rebake.toml",
        )


def _javascript(case: Case) -> Iterator[Diagnosis]:
    ui = case.project.ui
    if not case.project.config.ui.path or not (ui / "package.json").is_file():
        return
    manager = case.project.config.ui.manager
    there = [name for name in _JAVASCRIPT if (ui / name).is_file()]
    mine = packages.lock_file(ui, manager)
    if mine.name not in there:
        if manager == "bun" and (ui / "bun.lockb").is_file():
            yield error(
                f"{case.shown(ui / 'bun.lockb')} is Bun's old lock-file",
                why="the build reads bun.lock, and nobody can review a binary file",
                fix="bun install --save-text-lockfile --lockfile-only, and commit bun.lock",
            )
        else:
            yield _missing(case, mine, _JAVASCRIPT[mine.name][1])
        return
    if names := packages.differing(ui):
        theirs = packages.lock_file(ui, packages.other(manager)).name
        yield warning(
            f"the two lock-files in {case.shown(ui)} name other versions of {listed(list(names))}",
            why=f"ui.manager is {manager}: {theirs} is not read, and misleads",
            fix=f"delete {theirs}, or make it again with {packages.other(manager)}",
        )
    for name in there:
        faults, mend = _JAVASCRIPT[name]
        words = f"{mend}, in {case.shown(ui)}, and commit it"
        try:
            yield _told(case, ui / name, list(faults(ui)), words)
        except RebakeError as fault:
            yield error(fault.what, why=_WHY, fix=fault.hint or words)


def _told(case: Case, lock: Path, found: Iterable[str], mend: str) -> Diagnosis:
    faults = list(dict.fromkeys(found))
    if not faults:
        return ok(f"{case.shown(lock)} fits the manifests")
    return error(f"{case.shown(lock)} is out of date: {listed(faults)}", why=_WHY, fix=mend)


def _missing(case: Case, lock: Path, mend: str) -> Diagnosis:
    return error(
        f"{case.shown(lock)} is not there",
        why="without it every machine builds something else, and the images' builds fail",
        fix=f"{mend}, in {case.shown(lock.parent)}, and commit it",
    )
