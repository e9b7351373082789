"""What a project's caches are: named, sized, and whether the next build needs them. Pure values.

A cache has one or more pieces, each of which the engine can remove by itself: the mount's record,
the records of layers, an image's name, a volume.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Literal

from msgspec import Struct, field

from rebake.results import SCHEMA_VERSION

Kind = Literal["mount", "layers", "volume", "image"]


class Piece(Struct, frozen=True):
    """A thing that the engine can remove.

    Attributes:
        id: the record's id, the image's name (or id, without one), the volume's name.
        bytes: what its removal frees.
        used_at: seconds since 1970; 0 when it is not known.
        in_use: whether a build or a container uses it now.
        needed: whether the next build or the dev stack would use it.
        parents: pieces that can only go after this one.
    """

    id: str
    bytes: int
    used_at: float = 0.0
    in_use: bool = False
    needed: bool = True
    parents: tuple[str, ...] = ()


class NamedCache(Struct, frozen=True):
    """A cache with a name that a person understands.

    Attributes:
        cost_s: seconds that it took to fill it; None where that was not measured.
        grown_bytes: how much larger it is than it was at `Inventory.grown_since`; None when it was
            not there, or not looked at.
    """

    name: str
    kind: Kind
    pieces: tuple[Piece, ...]
    cost_s: float | None = None
    grown_bytes: int | None = None

    @property
    def bytes(self) -> int:
        """What removing all of it frees."""
        return sum(piece.bytes for piece in self.pieces)

    @property
    def used_at(self) -> float:
        """When any of it was last used."""
        return max((piece.used_at for piece in self.pieces), default=0.0)

    @property
    def in_use(self) -> bool:
        """Whether any of it is used now."""
        return any(piece.in_use for piece in self.pieces)

    @property
    def needed(self) -> bool:
        """Whether the next build needs any of it."""
        return any(piece.needed for piece in self.pieces)

    def document(self) -> dict[str, object]:
        """The part of `--json` for this cache."""
        return {
            "name": self.name,
            "kind": self.kind,
            "bytes": self.bytes,
            "last_used": written(self.used_at),
            "in_use": self.in_use,
            "cost_s": None if self.cost_s is None else round(self.cost_s, 1),
            "needed": self.needed,
            "grown_bytes": self.grown_bytes,
        }


class Inventory(Struct, frozen=True):
    """All caches of a project.

    Attributes:
        grown_since: the moment that growth counts from, seconds since 1970; 0 when there is none.
        notes: what a reader must know of the figures.
    """

    caches: tuple[NamedCache, ...]
    grown_since: float = 0.0
    notes: tuple[str, ...] = field(default=())

    @property
    def bytes(self) -> int:
        """All of it."""
        return sum(cache.bytes for cache in self.caches)

    def of(self, kinds: Iterable[Kind]) -> tuple[NamedCache, ...]:
        """The caches of some kinds."""
        wanted = frozenset(kinds)
        return tuple(cache for cache in self.caches if cache.kind in wanted)

    def sizes(self) -> Mapping[tuple[Kind, str], int]:
        """Bytes by kind and name."""
        return {(cache.kind, cache.name): cache.bytes for cache in self.caches}

    def document(self, ceiling: int | None = None) -> dict[str, object]:
        """The `--json` document of `refresh-cache show`."""
        return {
            "schema_version": SCHEMA_VERSION,
            "caches": [cache.document() for cache in self.caches],
            "total_bytes": self.bytes,
            "max_bytes": ceiling,
            "grown_since": written(self.grown_since),
            **({"notes": list(self.notes)} if self.notes else {}),
        }


def written(moment: float) -> str | None:
    """A moment as JSON has it: UTC, to the second; None for one that is not known."""
    if not moment:
        return None
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
