"""Takes a Dockerfile apart: instructions with their lines, stages, and what each one reads. Pure.

Only for explanations: whatever decides about a build is asked of the builder itself. Written from
the Dockerfile reference (https://docs.docker.com/reference/dockerfile/): comments, the escape
directive, continuation lines, here-documents, flags, and the substitution of variables.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

# Instructions that BuildKit counts as steps of a stage.
STEPS = frozenset({"RUN", "COPY", "ADD", "WORKDIR"})
_HEREDOC = re.compile(r"<<-?\s*(?P<quote>[\"']?)(?P<word>[A-Za-z_][A-Za-z0-9_]*)(?P=quote)")
_WITH_HEREDOC = frozenset({"RUN", "COPY", "ADD"})
_DIRECTIVE = re.compile(r"^#\s*(\w+)\s*=\s*(\S.*?)\s*$")
_WORD = re.compile(r"^\s*([A-Za-z]+)(?:\s+|$)")
_FLAG = re.compile(r"--([a-z][a-z-]*)(?:=(\"[^\"]*\"|'[^']*'|\S*))?(?:\s+|$)")
_FROM = re.compile(r"^(?P<image>\S+)(?:\s+[Aa][Ss]\s+(?P<name>\S+))?\s*$")
_VARIABLE = re.compile(
    r"(?P<escaped>\\\$)|\$(?:(?P<plain>\w+)|\{(?P<name>\w+)(?:(?P<how>:?[-+?])(?P<word>[^}]*))?\})"
)


@dataclass(frozen=True)
class Instruction:
    """One instruction.

    Attributes:
        word: `RUN`, `COPY`, … in capital letters.
        flags: in order, as name and value.
        rest: what follows the flags, continuation lines joined, without comments.
        line: its first line, from 1.
        body: the text of its here-documents.
    """

    word: str
    flags: tuple[tuple[str, str], ...]
    rest: str
    line: int
    body: str = ""

    @property
    def text(self) -> str:
        """All that it says: two instructions that are the same to the builder have the same text.

        White space counts in a `RUN`, whose command is handed to a shell as it is.
        """
        flags = " ".join(
            f"--{name}={value}" if value else f"--{name}" for name, value in self.flags
        )
        rest = self.rest if self.word == "RUN" else " ".join(self.rest.split())
        words = " ".join(part for part in (self.word, flags, rest) if part)
        return f"{words}\n{self.body}" if self.body else words

    def flag(self, name: str) -> str:
        """The value of a flag; empty when it is not given."""
        return next((value for key, value in self.flags if key == name), "")


@dataclass(frozen=True)
class Stage:
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


@dataclass(frozen=True)
class Dockerfile:
    """A Dockerfile: the `ARG`s before its first stage, and its stages."""

    globals: tuple[Instruction, ...]
    stages: tuple[Stage, ...]

    def stage(self, name: str) -> Stage | None:
        """The stage of a name, or of a number; the last one when empty."""
        if not name:
            return self.stages[-1] if self.stages else None
        found = [stage for stage in self.stages if stage.name.lower() == name.lower()]
        if not found and name.isdigit() and int(name) < len(self.stages):
            return self.stages[int(name)]
        return found[-1] if found else None

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


@dataclass(frozen=True)
class Read:
    """What a step reads from outside of its own file system.

    Attributes:
        source: empty for the build context, else a stage, a named context or an image.
        paths: patterns below it, without a leading slash; empty for all of it.
    """

    source: str
    paths: tuple[str, ...] = ()


def parse(text: str) -> Dockerfile:
    """Take the text of a Dockerfile apart. What it can't make sense of is left out."""
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
        begun, current = (name.lower(), base, instruction.line, instruction.flag("platform")), []
    close()
    return Dockerfile(tuple(i for i in head if i.word == "ARG"), tuple(stages))


def assignments(instruction: Instruction) -> list[tuple[str, str | None]]:
    """The names and values of an `ARG` or `ENV`; None for an `ARG` without a default."""
    if instruction.word == "ENV" and "=" not in instruction.rest.split(None, 1)[0]:
        name, _, value = instruction.rest.partition(" ")  # the old form, one variable
        return [(name, value.strip())]
    found: list[tuple[str, str | None]] = []
    for word in _words(instruction.rest):
        name, sign, value = word.partition("=")
        found.append((name, value if sign else None))
    return found


