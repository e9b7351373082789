"""Makes the page of a report: one HTML file that asks for nothing else, from values alone.

Every text is escaped by jinja2 or by the charts' elements. A content security policy in the page
forbids scripts and anything from elsewhere, should a text ever get through.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from functools import cache
from importlib import resources
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup

from rebake.report import charts_benchmark, charts_build, charts_trend, svg
from rebake.report import format as fmt
from rebake.report.measured import Benchmark, Group, times
from rebake.report.measured import seconds as exact
from rebake.report.style import CHART, DARK, LIGHT, variables
from rebake.report.trend import in_words, thin_out
from rebake.report.views import BuildView, ReportView, cleaned

MARK = '<meta name="generator" content="rebake report">'  # tells our pages from other files
SLOWEST = 8
_NEWEST = 15
_COMMIT = 10


def _same(text: str) -> str:
    return text


def render(
    view: ReportView, *, zone: tzinfo | None = UTC, clean: Callable[[str], str] = _same
) -> str:
    """Return the page of a report.

    Args:
        view: what it shows.
        zone: of the times; the machine's own when None.
        clean: masks secrets in every text.
    """
    shown = cleaned(view, clean)
    text = (
        _environment()
        .get_template("report.html.j2")
        .render(
            view=shown,
            zone=zone,
            mark=Markup(MARK),  # noqa: S704 - our own words
            style=Markup(_style()),  # noqa: S704 - our own file
            newest=shown.trend[: -_NEWEST - 1 : -1],
            commit=_commit,
            share=_share,
            rows=charts_build.rows,
            **_build(shown),
            **_trend(shown, zone),
            **_benchmark(shown.benchmark),
        )
    )
    return text.strip() + "\n"


@cache
def _environment() -> Environment:
    """Return what holds the templates; one that is compiled already is used again."""
    environment = Environment(
        loader=FunctionLoader(_template),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "seconds": fmt.seconds,
        "exact": exact,
        "size": fmt.size,
        "times": times,
        "when": _when,
    }
    return environment


@pass_context
def _when(context: Context, value: float) -> str:
    zone = context["zone"]
    return f"{datetime.fromtimestamp(value, UTC).astimezone(zone):%Y-%m-%d %H:%M}"


def _build(view: ReportView) -> dict[str, Any]:
    build, drawn = view.build, view.timeline
    return {
        "timeline": svg.inline(charts_build.timeline(drawn), "Timeline of the steps")
        if drawn
        else None,
        "drawn": charts_build.rows(drawn) if drawn else None,
        "slowest": drawn.slowest(SLOWEST) if drawn else (),
        "layers": svg.inline(charts_build.layers(build.images), "Sizes of the images")
        if build and build.images
        else None,
    }


def _trend(view: ReportView, zone: tzinfo | None) -> dict[str, Any]:
    buckets = thin_out(view.trend)
    return {
        "buckets": buckets,
        "dots": len(buckets) <= charts_trend.FEW,
        "trend": svg.inline(charts_trend.trend(buckets, zone), "Seconds of each build")
        if len(buckets) > 1
        else None,
        "trend_words": in_words(view.trend, view.total) if view.trend else "",
    }


def _benchmark(benchmark: Benchmark | None) -> dict[str, Any]:
    if benchmark is None:
        return {"groups": [], "bars": []}
    return {
        "groups": [(benchmark.label(group), group) for group in benchmark.groups],
        "bars": [_bars(benchmark, g) for g in charts_benchmark.drawn(benchmark)],
    }


def _bars(benchmark: Benchmark, group: Group) -> Markup:
    label = benchmark.label(group)
    return svg.inline(charts_benchmark.scenario(group, label), f"Seconds: {label}")


def _commit(build: BuildView) -> str:
    return build.git_head[:_COMMIT]


def _share(part: float, whole: float) -> str:
    """A part in percent, for a text and for the width of a bar."""
    return f"{min(part / whole, 1.0):.0%}" if whole > 0 else "0%"


def _template(name: str) -> str:
    return _file(name)


def _file(name: str) -> str:
    return (resources.files("rebake.report") / "templates" / name).read_text(encoding="utf-8")


def _style() -> str:
    light, dark = variables(LIGHT), variables(DARK)
    return "\n".join(
        [
            f":root {{ color-scheme: light dark; {light} }}",
            f"@media (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}",
            # Paper is white, whatever the screen is.
            f"@media print {{ :root {{ color-scheme: light; {light} }} }}",
            _file("report.css"),
            CHART.strip(),
        ]
    )
