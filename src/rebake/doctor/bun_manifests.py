"""Check `bun-manifests`: whether the stage that installs packages has every manifest.

`bun install --frozen-lockfile` and `npm ci` refuse when a workspace's package.json is missing.
"""

from __future__ import annotations

import json
import posixpath
import tomllib
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from rebake.doctor.case import Case, Context
from rebake.doctor.diagnosis import Diagnosis, error, listed, ok
from rebake.doctor.javascript_lock import workspaces
from rebake.project.dockerfile import Dockerfile, Stage
from rebake.project.dockerfile_words import Instruction, expand_known, given_values

_LOCKS = {"bun": ("bun.lock", "bun.lockb"), "npm": ("package-lock.json",)}
_SETTINGS = "bunfig.toml"
_DECIDES = frozenset({"registry", "scopes", "linker"})


def check(case: Case) -> Iterator[Diagnosis]:
    """Look at each install in the UI's Dockerfile."""
    ui = case.project.ui
    config = case.project.config.ui
    dockerfile = case.dockerfile(ui, config.dockerfile)
    if not config.path or dockerfile is None or not (ui / "package.json").is_file():
        yield ok("there is no UI with a Dockerfile")
        return
    needed = needed_files(ui)
    context = next((one for one in case.contexts if one.name == "ui"), None)
    left_out = [name for name in needed if context is not None and not _travels(context, name)]
    if left_out:
        yield error(
            f"{listed(left_out)} of {case.shown(ui)} stay behind: .dockerignore names them",
            why="the install in the image fails, or takes other versions",
            fix=f"an exception in {case.shown(ui / '.dockerignore')}: !{left_out[0]}",
        )
    faults = list(missing(dockerfile, [name for name in needed if name not in left_out]))
    for line, names in faults:
        yield error(
            f"{case.shown(dockerfile.path)}:{line}: the install does not see {listed(names)}",
            why="it fails with a frozen lock-file (oven-sh/bun#28402), or leaves packages out",
            fix=f"bind or copy before it: COPY --parents {' '.join(names)} ./",
        )
    if not faults and not left_out:
        yield ok(f"the install sees all of {listed(needed)}")


def needed_files(folder: Path) -> list[str]:
    """The files of a package that an install needs.

    Raises:
        ProjectError: a manifest is not JSON.
    """
    found = [f"{path}/package.json" if path else "package.json" for path in workspaces(folder)]
    found += [n for names in _LOCKS.values() for n in names if (folder / n).is_file()]
    if _installs_by_settings(folder / _SETTINGS):
        found.append(_SETTINGS)
    manifest = json.loads((folder / "package.json").read_text(encoding="utf-8-sig"))
    patches = manifest.get("patchedDependencies")
    found += [str(path) for path in (patches.values() if isinstance(patches, dict) else ())]
    return found


def _installs_by_settings(file: Path) -> bool:
    """Whether a bunfig.toml says from where or how packages are laid out; few do."""
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8")).get("install", {})
    except (OSError, ValueError):
        return False
    return isinstance(table, dict) and not _DECIDES.isdisjoint(table)


def missing(dockerfile: Dockerfile, needed: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield the line of each install that lacks a file, and the files. Pure, save for globs."""
    for stage in dockerfile.stages:
        yield from _in_stage(dockerfile, stage, needed)


def _in_stage(
    dockerfile: Dockerfile, stage: Stage, needed: Sequence[str]
) -> Iterator[tuple[int, list[str]]]:
    steps = dockerfile.all_instructions(stage)
    first = len(steps) - len(stage.instructions)
    folder, variables = "/", dockerfile.defaults
    there: set[str] = set()
    for number, step in enumerate(steps):
        if step.word == "WORKDIR":
            folder = posixpath.join(folder, expand_known(step.rest.strip('"'), variables))
        elif step.word in {"ENV", "ARG"}:
            variables |= given_values(step)
        elif step.word in {"COPY", "ADD"}:
            if step.flag("from"):  # from another stage or image: it may hold anything
                there |= _from_elsewhere(step, folder, needed)
            else:
                there |= _copied(step, folder, needed)
        elif step.word == "RUN" and number >= first and (program := _installer(step)):
            seen = there | _bound(step, folder, needed)
            others = {n for name, names in _LOCKS.items() if name != program for n in names}
            lacking = [
                n
                for n in needed
                if n not in others and posixpath.normpath(f"{folder}/{n}") not in seen
            ]
            if lacking:
                yield step.line, lacking


def _installer(step: Instruction) -> str:
    """The program by which a RUN installs the packages of its folder; empty when none does."""
    for words in step.commands:
        for i, word in enumerate(words[:-1]):
            name, action = posixpath.basename(word), words[i + 1]
            if (name, action) in {("bun", "install"), ("bun", "i"), ("npm", "ci")}:
                elsewhere = "cd" in [w[0] for w in step.commands] or "--cwd" in words
                if not elsewhere and "--global" not in words and "-g" not in words:
                    return name
    return ""


def _copied(step: Instruction, folder: str, needed: Sequence[str]) -> set[str]:
    """Where a COPY puts those of the needed files that it takes."""
    *sources, target = step.words or [""]
    end = posixpath.join(folder, target)
    into = target.endswith("/") or target in {".", "./"} or len(sources) > 1
    parents = step.flag("parents") is not None
    found = set()
    for source in (posixpath.normpath(s.lstrip("/") or ".") for s in sources):
        for name in needed:
            rest = _below(name, source)
            if rest is not None:  # a folder: what is in it
                tail = name if parents else rest
                found.add(posixpath.normpath(posixpath.join(end, tail)))
            elif _matches(name, source):
                tail = name if parents else posixpath.basename(name)
                many = into or any(char in source for char in "*?[")
                found.add(posixpath.normpath(posixpath.join(end, tail) if many else end))
    return found


def _from_elsewhere(step: Instruction, folder: str, needed: Sequence[str]) -> set[str]:
    end = posixpath.join(folder, (step.words or [""])[-1])
    place = posixpath.normpath(end)
    wanted = {posixpath.normpath(f"{folder}/{name}") for name in needed}
    return {path for path in wanted if path == place or path.startswith(place.rstrip("/") + "/")}


def _bound(step: Instruction, folder: str, needed: Sequence[str]) -> set[str]:
    """Where the bind mounts of a RUN show the needed files."""
    found = set()
    for mount in step.mounts():
        if mount.get("type", "bind") != "bind":
            continue
        end = posixpath.normpath(posixpath.join(folder, mount.get("target", "")))
        if mount.get("from"):
            wanted = {posixpath.normpath(f"{folder}/{name}") for name in needed}
            found |= {path for path in wanted if path == end or path.startswith(end + "/")}
            continue
        source = posixpath.normpath(mount.get("source", ".").lstrip("/") or ".")
        for name in needed:
            rest = _below(name, source)
            if rest is not None:
                found.add(posixpath.normpath(f"{end}/{rest}"))
            elif name == source:
                found.add(end)
    return found


def _below(name: str, source: str) -> str | None:
    """The path of a file below a folder; None when it is not in it."""
    if source == ".":
        return name
    return name.removeprefix(source + "/") if name.startswith(source + "/") else None


def _matches(name: str, pattern: str) -> bool:
    parts, wanted = name.split("/"), pattern.split("/")
    return len(parts) == len(wanted) and all(map(fnmatchcase, parts, wanted))


def _travels(context: Context, name: str) -> bool:
    return Path(name) in context.files
