"""The steps that a bake target is made by, with what each one reads. Pure.

Made from the Dockerfiles and the bake targets, not from what the builder did, so the same graph
serves for a build that was and for one to come.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field

from rebake.explain.side import Side, clean, dockerfile_of
from rebake.history.evidence import BakeTarget
from rebake.project.dockerfile import (
    STEPS,
    Dockerfile,
    Stage,
    cache_mounts,
    reads,
)
from rebake.project.dockerfile_words import Instruction, assignments, expand
from rebake.report.steps import plain_stage

# Instructions that a later RUN sees, besides the file system; the others change the image alone.
_SEEN_BY_RUN = frozenset({"ENV", "SHELL", "USER"})
_MOST = 2000  # steps: a file that includes itself must not hang anything


class Key(Struct, frozen=True):
    """A step's identity: the bake target, the stage, and how many steps of it come after."""

    target: str
    stage: str
    after: int


class FolderRead(Struct, frozen=True):
    """What a step reads of a folder: patterns of paths below it; empty for all of it."""

    folder: str
    paths: tuple[str, ...]


class Node(Struct, frozen=True):
    """One step.

    Attributes:
        key: its identity.
        dockerfile: the Dockerfile's path from the project's root.
        index: its place among the steps of its stage, from 0.
        number: the number that the builder shows: from 1, an image that it starts from included.
        of: how many there are in its stage.
        instruction: what stands in the Dockerfile.
        words: the same with variables substituted.
        parents: the steps whose files it reads or stands on.
        images: the images that it reads or starts from.
        folders: what it reads of build contexts.
        environment: the lines before it that it sees, with their numbers.
        arguments: the build arguments that were declared before it, by name.
        mounts: ids of its cache mounts.
    """

    key: Key
    dockerfile: str
    index: int
    number: int
    of: int
    instruction: Instruction
    words: str
    parents: tuple[Key, ...] = ()
    images: tuple[str, ...] = ()
    folders: tuple[FolderRead, ...] = ()
    environment: tuple[tuple[int, str], ...] = ()
    arguments: Mapping[str, str] = field(default_factory=dict)
    mounts: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """Its name, as the builder shows it: `build 1/1`."""
        return f"{plain_stage(self.key.stage)} {self.number}/{self.of}"

    @property
    def place(self) -> str:
        """Where it stands: `backend/Dockerfile:96`."""
        return f"{self.dockerfile}:{self.instruction.line}"


class Graph(Struct, frozen=True):
    """The steps of one bake target and of the targets that it is made from.

    Attributes:
        nodes: in an order in which each step comes after those that it needs.
        stages: the stages that take part, with the line of each one's `FROM`, by Dockerfile.
        selectors: build arguments that decide which stages take part, with their values, by target.
    """

    nodes: Mapping[Key, Node]
    stages: frozenset[tuple[str, str]]
    selectors: Mapping[tuple[str, str], str]


class _End(Struct):
    """What a stage leaves for those that come from it."""

    tip: tuple[Key, ...] = ()
    images: tuple[str, ...] = ()
    environment: tuple[tuple[int, str], ...] = ()
    arguments: dict[str, str] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)

    def copy(self) -> _End:
        """One of its own for a stage that comes from it."""
        return _End(
            self.tip, self.images, self.environment, dict(self.arguments), dict(self.variables)
        )


def graph_of(side: Side, target: str) -> Graph:
    """Return the steps of a bake target; empty where its Dockerfile is not known."""
    maker = _Maker(side)
    maker.target(target)
    return Graph(maker.nodes, frozenset(maker.stages), maker.selectors)


class _Where(Struct, frozen=True):
    """A bake target with its Dockerfile."""

    name: str
    target: BakeTarget
    file: Dockerfile
    given: Mapping[str, str]

    @property
    def outside(self) -> dict[str, str]:
        return self.file.global_values(self.given)


