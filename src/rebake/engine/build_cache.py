"""The builder's cache, record by record: what is there, and how to remove single records.

A record of a cache mount does not name the mount's id as a field; it stands in the description,
in the words of BuildKit's `solver/llbsolver/mounts`: `cached mount /target from exec … with id
"/shop-target"`. The id has a slash in front that BuildKit puts there.

While the engine measures a record for one who asked, it lists a stand-in for it to everybody else:
another id, the type `regular`, in use (seen on 28.5: three who ask at once; `DiskUsage` of
BuildKit's `cache/manager.go` makes an immutable reference of it to measure). A stand-in of a mount
or of a context is known by its description; one of a layer is not. A context that a build has
taken in is of the type `regular` too, with the same description, and stays: it is not in use.
"""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Literal

from msgspec import Struct

from rebake.engine import api
from rebake.engine.endpoint import Endpoint
from rebake.process import run

Kind = Literal["mount", "layer", "source"]
_LIST_TIMEOUT_S = 60.0
# A slow disk takes minutes for gigabytes of small files (seen: 113 s for 10 GB). An engine
# that is left alone meanwhile has removed a part, and forgets the steps of all builds: see `empty`.
_PRUNE_TIMEOUT_S = 3600.0
_EMPTY_TIMEOUT_S = 120.0
_AT_ONCE = 200  # ids in one call: their pattern is a part of its address
_LOOKS, _MEASURED_S = 3, 0.5  # how often it is asked while it measures; at most between
_ID = re.compile(r"[A-Za-z0-9]+")
_MOUNT_ID = re.compile(r'.* with id "/?(.*)"$', re.DOTALL)  # greedy: the last one counts
_KINDS: tuple[tuple[str, Kind, str], ...] = (
    ("exec.cachemount", "mount", "cached mount "),
    ("source.local", "source", "local source for "),
)


class CacheRecord(Struct, frozen=True):
    """One record of the builder's cache.

    Attributes:
        id: the record's own name.
        kind: `mount` a cache mount, `source` a copy of a context, `layer` all else.
        bytes: on the engine's disk.
        last_used: as the engine writes it (RFC 3339); empty when it never was.
        in_use: whether a build uses it now.
        description: what made it.
        mount_id: the id of the cache mount; empty for other kinds.
        created_at: seconds since 1970, by the engine's clock; 0 where it does not tell.
        parents: the records that it stands on: they can't go before it.
        stand_in: whether it stands for a record that the engine measures at this moment.
    """

    id: str
    kind: Kind
    bytes: int
    last_used: str
    in_use: bool
    description: str
    mount_id: str = ""
    created_at: float = 0.0
    parents: tuple[str, ...] = ()
    stand_in: bool = False

    @property
    def used_at(self) -> float:
        """When it was last used, seconds since 1970; when it was made, if it never was."""
        return moment(self.last_used) or self.created_at


def records(
    endpoint: Endpoint, patience_s: float = _LIST_TIMEOUT_S
) -> tuple[CacheRecord, ...] | None:
    """Return all records of the builder's cache; None where the engine can't be asked.

    Where it measures some for somebody else, it is asked again, up to a second: stand-ins can't be
    removed, and those of layers are nobody's. One that stays is told as what it stands for.

    Args:
        endpoint: the engine.
        patience_s: seconds after which the engine counts as one that does not answer.
    """
    found: tuple[CacheRecord, ...] | None = None
    for look in range(_LOOKS):
        if look:
            time.sleep(random.uniform(0, _MEASURED_S))  # noqa: S311 - or two who ask stay in step
        # It measures every mount anew that was written to: seconds on a busy machine.
        answer = api.ask(
            endpoint.docker_host, "/system/df", {"type": "build-cache"}, timeout_s=patience_s
        )
        if answer is None or not answer.ok:
            break
        found = parse(answer.document)
        if not any(record.stand_in for record in found):
            break
    return found


def parse(document: Any) -> tuple[CacheRecord, ...]:  # noqa: ANN401 - as json.loads gives it
    """Read the answer of `/system/df?type=build-cache`."""
    return tuple(_record(entry) for entry in (document or {}).get("BuildCache") or ())


def mounts(endpoint: Endpoint, patience_s: float = _LIST_TIMEOUT_S) -> frozenset[str] | None:
    """Return the ids of the cache mounts that exist; None where the engine can't be asked."""
    found = records(endpoint, patience_s)
    return None if found is None else frozenset(r.mount_id for r in found if r.kind == "mount")


