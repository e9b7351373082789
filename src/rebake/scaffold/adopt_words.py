"""Tells what the commands of a compiling stage are for, as far as another recipe can do the same.

`rebake adopt` replaces how a program is compiled, and must not change what is compiled. So each
command of the old Dockerfile is one of a few known kinds, or the service stays as it is. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from msgspec import Struct, field

from rebake.project.dockerfile_words import Instruction, expand_known

_ASSIGNMENT = re.compile(r"^([A-Za-z_]\w*)=(.*)$", re.DOTALL)
# Of `cargo build`: what changes nothing but the words on the screen, and what takes a value.
_PLAIN = frozenset(
    [
        "--locked",
        "--frozen",
        "--offline",
        "--bins",
        "--workspace",
        "--all",
        "--quiet",
        "-q",
        "--verbose",
        "-v",
        "-vv",
    ]
)
_VALUED = frozenset(
    [
        "--bin",
        "--package",
        "-p",
        "--jobs",
        "-j",
        "--manifest-path",
        "--color",
        "--message-format",
        "--target-dir",
    ]
)
_OF_INSTALL = frozenset(["--path", "--root", "--bin", "--jobs", "-j", "--target-dir"])
# Tools of other recipes: ours does without.
_RECIPES = frozenset({"cargo-chef", "sccache"})
_LOOKS = frozenset({"fetch", "--version", "-V", "clean"})
# What prepares a system.
_SETUP = frozenset(
    [
        "apt-get",
        "apt",
        "rustup",
        "curl",
        "wget",
        "dpkg",
        "update-ca-certificates",
        "tar",
        "unzip",
        "chmod",
        "ln",
        "install",
        "ldconfig",
    ]
)
# What goes along with either, and has no say in what is compiled.
_NEUTRAL = frozenset(
    [
        "mkdir",
        "touch",
        "echo",
        "printf",
        "rm",
        "ls",
        "cd",
        "true",
        ":",
        "set",
        "date",
        "pwd",
        "cat",
        "du",
        "find",
        "strip",
        "export",
        "test",
        "[",
        "sync",
    ]
)
_QUIET_INSTALL = re.compile(
    r"^--(?:no-audit|no-fund|prefer-offline|silent|quiet|progress=false|no-progress|include=dev|"
    r"frozen-lockfile|ignore-optional|loglevel=\w+|production|omit=dev|cache=\S+)$"
)
_SYSTEM = ("/etc/", "/root/", "/usr/")
_PRODUCTION = frozenset({"--production", "--omit=dev"})


class Unfit(Exception):
    """A service can't be taken over; the text says why."""


class Said(Struct, frozen=True):
    """What the commands of one `RUN` are for.

    Attributes:
        compiles: whether they compile the program.
        setup: whether they prepare the system.
        variables: what they set for the compiler.
        production: whether they install without the packages for development.
    """

    compiles: bool = False
    setup: bool = False
    variables: Mapping[str, str] = field(default_factory=dict)
    production: bool = False


def compiles(instruction: Instruction) -> str:
    """Tell what a `RUN` compiles: `backend`, `ui` or nothing."""
    for command in map(_without_variables, instruction.commands):
        words = [word for word in command if not word.startswith("+")]  # a toolchain's name
        if words[:1] == ["cargo"] and _is_build(words):
            return "backend"
        if _bundles(words):
            return "ui"
    return ""


def judge_rust(instruction: Instruction, values: Mapping[str, str]) -> Said:
    """Tell what a `RUN` of a Rust program's compiling stages is for.

    Args:
        instruction: it.
        values: variables that stand in it.

    Raises:
        Unfit: it may decide what is compiled in a way that our recipe does not know.
    """
    built = setup = False
    variables: dict[str, str] = {}
    for words in _commands(instruction, values):
        given, rest = _split(words)
        if not rest:
            raise _unknown(instruction, words)
        kind = _kind_of_rust(instruction, rest)
        built |= kind == "build"
        setup |= kind == "setup"
        if kind == "build":
            variables |= given
    if built and setup:
        raise Unfit(f"line {instruction.line}: one RUN installs packages and compiles: use two")
    return Said(built, setup, variables)


def judge_ui(instruction: Instruction, values: Mapping[str, str]) -> Said:
    """Tell what a `RUN` of a UI's stages is for.

    Raises:
        Unfit: it is something else than installing packages and `run build`.
    """
    built = setup = production = False
    variables: dict[str, str] = {}
    for words in _commands(instruction, values):
        given, rest = _split(words)
        if rest[:1] in (["npm"], ["bun"]) and rest[1:2] in (["ci"], ["install"], ["i"]):
            odd = [word for word in rest[2:] if not _QUIET_INSTALL.match(word)]
            if odd:
                raise Unfit(f"line {instruction.line}: {' '.join(rest)}: {odd[0]} is not known")
            production |= not _PRODUCTION.isdisjoint(rest)
        elif rest in (["npm", "run", "build"], ["bun", "run", "build"]):
            built = True
            variables |= given
        elif _bundles(rest):
            raise Unfit(
                f"line {instruction.line}: {' '.join(rest)}: only npm run build and bun run build"
            )
        elif rest[:1] and rest[0] in _SETUP:
            setup = True
        elif not rest or rest[0] not in _NEUTRAL or _writes_sources(rest):
            raise _unknown(instruction, words)
    if setup and built:
        raise Unfit(f"line {instruction.line}: one RUN installs programs and compiles: use two")
    return Said(built, setup, variables, production)


