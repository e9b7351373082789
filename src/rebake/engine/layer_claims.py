"""Finds out which layers of the builder's cache a project's own builds have made.

BuildKit keeps a layer as a record without a name or an owner: its description is the step's text,
and two projects with one Dockerfile have the same texts. What a record does tell is the moment at
which it was made; and a build's progress tells, by the same clock, from when to when each of its
steps ran. A record is a step's when it was made while that step ran and its description is of that
very step, and when that holds for no other record and no other step. A step that ran always leaves
a layer, so the only one that fits is its own. In doubt a layer is nobody's, and so is every copy of
a build context, since not each build makes one: the engine's own garbage collection removes them.

A layer that somebody else's layers stand on counts as theirs too: it is not told as ours.
"""

from __future__ import annotations

import re
import time
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from rebake.engine.build_cache import CacheRecord
from rebake.history.cache_log import CacheLog, OwnedLayer, RanStep
from rebake.history.records import StepRecord
from rebake.report.steps import WORK, parse_step_name

# A layer's time is that of its step's beginning, or of its end once it was used. Both may be told
# too late on a busy machine; more than enough is allowed: what fits twice is not claimed.
_BEFORE_S = 0.5
_AFTER_S = 3.0
_LARGER = 2  # times: an export keeps a packed copy of a layer
_KEEP_GONE_S = 30 * 86_400.0
_EXEC = "mount / from exec "
_VARIABLE = re.compile(r"\\\$(?:\\\{[^}]*\\\}|\w+)")
_HEAD = re.compile(r"^\[([^\]]*)\]\s*", re.DOTALL)
_MOUNT = re.compile(r"--mount=(\S+)")


def steps_of(
    project: str, worktree: str, steps: Iterable[StepRecord], began: float | None
) -> tuple[RanStep, ...]:
    """Return the steps of a build that may have left a layer, with the engine's own times.

    Args:
        project: the project's id.
        worktree: the folder.
        steps: as the build's progress tells them.
        began: seconds since 1970 of the build's beginning, by the engine's clock.
    """
    if began is None:
        return ()
    return tuple(
        RanStep(
            project, worktree, s.name, s.stage, s.target, began + s.started_s, began + s.ended_s
        )
        for s in steps
        if s.kind in WORK
        and not s.cached
        and not s.error
        and s.started_s is not None
        and s.ended_s is not None
        and s.ended_s > s.started_s
    )


def mounts_of(steps: Iterable[RanStep]) -> dict[str, float]:
    """Return the cache mounts that steps ran on, and the seconds of the longest of them."""
    found: dict[str, float] = {}
    for step in steps:
        for words in _MOUNT.findall(step.name):
            options = dict(word.partition("=")[::2] for word in words.split(","))
            if options.get("type") == "cache" and options.get("id"):
                name = options["id"]
                found[name] = max(found.get(name, 0.0), step.ended_at - step.started_at)
    return found


def note(
    file: Path,
    docker_host: str,
    builder: tuple[str, str],
    progress: Iterable[StepRecord],
    began: float | None,
) -> None:
    """Write down what ran in a build.

    Args:
        file: the list of caches.
        docker_host: the engine's address.
        builder: the project's id, and the folder it was built in.
        progress: the build's steps.
        began: see `steps_of`.
    """
    ran = steps_of(*builder, progress, began)
    if ran:
        with CacheLog(file, docker_host) as log:
            log.note_steps(ran, mounts_of(ran))


def settle(log: CacheLog, records: Sequence[CacheRecord]) -> dict[str, OwnedLayer]:
    """Bring the list of owners up to date; return the layers that have one, by record.

    Args:
        log: the list.
        records: all that the builder's cache has now.
    """
    known = {layer.record: layer for layer in log.layers()}
    there = {record.id for record in records}
    gone = [layer for layer in known.values() if layer.record not in there]
    steps = log.steps()
    free = [record for record in records if record.id not in known and record.kind == "layer"]
    found = claim(steps, free)
    taken = {layer.record for layer in found}
    found += renamed(gone, [record for record in free if record.id not in taken])
    if steps or found:
        log.settle(found, steps)
    old = time.time() - _KEEP_GONE_S
    if past := [layer.record for layer in gone if layer.step.ended_at < old]:
        log.forget(past)
    return {n: x for n, x in known.items() if n in there} | {layer.record: layer for layer in found}


