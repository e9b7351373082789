"""Reads the line in which the tools of a build (docker/tools/step-usage) tell what a step took.

`rebake-usage {"cpu_s":1.5,"peak_bytes":812000000,…}`: the keys are the fields of `StepUsage`, each
of them optional. Whatever runs in a step can print such a line, so nothing is believed that is not
exactly of this form; and of several lines the last one counts, which is the tools' own.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable

from rebake.results import CacheCount, CacheUse, StepUsage, StoreUse

PREFIX = "rebake-usage "
CRATES = "rebake-crates "  # the packages of which cargo compiled something
BINARIES = "rebake-binaries "  # each binary with its inode, its size and when it was linked
_LONGEST = 512  # characters; ours is at most half of it
_MOST_CRATES = 60_000  # characters; a crate takes some twenty
_CRATE = re.compile(r"^[A-Za-z0-9_-]+@[0-9A-Za-z.+-]+$")
_BINARY = re.compile(r"^([A-Za-z0-9_-]+)=(\d+:\d+:\d+\.\d{9})$")
_MOST = 2**53  # beyond any real count, within SQLite's and JSON's whole numbers
_NAMES = frozenset(StepUsage.__struct_fields__)
_FRACTIONS = frozenset({"cpu_s"})


def parse_usage(line: str) -> StepUsage | None:
    """Return what a log line tells of its step; None for every other line, and for a bad one."""
    if not line.startswith(PREFIX) or len(line) > _LONGEST:
        return None
    try:
        found = json.loads(line.removeprefix(PREFIX))
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or not found or not found.keys() <= _NAMES:
        return None
    if not all(_is_sound(name, value) for name, value in found.items()):
        return None
    return StepUsage(**found)


def parse_crates(line: str) -> tuple[str, ...] | None:
    """Return the packages that a log line tells of, as `name@version`; None for other lines."""
    if not line.startswith(CRATES) or len(line) > _MOST_CRATES:
        return None
    words = tuple(line.removeprefix(CRATES).split())
    return words if all(_CRATE.match(word) for word in words) else None


def parse_binaries(line: str) -> dict[str, str] | None:
    """Return the binaries that a log line tells of, and what each is known by; None for others."""
    if not line.startswith(BINARIES) or len(line) > _MOST_CRATES:
        return None
    found = [_BINARY.match(word) for word in line.removeprefix(BINARIES).split()]
    return {one[1]: one[2] for one in found if one} if all(found) else None


def cache_use(layers: CacheCount, usages: Iterable[StepUsage]) -> CacheUse:
    """Return what a build found in its caches, from its steps' usages and the count of layers."""
    known = tuple(usages)
    crates = _sums(known, "crates_reused", "crates_compiled")
    registry = _sums(known, "crates_needed", "crates_downloaded")
    packages = _sums(known, "packages_needed", "packages_downloaded")
    return CacheUse(
        layers=layers,
        crates=CacheCount(*crates) if crates else None,
        cargo_registry=StoreUse(*registry) if registry else None,
        bun=StoreUse(*packages) if packages else None,
    )


def _sums(usages: Iterable[StepUsage], first: str, second: str) -> tuple[int, int] | None:
    """Add two fields up over the steps that tell both; None when no step does."""
    pairs = [(getattr(usage, first), getattr(usage, second)) for usage in usages]
    told = [(a, b) for a, b in pairs if a is not None and b is not None]
    return (sum(a for a, _ in told), sum(b for _, b in told)) if told else None


def _is_sound(name: str, value: object) -> bool:
    if isinstance(value, float) and name in _FRACTIONS:
        return math.isfinite(value) and 0 <= value <= _MOST
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST
