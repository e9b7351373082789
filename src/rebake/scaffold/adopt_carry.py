"""Takes an existing Dockerfile over: the stages that run stay word for word, the compiling is ours.

What `rebake adopt` makes of a Dockerfile has two parts. The stages that end in the image (the base
image, packages, files, the user, the command) are copied as they are, with new names. In them,
what is copied out of a compiling stage is taken from our compiling step instead. Of the compiling
stages only the base image and what prepares the system is kept (`adopt_compiler`). Whatever can't
be taken over for sure makes the service unfit, and it stays as it is. Pure.
"""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Mapping

from msgspec import Struct, field

from rebake.project.dockerfile import Stage
from rebake.project.dockerfile_words import Instruction, expand, given_values, split_words
from rebake.scaffold.adopt_compiler import compiler
from rebake.scaffold.adopt_view import Context, Kind, View, check_mounts, written
from rebake.scaffold.adopt_words import Unfit, compiles


class Carried(Struct, frozen=True):
    """What is taken over of a Dockerfile.

    Attributes:
        kind: what it compiles.
        base: the image that it compiles on.
        setup: the instructions that prepare that, as they are written.
        variables: what they set for the compiler.
        sources: the folder that the sources were compiled in.
        stages: the stages that run; the last one is the image's, and has no label yet.
        binary: the program, of a backend's.
        output: the folder that the UI's build writes, from the UI's folder.
        production: whether the UI's packages are installed without those for development.
    """

    kind: Kind
    base: str
    setup: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    sources: str = ""
    stages: str = ""
    binary: str = ""
    output: str = ""
    production: bool = False


def kind_of(text: str, target: str) -> Kind | None:
    """Tell what the image of a Dockerfile's stage is compiled from; None for neither half."""
    try:
        view = View(text, {})
        kinds = view.kinds(view.final(target))
    except Unfit:
        return None
    if "backend" in kinds:
        return "backend"
    return "ui" if kinds else None


def carry(
    text: str,
    *,
    target: str,
    args: Mapping[str, str],
    name: str,
    binaries: Collection[str],
    context: Context,
) -> Carried:
    """Take a Dockerfile over.

    Args:
        text: what it says.
        target: the stage that becomes the image; empty for the last one.
        args: the build arguments.
        name: what the new stages are called after.
        binaries: the programs of the cargo workspace.
        context: the build context.

    Raises:
        Unfit: it can't be.
    """
    view = View(text, args)
    return _Carrying(view, view.final(target), name, binaries, context).run()


class _Carrying:
    def __init__(
        self,
        view: View,
        final: Stage,
        name: str,
        binaries: Collection[str],
        context: Context,
    ) -> None:
        self._view, self._final, self._name = view, final, name
        self._binaries, self._context = binaries, context
        self._taken: set[str] = set()
        self._outputs: set[str] = set()
        self._sources: list[Stage] = []

    def run(self) -> Carried:
        if self._view.compiling(self._final):
            line = next(one.line for one in self._view.whole(self._final) if compiles(one))
            raise Unfit(
                f"line {line}: it compiles in the stage that runs; compile in a stage of its own, "
                "and COPY --from it"
            )
        running = self._view.reach(self._final, self._view.compiling)
        stages = "\n".join(self._stage(stage) for stage in running)
        kinds = {kind for stage in self._sources for kind in self._view.kinds(stage)}
        if len(kinds) != 1:
            raise Unfit("nothing that it copies is compiled by cargo, or by the UI's run build")
        kind = kinds.pop()
        if kind == "backend" and len(self._taken) != 1:
            names = ", ".join(sorted(self._taken))
            raise Unfit(f"its image holds {names or 'no program of the workspace'}, not just one")
        if kind == "ui" and len(self._outputs) != 1:
            raise Unfit("what it copies out of the UI's build is not one folder")
        setup = compiler(self._view, kind, self._sources, self._context)
        return Carried(
            kind,
            setup.base,
            tuple(setup.lines),
            setup.variables,
            setup.sources or self._view.workdir(self._sources[0]),
            stages,
            binary=next(iter(self._taken), ""),
            output=next(iter(self._outputs), ""),
            production=setup.production,
        )

    def _stage(self, stage: Stage) -> str:
        below = self._view.above(stage, self._view.base(stage))
        base = self._called(below) if below else self._view.base(stage)
        self._view.check_platform(stage)
        values: dict[str, str] = {}
        lines = [f"FROM {base} AS {self._called(stage)}"]
        for one in stage.instructions:
            match one.word:
                case "ARG":
                    lines.append(self._view.argument(one, values))
                    continue
                case "COPY" | "ADD":
                    lines.append(self._copy(one, stage, values))
                    continue
                case "RUN":
                    check_mounts(one)
                case "ENV":
                    values |= {k: expand(v, values) for k, v in given_values(one).items()}
                case "ONBUILD":
                    raise Unfit(f"line {one.line}: ONBUILD can't be taken over")
            lines.append(self._view.raw(one, stage))
        return "\n".join(lines) + "\n"

    def _called(self, stage: Stage) -> str:
        return self._name if stage == self._final else f"{self._name}-{stage.name}"

    def _copy(self, one: Instruction, stage: Stage, values: Mapping[str, str]) -> str:
        if one.body:
            return self._view.raw(one, stage)
        *sources, target = split_words(one.rest) or [""]
        source = expand(one.flag("from") or "", values)
        flags = [f"--{k}={v}" if v else f"--{k}" for k, v in one.flags if k != "from"]
        if not source:
            if one.word == "ADD" and all("://" in word for word in sources):
                return self._view.raw(one, stage)
            words = [self._own(one, expand(word, values)) for word in sources]
            return written(one.word, flags, [*words, target])
        other = self._view.above(stage, source)
        if other is None:
            return self._view.raw(one, stage)  # an image
        if not self._view.compiling(other):
            return written("COPY", [f"--from={self._called(other)}", *flags], [*sources, target])
        if other not in self._sources:
            self._sources.append(other)
        words = [self._out(one, other, expand(word, values)) for word in sources]
        return written("COPY", ["--from=build", *flags], [*words, target])

    def _own(self, one: Instruction, path: str) -> str:
        """Where our build context has a file of theirs."""
        try:
            found = self._context.place(path)
        except Unfit as reason:
            raise Unfit(f"line {one.line}: {reason}") from None
        if found != path and one.flag("parents") is not None:
            raise Unfit(f"line {one.line}: --parents can't be taken over from another folder")
        return found

    def _out(self, one: Instruction, other: Stage, path: str) -> str:
        """Where our compiling step has what is copied out of theirs."""
        if "backend" in self._view.kinds(other):
            name = posixpath.basename(path)
            if name not in self._binaries or not self._is_program(other, path):
                raise Unfit(f"line {one.line}: {path} is no program of the cargo workspace")
            self._taken.add(name)
            return f"/out/bin/{name}"
        folder = posixpath.relpath(posixpath.join("/", path), self._view.workdir(other))
        if folder.startswith(".") or "*" in folder:
            raise Unfit(f"line {one.line}: {path} is not the folder that the UI's build writes")
        self._outputs.add(folder)
        return "/out/www"

    def _is_program(self, other: Stage, path: str) -> bool:
        """Whether a path is what cargo, or a command after it, wrote: not a folder of sources."""
        if {"release", "bin"} & set(posixpath.dirname(path).split("/")):
            return True
        runs = [one.text for part in self._view.reach(other) for one in part.instructions]
        return any(text.startswith("RUN") and path in text.split() for text in runs)
