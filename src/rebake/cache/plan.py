"""Chooses what may go. Pure.

What the next build needs goes last or not at all: old layers that nothing stands on, old images,
mounts of another toolchain and volumes of another lock-file come first, of each kind the longest
unused before the others. What is in use never goes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from msgspec import Struct

from rebake.cache.inventory import Inventory, Kind, NamedCache, Piece

WORDS: Mapping[str, tuple[Kind, ...]] = {
    "build": ("mount", "layers"),
    "images": ("image",),
    "volumes": ("volume",),
    "all": ("mount", "layers", "image", "volume"),
}
_ORDER: Mapping[Kind, int] = {"layers": 0, "image": 1, "mount": 2, "volume": 3}

_Pair = tuple[NamedCache, Piece]
_Key = tuple[Kind, str]


class Removal(Struct, frozen=True):
    """A piece that goes."""

    cache: str
    kind: Kind
    piece: Piece


class Choice(Struct, frozen=True):
    """What goes.

    Attributes:
        removals: the pieces.
        kept: names of caches of which something would have gone, but is in use.
        needed: names of caches that go although the next build needs them.
        cost_s: seconds that it takes to fill these again, as far as that was measured.
        left_bytes: what is there afterwards.
    """

    removals: tuple[Removal, ...] = ()
    kept: tuple[str, ...] = ()
    needed: tuple[str, ...] = ()
    cost_s: float = 0.0
    left_bytes: int = 0

    @property
    def bytes(self) -> int:
        """What it frees."""
        return sum(removal.piece.bytes for removal in self.removals)


def clean(inventory: Inventory, kinds: Iterable[Kind], before: float = float("inf")) -> Choice:
    """Choose the caches of some kinds that nobody used since a moment."""
    wanted = frozenset(kinds)
    return _choose(inventory, lambda cache, piece: cache.kind in wanted and piece.used_at <= before)


def unneeded(inventory: Inventory, before: float = float("inf")) -> Choice:
    """Choose what the next build does not need and nobody used since a moment."""
    return _choose(inventory, lambda _, piece: not piece.needed and piece.used_at <= before)


def unused(inventory: Inventory, before: float) -> Choice:
    """Choose what nobody used since a moment (seconds since 1970), needed or not."""
    return _choose(inventory, lambda _, piece: piece.used_at <= before)


def under(inventory: Inventory, ceiling: int, already: Choice, *, needed: bool) -> Choice:
    """Choose as little as brings the whole under a ceiling.

    Args:
        inventory: what is there.
        ceiling: bytes.
        already: what goes anyhow.
        needed: whether what the next build needs may go too, after all else.
    """
    gone: set[_Key] = {(r.kind, r.piece.id) for r in already.removals}
    kept = set(already.kept)
    left = inventory.bytes - already.bytes
    for group in _in_order(inventory, needed=needed):
        if left <= ceiling:
            return _told(inventory, gone, already.kept)
        fresh = [(cache, piece) for cache, piece in group if (cache.kind, piece.id) not in gone]
        if any(piece.in_use for _, piece in fresh):
            kept |= {cache.name for cache, piece in fresh if piece.in_use}
            continue
        gone |= {(cache.kind, piece.id) for cache, piece in fresh}
        left -= sum(piece.bytes for _, piece in fresh)
    return _told(inventory, gone, kept if left > ceiling else already.kept)


def _in_order(inventory: Inventory, *, needed: bool) -> Iterator[list[_Pair]]:
    """What goes together, in the order in which it goes."""
    above = _above(inventory)
    loose = [(c, p) for c in inventory.caches for p in c.pieces if not p.needed]
    loose.sort(key=lambda pair: (_ORDER[pair[0].kind], pair[1].used_at))
    for cache, piece in loose:
        yield [*(above(piece.id) if cache.kind == "layers" else ()), (cache, piece)]
    if not needed:
        return
    # The cheapest loss first; what was never measured after that.
    rest = [cache for cache in inventory.caches if cache.needed]
    for cache in sorted(rest, key=lambda c: (c.cost_s is None, c.cost_s or 0.0)):
        pairs = {piece.id: (cache, piece) for piece in cache.pieces}
        if cache.kind == "layers":  # those of another cache that stand on these go along
            pairs |= {p.id: (c, p) for piece in cache.pieces for c, p in above(piece.id)}
        yield list(pairs.values())


def _above(inventory: Inventory) -> Callable[[str], list[_Pair]]:
    """A function that returns all layers that stand on one."""
    children: dict[str, list[_Pair]] = {}
    for cache in inventory.of(("layers",)):
        for piece in cache.pieces:
            for parent in piece.parents:
                children.setdefault(parent, []).append((cache, piece))

    def above(name: str) -> list[_Pair]:
        found: dict[str, _Pair] = {}
        todo = [name]
        while todo:
            for pair in children.get(todo.pop(), ()):
                if pair[1].id not in found:
                    found[pair[1].id] = pair
                    todo.append(pair[1].id)
        return list(found.values())

    return above


def _choose(inventory: Inventory, wanted: Callable[[NamedCache, Piece], bool]) -> Choice:
    """Choose pieces; a layer only where all that stand on it go too."""
    above = _above(inventory)
    gone: set[_Key] = set()
    kept: set[str] = set()
    for cache in inventory.caches:
        for piece in cache.pieces:
            if not wanted(cache, piece):
                continue
            upper = above(piece.id) if cache.kind == "layers" else []
            if piece.in_use or any(other.in_use for _, other in upper):
                kept.add(cache.name)
            elif all(wanted(*pair) for pair in upper):
                gone.add((cache.kind, piece.id))
    return _told(inventory, gone, kept)


def _told(inventory: Inventory, gone: set[_Key], kept: Iterable[str]) -> Choice:
    removals = tuple(
        Removal(cache.name, cache.kind, piece)
        for cache in inventory.caches
        for piece in cache.pieces
        if (cache.kind, piece.id) in gone
    )
    hurt = [
        cache
        for cache in inventory.caches
        if any(piece.needed and (cache.kind, piece.id) in gone for piece in cache.pieces)
    ]
    return Choice(
        removals,
        tuple(sorted(kept)),
        tuple(cache.name for cache in hurt),
        sum(cache.cost_s or 0.0 for cache in hurt),
        inventory.bytes - sum(removal.piece.bytes for removal in removals),
    )
