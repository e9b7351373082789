"""Draws the benchmark's bars as SVG. Pure."""

from __future__ import annotations

from markupsafe import Markup

from rebake.report import svg
from rebake.report.measured import (
    FLOOR,
    OURS,
    Benchmark,
    Group,
    Measurement,
    seconds,
    times,
)
from rebake.report.style import standalone
from rebake.report.svg import Drawing
from rebake.report.views import printable

PANEL = 440.0
_ROW = 24.0
_NAME = 96.0
_VALUE = 120.0


def scenario(group: Group, label: str) -> Drawing:
    """Bars of all subjects of a scenario; the floor is a dashed line across them."""
    floor = group.seconds(FLOOR)
    shown = [m for m in group.results if m.subject != FLOOR or len(group.results) == 1]
    top = 52.0 if floor is not None else 32.0
    highest = max((m.high_s or 0.0 for m in group.results if m.median_s is not None), default=0.0)
    scale = (PANEL - _NAME - _VALUE) / highest if highest else 0.0
    parts = [svg.text(0, 16, label, "h")]
    bottom = top + _ROW * len(shown)
    for n, result in enumerate(shown):
        parts.append(_subject(result, group, top + _ROW * n, scale))
    parts.append(svg.line(_NAME, top - 2, _NAME, bottom, "axis"))
    if floor is not None and len(group.results) > 1:
        x = _NAME + floor * scale
        words = f"floor {seconds(floor)} s"
        # The word stands beside the line, on the side where there is room.
        parts += [
            svg.line(x, top - 8, x, bottom, "floor"),
            svg.text(x, top - 13, words, "v sm", "start" if x < PANEL / 2 else "end"),
        ]
    return Drawing(PANEL, bottom + 10, Markup("").join(parts))


def _subject(result: Measurement, group: Group, y: float, scale: float) -> Markup:
    ours = result.subject == OURS
    base = y + 16
    name = svg.cut(result.subject, _NAME - 8)
    parts = [svg.text(_NAME - 8, base, name, "us" if ours else "", "end")]
    if result.median_s is None:
        why = result.error or "did not work"
        parts.append(svg.text(_NAME + 8, base, svg.cut(why, PANEL - _NAME - 8), "badtext"))
        return Markup("").join(parts)
    value, tip = f"{seconds(result.median_s)} s", ""
    ratio = group.over_floor(result.subject)
    if ratio is not None and result.subject != FLOOR:
        value += f" ({times(ratio)})"
    if result.runs_s:
        tip = f"{result.subject}: {', '.join(seconds(run) for run in result.runs_s)} s"
    style = "wrong" if result.wrong else "ours" if ours else "peer"
    parts.append(svg.bar(_NAME, y + 4, max(result.median_s * scale, 1.5), _ROW - 8, style, tip=tip))
    low, high = result.low_s or 0.0, result.high_s or 0.0
    if high > low:
        middle, left, right = y + _ROW / 2, _NAME + low * scale, _NAME + high * scale
        if right - left > 3:  # noqa: PLR2004 - narrower, it is a smear
            parts.append(svg.line(left, middle, right, middle, "spread"))
    end = _NAME + max(high, result.median_s) * scale + 6
    if result.wrong:
        words = f"{seconds(result.median_s)} s, wrong image"
        parts.append(svg.text(end, base, words, "badtext"))
    else:
        parts.append(svg.text(end, base, value, "us" if ours else "v"))
    return Markup("").join(parts)


def drawn(benchmark: Benchmark) -> tuple[Group, ...]:
    """The groups in which anything was measured."""
    return tuple(g for g in benchmark.groups if any(m.median_s is not None for m in g.results))


def benchmark_picture(benchmark: Benchmark) -> str:
    """All scenarios in one SVG file, two beside each other, for a page that shows pictures."""
    margin, gap = 24.0, 28.0
    panels = [scenario(group, printable(benchmark.label(group))) for group in drawn(benchmark)]
    parts, y = [_legend(margin, margin + 12)], margin + 34
    for left, right in zip(panels[::2], [*panels[1::2], None], strict=False):
        parts.append(svg.moved(left, margin, y))
        if right:
            parts.append(svg.moved(right, margin + PANEL + gap, y))
        y += max(left.height, right.height if right else 0.0) + 8
    drawing = Drawing(2 * (margin + PANEL) + gap, y + margin - 12, Markup("").join(parts))
    return svg.document(
        drawing, "Seconds for each build scenario, by recipe", in_words(benchmark), standalone()
    )


def _legend(x: float, y: float) -> Markup:
    return Markup("").join(
        [
            svg.bar(x, y - 10, 12, 12, "ours"),
            svg.text(x + 18, y, "rebake"),
            svg.bar(x + 80, y - 10, 12, 12, "peer"),
            svg.text(x + 98, y, "other recipes"),
            svg.line(x + 200, y - 4, x + 224, y - 4, "floor"),
            svg.text(x + 230, y, "floor: cargo or bun straight on the machine"),
            svg.text(x + 530, y, "seconds (median), and times the floor"),
        ]
    )


def in_words(benchmark: Benchmark) -> str:
    """What the bars say, for those who can't see them."""
    words = []
    for group in benchmark.groups:
        named = [
            f"{m.subject} {seconds(m.median_s)} s{' (wrong image)' if m.wrong else ''}"
            for m in group.results
            if m.median_s is not None
        ]
        words.append(f"{benchmark.label(group)}: {', '.join(named) or 'nothing measured'}.")
    return printable(" ".join(words))
