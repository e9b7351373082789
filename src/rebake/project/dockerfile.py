"""Takes a Dockerfile apart: instructions with their lines, stages, and what each one reads.

For explanations and checks: whatever decides about a build is asked of the builder itself, and
what it tells (`--call=outline`) is not which line is which step, nor what stands in a `RUN`.
Written from the Dockerfile reference (https://docs.docker.com/reference/dockerfile/): comments,
the escape directive, continuation lines, here-documents and stages; what stands in one instruction
is read by `dockerfile_words`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from rebake.errors import ProjectError
from rebake.project.dockerfile_words import (
    Instruction,
    assignments,
    expand,
    expand_known,
    given_values,
    split_words,
    take_flags,
)

# Instructions that BuildKit counts as steps of a stage.
STEPS = frozenset({"RUN", "COPY", "ADD", "WORKDIR"})
_HEREDOC = re.compile(r"(?<!<)<<(?P<dash>-?)(?P<quote>[\"']?)(?P<word>[A-Za-z_]\w*)(?P=quote)")
_WITH_HEREDOC = frozenset({"RUN", "COPY", "ADD"})
_DIRECTIVE = re.compile(r"^#\s*(\w+)\s*=\s*(\S.*?)\s*$")
_WORD = re.compile(r"^\s*([A-Za-z]+)(?:\s+|$)")
_FROM = re.compile(r"^(?P<image>\S+)(?:\s+[Aa][Ss]\s+(?P<name>\S+))?\s*$")


class Stage(Struct, frozen=True):
    """One stage: its name (`stage-1` for one without), what it starts from, its instructions."""

    name: str
    base: str
    line: int
    instructions: tuple[Instruction, ...]
    platform: str = ""

    @property
    def steps(self) -> tuple[Instruction, ...]:
        """The instructions that BuildKit shows as steps."""
        return tuple(i for i in self.instructions if i.word in STEPS)


class Dockerfile(Struct, frozen=True):
    """A Dockerfile: the `ARG`s before its first stage, its stages, and where it was read from.

    `syntax` is the image that reads it, where its first line names one.
    """

    globals: tuple[Instruction, ...]
    stages: tuple[Stage, ...]
    path: Path = Path("Dockerfile")
    syntax: str = ""

    def stage(self, name: str) -> Stage | None:
        """The stage of a name, or of a number; the last one when empty."""
        if not name:
            return self.stages[-1] if self.stages else None
        return _named(name, self.stages)

    def above(self, stage: Stage, name: str) -> Stage | None:
        """The stage that a `FROM` names: of those above it alone; None where it is an image."""
        return _named(name, self.stages[: self.stages.index(stage)])

    @property
    def defaults(self) -> dict[str, str]:
        """The defaults of the `ARG`s before the first stage; empty for one without."""
        return {name: value for line in self.globals for name, value in given_values(line).items()}

    def base(self, stage: Stage) -> str:
        """What a stage starts from, with the defaults of the `ARG`s filled in."""
        return expand_known(stage.base, self.defaults)

    def chain(self, stage: Stage) -> list[Stage]:
        """A stage and those that it stands on, itself first."""
        chain = [stage]
        while True:
            below = self.above(chain[-1], self.base(chain[-1]))
            if below is None:
                return chain
            chain.append(below)

    def all_instructions(self, stage: Stage) -> list[Instruction]:
        """All instructions that make a stage, those of the stages below it first."""
        return [one for part in reversed(self.chain(stage)) for one in part.instructions]

    def global_values(self, arguments: Mapping[str, str]) -> dict[str, str]:
        """The values that `FROM` lines see: of `ARG`s before the first stage."""
        values: dict[str, str] = {}
        for instruction in self.globals:
            for name, default in assignments(instruction):
                known = arguments.get(name)
                if known is None and default is not None:
                    known = expand(default, values)
                if known is not None:
                    values[name] = known
        return values


class Read(Struct, frozen=True):
    """What a step reads from outside of its own file system.

    Attributes:
        source: empty for the build context, else a stage, a named context or an image.
        paths: patterns below it, without a leading slash; empty for all of it.
    """

    source: str
    paths: tuple[str, ...] = ()


def read_dockerfile(path: Path) -> Dockerfile:
    """Read a Dockerfile from disk.

    Raises:
        ProjectError: it can't be read.
    """
    try:
        text = path.read_bytes().decode("utf-8", errors="replace")
    except OSError as error:
        raise ProjectError(path, f"can't be read: {error.strerror}") from error
    return parse(text, path)


def parse(text: str, path: Path = Path("Dockerfile")) -> Dockerfile:
    """Take the text of a Dockerfile apart. What it can't make sense of is left out. Pure."""
    head: list[Instruction] = []
    stages: list[Stage] = []
    begun: tuple[str, str, int, str] | None = None
    current: list[Instruction] = []

    def close() -> None:
        if begun is not None:
            name, base, line, platform = begun
            stages.append(Stage(name, base, line, tuple(current), platform))

    for instruction in _instructions(text):
        if instruction.word != "FROM":
            (current if begun else head).append(instruction)
            continue
        close()
        found = _FROM.match(instruction.rest)
        name = (found["name"] if found else "") or f"stage-{len(stages)}"
        base = found["image"] if found else instruction.rest
        platform = instruction.flag("platform") or ""
        begun, current = (name.lower(), base, instruction.line, platform), []
    close()
    arguments = tuple(i for i in head if i.word == "ARG")
    return Dockerfile(arguments, tuple(stages), path, _directives(_lines(text)).get("syntax", ""))


