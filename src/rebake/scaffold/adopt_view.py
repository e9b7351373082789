"""A Dockerfile as `rebake adopt` sees it: which stages compile, and what they stand on. Pure."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, Protocol

from rebake.project.dockerfile import Stage, parse
from rebake.project.dockerfile_words import Instruction, assignments, expand
from rebake.scaffold.adopt_words import Unfit, compiles

Kind = Literal["backend", "ui"]
_ESCAPE = re.compile(r"(?im)\A(?:#.*\n)*#\s*escape\s*=\s*`")
_BY_BUILDKIT = re.compile(r"\$\{?(?:BUILD|TARGET)PLATFORM\}?")


class Context(Protocol):
    """The old build context, as ours has it."""

    def place(self, path: str) -> str:
        """Where one of its files is in ours; raises `Unfit` where it is not there."""

    def below(self, path: str) -> str | None:
        """The way from one of its folders down to ours; None for a file or folder inside of ours.

        Raises `Unfit` for what a compiling stage takes from elsewhere.
        """


class View:
    """A Dockerfile and the arguments that it is built with.

    Args:
        text: what it says.
        args: the build arguments.

    Raises:
        Unfit: it is written for another reader of Dockerfiles.
    """

    def __init__(self, text: str, args: Mapping[str, str]) -> None:
        self.file = parse(text)
        if _ESCAPE.match(text) or "labs" in self.file.syntax:
            raise Unfit("its first lines ask for another reader of Dockerfiles")
        self._lines = text.removeprefix("\ufeff").splitlines()
        self._args = args
        self._globals = self.file.global_values(args)

    def final(self, target: str) -> Stage:
        """The stage that becomes the image.

        Raises:
            Unfit: there is none of that name.
        """
        found = self.file.stage(target)
        if found is None:
            raise Unfit(f"it has no stage {target!r}" if target else "it has no stage")
        return found

    def above(self, stage: Stage, name: str) -> Stage | None:
        """The stage that a name in one means; None for an image."""
        return self.file.above(stage, name)

    def base(self, stage: Stage) -> str:
        """What a stage starts from.

        Raises:
            Unfit: it is not known.
        """
        found = expand(stage.base, self._globals)
        if "$" in found or not found:
            raise Unfit(f"line {stage.line}: FROM {stage.base} is not known")
        return found

    def check_platform(self, stage: Stage) -> None:
        """Refuse a stage that is bound to one kind of machine."""
        if stage.platform and not _BY_BUILDKIT.fullmatch(stage.platform):
            raise Unfit(f"line {stage.line}: --platform={stage.platform} can't be taken over")

    def reach(
        self, start: Stage, stop: Callable[[Stage], bool] = lambda _stage: False
    ) -> list[Stage]:
        """A stage with all that it stands on and copies from; without those that `stop` names."""
        found: list[Stage] = []
        todo = [start]
        while todo:
            stage = todo.pop()
            if stage in found or stop(stage):
                continue
            found.append(stage)
            names = [self.file.base(stage), expand(stage.base, self._globals)]
            names += [one.flag("from") or "" for one in stage.instructions]
            names += [m.get("from", "") for one in stage.instructions for m in one.mounts()]
            todo += [other for name in names if name and (other := self.above(stage, name))]
        return sorted(found, key=self.file.stages.index)

    def compiling(self, stage: Stage) -> bool:
        """Whether a stage, or one that it stands on, compiles."""
        return any(compiles(one) for one in self.whole(stage) if one.word == "RUN")

    def kinds(self, stage: Stage) -> set[Kind]:
        """What a stage, or one that it stands on or copies from, compiles."""
        found: set[Kind] = set()
        for part in self.reach(stage):
            for one in part.instructions:
                kind = compiles(one) if one.word == "RUN" else ""
                if kind == "backend":
                    found.add("backend")
                elif kind == "ui":
                    found.add("ui")
        return found

    def whole(self, stage: Stage) -> list[Instruction]:
        """All instructions that make a stage, those of the stages below it first."""
        return self.file.all_instructions(stage)

    def workdir(self, stage: Stage) -> str:
        """The folder that a stage ends in."""
        found = "/"
        for one in self.whole(stage):
            if one.word == "WORKDIR":
                found = entered(found, one)
        return found

    def argument(self, one: Instruction, values: dict[str, str]) -> str:
        """An `ARG` with the default that the head of the file gives it; learn its value."""
        found = []
        for name, default in assignments(one):
            known = default if default is not None else self._globals.get(name)
            found.append(name if known is None else f"{name}={_quoted(known)}")
            given = self._args.get(name)
            values[name] = given if given is not None else expand(known or "", values)
        return f"ARG {' '.join(found)}"

    def raw(self, one: Instruction, stage: Stage) -> str:
        """An instruction as it is written, with its here-documents."""
        starts = [each.line for each in stage.instructions]
        starts += [each.line for each in self.file.stages]
        end = min((line for line in starts if line > one.line), default=len(self._lines) + 1)
        lines = self._lines[one.line - 1 : end - 1]
        while lines and (not lines[-1].strip() or lines[-1].lstrip().startswith("#")):
            lines = lines[:-1]
        return "\n".join(lines)


def entered(folder: str, one: Instruction) -> str:
    """The folder after a `WORKDIR`."""
    return posixpath.normpath(posixpath.join(folder, one.rest.strip().strip("\"'")))


def check_mounts(one: Instruction) -> None:
    """Refuse a `RUN` that reads files from elsewhere, or a secret.

    Raises:
        Unfit: it does.
    """
    for mount in one.mounts():
        kind = mount.get("type", "bind")
        if kind == "bind" or mount.get("from"):
            raise Unfit(f"line {one.line}: a RUN that mounts files can't be taken over")
        if kind in {"secret", "ssh"}:
            raise Unfit(f"line {one.line}: a RUN with a {kind} can't be taken over")


def written(word: str, flags: Sequence[str], words: Sequence[str]) -> str:
    """Write an instruction whose words were changed."""
    plain = all(re.fullmatch(r"[^\s\"'\[\]]+", each) for each in words)
    text = " ".join(words) if plain else json.dumps(list(words))
    return " ".join([word, *flags, text])


def _quoted(value: str) -> str:
    return value if re.fullmatch(r"[\w./:@%+=,{}$-]*", value) else json.dumps(value)
