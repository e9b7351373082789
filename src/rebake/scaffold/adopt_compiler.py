"""What is kept of the stages that compile: the image they stand on, and what prepares it. Pure."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence

from msgspec import Struct, field

from rebake.project.dockerfile import Stage
from rebake.project.dockerfile_words import (
    Instruction,
    assignments,
    expand,
    expand_known,
    given_values,
    split_words,
)
from rebake.scaffold.adopt_view import Context, Kind, View, check_mounts, entered
from rebake.scaffold.adopt_words import Unfit, compiles, judge_rust, judge_ui

# Ours decides about these.
_OURS = frozenset(
    [
        *("CARGO_HOME", "CARGO_TARGET_DIR", "CARGO_TERM_COLOR", "CARGO_INCREMENTAL"),
        *("CARGO_PROFILE_RELEASE_INCREMENTAL", "RUSTC_WRAPPER", "SCCACHE_DIR"),
        *("BUN_INSTALL_CACHE_DIR", "npm_config_cache"),
    ]
)
# What is compiled would be for another kind of machine.
_DECIDES = frozenset({"CARGO_BUILD_TARGET", "RUSTUP_TOOLCHAIN"})
_NO_MATTER = frozenset(
    [
        *("LABEL", "EXPOSE", "CMD", "ENTRYPOINT", "HEALTHCHECK", "VOLUME"),
        *("STOPSIGNAL", "MAINTAINER"),
    ]
)
_ROOT = frozenset({"root", "0", "0:0", "root:root"})


class Setup(Struct):
    """What is kept.

    Attributes:
        base: the image.
        sources: the folder that the workspace lies in; empty where no step copies it whole.
        lines: the instructions that prepare it, as they are written.
        variables: what is set for the compiler.
        production: whether packages for development are left out.
    """

    base: str = ""
    sources: str = ""
    lines: list[str] = field(default_factory=list)
    variables: dict[str, str] = field(default_factory=dict)
    production: bool = False

    def add(self, line: str) -> None:
        """Keep an instruction, once."""
        if line not in self.lines:
            self.lines.append(line)


def compiler(view: View, kind: Kind, sources: Sequence[Stage], context: Context) -> Setup:
    """Go through the stages that compile.

    Args:
        view: the Dockerfile.
        kind: what is compiled.
        sources: the stages that the image copies out of.
        context: the build context.

    Raises:
        Unfit: something in them may decide what is compiled, and our recipe does not know it.
    """
    setup = Setup()
    bases = set()
    stages = {stage.name: stage for source in sources for stage in view.reach(source)}
    for stage in sorted(stages.values(), key=lambda stage: stage.line):
        view.check_platform(stage)
        base = view.base(stage)
        if view.above(stage, base) is None:
            bases.add(base)
        if view.kinds(stage) - {kind}:
            raise Unfit(f"line {stage.line}: the compiling stage takes in another one")
        _Keeping(view, kind, stage, context, setup).run()
    if len(bases) != 1:
        raise Unfit(f"it compiles on several images: {', '.join(sorted(bases))}")
    setup.base = bases.pop()
    return setup


class _Keeping:
    """Goes through one stage."""

    def __init__(
        self, view: View, kind: Kind, stage: Stage, context: Context, setup: Setup
    ) -> None:
        self._view, self._kind, self._stage = view, kind, stage
        self._context, self._setup = context, setup
        self._values: dict[str, str] = {}
        below = view.above(stage, view.base(stage))
        self._folder = view.workdir(below) if below else "/"

    def run(self) -> None:
        for one in self._stage.instructions:
            match one.word:
                case "RUN":
                    self._run(one)
                case "ENV":
                    self._env(one)
                case "ARG":
                    self._argument(one)
                case "COPY" | "ADD":
                    self._brought(one)
                case "WORKDIR":
                    self._folder = entered(self._folder, one)
                case "SHELL":
                    self._setup.add(self._view.raw(one, self._stage))
                case "USER":
                    if one.rest.strip() not in _ROOT:
                        raise Unfit(f"line {one.line}: it compiles as another user than root")
                case word if word not in _NO_MATTER:
                    raise Unfit(f"line {one.line}: {word} can't be taken over")

    def _run(self, one: Instruction) -> None:
        judge = judge_rust if self._kind == "backend" else judge_ui
        said = judge(one, self._values)
        self._setup.production |= said.production
        self._set(one, said.variables)
        if said.setup:
            check_mounts(one)
            self._setup.add(self._view.raw(one, self._stage))

    def _env(self, one: Instruction) -> None:
        given = {k: expand_known(v, self._values) for k, v in given_values(one).items()}
        self._values |= given
        self._set(one, given)
        if self._kind == "ui":
            self._setup.production |= given.get("NODE_ENV") == "production"

    def _set(self, one: Instruction, given: Mapping[str, str]) -> None:
        if odd := _DECIDES & given.keys():
            raise Unfit(f"line {one.line}: {min(odd)} can't be taken over")
        if any(ord(char) < ord(" ") for value in given.values() for char in value):
            raise Unfit(f"line {one.line}: a value with more than one line can't be taken over")
        self._setup.variables |= {k: v for k, v in given.items() if k not in _OURS}

    def _argument(self, one: Instruction) -> None:
        self._view.argument(one, self._values)
        for name, _ in assignments(one):
            if self._only_chooses(name):
                continue
            if value := self._values[name]:
                self._set(one, {name: value})
            else:  # one that BuildKit knows, such as TARGETARCH
                self._setup.add(f"ARG {name}")

    def _only_chooses(self, name: str) -> bool:
        """Whether an argument only says which program is compiled."""
        spelled = re.compile(rf"\$(?:{name}\b|\{{{name}\b)")
        words = [one for one in self._stage.instructions if spelled.search(one.text)]
        return bool(words) and all(
            one.word == "WORKDIR" or (one.word == "RUN" and compiles(one)) for one in words
        )

    def _brought(self, one: Instruction) -> None:
        """What a stage copies: the sources are all there in ours, under their own names."""
        *sources, target = split_words(one.rest) or [""]
        if one.body or (one.word == "ADD" and any("://" in word for word in sources)):
            raise Unfit(f"line {one.line}: a file that it makes itself can't be taken over")
        if source := expand(one.flag("from") or "", self._values):
            other = self._view.above(self._stage, source)
            if other is None:
                self._setup.add(self._view.raw(one, self._stage))
            elif not self._view.kinds(other):
                raise Unfit(f"line {one.line}: the compiling stage takes in {other.name}")
            return
        for word in (expand(each, self._values) for each in sources):
            try:
                below = self._context.below(word)
            except Unfit as reason:
                raise Unfit(f"line {one.line}: {reason}") from None
            if below is not None:
                place = posixpath.join(self._folder, target, below)
                self._setup.sources = posixpath.normpath(place)
            name, new = posixpath.basename(word.rstrip("/")), posixpath.basename(target)
            if new not in {"", ".", "..", name} and "." in name and "*" not in name:
                raise Unfit(f"line {one.line}: {word} is renamed to {new}")