def claim(steps: Iterable[RanStep], records: Sequence[CacheRecord]) -> tuple[OwnedLayer, ...]:
    """Return the records that only these steps can have made. Pure.

    Steps of one text that ran at nearly the same time (a build after the other) are looked at
    together: where as many records fit as there are steps, each is one of theirs; where more do,
    somebody else made one of them, and none is claimed.
    """
    ordered = sorted((r for r in records if r.kind == "layer"), key=lambda r: r.created_at)
    times = [record.created_at for record in ordered]
    groups: list[_Group] = []
    for step in sorted(_each_once(steps), key=lambda s: s.started_at):
        begin = bisect_left(times, step.started_at - _BEFORE_S)
        end = bisect_right(times, step.ended_at + _AFTER_S)
        fitting = {r.id: r for r in ordered[begin:end] if describes(step.name, r.description)}
        group = _Group([step], fitting)
        for other in [g for g in groups if g.records.keys() & fitting.keys()]:
            group = _Group([*other.steps, *group.steps], other.records | group.records)
            groups.remove(other)
        groups.append(group)
    return tuple(layer for group in groups for layer in group.layers())


class _Group(Struct):
    """Steps, and the records that one or another of them can have made."""

    steps: list[RanStep]
    records: dict[str, CacheRecord]

    def layers(self) -> list[OwnedLayer]:
        if len(self.steps) != len(self.records) or len({s.project for s in self.steps}) > 1:
            return []
        steps = sorted(self.steps, key=lambda s: s.started_at)
        records = sorted(self.records.values(), key=lambda r: r.created_at)
        return [
            OwnedLayer(r.id, step, r.bytes, r.parents)
            for step, r in zip(steps, records, strict=True)
        ]


def renamed(gone: Iterable[OwnedLayer], records: Sequence[CacheRecord]) -> tuple[OwnedLayer, ...]:
    """Return the layers that BuildKit tells under another id now. Pure.

    A layer that nothing has used yet has the time of its step's beginning. While a build uses it,
    and for good once another layer stands on it, it has another id and the time of the step's end.
    Its parents are the same, and so is its size, but for the packed copy that an export adds.
    """
    ordered = sorted(records, key=lambda record: record.created_at)
    times = [record.created_at for record in ordered]
    found: dict[str, list[OwnedLayer]] = {}
    for layer in gone:
        for moment in {layer.step.started_at, layer.step.ended_at}:
            begin = bisect_left(times, moment - _BEFORE_S)
            end = bisect_right(times, moment + _AFTER_S)
            for record in ordered[begin:end]:
                if _same(layer, record):
                    new = replace(layer, record=record.id)
                    found.setdefault(record.id, []).append(new)
    return tuple(layers[0] for layers in found.values() if len({x.step for x in layers}) == 1)


def _same(layer: OwnedLayer, record: CacheRecord) -> bool:
    small, large = sorted((layer.bytes, record.bytes))
    return (
        record.parents == layer.parents
        and large <= _LARGER * small
        and describes(layer.step.name, record.description)
    )


def _each_once(steps: Iterable[RanStep]) -> Iterator[RanStep]:
    """One of each: several targets, and two builds side by side, tell of one step."""
    seen = set()
    for step in steps:
        head, _, text = step.name.partition("]")
        place = " ".join(head.split()[-2:])  # without the bake target
        key = (step.project, place, text, round(step.started_at, 2), round(step.ended_at, 2))
        if key not in seen:
            seen.add(key)
            yield step


def describes(name: str, description: str) -> bool:
    """Whether a record's description is of the step of that name.

    BuildKit describes a RUN as `mount / from exec /bin/sh -c COMMAND`, with variables as they stand
    in the Dockerfile, and other steps by their names: `[prod 1/2] COPY --from=build /out /`.
    """
    step = parse_step_name(name)
    text = " ".join(_HEAD.sub("", name).split())
    if description.startswith(_EXEC):
        if not text.upper().startswith("RUN "):
            return False
        command = " ".join(description.removeprefix(_EXEC).split())
        command = command.partition(" -c ")[2] or command
        pattern = _VARIABLE.sub(".*", re.escape(command))
        return re.fullmatch(pattern, step.title) is not None
    head = _HEAD.match(description)
    if head is None or " ".join(_HEAD.sub("", description).split()) != text:
        return False
    # The bake target stands in front in one and not in the other.
    words, own = head[1].split(), (_HEAD.match(name) or [""])[0].strip("[] ").split()
    return bool(words) and own[-len(words) :] == words


def alone(
    owned: Mapping[str, OwnedLayer], project: str, records: Sequence[CacheRecord]
) -> dict[str, OwnedLayer]:
    """Return a project's layers on which none but its own layers stand. Pure.

    Only these can be removed, and only these does nobody else use.
    """
    children: dict[str, list[str]] = {}
    for record in records:
        for parent in record.parents:
            children.setdefault(parent, []).append(record.id)
    mine = {name for name, layer in owned.items() if layer.step.project == project}
    foreign: set[str] = set()
    todo = [record.id for record in records if record.id not in mine]
    parents = {record.id: record.parents for record in records}
    while todo:
        for parent in parents.get(todo.pop(), ()):
            if parent not in foreign:
                foreign.add(parent)
                todo.append(parent)
    return {name: owned[name] for name in mine if name not in foreign and name in parents}
