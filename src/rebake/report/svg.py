"""Small parts to draw charts with: escaped elements, numbers, ticks. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup, escape
from msgspec import Struct

from rebake.report.format import shorten, width

_CHAR = 6.4  # px that a usual character of the charts' 12 px text takes
_NAMESPACE = "http://www.w3.org/2000/svg"


class Drawing(Struct, frozen=True):
    """A piece of a picture with its size in px."""

    width: float
    height: float
    body: Markup


def element(tag: str, *children: str | Markup, **attributes: str | float) -> Markup:
    """Make an element: texts are escaped, `class_` is `class`, `_` in names is `-`."""
    words = [Markup(tag)]  # noqa: S704 - our own tag
    for key, value in attributes.items():
        name = "class" if key == "class_" else key.replace("_", "-")
        text = value if isinstance(value, str) else number(value)
        words.append(Markup(f'{name}="{{}}"').format(text))  # noqa: S704 - our own name
    head = Markup(" ").join(words)
    if not children:
        return Markup("<{}/>").format(head)
    inner = Markup("").join(escape(child) for child in children)
    return Markup("<{}>{}</{}>").format(head, inner, tag)


def text(x: float, y: float, words: str, style: str = "", anchor: str = "start") -> Markup:
    """Make a line of text; `y` is its base line."""
    more = {"class_": style} if style else {}
    if anchor != "start":
        more["text_anchor"] = anchor
    return element("text", words, x=x, y=y, **more)


def line(x1: float, y1: float, x2: float, y2: float, style: str) -> Markup:
    """Make a straight line."""
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=style)


def bar(x: float, y: float, wide: float, high: float, style: str, *, tip: str = "") -> Markup:
    """Make a bar; `tip` is shown when the pointer rests on it."""
    children = (element("title", tip),) if tip else ()
    return element(
        "rect", *children, x=x, y=y, width=max(wide, 0.0), height=high, rx=2, class_=style
    )


def moved(drawing: Drawing, x: float, y: float) -> Markup:
    """Put a drawing somewhere."""
    return element("g", drawing.body, transform=f"translate({number(x)} {number(y)})")


def inline(drawing: Drawing, label: str) -> Markup:
    """Make an element for a page; `label` is what a screen reader says."""
    return element(
        "svg",
        drawing.body,
        class_="chart",
        viewBox=f"0 0 {number(drawing.width)} {number(drawing.height)}",
        width=drawing.width,
        height=drawing.height,
        role="img",
        aria_label=label,
    )


def document(drawing: Drawing, title: str, description: str, style: str) -> str:
    """Make a file of its own."""
    body = element(
        "svg",
        element("title", title, id="t"),
        element("desc", description, id="d"),
        element("style", Markup(style)),  # noqa: S704 - our own style
        element("rect", class_="ground", width=drawing.width, height=drawing.height, rx=12),
        drawing.body,
        xmlns=_NAMESPACE,
        class_="chart",
        viewBox=f"0 0 {number(drawing.width)} {number(drawing.height)}",
        role="img",
        aria_labelledby="t d",
    )
    return f"{body}\n"


def number(value: float) -> str:
    """Write a coordinate: two decimals at most, no needless zeros."""
    return f"{value:.2f}".rstrip("0").rstrip(".") if value % 1 else str(int(value))


def cut(words: str, px: float) -> str:
    """Shorten a text to about `px`."""
    return shorten(words, int(px / _CHAR))


def length(words: str) -> float:
    """About how many px a text takes."""
    return width(words) * _CHAR


def ticks(most: float, wanted: int = 5) -> tuple[float, ...]:
    """Round values from 0 to at least `most`: steps of 1, 2 or 5 times a power of ten."""
    if most <= 0:
        return (0.0, 1.0)
    rough = most / wanted
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(n * power for n in (1, 2, 5, 10) if n * power >= rough * 0.999)
    count = math.ceil(most / step - 1e-9)
    return tuple(round(step * n, 10) for n in range(count + 1))


def log_ticks(low: float, high: float) -> tuple[float, ...]:
    """Round values for seconds on a logarithmic scale that reach from below `low` above `high`."""
    marks = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 60, 180, 600, 1800, 3600, 10800, 36000, 108000)
    first = max((n for n, mark in enumerate(marks[:-1]) if mark <= low), default=0)
    last = min((n for n, mark in enumerate(marks) if mark >= high), default=len(marks) - 1)
    return marks[first : max(last, first + 1) + 1]


def path(points: Sequence[tuple[float, float]]) -> str:
    """The `d` of a line through points."""
    return "M" + "L".join(f"{number(x)} {number(y)}" for x, y in points) if points else ""
