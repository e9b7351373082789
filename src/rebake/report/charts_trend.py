"""Draws the trend of the builds as SVG. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo

from markupsafe import Markup
from msgspec import Struct

from rebake.report import format as fmt
from rebake.report import svg
from rebake.report.svg import Drawing
from rebake.report.trend import Bucket

_WIDE, _LEFT, _RIGHT, _TOP, _HIGH = 920.0, 62.0, 16.0, 14.0, 200.0
_SHARES = 34.0  # height of the bars below
FEW = 60  # up to so many builds, each is drawn as a dot
_DATES = 6


class _Scale(Struct, frozen=True):
    """Where a bucket and a time are drawn."""

    count: int
    marks: tuple[float, ...]

    @property
    def step(self) -> float:
        """Px that a bucket takes."""
        return (_WIDE - _LEFT - _RIGHT) / max(self.count, 1)

    def x(self, n: int) -> float:
        """The middle of a bucket."""
        return _LEFT + self.step * (n + 0.5)

    def y(self, value: float) -> float:
        """A time's height; the scale is logarithmic, as builds take from 0.1 s to an hour."""
        low, high = math.log(self.marks[0]), math.log(self.marks[-1])
        share = (math.log(max(value, self.marks[0])) - low) / (high - low)
        return _TOP + _HIGH * (1 - min(share, 1.0))


def trend(buckets: Sequence[Bucket], zone: tzinfo | None = UTC) -> Drawing:
    """Seconds of the builds in their order, and below them the share of cached steps.

    Args:
        buckets: builds or groups of them, oldest first.
        zone: for the dates; the machine's own when None.
    """
    known = [
        value
        for b in buckets
        for value in (b.low_s, b.high_s, b.failed_s)
        if value is not None and value > 0
    ]
    scale = _Scale(len(buckets), svg.log_ticks(min(known, default=1.0), max(known, default=10.0)))
    base = _TOP + _HIGH + 20
    parts = [_grid(scale), *_times(buckets, scale), *_shares(buckets, scale, base)]
    parts += _dates(buckets, scale, base + _SHARES + 18, zone)
    return Drawing(_WIDE, base + _SHARES + 26, Markup("").join(parts))


def _grid(scale: _Scale) -> Markup:
    parts = []
    for mark in scale.marks:
        y = scale.y(mark)
        parts.append(svg.line(_LEFT, y, _WIDE - _RIGHT, y, "grid"))
        parts.append(svg.text(_LEFT - 8, y + 4, _short_seconds(mark), anchor="end"))
    return Markup("").join(parts)


def _times(buckets: Sequence[Bucket], scale: _Scale) -> list[Markup]:
    good = [
        (n, b.low_s, b.median_s, b.high_s)
        for n, b in enumerate(buckets)
        if b.low_s is not None and b.median_s is not None and b.high_s is not None
    ]
    busy = [point for point in good if not buckets[point[0]].idle]
    parts = []
    if busy and any(b.count > 1 for b in buckets):
        edge = [(scale.x(n), scale.y(high)) for n, _, _, high in busy]
        edge += [(scale.x(n), scale.y(low)) for n, low, _, _ in reversed(busy)]
        parts.append(svg.element("path", d=svg.path(edge) + "Z", class_="band"))
    if len(busy) > 1:
        line = [(scale.x(n), scale.y(middle)) for n, _, middle, _ in busy]
        parts.append(svg.element("path", d=svg.path(line), class_="trend"))
    if len(buckets) <= FEW:
        for n, _, middle, _ in good:
            tip = svg.element("title", f"build {buckets[n].last}: {fmt.seconds(middle)}")
            style = "skip" if buckets[n].idle else "dot"
            x, y = scale.x(n), scale.y(middle)
            parts.append(svg.element("circle", tip, cx=x, cy=y, r=4, class_=style))
    for n, bucket in enumerate(buckets):
        if bucket.failed_s is not None:
            parts.append(_cross(scale.x(n), scale.y(bucket.failed_s), bucket))
    return parts


def _cross(x: float, y: float, bucket: Bucket) -> Markup:
    words = f"{bucket.failed} of builds {bucket.first} to {bucket.last} did not end well"
    if bucket.count == 1:
        words = f"build {bucket.last} did not end well"
    shape = svg.path([(x - 4, y - 4), (x + 4, y + 4)]) + svg.path([(x - 4, y + 4), (x + 4, y - 4)])
    return svg.element("path", svg.element("title", words), d=shape, class_="cross")


def _shares(buckets: Sequence[Bucket], scale: _Scale, top: float) -> list[Markup]:
    bottom = top + _SHARES
    parts = [
        svg.text(_LEFT - 8, top + 14, "steps", "sm", "end"),
        svg.text(_LEFT - 8, top + 28, "cached", "sm", "end"),
        svg.line(_LEFT, bottom, _WIDE - _RIGHT, bottom, "axis"),
    ]
    wide = min(scale.step * 0.7, 24.0)
    for n, bucket in enumerate(buckets):
        if bucket.cached:
            high = _SHARES * bucket.cached
            tip = f"{bucket.cached:.0%} of the steps cached"
            parts.append(
                svg.bar(scale.x(n) - wide / 2, bottom - high, wide, high, "share", tip=tip)
            )
    return parts


def _dates(buckets: Sequence[Bucket], scale: _Scale, y: float, zone: tzinfo | None) -> list[Markup]:
    every = max(1, math.ceil(len(buckets) / _DATES))
    parts, seen = [], ""
    for n in range(0, len(buckets), every):
        when = datetime.fromtimestamp(buckets[n].started_at, UTC).astimezone(zone)
        day = f"{when:%Y-%m-%d}"
        # The day once: the hour tells more about those that follow on it.
        words = day if day != seen else f"{when:%H:%M}"
        seen = day
        x = scale.x(n)
        anchor = "start" if n == 0 and len(buckets) > 1 else "middle"
        parts.append(svg.text(min(x, _WIDE - 44), y, words, "sm", anchor))
    return parts


def _short_seconds(value: float) -> str:
    for limit, unit, name in ((60, 1, "s"), (3600, 60, "min")):
        if value < limit:
            return f"{value / unit:g} {name}"
    return f"{value / 3600:g} h"
