"""Tells which binaries of the backend an image holds, and that it holds nothing else of it. Pure.

An image can only stay as it is after an edit of another service when all that it takes from the
backend are binaries that its compiling step copied out, and what they need to run. That is read off
the Dockerfiles and the bake targets; whatever is of another form is not known.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from rebake.build.outside import Doubt, Recipe, choices, clean, familiar, join
from rebake.history.evidence import BakeTarget
from rebake.project.dockerfile import Dockerfile, Read, Stage, reads
from rebake.project.dockerfile_words import Instruction, assignments, expand

# The step whose end tells what each binary is known by; see docker/tools/build-workspace.
_COMPILES = re.compile(r"/build-workspace\s+\S+\s+/out(\s|$)")
_ROOT = "out/root"  # the same few libraries for all binaries: a binary that stayed needs no others
_BINARY = re.compile(r"out/bin/([A-Za-z0-9_-]+)")
_TARGET = "target:"
_IMAGE = "docker-image://"


def held(recipe: Recipe, target: str, backend: str) -> frozenset[str] | None:
    """Return the binaries that a target's image holds; None where that is not known.

    Args:
        recipe: the bake targets and the Dockerfiles.
        target: the name of the bake target.
        backend: the folder of the cargo workspace, from the project's root.
    """
    found: set[str] = set()
    try:
        _Walk(recipe, clean(backend), found).target(target)
    except Doubt:
        return None
    return frozenset(found)


class _Walk:
    """Goes through all that a target is made of; collects the binaries."""

    def __init__(self, recipe: Recipe, backend: str, found: set[str]) -> None:
        self._recipe, self._backend, self._found = recipe, backend, found

    def target(self, name: str) -> None:
        target = self._recipe.targets.get(name)
        file = (
            self._recipe.dockerfiles.get(join(target.folder, target.dockerfile)) if target else None
        )
        if target is None or file is None:
            raise Doubt(name)
        for given in choices(target.arguments):
            stages = _Stages(self, target, file, given)
            stages.walk(stages.final)

    def folder(self, place: str) -> None:
        """A folder that is taken in as a whole: it must be no part of the backend."""
        place = clean(place)
        inside = place == self._backend or place.startswith(f"{self._backend}/")
        if inside or self._backend.startswith(f"{place}/") or place not in self._recipe.folders:
            raise Doubt(place)

    def context(self, place: str) -> None:
        if place.startswith(_TARGET):
            self.target(place.removeprefix(_TARGET))
        elif not place.startswith(_IMAGE):
            self.folder(place)

    def copied(self, paths: tuple[str, ...]) -> None:
        """What is copied out of the compiling step."""
        for path in paths:
            binary = _BINARY.fullmatch(path)
            if binary is not None:
                self._found.add(binary[1])
            elif path != _ROOT:
                raise Doubt(path)
        if not paths:
            raise Doubt("all of it")


class _Stages:
    """The stages of one target, with one choice of its arguments."""

    def __init__(
        self, walk: _Walk, target: BakeTarget, file: Dockerfile, given: Mapping[str, str]
    ) -> None:
        self._walk, self._target, self._file, self._given = walk, target, file, given
        self._globals = file.global_values(given)
        self._contexts = {familiar(name): place for name, place in target.contexts.items()}
        self._set_by_env = {
            name
            for stage in file.stages
            for one in stage.instructions
            if one.word == "ENV"
            for name, _ in assignments(one)
        }

    @property
    def final(self) -> Stage:
        stage = self._file.stage(self._target.stage)
        if stage is None:
            raise Doubt(self._target.stage)
        return stage

    def walk(self, stage: Stage) -> None:
        """All that a stage takes in; the compiling step must be none of its own."""
        if self._compiles(stage):
            raise Doubt(f"{stage.name} holds the whole compiling step")
        if (named := self._contexts.get(stage.name)) is not None:  # it stands for the stage
            self._walk.context(named)
            return
        self._from(self._base(stage), self._file.above(stage, self._base(stage)))
        values = dict[str, str]()
        for instruction in stage.instructions:
            if instruction.word == "ARG" and self._on_scratch(stage):
                values |= self._values(instruction, values)
            elif instruction.word == "ONBUILD":
                raise Doubt("an ONBUILD")
            for one in reads(instruction, values):
                self._read(one)

    def _read(self, one: Read) -> None:
        if "$" in one.source or any("$" in path for path in one.paths):
            raise Doubt(one.source)
        if not one.source:
            self._walk.folder(self._target.folder)
            return
        stage = self._file.stage(one.source)
        if stage is not None and self._contexts.get(stage.name) is None and self._compiles(stage):
            self._walk.copied(one.paths)
        else:
            self._from(one.source, stage)

    def _from(self, source: str, stage: Stage | None) -> None:
        named = self._contexts.get(familiar(source))
        if named is not None:
            self._walk.context(named)
        elif stage is not None:
            self.walk(stage)
        # An image from outside holds nothing of the backend.

    def _compiles(self, stage: Stage) -> bool:
        """Whether a stage is the compiling one, or stands on it."""
        if stage.name in self._contexts:
            return False
        if any(_COMPILES.search(one.rest) for one in stage.instructions if one.word == "RUN"):
            return True
        below = self._file.above(stage, self._base(stage))
        return below is not None and self._compiles(below)

    def _base(self, stage: Stage) -> str:
        base = expand(stage.base, self._globals)
        if "$" in base:
            raise Doubt(stage.base)
        return base

    def _on_scratch(self, stage: Stage) -> bool:
        """Whether no image from outside can have given a variable another value."""
        base = self._base(stage)
        below = self._file.above(stage, base)
        if below is None or familiar(base) in self._contexts:
            return base == "scratch"
        return self._on_scratch(below)

    def _values(self, instruction: Instruction, known: Mapping[str, str]) -> dict[str, str]:
        """The values that an `ARG` of a stage gives, less those that an `ENV` may change."""
        found = {}
        for name, default in assignments(instruction):
            if name in self._set_by_env:
                continue
            value = self._given.get(name)
            if value is None:
                value = self._globals.get(name) if default is None else expand(default, known)
            if value is not None:
                found[name] = value
        return found