def remove(endpoint: Endpoint, ids: Iterable[str]) -> int:
    """Remove records by id, and return the bytes that were freed.

    A record that is gone or in use is left out, and so is one that others stand on. The engine
    takes one id a call, and matches it as a pattern: many are given as one that matches them whole
    and nothing else. An engine that does not take a pattern is told each id by itself. `empty` says
    what a removal costs other builds, and so why one call is better than many. One that does not
    answer is asked for nothing more: it may still be at work.
    """
    names = [name for name in ids if _ID.fullmatch(name)]
    freed = 0
    for start in range(0, len(names), _AT_ONCE):
        part = names[start : start + _AT_ONCE]
        if len(part) > 1:
            gone = _prune(endpoint, f"/^({'|'.join(part)})$/")
            if gone is None:
                return freed
            freed += gone.bytes
            if gone.ids:
                continue
            part = _idle(endpoint, part)
        for name in part:
            if (gone := _prune(endpoint, name)) is None:
                return freed
            freed += gone.bytes
    return freed


def _idle(endpoint: Endpoint, names: Iterable[str]) -> list[str]:
    """Those that are there and not in use."""
    there = {record.id for record in records(endpoint) or () if not record.in_use}
    return [name for name in names if name in there]


class _Gone(Struct, frozen=True):
    """What a removal has removed."""

    ids: tuple[str, ...] = ()
    bytes: int = 0


def _prune(endpoint: Endpoint, pattern: str) -> _Gone | None:
    """Remove what an id or a pattern names; None where the engine does not answer."""
    answer = api.ask(
        endpoint.docker_host,
        "/build/prune",
        {"all": "true", "filters": json.dumps({"id": [pattern]}, separators=(",", ":"))},
        method="POST",
        timeout_s=_PRUNE_TIMEOUT_S,
    )
    if answer is None:
        return None
    if not answer.ok or not isinstance(answer.document, dict):
        return _Gone()
    gone = tuple(str(name) for name in answer.document.get("CachesDeleted") or ())
    return _Gone(gone, int(answer.document.get("SpaceReclaimed") or 0))


def moment(text: str) -> float:
    """Return the seconds since 1970 of a time as the engine writes it; 0 where it is none."""
    try:
        return max(0.0, datetime.fromisoformat(text).timestamp())
    except ValueError:
        return 0.0


def empty(endpoint: Endpoint, mounts: Iterable[str], image: str) -> None:
    """Empty cache mounts, as the engine's garbage collection would, and leave all else as it is.

    A step that runs with `--no-cache` gets its mounts anew. `remove` would not do: after every
    prune that frees something, engines with the containerd image store (seen on 28.5, BuildKit
    0.25) take the steps of all builds on a base image for new ones once, whatever was pruned:
    `Controller.Prune` asks which results are still there with a context that has ended.

    Args:
        endpoint: the engine.
        mounts: their ids.
        image: an image with a shell.

    Raises:
        CommandFailed: the step could not be run.
    """
    words = [f"--mount=type=cache,id={mount},target=/m{n}" for n, mount in enumerate(mounts)]
    if not words:
        return
    command = endpoint.buildx_command(
        *("build", "--no-cache", "--provenance=false", "--progress", "plain"),
        *("--output", "type=cacheonly", "-"),
        stdin=f"FROM {image}\nRUN {' '.join(words)} :\n",
        timeout_s=_EMPTY_TIMEOUT_S,
        what="emptying cache mounts",
    )
    run(command).check()


def _record(entry: dict[str, Any]) -> CacheRecord:
    description = str(entry.get("Description") or "")
    in_use = bool(entry.get("InUse"))
    kind, named = _kind(str(entry.get("Type") or ""), description)
    found = _MOUNT_ID.search(description) if kind == "mount" else None
    return CacheRecord(
        id=str(entry.get("ID") or ""),
        kind=kind,
        bytes=int(entry.get("Size") or 0),
        last_used=str(entry.get("LastUsedAt") or ""),
        in_use=in_use,
        description=description,
        mount_id=found[1] if found else "",
        created_at=moment(str(entry.get("CreatedAt") or "")),
        parents=tuple(str(parent) for parent in _parents(entry)),
        stand_in=in_use and not named,
    )


def _kind(type_: str, description: str) -> tuple[Kind, bool]:
    """What a record is, and whether its type says so."""
    for name, kind, start in _KINDS:
        if type_ == name:
            return kind, True
        if description.startswith(start):
            return kind, False
    return "layer", True


def _parents(entry: dict[str, Any]) -> Iterable[Any]:
    # Engine 28 writes the key with a space in front.
    return entry.get("Parents") or entry.get(" Parents") or ()
