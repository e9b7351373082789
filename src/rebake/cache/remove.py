"""Removes what was chosen, piece by piece, and tells afterwards what is really gone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from rebake.cache.inventory import Inventory, Kind
from rebake.cache.plan import Choice, Removal
from rebake.engine import build_cache, stock
from rebake.engine.endpoint import Endpoint

ENOUGH = 0.95  # of what was said must be gone


def commands(choice: Choice) -> list[Sequence[str]]:
    """The commands of docker that would do it, for --dry-run."""
    return [_command(removal.kind, removal.piece.id) for removal in choice.removals]


def _command(kind: Kind, name: str) -> Sequence[str]:
    match kind:
        case "image":
            return ("docker", "image", "rm", name)
        case "volume":
            return ("docker", "volume", "rm", name)
        case _:
            return ("docker", "buildx", "prune", "--force", "--all", "--filter", f"id={name}")


def remove(
    endpoint: Endpoint,
    choice: Choice,
    ours: Callable[[str], bool],
    say: Callable[[str], None] = lambda _text: None,
) -> None:
    """Remove what was chosen.

    Stopped containers of our own stacks that hold an image or a volume go with it. Nothing is
    forced: the engine refuses what somebody has begun to use meanwhile.

    Args:
        endpoint: the engine.
        choice: what goes.
        ours: whether a Compose project is ours.
        say: told what is done.
    """
    held = _of(choice, ("image", "volume"))
    if held:
        _free(endpoint, {removal.piece.id for removal in held}, ours)
    for removal in held:
        say(f"removing {removal.cache}")
        if removal.kind == "image":
            stock.remove_image(endpoint, removal.piece.id)
        else:
            stock.remove_volume(endpoint, removal.piece.id)
    records = _of(choice, ("layers", "mount"))
    if records:
        say(f"removing {', '.join(dict.fromkeys(removal.cache for removal in records))}")
        build_cache.remove(endpoint, [removal.piece.id for removal in records])


def _of(choice: Choice, kinds: Iterable[Kind]) -> list[Removal]:
    return [removal for removal in choice.removals if removal.kind in kinds]


def _free(endpoint: Endpoint, held: set[str], ours: Callable[[str], bool]) -> None:
    for container in stock.containers(endpoint) or ():
        holds = {container.image_ref, container.image, *container.volumes} & held
        if holds and ours(container.project) and not container.running:
            stock.remove_container(endpoint, container.id)


def gone(choice: Choice, after: Inventory) -> list[Removal]:
    """Return what is really gone of what was chosen. Pure."""
    there = {(cache.kind, piece.id) for cache in after.caches for piece in cache.pieces}
    return [r for r in choice.removals if (r.kind, r.piece.id) not in there]


def freed(choice: Choice, after: Inventory) -> tuple[int, tuple[str, ...]]:
    """Return the bytes of what is gone, and the caches of which something stayed. Pure."""
    went = gone(choice, after)
    stayed = [removal.cache for removal in choice.removals if removal not in went]
    return sum(removal.piece.bytes for removal in went), tuple(dict.fromkeys(stayed))
