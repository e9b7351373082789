"""A scan as one HTML file that asks for nothing else: no script, no link that loads by itself.

Every text is escaped by jinja2, and a content security policy in the page forbids the rest.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from functools import cache
from importlib import resources

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from rebake.report.style import DARK, LIGHT, variables
from rebake.scan.findings import SEVERITIES, ScanResult
from rebake.scan.words import verdict

MARK = '<meta name="generator" content="rebake scan">'


def render(result: ScanResult, project: str, version: str) -> str:
    """Return the page.

    Args:
        result: the scan.
        project: whose; the image's name where it was no project.
        version: rebake's own.
    """
    counts = Counter(one.finding.severity for one in result.all if one.standing == "fails")
    text = (
        _environment()
        .get_template("scan.html.j2")
        .render(
            result=result,
            project=project,
            version=version,
            mark=Markup(MARK),  # noqa: S704 - our own words
            style=Markup(_style()),  # noqa: S704 - our own file
            verdict=verdict(result),
            counts=[(name, counts[name]) for name in reversed(SEVERITIES) if counts[name]],
            failing=[one for one in result.all if one.standing == "fails"],
            others=[one for one in result.all if one.standing != "fails"],
            made=f"{datetime.fromtimestamp(result.made_at, UTC):%Y-%m-%d %H:%M} UTC",
        )
    )
    return text.strip() + "\n"


@cache
def _environment() -> Environment:
    return Environment(
        loader=FunctionLoader(_file),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _file(name: str) -> str:
    return (resources.files("rebake.scan") / "templates" / name).read_text(encoding="utf-8")


def _style() -> str:
    light, dark = variables(LIGHT), variables(DARK)
    report = resources.files("rebake.report") / "templates" / "report.css"
    return "\n".join(
        [
            f":root {{ color-scheme: light dark; {light} }}",
            f"@media (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}",
            # Paper is white, whatever the screen is.
            f"@media print {{ :root {{ color-scheme: light; {light} }} }}",
            report.read_text(encoding="utf-8"),
            _file("scan.css"),
        ]
    )
