"""Thins the trend out: many builds become a few groups of neighbours. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from statistics import median

from msgspec import Struct

from rebake.report.views import TrendPoint

MOST_POINTS = 120  # more than this, and neighbours are drawn together
_RECENT = 20


class Bucket(Struct, frozen=True):
    """Neighbouring builds of the trend.

    Times are of the builds that ended well and had something to do; of those that had nothing to
    do where all were such; None where none ended well.

    Attributes:
        first: the oldest build's id.
        last: the newest build's id.
        started_at: when the oldest began, in seconds since 1970.
        count: how many builds.
        median_s: the middle one's time.
        low_s: the fastest one's time.
        high_s: the slowest one's time.
        failed: how many failed or were interrupted.
        failed_s: how long the longest of those took.
        skipped: how many had nothing to do.
        cached: share of cached steps, 0 to 1; None where no build had steps.
    """

    first: int
    last: int
    started_at: float
    count: int
    median_s: float | None
    low_s: float | None
    high_s: float | None
    failed: int
    failed_s: float | None
    skipped: int
    cached: float | None

    @property
    def idle(self) -> bool:
        """Whether none of them had anything to do."""
        return self.skipped == self.count


def thin_out(points: Sequence[TrendPoint], most: int = MOST_POINTS) -> tuple[Bucket, ...]:
    """Group neighbours so that at most `most` groups are left; one build each where that fits."""
    count = min(len(points), most)
    edges = [len(points) * n // count for n in range(count + 1)] if count else []
    return tuple(_bucket(points[a:b]) for a, b in pairwise(edges))


def _bucket(points: Sequence[TrendPoint]) -> Bucket:
    done = [p for p in points if p.outcome == "done"]
    good = [p.seconds for p in done if not p.skipped] or [p.seconds for p in done]
    bad = [p.seconds for p in points if p.outcome != "done"]
    steps = sum(p.steps for p in points)
    return Bucket(
        first=points[0].id,
        last=points[-1].id,
        started_at=points[0].started_at,
        count=len(points),
        median_s=median(good) if good else None,
        low_s=min(good, default=None),
        high_s=max(good, default=None),
        failed=len(bad),
        failed_s=max(bad, default=None),
        skipped=sum(p.skipped for p in points),
        cached=sum(p.cached_steps for p in points) / steps if steps else None,
    )


def in_words(points: Sequence[TrendPoint], total: int) -> str:
    """Say in a line where it goes: the median, that of the newest, that of those before them."""
    good = [p.seconds for p in points if p.outcome == "done" and not p.skipped]
    skipped = sum(p.skipped for p in points if p.outcome == "done")
    bad = sum(p.outcome != "done" for p in points)
    words = [f"{total} build{'' if total == 1 else 's'}"]
    if len(points) < total:
        words[0] += f", the newest {len(points)} looked at"
    if good:
        words.append(f"median {median(good):.1f} s")
    if len(good) >= 2 * _RECENT:
        new, old = median(good[-_RECENT:]), median(good[-2 * _RECENT : -_RECENT])
        words.append(f"the last {_RECENT}: {new:.1f} s, the {_RECENT} before: {old:.1f} s")
    if skipped:
        words.append(f"{skipped} had nothing to do")
    if bad:
        words.append(f"{bad} did not end well")
    return "; ".join(words)
