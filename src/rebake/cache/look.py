"""Looks at the engine and at the list of caches, and puts the inventory together."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

from msgspec.structs import replace

from rebake.cache import assemble
from rebake.cache.assemble import Past
from rebake.cache.inventory import Inventory, NamedCache
from rebake.cache.owner import Owner
from rebake.engine import api, build_cache, layer_claims, stock
from rebake.engine.endpoint import Endpoint
from rebake.engine.stock import StoredContainer, StoredImage, StoredVolume
from rebake.errors import CachesHidden, RebakeError, TimedOut
from rebake.history.cache_log import CacheLog

_LIMIT_S = 120.0
_WEEK_S = 7 * 86_400.0
_SOON_S = 3600.0  # growth within less than that says nothing
_VOLUME = "volume bytes"  # the kind of a sample that holds a volume's own size, by its own name


class Asked:
    """The engine's answers, all asked for at once, and begun as early as possible.

    The list of the builder's cache is what takes long: half a second for a thousand records.

    Args:
        endpoint: the engine.
        patience_s: seconds that the volumes' sizes may take, since the engine walks through all of
            their files. After that, the sizes of the last time are told, with a note.
    """

    def __init__(self, endpoint: Endpoint, patience_s: float = _LIMIT_S) -> None:
        pool = ThreadPoolExecutor(max_workers=4)
        self.patience_s = patience_s
        self.records = pool.submit(build_cache.records, endpoint)
        self.images = pool.submit(stock.images, endpoint)
        self.containers = pool.submit(stock.containers, endpoint)
        self.volumes = pool.submit(stock.volumes, endpoint)
        pool.shutdown(wait=False)


def look(endpoint: Endpoint, owner: Owner, past: Past, log: CacheLog, asked: Asked) -> Inventory:
    """Put the inventory together.

    Args:
        endpoint: the engine.
        owner: what is this project's.
        past: what the history knows.
        log: the list of caches; brought up to date.
        asked: what the engine was asked.

    Raises:
        CachesHidden: the engine can't be asked.
        TimedOut: it does not answer.
    """
    pool = ThreadPoolExecutor(max_workers=1)
    sizes = pool.submit(_sizes, endpoint, owner, asked)
    pool.shutdown(wait=False)
    stored, containers, volumes = (
        asked.images.result(), asked.containers.result(), asked.volumes.result()
    )  # fmt: skip
    if stored is None or containers is None or volumes is None:
        raise _silence(endpoint)
    images = _images(endpoint, owner, past, log, stored=stored, containers=containers)
    records = asked.records.result()
    if records is None:
        raise _silence(endpoint)
    owned = layer_claims.settle(log, records)
    ours, notes = _with_sizes(endpoint, log, owner, volumes, sizes.result())
    fills = log.fills()
    caches = (
        *assemble.mount_caches(owner, records, fills),
        *assemble.layer_caches(owner, past, records, owned),
        *images,
        *assemble.volume_caches(owner, past, ours, containers, fills),
    )
    _remember(log, owner, caches, () if notes else ours)
    return _with_growth(Inventory(caches, notes=notes), log, owner)


def _sizes(endpoint: Endpoint, owner: Owner, asked: Asked) -> dict[str, int] | None:
    """The sizes of volumes, where any of them is ours.

    The engine can only measure everybody's, which takes it seconds.
    """
    volumes = asked.volumes.result()
    if not volumes or not assemble.own_volumes(owner, volumes):
        return None
    return stock.volume_sizes(endpoint, asked.patience_s)


def _silence(endpoint: Endpoint) -> RebakeError:
    if not api.can_ask(endpoint.docker_host):
        return CachesHidden(endpoint.docker_host)
    return TimedOut("asking the engine what it keeps", _LIMIT_S, "try again when it is less busy")


def _images(
    endpoint: Endpoint,
    owner: Owner,
    past: Past,
    log: CacheLog,
    *,
    stored: Sequence[StoredImage],
    containers: Iterable[StoredContainer],
) -> list[NamedCache]:
    names = assemble.own_images(owner, past, stored)
    ours = [(image, names[image.id]) for image in stored if image.id in names]
    # One that somebody gave another name is theirs too: its layers stay.
    others = [
        image.id
        for image in stored
        if image.id not in names or set(image.tags) - set(names[image.id])
    ]
    return assemble.image_caches(
        owner,
        past,
        ours,
        layers=stock.layers_of(endpoint, names),
        shared=_chains(endpoint, log, others, {image.id for image in stored})
        if ours
        else frozenset(),
        containers=containers,
    )


def _chains(
    endpoint: Endpoint, log: CacheLog, ids: Iterable[str], there: Collection[str]
) -> frozenset[tuple[str, ...]]:
    """Every chain of layers, from the lowest up, that images stand on.

    Those of images that were seen before are on the list: the engine takes 10 ms to tell of one.
    """
    known = log.image_layers()
    found = stock.digests_of(endpoint, [name for name in ids if name not in known])
    gone = known.keys() - set(there)
    if found or gone:
        log.note_image_layers(found, gone)
    digests = [found.get(name) or known.get(name, ()) for name in ids]
    return frozenset(chain for one in digests for chain in stock.chains(one))


def _with_sizes(
    endpoint: Endpoint,
    log: CacheLog,
    owner: Owner,
    volumes: Iterable[StoredVolume],
    sizes: dict[str, int] | None,
) -> tuple[tuple[StoredVolume, ...], tuple[str, ...]]:
    """Our volumes with their sizes, and a note where these are old."""
    ours = assemble.own_volumes(owner, volumes)
    if not ours or sizes is not None:
        return assemble.sized(ours, sizes or {}), ()
    known = {s.name: s for s in log.newest_sizes(owner.cache_id) if s.kind == _VOLUME}
    if any(volume.name not in known for volume in ours):  # never measured: it takes what it takes
        return assemble.sized(ours, stock.volume_sizes(endpoint, _LIMIT_S) or {}), ()
    oldest = min(known[volume.name].at for volume in ours)
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(oldest))
    note = f"the volumes' sizes are those of {when}: the engine takes longer to measure them"
    return assemble.sized(ours, {v.name: known[v.name].bytes for v in ours}), (note,)


def _remember(
    log: CacheLog, owner: Owner, caches: Iterable[NamedCache], volumes: Iterable[StoredVolume]
) -> None:
    samples: list[tuple[str, str, int]] = [(c.kind, c.name, c.bytes) for c in caches]
    samples.append(("total", "total", sum(size for _, _, size in samples)))
    samples += [(_VOLUME, v.name, v.bytes) for v in volumes if v.bytes is not None]
    log.note_sizes(owner.cache_id, samples)


def _with_growth(inventory: Inventory, log: CacheLog, owner: Owner) -> Inventory:
    """The inventory with what has grown since a week ago, or since it was first looked at."""
    now = time.time()
    before = {
        (s.kind, s.name): s
        for s in log.oldest_sizes(owner.cache_id, now - _WEEK_S)
        if s.at < now - _SOON_S
    }
    if not before:
        return inventory
    caches = tuple(
        replace(cache, grown_bytes=cache.bytes - old.bytes)
        if (old := before.get((cache.kind, cache.name))) is not None
        else cache
        for cache in inventory.caches
    )
    return replace(inventory, caches=caches, grown_since=min(s.at for s in before.values()))