class _Maker:
    def __init__(self, side: Side) -> None:
        self.side = side
        self.nodes: dict[Key, Node] = {}
        self.stages: set[tuple[str, str]] = set()
        self.selectors: dict[tuple[str, str], str] = {}
        self._ends: dict[tuple[str, str], _End] = {}

    def target(self, name: str) -> _End:
        known = self.side.evidence.targets.get(name)
        file = self.side.dockerfiles.get(dockerfile_of(known)) if known else None
        if known is None or file is None:
            return _End()
        stage = file.stage(known.stage)
        where = _Where(name, known, file, self.side.arguments(name))
        return _End() if stage is None else self._stage(where, stage)

    def _stage(self, where: _Where, stage: Stage) -> _End:
        place = (where.name, stage.name)
        if place in self._ends:
            return self._ends[place]
        self._ends[place] = _End()  # for a file that goes in circles
        if len(self.nodes) > _MOST:
            return _End()
        self.stages.add((dockerfile_of(where.target), stage.name))
        outside = where.outside
        for variable, value in outside.items():
            if f"${variable}" in stage.base or f"${{{variable}" in stage.base:
                self.selectors[where.name, variable] = value
        base = expand(stage.base, outside)
        end = self._source(where, base).copy()
        # The builder counts the image too that a stage starts from.
        known = base == "scratch" or base in where.target.contexts or where.file.stage(base)
        counted, count, index = int(not known), len(stage.steps), 0
        for instruction in stage.instructions:
            if instruction.word not in STEPS:
                _declare(end, instruction, where.given, outside)
                continue
            key = Key(where.name, stage.name, count - 1 - index)
            numbers = (index, index + 1 + counted, count + counted)
            self.nodes[key] = self._node(key, where, instruction, numbers, end)
            end.tip, end.images = (key,), ()
            index += 1
        self._ends[place] = end
        return end

    def _node(
        self,
        key: Key,
        where: _Where,
        instruction: Instruction,
        numbers: tuple[int, int, int],
        end: _End,
    ) -> Node:
        parents, images, folders = list(end.tip), list(end.images), []
        for read in reads(instruction, end.variables):
            folder = _folder(where.target, read.source)
            if folder is not None:
                folders.append(FolderRead(folder, read.paths))
                continue
            source = self._source(where, read.source)
            parents += source.tip
            images += source.images
        return Node(
            key=key,
            dockerfile=dockerfile_of(where.target),
            index=numbers[0],
            number=numbers[1],
            of=numbers[2],
            instruction=instruction,
            words=expand(instruction.text, end.variables),
            parents=tuple(dict.fromkeys(parents)),
            images=tuple(dict.fromkeys(images)),
            folders=tuple(folders),
            environment=end.environment if instruction.word == "RUN" else (),
            arguments=dict(end.arguments),
            mounts=cache_mounts(instruction, end.variables),
        )

    def _source(self, where: _Where, source: str) -> _End:
        """What a stage, a named context or an image leaves."""
        named = where.target.contexts.get(source)
        if named is not None:
            kind, sign, rest = named.partition(":")
            if sign and kind == "target":
                end = self.target(rest)
                # Build arguments of another target are none of this one.
                return _End(end.tip, end.images, end.environment, {}, dict(end.variables))
            return _End(images=(rest.removeprefix("//"),)) if sign else _End()
        stage = where.file.stage(source)
        if stage is not None:
            return self._stage(where, stage)
        return _End() if source in {"", "scratch"} else _End(images=(source,))


def _declare(
    end: _End, instruction: Instruction, given: Mapping[str, str], outside: Mapping[str, str]
) -> None:
    """Take in an `ARG`, or a line that a later `RUN` sees."""
    if instruction.word == "ARG":
        for variable, default in assignments(instruction):
            value = given.get(variable)
            if value is None and default is not None:
                value = expand(default, end.variables)
            if value is None:
                value = outside.get(variable)
            if value is not None:
                end.arguments[variable] = value
                end.variables.setdefault(variable, value)
    elif instruction.word in _SEEN_BY_RUN:
        line = (instruction.line, expand(instruction.text, end.variables))
        end.environment = (*end.environment, line)
        if instruction.word == "ENV":
            for variable, value in assignments(instruction):
                end.variables[variable] = expand(value or "", end.variables)


def _folder(target: BakeTarget, source: str) -> str | None:
    """The folder that a source is, or None where it is a stage, a target or an image."""
    if not source:
        return clean(target.folder)
    named = target.contexts.get(source)
    return None if named is None or ":" in named else clean(named)
