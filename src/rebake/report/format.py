"""Pure text: how seconds, bytes, step lines and tables are written. No colour, no output."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from rebake.report.steps import StepName

LABEL_WIDTH = 14  # columns of a step's place (`builder 12/14`)
_MINUTE = 60.0
_UNITS = ("B", "kB", "MB", "GB", "TB")


def seconds(value: float) -> str:
    """`0.3 s`, `12.3 s`, `2 min 03 s`."""
    if value < _MINUTE - 0.05:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest:02d} s"


def size(count: int) -> str:
    """Bytes in decimal units: `812 B`, `1.2 MB`."""
    value = float(count)
    for unit in _UNITS[:-1]:
        if value < 999.5:  # noqa: PLR2004 - the next unit begins at 1000
            return f"{value:.0f} {unit}" if unit == "B" or value >= 99.5 else f"{value:.1f} {unit}"  # noqa: PLR2004
        value /= 1000
    return f"{value:.1f} {_UNITS[-1]}"


def width(text: str) -> int:
    """Columns that a text takes on a terminal."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


def shorten(text: str, columns: int, ellipsis: str = "…") -> str:
    """Cut a text to at most `columns`, with an ellipsis where something is missing."""
    if width(text) <= columns:
        return text
    room = columns - len(ellipsis)
    if room <= 0:
        return ellipsis[: max(columns, 0)]
    kept = ""
    for char in text:
        room -= width(char)
        if room < 0:
            break
        kept += char
    return kept + ellipsis


def fit(left: str, right: str, columns: int, ellipsis: str = "…") -> str:
    """Put `right` at the right edge of a line; `left` is cut when both do not fit."""
    room = columns - width(right) - 1
    left = shorten(left, max(room, 0), ellipsis)
    return left + " " * max(1, columns - width(left) - width(right)) + right


def place(step: StepName) -> str:
    """A step's place, padded so that the titles stand below each other."""
    return step.label + " " * (LABEL_WIDTH - width(step.label))


def step_line(step: StepName, mark: str, result: str, columns: int, ellipsis: str = "…") -> str:
    """One line for a step: mark, place, what it does, and its time at the right edge.

    Args:
        step: the step.
        mark: one glyph for its state.
        result: seconds, or `cached`.
        columns: the line's width; below 50 the place is left out of the padding.
        ellipsis: what stands for cut text.
    """
    narrow = columns < 50  # noqa: PLR2004 - below that, padding would eat the title
    where = step.label if narrow else place(step)
    return fit(" ".join(x for x in (mark, where, step.title) if x), result, columns, ellipsis)


def table_lines(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lay a table out in columns: numbers to the right, the rest to the left."""
    every = [list(header), *[list(row) for row in rows]] if header else [list(r) for r in rows]
    if not every:
        return []
    columns = max(len(row) for row in every)
    every = [row + [""] * (columns - len(row)) for row in every]
    body = every[1:] if header else every
    wide = [max(width(row[i]) for row in every) for i in range(columns)]
    numeric = [bool(body) and all(_is_number(row[i]) for row in body) for i in range(columns)]
    lines = []
    for row in every:
        cells = [
            " " * (wide[i] - width(cell)) + cell
            if numeric[i]
            else cell + " " * (wide[i] - width(cell))
            for i, cell in enumerate(row)
        ]
        lines.append("  ".join(cells).rstrip())
    return lines


def _is_number(cell: str) -> bool:
    return not cell or cell.split(" ", 1)[0].replace(".", "", 1).replace("-", "", 1).isdigit()
