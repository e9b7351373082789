"""Check `gc`: whether the builder's garbage collection throws the cache mounts away.

Source: https://docs.docker.com/build/cache/garbage-collection. The default's first rule deletes
cache mounts that no build used for 48 hours, down to 512 MB; a compiled workspace is larger.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct

from rebake.doctor.case import Case
from rebake.doctor.diagnosis import Diagnosis, NotChecked, ok, warning
from rebake.engine.endpoint import Kind
from rebake.engine.versions import numbers

GB = 1_000_000_000
_LEAST = 10 * GB  # mounts, dependency layer and images of one project take a few of them
_MOUNT = "exec.cachemount"
_NEW_WORDS = (28,)  # the engine whose daemon.json knows reservedSpace and its like
_HOUR_NS = 3600 * 1_000_000_000


class Rule(Struct, frozen=True):
    """One rule of a policy that concerns cache mounts.

    Attributes:
        unused_h: hours after which what no build used may go; 0: at once.
        most: bytes above which it is deleted; 0: no such limit.
        own: whether the rule is about temporary things, mounts among them, alone.
    """

    unused_h: float
    most: int
    own: bool


def check(case: Case) -> Iterator[Diagnosis]:
    """Look at the policy in force."""
    builder = case.builder
    nodes = [node for node in builder.get("Nodes") or () if isinstance(node, dict)]
    policies = [node.get("GCPolicy") for node in nodes]
    if not any(policies):
        raise NotChecked(
            "the builder does not tell its garbage collection", "docker buildx inspect"
        )
    kind = case.engine.endpoint.kind
    if builder.get("Driver") != "docker":
        how = "buildkitd.toml of that builder (docker buildx create --buildkitd-config): "
        how += 'gcpolicy = [{ all = true, maxUsedSpace = "50GB" }] below [worker.oci]'
    else:
        how = how_to_mend(kind, case.engine.versions.engine)
    for policy in policies:
        yield from judge(policy or (), how)


def judge(policy: Sequence[Mapping[str, Any]], how: str) -> Iterator[Diagnosis]:
    """Judge a policy. Pure.

    Args:
        policy: the rules, as `docker buildx ls --format json` gives them.
        how: how to mend it.
    """
    rules = [rule for entry in policy if (rule := mount_rule(entry)) is not None]
    dropped = next((rule for rule in rules if rule.unused_h), None)
    limits = [rule.most for rule in rules if rule.most and not rule.own]
    if dropped is not None and dropped.most < _LEAST:
        keeps = f" down to {_bytes(dropped.most)}" if dropped.most else ""
        yield warning(
            f"the builder deletes cache mounts that no build used for {dropped.unused_h:.0f} h"
            f"{keeps}",
            why="after a weekend the first build compiles every dependency again",
            fix=how,
        )
    if limits and min(limits) < _LEAST:
        yield warning(
            f"the builder keeps {_bytes(min(limits))} of cache in all",
            why="compiled dependencies, layers and images of one project alone take gigabytes: "
            "what the next build needs is deleted",
            fix=how,
        )
    elif dropped is None or dropped.most >= _LEAST:
        limit = f"by size alone, above {_bytes(min(limits))}" if limits else "for want of space"
        yield ok(f"the builder deletes cache {limit}")


def mount_rule(entry: Mapping[str, Any]) -> Rule | None:
    """Read a rule; None when it does not concern cache mounts. Pure."""
    filters = [part for part in entry.get("filter") or () if part]
    types = [
        word.replace("==", "=").removeprefix("type=")
        for part in filters
        for word in str(part).split(",")
        if word.startswith("type")
    ]
    if types and _MOUNT not in types:
        return None
    sizes = [int(entry.get(name) or 0) for name in ("maxUsedSpace", "keepBytes", "reservedSpace")]
    hours = int(entry.get("keepDuration") or 0) / _HOUR_NS
    return Rule(hours, next((size for size in sizes if size), 0), own=bool(types))


def daemon_json(engine: str) -> str:
    """The setting that keeps mounts: one rule, by size alone, in one line. Pure."""
    if numbers(engine) >= _NEW_WORDS:
        rule = {"all": True, "reservedSpace": "20GB", "maxUsedSpace": "50GB", "minFreeSpace": "5GB"}
    else:
        rule = {"all": True, "keepStorage": "50GB"}
    return json.dumps({"builder": {"gc": {"enabled": True, "policy": [rule]}}})


def how_to_mend(kind: Kind, engine: str) -> str:
    """Say where the setting belongs. Pure."""
    setting = daemon_json(engine)
    match kind:
        case "private":
            return (
                "invoke engine stop, then invoke engine start: that writes a policy by size, as "
                "the disk allows; REBAKE_ENGINE_HOME puts the engine on a larger one"
            )
        case "docker-desktop":
            return f"Docker Desktop, Settings, Docker Engine: {setting}"
        case "colima":
            return f"colima start --edit, below `docker:`: {setting}"
        case "orbstack":
            return f"OrbStack, Settings, Docker: {setting}"
        case _:
            return f"/etc/docker/daemon.json, then restart the engine: {setting}"


def _bytes(size: int) -> str:
    return f"{size / GB:.1f} GB" if size >= GB else f"{size / 1e6:.0f} MB"
