"""Finds calls of cargo in shell commands, and the options that decide what is compiled. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from msgspec import Struct, field

_WITH_VALUE = {
    "--profile", "--target", "--features", "-F", "--target-dir", "--package", "-p", "--bin",
    "--manifest-path", "--recipe-path", "--jobs", "-j", "--config", "--color", "--message-format",
    "--exclude", "--example", "--test", "--bench",
}  # fmt: skip
_SHORT = {"-F": "--features", "-p": "--package", "-r": "--release"}
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)=(.*)$", re.DOTALL)


class CargoCall(Struct, frozen=True):
    """One call of cargo: `build` or `chef cook`, its options, and the variables set for it."""

    command: str
    options: dict[str, list[str]] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def profile(self) -> str:
        """The profile that it compiles with."""
        given = self.options.get("--profile")
        return given[-1] if given else "release" if "--release" in self.options else "dev"

    @property
    def targets(self) -> frozenset[str]:
        """The platforms that it compiles for; empty: the one it runs on."""
        return frozenset(self.options.get("--target", ()))

    @property
    def features(self) -> frozenset[str]:
        """What is switched on and off, as words."""
        names = {
            name
            for value in self.options.get("--features", ())
            for name in re.split(r"[,\s]+", value)
            if name
        }
        flags = {f for f in ("--all-features", "--no-default-features") if f in self.options}
        return frozenset(names | flags)

    @property
    def packages(self) -> frozenset[str]:
        """The packages and binaries that it is limited to; empty: all."""
        names = [*self.options.get("--package", ()), *self.options.get("--bin", ())]
        return frozenset(names)

    @property
    def folder(self) -> str:
        """The target folder that is named; empty when none is."""
        return (self.options.get("--target-dir") or [""])[-1]


def cargo_calls(commands: Sequence[Sequence[str]]) -> Iterator[CargoCall]:
    """Yield the calls of `cargo build` and `cargo chef cook` among shell commands.

    Words before cargo may set variables or name a wrapper (`env`, `sh script`, `time`).
    """
    exported: dict[str, str] = {}
    for words in commands:
        if words[0] == "export":
            exported |= _assigned(words[1:])
            continue
        place = next((i for i, word in enumerate(words) if re.search(r"(^|/)cargo$", word)), None)
        chef = next((i for i, word in enumerate(words) if re.search(r"(^|/)cargo-chef$", word)), -1)
        if place is None and chef < 0:
            continue
        start = chef if place is None else place
        rest = [w for w in words[start + 1 :] if not w.startswith("+")]
        if place is not None and rest[:1] == ["chef"]:
            rest, is_chef = rest[1:], True
        else:
            is_chef = place is None
        if not rest:
            continue
        name = {"b": "build", "zigbuild": "build"}.get(rest[0], rest[0])
        variables = {**exported, **_assigned(words[:start])}
        if is_chef and name in {"cook", "prepare"}:
            yield CargoCall(f"chef {name}", _options(rest[1:]), variables)
        elif not is_chef and name == "build":
            yield CargoCall("build", _options(rest[1:]), variables)


def _assigned(words: Sequence[str]) -> dict[str, str]:
    return {m[1]: m[2] for word in words if (m := _ASSIGNMENT.match(word)) is not None}


def _options(words: Sequence[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    i = 0
    while i < len(words):
        word = words[i]
        i += 1
        if word == "--":
            break
        if not word.startswith("-"):
            continue
        name, has_value, value = word.partition("=")
        name = _SHORT.get(name, name)
        values = found.setdefault(name, [])
        if has_value:
            values.append(value)
        elif name in _WITH_VALUE and i < len(words):
            values.append(words[i])
            i += 1
    return found
