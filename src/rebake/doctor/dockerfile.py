"""Reads a Dockerfile as far as checks need it: stages, instructions, flags, mounts, variables.

Where the builder itself tells something (`--call=outline`), it is asked; it does not tell what
stands in a RUN. Written from the reference of the Dockerfile's format: the `escape` directive,
comments, continued lines, here-documents, the JSON form.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rebake.errors import ProjectError

_HEREDOC = re.compile(r"(?<!<)<<(?P<dash>-?)(?P<quote>[\"']?)(?P<word>[A-Za-z_]\w*)(?P=quote)")
_VARIABLE = re.compile(
    r"\$(?:\{(?P<braced>\w+)(?::?(?P<sign>[-+])(?P<word>[^}]*))?\}|(?P<plain>\w+))"
)
_FLAG = re.compile(r"\s*(--[a-z-]+(?:=(?:\"[^\"]*\"|\S)*)?)(?=\s|$)")


@dataclass(frozen=True)
class Instruction:
    """One instruction.

    Attributes:
        name: in capitals.
        line: where it begins, from 1.
        flags: `--mount=…` and the like, as they stand.
        text: the rest; here-documents follow after a line end.
    """

    name: str
    line: int
    flags: tuple[str, ...]
    text: str

    @property
    def words(self) -> list[str]:
        """The arguments: of the JSON form, or split at white space."""
        first = self.text.partition("\n")[0].strip()
        if first.startswith("["):
            try:
                return [str(word) for word in json.loads(first)]
            except ValueError:
                pass
        return first.split()

    def flag(self, name: str) -> str | None:
        """The value of a flag (empty for one without), or None when it is not given."""
        for flag in self.flags:
            key, _, value = flag.partition("=")
            if key == f"--{name}":
                return value.strip('"')
        return None

    @property
    def mounts(self) -> list[dict[str, str]]:
        """The mounts of a RUN: each as its options by name, in short spelling."""
        found = []
        for flag in self.flags:
            if flag.startswith("--mount="):
                options: dict[str, str] = {}
                for part in flag.removeprefix("--mount=").strip('"').split(","):
                    key, _, value = part.partition("=")
                    short = {"src": "source", "dst": "target", "destination": "target"}
                    options[short.get(key, key)] = value
                found.append(options)
        return found

    @property
    def commands(self) -> list[list[str]]:
        """The shell commands of a RUN, each as its words; what can't be split is left out."""
        words = self.words
        if self.text.lstrip().startswith("["):
            return [words]
        found = []
        for part in re.split(r"&&|\|\||[;\n|]", self.text):
            try:
                split = shlex.split(part, comments=True)
            except ValueError:
                split = part.split()
            if split:
                found.append(split)
        return found


@dataclass(frozen=True)
class Stage:
    """One stage: `name` is its alias or its number, `base` as written, with ARGs filled in."""

    name: str
    base: str
    line: int
    instructions: tuple[Instruction, ...]


@dataclass(frozen=True)
class Dockerfile:
    """A Dockerfile that was read. `arguments` are the defaults of the ARGs before the stages."""

    path: Path
    stages: tuple[Stage, ...]
    arguments: Mapping[str, str] = field(default_factory=dict)

    def stage(self, name: str) -> Stage | None:
        """The stage of that name or number; the last one when the name is empty."""
        if not name:
            return self.stages[-1] if self.stages else None
        found = [s for i, s in enumerate(self.stages) if name.lower() in {s.name.lower(), str(i)}]
        return found[-1] if found else None

    def chain(self, stage: Stage) -> list[Stage]:
        """A stage and those that it stands on, itself first."""
        chain = [stage]
        while True:
            before = self.stages[: self.stages.index(chain[-1])]
            below = next((s for s in before if s.name.lower() == chain[-1].base.lower()), None)
            if below is None:
                return chain
            chain.append(below)

    def steps(self, stage: Stage) -> list[Instruction]:
        """All instructions that make a stage, those of the stages below it first."""
        return [step for part in reversed(self.chain(stage)) for step in part.instructions]


