"""Names and sizes what is this project's among all that the engine has. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct, field
from msgspec.structs import replace

from rebake.cache.inventory import NamedCache, Piece
from rebake.cache.owner import CACHE_VOLUMES, Owner
from rebake.engine import layer_claims, stock
from rebake.engine.build_cache import CacheRecord
from rebake.engine.stock import StoredContainer, StoredImage, StoredVolume
from rebake.history.cache_log import OwnedLayer
from rebake.history.image_use import ImageUse, LastBuild
from rebake.history.records import LayerRecord

DEPENDENCY_LAYERS, BUILD_LAYERS = "dependency layers", "build layers"
_DEPENDENCY_STAGES = frozenset({"deps", "skeleton"})
_NOT_COMPILED = ("cargo", "sccache")  # filled by downloads, or by single compilations

Fills = Mapping[str, tuple[float, float]]


class Past(Struct, frozen=True):
    """What the history knows.

    Attributes:
        images: the images that builds have made.
        builds: the newest build of each worktree and mode.
        stacks: when each mode's stack was last started in this worktree.
    """

    images: tuple[ImageUse, ...] = ()
    builds: tuple[LastBuild, ...] = ()
    stacks: Mapping[str, float] = field(default_factory=dict)


def mount_caches(owner: Owner, records: Iterable[CacheRecord], fills: Fills) -> list[NamedCache]:
    """The cache mounts, the largest first.

    Args:
        owner: what is ours.
        records: all of the builder's cache.
        fills: when the longest step on each mount ended, and its seconds.
    """
    found: dict[str, NamedCache] = {}
    for record in records:
        suffix = owner.suffix(record.mount_id) if record.kind == "mount" else ""
        if not suffix:
            continue
        needed = owner.needs_mount(suffix)
        piece = Piece(record.id, record.bytes, record.used_at, record.in_use, needed)
        at, seconds = fills.get(record.mount_id, (0.0, 0.0))
        known = at >= record.created_at and not suffix.startswith(_NOT_COMPILED)
        name = owner.mount_name(suffix)
        other = found.get(name)  # the same for another architecture
        found[name] = NamedCache(
            name,
            "mount",
            (*(other.pieces if other else ()), piece),
            seconds if known else other.cost_s if other else None,
        )
    return sorted(found.values(), key=lambda cache: -cache.bytes)


def layer_caches(
    owner: Owner, past: Past, records: Sequence[CacheRecord], owned: Mapping[str, OwnedLayer]
) -> list[NamedCache]:
    """The layers that our builds have made and nobody else stands on.

    What they cost is what it took to make those that the next build needs.
    """
    ours = layer_claims.alone(owned, owner.cache_id, records)
    here = [record for record in records if record.id in ours]
    needed = needed_layers(owner, past, here, ours)
    groups: dict[str, list[Piece]] = {DEPENDENCY_LAYERS: [], BUILD_LAYERS: []}
    costs = dict.fromkeys(groups, 0.0)
    for record in here:
        layer = ours[record.id]
        name = DEPENDENCY_LAYERS if layer.step.stage in _DEPENDENCY_STAGES else BUILD_LAYERS
        parents = tuple(parent for parent in record.parents if parent in ours)
        wanted = record.id in needed
        groups[name].append(
            Piece(record.id, record.bytes, record.used_at, record.in_use, wanted, parents)
        )
        costs[name] += layer.seconds if wanted else 0.0
    return [
        NamedCache(name, "layers", tuple(pieces), costs[name])
        for name, pieces in groups.items()
        if pieces
    ]


def needed_layers(
    owner: Owner, past: Past, records: Sequence[CacheRecord], ours: Mapping[str, OwnedLayer]
) -> frozenset[str]:
    """The newest layer of each step, those that the last build used, and what they stand on."""
    gone = {one.folder for one in owner.gone}
    last: dict[str, float] = {}
    for build in past.builds:
        last[build.worktree] = max(last.get(build.worktree, 0.0), build.started_at)
    newest: dict[tuple[str, str, str], str] = {}
    needed: set[str] = set()
    # By the step's time: a record's own is that of its beginning or of its end.
    for record in sorted(records, key=lambda record: ours[record.id].step.started_at):
        step = ours[record.id].step
        if step.worktree in gone:
            continue
        if record.used_at >= last.get(step.worktree, float("inf")):
            needed.add(record.id)
        newest[step.worktree, step.target, _place(step.name)] = record.id
    needed |= set(newest.values())
    parents = {record.id: record.parents for record in records}
    todo = list(needed)
    while todo:
        for parent in parents.get(todo.pop(), ()):
            if parent in parents and parent not in needed:
                needed.add(parent)
                todo.append(parent)
    return frozenset(needed)


def _place(name: str) -> str:
    """Which step of the Dockerfile it is: `[deps 1/1`, with the text for all that are no RUN."""
    head, _, rest = name.partition("]")
    return head if rest.strip().upper().startswith("RUN") else f"{head}]{rest}"


def own_images(
    owner: Owner, past: Past, images: Iterable[StoredImage]
) -> dict[str, tuple[str, ...]]:
    """Our images by id, each with the names that are ours; its id where it has none at all.

    Ours are those of this worktree, and of worktrees that are gone.
    """
    gone = {one.folder for one in owner.gone}
    uses = [use for use in past.images if use.worktree == owner.worktree or use.worktree in gone]
    named = owner.refs | {use.ref for use in uses}
    digests = frozenset(digest for use in uses for digest in use.digests)
    found: dict[str, tuple[str, ...]] = {}
    for image in images:
        mine = tuple(tag for tag in image.tags if tag in named)
        if not image.tags and image.digests & digests:
            mine = (image.id,)
        if mine:
            found[image.id] = mine
    return found


def image_caches(
    owner: Owner,
    past: Past,
    ours: Iterable[tuple[StoredImage, Sequence[str]]],
    *,
    layers: Mapping[str, tuple[LayerRecord, ...]],
    shared: frozenset[tuple[str, ...]],
    containers: Iterable[StoredContainer],
) -> list[NamedCache]:
    """Our images. Each layer counts once, and none that somebody else's image has too.

    Args:
        owner: what is ours.
        past: what the history knows.
        ours: the images with their names (`own_images`).
        layers: the layers of each, by id.
        shared: the chains of layers of all other images.
        containers: all of them.
    """
    uses = {use.ref: use for use in past.images}
    holders = [c for c in containers if c.running or owner.stack(c.project) is None]
    counted: set[tuple[str, ...]] = set()
    caches = []
    for image, names in sorted(ours, key=lambda pair: sorted(pair[1])):
        found = layers.get(image.id, ())
        size = 0
        if found and all(layer.digest for layer in found):
            chains = stock.chains([layer.digest for layer in found])
            for chain, layer in zip(chains, found, strict=True):
                if chain not in shared and chain not in counted:
                    counted.add(chain)
                    size += layer.bytes
        held = [c.image_ref for c in holders if c.image == image.id]
        for number, ref in enumerate(names):
            use = uses.get(ref)
            # Another project can have the very same image under a name of its own.
            in_use = any(name == ref or name not in image.tags for name in held)
            last = max(use.last_at if use else 0.0, image.created_at)
            piece = Piece(ref, 0 if number else size, last, in_use, needed=ref in owner.refs)
            cost = use.export_s if use else None
            caches.append(NamedCache(_image_name(ref, use, owner), "image", (piece,), cost))
    return caches


def _image_name(ref: str, use: ImageUse | None, owner: Owner) -> str:
    if ref.startswith("sha256:"):
        return f"image without a name {ref[7:19]}"
    repository, _, tag = ref.rpartition(":")
    for mode, stack in owner.stacks.items():
        if tag == mode and repository.startswith(f"{stack}-"):
            return f"{repository.removeprefix(f'{stack}-')} image ({mode})"
    return f"{ref} of {use.worktree}, which is gone" if use else ref


def volume_caches(
    owner: Owner,
    past: Past,
    volumes: Iterable[StoredVolume],
    containers: Iterable[StoredContainer],
    fills: Fills,
) -> list[NamedCache]:
    """The volumes of what the dev stack compiled and installed; never one that holds data."""
    users: dict[str, list[StoredContainer]] = {}
    for container in containers:
        for name in container.volumes:
            users.setdefault(name, []).append(container)
    caches = []
    for volume in own_volumes(owner, volumes):
        mode, remark = owner.stack(volume.project) or ("", "")
        holders = users.get(volume.name, [])
        used_at = max([volume.created_at, *(holder.created_at for holder in holders)])
        if not remark:
            used_at = max(used_at, past.stacks.get(mode, 0.0))
        name, current = owner.volume_name(volume.project, volume.key, volume.name)
        piece = Piece(
            volume.name,
            volume.bytes or 0,
            used_at,
            # A stopped container of the stack's own goes with it.
            any(holder.running or holder.project != volume.project for holder in holders),
            current and not remark,
        )
        at, seconds = fills.get(volume.name, (0.0, 0.0))
        caches.append(
            NamedCache(
                " ".join(word for word in (mode, name, remark) if word),
                "volume",
                (piece,),
                seconds if seconds and at >= volume.created_at else None,
            )
        )
    return sorted(caches, key=lambda cache: -cache.bytes)


def own_volumes(owner: Owner, volumes: Iterable[StoredVolume]) -> list[StoredVolume]:
    """Our volumes that can be made again."""
    return [v for v in volumes if v.key in CACHE_VOLUMES and owner.stack(v.project)]


def sized(
    volumes: Iterable[StoredVolume], sizes: Mapping[str, int | None]
) -> tuple[StoredVolume, ...]:
    """Volumes with their sizes, by name."""
    return tuple(replace(v, bytes=sizes.get(v.name, v.bytes)) for v in volumes)