def _kind_of_rust(instruction: Instruction, rest: Sequence[str]) -> str:
    program = rest[0]
    if program == "cargo":
        return _kind_of_cargo(instruction, rest)
    if program in {"cp", "mv", "install", "chmod", "ln"}:
        # Of what was compiled, to a place that outlives the cache mount; never of a source.
        if any("target/" in word or "release/" in word for word in rest[1:]):
            return "build"
        if program in {"cp", "mv"}:
            raise _unknown(instruction, rest)
    if program in _SETUP:
        return "setup"
    if program in _NEUTRAL and not _writes_sources(rest):
        return "setup" if _written(rest).startswith(_SYSTEM) else "neutral"
    raise _unknown(instruction, rest)


def _writes_sources(words: Sequence[str]) -> bool:
    """Whether a command writes a file that may be compiled; a dummy `fn main` is none."""
    place = _written(words)
    dummy = any("fn main" in word for word in words)
    return bool(place) and not dummy and not place.startswith((*_SYSTEM, "/dev/"))


def _written(words: Sequence[str]) -> str:
    """The file that a command's output goes to; empty for none."""
    at = next((at for at, word in enumerate(words) if word.startswith((">", "1>"))), None)
    if at is None:
        return ""
    return words[at].lstrip("1>") or (words[at + 1] if at + 1 < len(words) else "?")


def _kind_of_cargo(instruction: Instruction, rest: Sequence[str]) -> str:
    sub = rest[1] if len(rest) > 1 else ""
    line = f"line {instruction.line}: {' '.join(rest)}"
    if sub == "chef" or sub in _LOOKS:
        return "build" if sub == "chef" else "neutral"
    if sub == "install" and "--path" not in rest:
        names = [word for word in rest[2:] if not word.startswith("-")]
        return "neutral" if names and set(names) <= _RECIPES else "setup"
    if sub not in {"build", "b", "install"}:
        raise Unfit(f"{line}: only cargo build, install and chef can be taken over")
    if not _is_release(rest, line):
        raise Unfit(f"{line}: compiles for development; only --release can be taken over")
    return "build"


def _is_release(rest: Sequence[str], line: str) -> bool:
    """Whether a `cargo build` or `install` is for production; no flag may be one of the others."""
    release = rest[1] == "install"
    known = _OF_INSTALL if release else _VALUED
    words = iter(rest[2:])
    for word in words:
        name, sign, value = word.partition("=")
        if word in {"--release", "-r"}:
            release = True
        elif name == "--profile":
            if (value if sign else next(words, "")) != "release":
                raise Unfit(f"{line}: only the profile release")
            release = True
        elif name in known:
            if not sign:
                next(words, "")
        elif word not in _PLAIN and not re.fullmatch(r"-[jp]\S+", word):
            raise Unfit(f"{line}: {name} can't be taken over")
    return release


def _is_build(words: Sequence[str]) -> bool:
    return words[1:2] in (["build"], ["b"], ["chef"]) or (
        words[1:2] == ["install"] and "--path" in words
    )


def _bundles(words: Sequence[str]) -> bool:
    if words[:1] and words[0] in {"npm", "bun", "yarn", "pnpm"}:
        return "build" in words[1:3] or any(word.startswith("build:") for word in words[1:3])
    return False


def _commands(instruction: Instruction, values: Mapping[str, str]) -> list[list[str]]:
    """The commands with what is known filled in.

    Raises:
        Unfit: there is a part that only a shell can read.
    """
    text = f"{instruction.rest}\n{instruction.body}"
    if "$(" in text or "`" in text:
        raise Unfit(f"line {instruction.line}: a command inside of a command is not understood")
    return [[expand_known(word, values) for word in words] for words in instruction.commands]


def _without_variables(words: Sequence[str]) -> list[str]:
    return _split(words)[1]


def _split(words: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """The variables in front of a command, and the command."""
    given: dict[str, str] = {}
    for at, word in enumerate(words):
        found = _ASSIGNMENT.match(word)
        if found is None:
            return given, list(words[at:])
        given[found[1]] = found[2]
    return given, []


def _unknown(instruction: Instruction, words: Sequence[str]) -> Unfit:
    shown = " ".join(words)[:60]
    return Unfit(f"line {instruction.line}: what {shown!r} does to the sources is not known")