def expand(text: str, values: Mapping[str, str]) -> str:
    """Substitute variables, as a Dockerfile does: `$A`, `${A}`, `${A:-x}`, `${A:+x}`."""

    def value(match: re.Match[str]) -> str:
        if match["escaped"]:
            return "$"
        name, how = match["plain"] or match["name"], match["how"] or ""
        found = values.get(name)
        there = found is not None and (not how.startswith(":") or found != "")
        if how.endswith("+"):
            return expand(match["word"], values) if there else ""
        if how.endswith("-") and not there:
            return expand(match["word"], values)
        return found or ""

    return _VARIABLE.sub(value, text)


def reads(instruction: Instruction, values: Mapping[str, str]) -> tuple[Read, ...]:
    """Return what a step reads: of the build context, named contexts, stages and images.

    Args:
        instruction: the step.
        values: variables that stand in it.
    """
    if instruction.word in {"COPY", "ADD"}:
        sources = _sources(expand(instruction.rest, values))
        if instruction.body:  # a here-document stands in the Dockerfile itself
            sources = [source for source in sources if not source.startswith("<<")]
        if instruction.word == "ADD":
            sources = [s for s in sources if "://" not in s and not s.startswith("git@")]
        if not sources:
            return ()
        paths = tuple(_clean(source) for source in sources)
        source = expand(instruction.flag("from"), values)
        return (Read(source, () if "" in paths else paths),)
    if instruction.word != "RUN":
        return ()
    found = []
    for name, value in instruction.flags:
        if name == "mount":
            mount = _mount(expand(value.strip("\"'"), values))
            if mount.get("type", "bind") == "bind" or (
                mount.get("type") == "cache" and mount.get("from")
            ):
                path = _clean(mount.get("source") or mount.get("src") or "")
                found.append(Read(mount.get("from", ""), (path,) if path else ()))
    return tuple(found)


def cache_mounts(instruction: Instruction, values: Mapping[str, str]) -> tuple[str, ...]:
    """Return the ids of the cache mounts of a step."""
    mounts = [_mount(expand(v.strip("\"'"), values)) for n, v in instruction.flags if n == "mount"]
    return tuple(
        mount.get("id") or mount.get("target") or ""
        for mount in mounts
        if mount.get("type") == "cache"
    )


def _instructions(text: str) -> list[Instruction]:
    lines = text.removeprefix("\ufeff").splitlines()
    escape = _escape(lines)
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
                    at += 1
                    if lines[at - 1].strip() == document["word"]:
                        break
                    body.append(lines[at - 1])
        flags, rest = _flags(rest)
        found.append(Instruction(name, flags, rest.strip(), start + 1, "\n".join(body)))
    return found


def _escape(lines: list[str]) -> str:
    for line in lines:
        directive = _DIRECTIVE.match(line)
        if directive is None:
            break
        if directive[1].lower() == "escape" and directive[2] in {"\\", "`"}:
            return directive[2]
    return "\\"


def _flags(rest: str) -> tuple[tuple[tuple[str, str], ...], str]:
    flags = []
    while match := _FLAG.match(rest):
        flags.append((match[1], match[2] or ""))
        rest = rest[match.end() :]
    return tuple(flags), rest


def _words(text: str) -> list[str]:
    """Split at white space outside of quotes, and take the quotes off."""
    pattern = r"(?:\"(?:\\.|[^\"\\])*\"|'[^']*'|\\.|[^\s\"'\\])+"
    return [re.sub(r"\\(.)|[\"']", r"\1", word) for word in re.findall(pattern, text)]


def _sources(rest: str) -> list[str]:
    quoted = rest.startswith("[")
    return (re.findall(r'"((?:\\.|[^"\\])*)"', rest) if quoted else rest.split())[:-1]


def _mount(value: str) -> dict[str, str]:
    pairs = (part.partition("=") for part in value.split(","))
    return {name.strip().lower(): text.strip() for name, _, text in pairs}


def _clean(path: str) -> str:
    parts = [part for part in path.replace("\\", "/").split("/") if part not in {"", "."}]
    return "/".join(parts)
