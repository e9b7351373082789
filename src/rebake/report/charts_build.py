"""Draws one build as SVG: the timeline of its steps, and its images' layers. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup
from msgspec import Struct

from rebake.report import format as fmt
from rebake.report import svg
from rebake.report.svg import Drawing
from rebake.report.views import BuildView, ImageView, StepView

MOST_ROWS = 60
_LEAST_S = 0.05  # housekeeping that took less is left out
_WIDE, _LEFT, _RIGHT = 920.0, 330.0, 74.0
_ROW, _HEAD = 20.0, 26.0
_HOUSEKEEPING = frozenset({"internal", "cache", "other"})
_SHADES = 4


class Rows(Struct, frozen=True):
    """The steps of a timeline by the targets that share them, and how many are left out."""

    groups: tuple[tuple[str, tuple[StepView, ...]], ...]
    left_out: int


def rows(build: BuildView, most: int = MOST_ROWS) -> Rows:
    """Choose the steps to draw: no short housekeeping, and of very many the longest."""
    shown = [step for step in build.steps if step.started_s is not None and _matters(step)]
    if len(shown) > most:
        kept = sorted(shown, key=lambda s: (not s.error, -round(s.seconds, 3)))[:most]
        ids = {id(step) for step in kept}
        shown = [step for step in shown if id(step) in ids]
    groups: dict[str, list[StepView]] = {}
    for step in sorted(shown, key=lambda s: (s.started_s or 0.0, s.ended_s or 0.0)):
        groups.setdefault(step.target, []).append(step)
    return Rows(
        tuple((target, tuple(steps)) for target, steps in groups.items()),
        len(build.steps) - len(shown),
    )


def _matters(step: StepView) -> bool:
    return bool(step.error) or step.kind not in _HOUSEKEEPING or step.seconds >= _LEAST_S


def timeline(build: BuildView, most: int = MOST_ROWS) -> Drawing:
    """A line for each step, below the targets that it was run for; bars from start to end."""
    chosen = rows(build, most)
    end = max(
        (max(s.started_s or 0.0, s.ended_s or 0.0) for _, g in chosen.groups for s in g),
        default=0.0,
    )
    marks = svg.ticks(end)
    scale = (_WIDE - _LEFT - _RIGHT) / marks[-1]
    top = 22.0
    bottom = top + sum(_HEAD + _ROW * len(steps) for _, steps in chosen.groups)
    parts = []
    for mark in marks:
        x = _LEFT + mark * scale
        parts.append(svg.line(x, top - 4, x, bottom, "grid"))
        parts.append(svg.text(x, top - 9, f"{mark:g} s", "sm", "middle"))
    y = top
    for target, steps in chosen.groups:
        name = target.replace(",", ", ") or "all targets"
        parts.append(svg.text(0, y + 18, svg.cut(name, _WIDE), "h"))
        y += _HEAD
        for step in steps:
            parts.append(_row(step, y, scale))
            y += _ROW
    return Drawing(_WIDE, bottom + 6, Markup("").join(parts))


def _row(step: StepView, y: float, scale: float) -> Markup:
    base = y + 14
    start = _LEFT + (step.started_s or 0.0) * scale
    wide = step.seconds * scale
    label = f"{step.place}  {step.title}" if step.place else step.title
    state = "failed" if step.error else "cached" if step.cached else _took(step.seconds)
    tip = f"{step.place} {step.title}: {state}".strip()
    if step.attempt > 1:
        tip += f" (bake {step.attempt} of this build)"
    style = "failed" if step.error else "cached" if step.cached else "ours"
    if step.cached:
        start = min(start, _WIDE - _RIGHT)
        mark = svg.element(
            "rect", svg.element("title", tip), x=start - 1, y=y + 5, width=9, height=9, rx=2,
            class_=style,
        )  # fmt: skip
        after = start + 14
    else:
        mark = svg.bar(start, y + 4, max(wide, 2.0), _ROW - 8, style, tip=tip)
        after = start + max(wide, 2.0) + 6
    value = "badtext" if step.error else "sm" if step.cached else "v"
    return Markup("").join(
        [
            svg.text(8, base, svg.cut(label, _LEFT - 20)),
            mark,
            svg.text(after, base, state, value),
        ]
    )


def _took(value: float) -> str:
    return f"{value:.2f} s" if value < 0.095 else fmt.seconds(value)  # noqa: PLR2004 - not `0.0 s`


def layers(images: Sequence[ImageView]) -> Drawing:
    """A bar for each image, made of its layers; where none is known, of the whole image."""
    most = max((max(i.bytes, sum(x.bytes for x in i.layers)) for i in images), default=0)
    left, right, row = 150.0, 90.0, 34.0
    scale = (_WIDE - left - right) / most if most else 0.0
    parts = []
    for n, image in enumerate(images):
        y = row * n
        parts.append(svg.text(left - 10, y + 20, svg.cut(image.service, left - 10), "v", "end"))
        x = left
        for k, layer in enumerate(image.layers):
            wide = layer.bytes * scale
            if wide <= 0:
                continue
            tip = f"{fmt.size(layer.bytes)}: {layer.created_by or layer.digest}"
            # A gap of a px between layers; a very thin one is drawn without it.
            room = wide - 1 if wide > 3 else wide  # noqa: PLR2004
            parts.append(svg.bar(x, y + 6, room, row - 14, f"l{k % _SHADES}", tip=tip))
            x += wide
        if not image.layers:
            parts.append(svg.bar(x, y + 6, image.bytes * scale, row - 14, "l0", tip=image.ref))
            x += image.bytes * scale
        parts.append(svg.text(x + 8, y + 20, fmt.size(image.bytes), "v"))
    return Drawing(_WIDE, row * len(images) + 4, Markup("").join(parts))