def reads(instruction: Instruction, values: Mapping[str, str]) -> tuple[Read, ...]:
    """Return what a step reads: of the build context, named contexts, stages and images.

    Args:
        instruction: the step.
        values: variables that stand in it.
    """
    if instruction.word in {"COPY", "ADD"}:
        sources = split_words(expand(instruction.rest, values))[:-1]
        if instruction.body:  # a here-document stands in the Dockerfile itself
            sources = [source for source in sources if not source.startswith("<<")]
        if instruction.word == "ADD":
            sources = [s for s in sources if "://" not in s and not s.startswith("git@")]
        if not sources:
            return ()
        paths = tuple(_clean(source) for source in sources)
        source = expand(instruction.flag("from") or "", values)
        return (Read(source, () if "" in paths else paths),)
    if instruction.word != "RUN":
        return ()
    found = []
    for mount in instruction.mounts(values):
        if mount.get("type", "bind") == "bind" or (
            mount.get("type") == "cache" and mount.get("from")
        ):
            path = _clean(mount.get("source", ""))
            found.append(Read(mount.get("from", ""), (path,) if path else ()))
    return tuple(found)


def cache_mounts(instruction: Instruction, values: Mapping[str, str]) -> tuple[str, ...]:
    """Return the ids of the cache mounts of a step."""
    return tuple(
        mount.get("id") or mount.get("target", "")
        for mount in instruction.mounts(values)
        if mount.get("type") == "cache"
    )


def _named(name: str, stages: Sequence[Stage]) -> Stage | None:
    """The last of some stages with a name; else the one whose number it is."""
    found = [stage for stage in stages if stage.name == name.lower()]
    if not found and name.isdecimal() and int(name) < len(stages):
        return stages[int(name)]
    return found[-1] if found else None


def _instructions(text: str) -> list[Instruction]:
    lines = _lines(text)
    escape = _directives(lines).get("escape", "")
    escape = escape if escape in {"\\", "`"} else "\\"
    found: list[Instruction] = []
    at = 0
    while at < len(lines):
        start = at
        parts: list[str] = []
        while at < len(lines):
            line = lines[at]
            at += 1
            if not line.strip() or line.lstrip().startswith("#"):
                if parts:  # comments and empty lines may stand between continued lines
                    continue
                start = at
                continue
            bare = line.rstrip()
            if bare.endswith(escape):
                parts.append(bare.removesuffix(escape))
                continue
            parts.append(line)
            break
        if not parts:
            break
        # As the builder joins them: white space at the start of a continued line stays.
        joined = "".join(parts)
        word = _WORD.match(joined)
        if word is None:
            continue
        name, rest = word[1].upper(), joined[word.end() :]
        body: list[str] = []
        if name in _WITH_HEREDOC:
            for document in _HEREDOC.finditer(rest):
                while at < len(lines):
                    line = lines[at]
                    at += 1
                    if (line.lstrip("\t") if document["dash"] else line) == document["word"]:
                        break
                    body.append(line)
        flags, rest = take_flags(rest)
        found.append(Instruction(name, flags, rest, start + 1, "\n".join(body)))
    return found


def _lines(text: str) -> list[str]:
    return text.removeprefix("\ufeff").splitlines()


def _directives(lines: list[str]) -> dict[str, str]:
    """What the comments at the very start say, by name in small letters."""
    found: dict[str, str] = {}
    for line in lines:
        directive = _DIRECTIVE.match(line)
        if directive is None:
            break
        found.setdefault(directive[1].lower(), directive[2])
    return found


def _clean(path: str) -> str:
    parts = [part for part in path.replace("\\", "/").split("/") if part not in {"", "."}]
    return "/".join(parts)
