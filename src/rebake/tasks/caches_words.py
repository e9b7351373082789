"""How caches are told to a person."""

from __future__ import annotations

import time
from collections.abc import Iterator

from rebake.cache.inventory import Inventory, NamedCache
from rebake.cache.plan import Choice
from rebake.report.format import seconds, size
from rebake.tasks.session import Session

_HEADER = ("cache", "kind", "size", "last used", "", "costs to lose", "grown")
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400


def show(session: Session, inventory: Inventory, ceiling: int | None) -> None:
    """Print the list."""
    now = time.time()
    if not inventory.caches:
        session.say("no caches of this project are known")
        _notes(session, inventory)
        return
    session.reporter.table(_HEADER, [_row(cache, now) for cache in inventory.caches])
    total = f"{size(inventory.bytes)} in all"
    if ceiling is not None:
        total += f", the ceiling is {size(ceiling)}"
    if inventory.grown_since:
        passed = ago(inventory.grown_since, now).removesuffix(" ago")
        total += f"; grown: within the last {passed}"
    session.reporter.result(total)
    _notes(session, inventory)


def _notes(session: Session, inventory: Inventory) -> None:
    for text in inventory.notes:
        session.say(f"note: {text}")


def _row(cache: NamedCache, now: float) -> tuple[str, ...]:
    state = "in use" if cache.in_use else "" if cache.needed else "not needed"
    return (
        cache.name,
        cache.kind,
        size(cache.bytes),
        ago(cache.used_at, now),
        state,
        seconds(cache.cost_s) if cache.cost_s is not None else "not measured",
        _signed(cache.grown_bytes),
    )


def preview(choice: Choice) -> Iterator[str]:
    """What would go, a line a cache, with what it costs."""
    sizes: dict[str, list[int]] = {}
    for removal in choice.removals:
        sizes.setdefault(removal.cache, []).append(removal.piece.bytes)
    for name, parts in sizes.items():
        count = f", {len(parts)} pieces" if len(parts) > 1 else ""
        yield f"  {name}: {size(sum(parts))}{count}"
    for name in choice.kept:
        yield f"  {name}: stays, it is in use"
    if choice.needed:
        cost = f", which took {seconds(choice.cost_s)}" if choice.cost_s else ""
        yield f"the next build makes anew: {', '.join(choice.needed)}{cost}"
    if any(removal.kind in {"layers", "mount"} for removal in choice.removals):
        yield "note: the engine may then run the steps of each build once more, other projects' too"


def outcome(choice: Choice, freed: int, after: Inventory) -> str:
    """The closing line."""
    if not choice.removals:
        return f"nothing to remove; {size(after.bytes)} stay"
    return f"freed {size(freed)} of {size(choice.bytes)}; {size(after.bytes)} stay"


def trimmed(freed: int, after: Inventory, limit: int | None) -> Iterator[str]:
    """What keeping the ceilings did, if anything."""
    if freed:
        yield f"caches: {size(freed)} removed that no build needs; {size(after.bytes)} stay"
    if limit is not None and after.bytes > limit:
        yield (
            f"note: the caches that the next build needs take {size(after.bytes)}, more than "
            f"cache.max_size allows ({size(limit)}): they stay; raise it, or begin anew with "
            "invoke refresh-cache clean build"
        )


def ago(moment: float, now: float) -> str:
    """How long ago: `3 min ago`; empty for what is not known."""
    if not moment:
        return ""
    passed = max(0.0, now - moment)
    for limit, unit, name in (
        (2 * _MINUTE, 1, "s"),
        (2 * _HOUR, _MINUTE, "min"),
        (2 * _DAY, _HOUR, "h"),
    ):
        if passed < limit:
            return f"{passed / unit:.0f} {name} ago"
    return f"{passed / _DAY:.0f} days ago"


def _signed(count: int | None) -> str:
    if count is None or count == 0:
        return ""
    return f"{'+' if count > 0 else '-'}{size(abs(count))}"