def parse(path: Path) -> Dockerfile:
    """Read a Dockerfile.

    Raises:
        ProjectError: it can't be read.
    """
    try:
        text = path.read_bytes().decode("utf-8", errors="replace")
    except OSError as error:
        raise ProjectError(path, f"can't be read: {error.strerror}") from error
    return parse_text(text, path)


def parse_text(text: str, path: Path) -> Dockerfile:
    """Read the text of a Dockerfile. Pure."""
    arguments: dict[str, str] = {}
    stages: list[Stage] = []
    current: list[Instruction] = []
    head: tuple[str, str, int] | None = None

    def close() -> None:
        if head is not None:
            stages.append(Stage(*head, tuple(current)))

    for step in instructions(text):
        if step.name == "FROM":
            close()
            current = []
            words = step.words
            named = len(words) > 2 and words[1].lower() == "as"  # noqa: PLR2004 - FROM a AS b
            name = words[2] if named else str(len(stages))
            head = (name, expand(words[0], arguments) if words else "", step.line)
        elif head is not None:
            current.append(step)
        elif step.name == "ARG":
            arguments |= assignments(step.text)
    close()
    return Dockerfile(path, tuple(stages), arguments)


def instructions(text: str) -> Iterator[Instruction]:
    """Split a Dockerfile's text into its instructions."""
    lines = text.removeprefix("\ufeff").splitlines()
    escape = "\\"
    for line in lines:
        directive = re.match(r"#\s*([a-zA-Z]+)\s*=\s*(\S+)\s*$", line)
        if directive is None:
            break
        if directive[1].lower() == "escape":
            escape = directive[2]
    number = 0
    while number < len(lines):
        start = number
        if not lines[number].strip() or lines[number].lstrip().startswith("#"):
            number += 1
            continue
        parts: list[str] = []
        goes_on = True
        while goes_on and number < len(lines):
            line = lines[number]
            number += 1
            if parts and (not line.strip() or line.lstrip().startswith("#")):
                continue  # comments and empty lines do not end a continued instruction
            goes_on = line.rstrip().endswith(escape)
            parts.append(line.rstrip().removesuffix(escape) if goes_on else line)
        whole = " ".join(part.strip() for part in parts)
        name, rest = (*whole.split(None, 1), "")[:2]
        bodies = []
        if name.upper() in {"RUN", "COPY", "ADD"}:
            for mark in _HEREDOC.finditer(rest):
                body = []
                while number < len(lines):
                    line = lines[number]
                    number += 1
                    if (line.lstrip("\t") if mark["dash"] else line) == mark["word"]:
                        break
                    body.append(line)
                bodies.append("\n".join(body))
        flags, rest = _flags(rest)
        yield Instruction(name.upper(), start + 1, flags, "\n".join([rest, *bodies]))


def expand(text: str, values: Mapping[str, str]) -> str:
    """Fill in `$NAME`, `${NAME}`, `${NAME:-word}` and `${NAME:+word}`; unknown ones stay."""

    def value(match: re.Match[str]) -> str:
        name = match["braced"] or match["plain"]
        known = values.get(name, "")
        if match["sign"] == "-":
            return known or match["word"]
        if match["sign"] == "+":
            return match["word"] if known else ""
        return known or match[0]

    return _VARIABLE.sub(value, text)


def assignments(text: str) -> dict[str, str]:
    """The values of an ENV or ARG: `A=1 B="x y"`, and the old form `A 1`."""
    try:
        words = shlex.split(text.partition("\n")[0])
    except ValueError:
        words = text.split()
    if words and "=" not in words[0]:
        return {words[0]: " ".join(words[1:])}
    return dict(word.split("=", 1) for word in words if "=" in word)


def _flags(text: str) -> tuple[tuple[str, ...], str]:
    found = []
    while (match := _FLAG.match(text)) is not None:
        found.append(match[1])
        text = text[match.end() :]
    return tuple(found), text.strip()
