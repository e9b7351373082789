"""The colours and the style of charts, shared by the page and by pictures that stand alone."""

from __future__ import annotations

import re
from collections.abc import Mapping

# Each pair of text and ground has a contrast of 4.5 or more.
LIGHT: Mapping[str, str] = {
    "ground": "#fbfcfd",
    "card": "#ffffff",
    "ink": "#17202a",
    "soft": "#4d5864",
    "line": "#d5dbe1",
    "strong": "#8a96a3",
    "ours": "#0f6e63",
    "peer": "#9aa7b4",
    "good": "#1a6b2f",
    "bad": "#b3261e",
    "warn": "#8a5a00",
    "band": "#cfe5e2",
}
DARK: Mapping[str, str] = {
    "ground": "#12161c",
    "card": "#1b222b",
    "ink": "#e8edf2",
    "soft": "#a8b3be",
    "line": "#333e4a",
    "strong": "#6d7a88",
    "ours": "#4cc5b5",
    "peer": "#66747f",
    "good": "#6fd08c",
    "bad": "#ff8a80",
    "warn": "#e3b341",
    "band": "#1f4b47",
}

CHART = """
.chart text { font-family: ui-sans-serif, system-ui, sans-serif; font-size: 12px; fill: var(--soft); }
.chart .h { font-size: 13.5px; font-weight: 600; fill: var(--ink); }
.chart .v { fill: var(--ink); }
.chart .us { fill: var(--ink); font-weight: 600; }
.chart .sm { font-size: 11px; }
.chart .grid { stroke: var(--line); stroke-width: 1; fill: none; }
.chart .axis { stroke: var(--strong); stroke-width: 1; fill: none; }
.chart .spread { stroke: var(--ink); stroke-width: 1.5; fill: none; }
.chart .floor { stroke: var(--ink); stroke-width: 1.5; stroke-dasharray: 5 3; fill: none; }
.chart .ours { fill: var(--ours); }
.chart .peer { fill: var(--peer); }
.chart .wrong { fill: var(--card); stroke: var(--bad); stroke-width: 1.5; }
.chart .failed { fill: var(--bad); }
.chart text.badtext { fill: var(--bad); }
.chart .cached { fill: var(--card); stroke: var(--strong); stroke-width: 1.5; }
.chart .card { fill: var(--card); stroke: var(--line); }
.chart .ground { fill: var(--ground); }
.chart .band { fill: var(--band); }
.chart .trend { stroke: var(--ours); stroke-width: 1.5; fill: none; stroke-linejoin: round; }
.chart .dot { fill: var(--ours); }
.chart .skip { fill: var(--card); stroke: var(--ours); stroke-width: 1.5; }
.chart .cross { stroke: var(--bad); stroke-width: 2; fill: none; }
.chart .share { fill: var(--peer); }
.chart .l0 { fill: var(--ours); } .chart .l1 { fill: var(--strong); }
.chart .l2 { fill: var(--peer); } .chart .l3 { fill: var(--band); }
"""  # noqa: E501 - one rule a line


def variables(palette: Mapping[str, str]) -> str:
    """The palette as CSS custom properties."""
    return " ".join(f"--{name}: {value};" for name, value in palette.items())


def standalone() -> str:
    """The charts' style for a picture of its own.

    Without custom properties, which not every viewer of SVG files knows.
    """
    return f"{_filled(LIGHT)}@media (prefers-color-scheme: dark) {{{_filled(DARK)}}}\n"


def _filled(palette: Mapping[str, str]) -> str:
    return re.sub(r"var\(--(\w+)\)", lambda match: palette[match[1]], CHART)
