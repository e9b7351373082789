"""The charts: sound XML, escaped texts, nothing outside of the picture, the same each time."""

from __future__ import annotations

import re
from collections.abc import Callable
from xml.etree import ElementTree as ET

import pytest
from markupsafe import Markup

from rebake.report import charts_benchmark, charts_build, charts_trend, svg
from rebake.report.measured import read
from rebake.report.style import CHART, DARK, LIGHT, standalone
from rebake.report.svg import Drawing
from rebake.report.trend import thin_out
from rebake.report.views import BuildView, ImageView, LayerView, StepView, TrendPoint
from unit.report.test_measured import document, row

EVIL = "</text><script>alert('1')</script>\"&"
SVG = "{http://www.w3.org/2000/svg}"


def parse(drawing: Drawing) -> ET.Element:
    return ET.fromstring(f"<svg>{drawing.body}</svg>")


def words(root: ET.Element) -> list[str]:
    return [e.text or "" for e in root.iter() if e.tag.removeprefix(SVG) == "text"]


def inside(drawing: Drawing) -> None:
    """No bar, line, dot or text begins outside of the picture."""
    for element in parse(drawing).iter():
        for name in ("x", "x1", "x2", "cx"):
            if name in element.attrib:
                assert -1 <= float(element.attrib[name]) <= drawing.width, element.attrib
        for name in ("y", "y1", "y2", "cy"):
            if name in element.attrib:
                assert -1 <= float(element.attrib[name]) <= drawing.height, element.attrib
        if element.tag == "rect":
            assert float(element.attrib["width"]) >= 0
            end = float(element.attrib["x"]) + float(element.attrib["width"])
            assert end <= drawing.width + 0.1


def step(start: float, end: float, **rest: object) -> StepView:
    values: dict[str, object] = {"place": "build 1/2", "title": "cargo build", "target": "api"}
    return StepView(started_s=start, ended_s=end, **(values | rest))  # type: ignore[arg-type]


def build(*steps: StepView, **rest: object) -> BuildView:
    values: dict[str, object] = {
        "id": 7, "mode": "prod", "targets": ("api", "ui"), "started_at": 1_795_000_000.0,
        "seconds": 6.5, "outcome": "done", "steps": steps,
    }  # fmt: skip
    return BuildView(**(values | rest))  # type: ignore[arg-type]


# --- parts ----------------------------------------------------------------------------------


def test_an_element_escapes_texts_and_attributes() -> None:
    made = svg.element("text", "a<b>&", class_='x" onload="y', text_anchor="end")
    assert made == ('<text class="x&#34; onload=&#34;y" text-anchor="end">a&lt;b&gt;&amp;</text>')
    assert svg.element("g", Markup("<b/>"), x=1.0, y=2.345) == '<g x="1" y="2.35"><b/></g>'


@pytest.mark.parametrize(
    ("most", "marks"),
    [(0, (0, 1)), (4.7, (0, 1, 2, 3, 4, 5)), (0.3, (0, 0.1, 0.2, 0.3)), (121, (0, 50, 100, 150))],
)
def test_ticks(most: float, marks: tuple[float, ...]) -> None:
    assert svg.ticks(most) == marks


@pytest.mark.parametrize(
    ("low", "high"), [(0.2, 170), (5, 5), (0.001, 0.002), (200_000, 300_000), (1, 1)]
)
def test_logarithmic_ticks_are_two_or_more(low: float, high: float) -> None:
    marks = svg.log_ticks(low, high)
    assert len(marks) >= 2
    assert list(marks) == sorted(set(marks))


def test_the_style_that_stands_alone_names_every_colour() -> None:
    assert "var(" not in standalone()
    assert LIGHT.keys() == DARK.keys()
    assert set(re.findall(r"var\(--(\w+)\)", CHART)) <= LIGHT.keys()


def contrast(one: str, other: str) -> float:
    def light(colour: str) -> float:
        parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
        lines = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * lines[0] + 0.7152 * lines[1] + 0.0722 * lines[2]

    high, low = sorted((light(one), light(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("text", ["ink", "soft", "ours", "good", "bad", "warn"])
@pytest.mark.parametrize("ground", ["ground", "card"])
def test_texts_can_be_read(palette: dict[str, str], text: str, ground: str) -> None:
    assert contrast(palette[text], palette[ground]) >= 4.5


# --- the benchmark --------------------------------------------------------------------------


def test_a_scenario_marks_the_floor_and_what_is_wrong() -> None:
    benchmark = read(document())
    drawing = charts_benchmark.scenario(benchmark.groups[1], "code-change")
    inside(drawing)
    shown = words(parse(drawing))
    assert shown == [
        "code-change",
        "rebake", "5.00 s (1.25 \N{MULTIPLICATION SIGN})",
        "cache-mount", "2.00 s, wrong image",
        "cargo-chef", "30.0 s (7.50 \N{MULTIPLICATION SIGN})",
        "naive", "160 s (40 \N{MULTIPLICATION SIGN})",
        "floor 4.00 s",
    ]  # fmt: skip
    assert 'class="floor"' in drawing.body
    assert drawing.body.count('class="ours"') == 1
    assert drawing.body.count('class="wrong"') == 1


def test_what_failed_says_why_in_place_of_a_bar() -> None:
    benchmark = read(
        {"results": [row("cold", "rebake", 9.0), row("cold", "naive", None, error=EVIL)]}
    )
    drawing = charts_benchmark.scenario(benchmark.groups[0], "cold")
    assert words(parse(drawing))[-1].startswith("</text><script>")
    assert "<script" not in drawing.body
    assert 'class="floor"' not in drawing.body


def test_the_floor_alone_is_a_bar() -> None:
    benchmark = read({"results": [row("cold", "floor", 9.0)]})
    assert words(parse(charts_benchmark.scenario(benchmark.groups[0], "cold"))) == [
        "cold", "floor", "9.00 s",
    ]  # fmt: skip


def test_the_picture_is_a_sound_file_that_asks_for_nothing() -> None:
    bad = row(f"evil{EVIL}\x00\ud800", f"sub{EVIL}", 3.0)
    benchmark = read(document(results=[*document()["results"], bad]))  # type: ignore[misc]
    text = charts_benchmark.benchmark_picture(benchmark)
    root = ET.fromstring(text.encode("utf-8", "replace"))
    assert root.tag == f"{SVG}svg"
    assert not list(root.iter(f"{SVG}script"))
    assert "prefers-color-scheme: dark" in text
    assert text.count("http") == 1  # the name of the format
    assert not re.search(r"href|url\(|@import|<image|<use|foreignObject", text)
    _, _, wide, high = map(float, root.attrib["viewBox"].split())
    assert 900 < wide < 1000
    assert high < 2000
    assert charts_benchmark.benchmark_picture(benchmark) == text
    described = root.find(f"{SVG}desc")
    assert described is not None
    assert "code-change: floor 4.00 s, rebake 5.00 s, cache-mount 2.00 s (wrong image)" in (
        described.text or ""
    )


def test_the_picture_of_nothing_is_sound() -> None:
    ET.fromstring(charts_benchmark.benchmark_picture(read({"results": []})))


# --- one build ------------------------------------------------------------------------------


def test_the_timeline_groups_steps_by_the_targets_that_share_them() -> None:
    drawing = charts_build.timeline(
        build(
            step(0.0, 0.01, kind="internal", title="load", target=""),
            step(0.2, 0.2, cached=True, target="ui", place="bun 1/2", title="WORKDIR /app"),
            step(0.3, 5.3, target="api,worker"),
            step(5.3, 5.32, target="api", title="copied"),
            step(5.4, 5.9, target="api", title="broke", error="exit code: 101"),
        )
    )
    inside(drawing)
    shown = words(parse(drawing))
    assert "load" not in " ".join(shown)
    after = shown.index("ui")
    assert shown[after:] == [
        "ui", "bun 1/2  WORKDIR /app", "cached",
        "api, worker", "build 1/2  cargo build", "5.0 s",
        "api", "build 1/2  copied", "0.02 s", "build 1/2  broke", "failed",
    ]  # fmt: skip


def test_of_many_steps_the_longest_are_drawn_and_failures_always() -> None:
    many = [step(n, n + 0.1 + n / 100, title=f"s{n}") for n in range(100)]
    many[3] = step(3, 3.01, title="bad", error="exit code: 1")
    rows = charts_build.rows(build(*many, StepView("", "never began")), most=10)
    ((_, kept),) = rows.groups
    assert [s.title for s in kept] == ["bad", *(f"s{n}" for n in range(91, 100))]
    assert rows.left_out == 91


@pytest.mark.parametrize("steps", [(), (step(0.0, 0.0, cached=True),), (step(3.0, 2.0),)])
def test_a_timeline_of_next_to_nothing(steps: tuple[StepView, ...]) -> None:
    inside(charts_build.timeline(build(*steps)))


def test_layers_add_up_and_an_image_without_any_is_one_bar() -> None:
    layers = (LayerView("d", 100, EVIL), LayerView("e", 200), LayerView("f", 0))
    drawing = charts_build.layers(
        (
            ImageView("api", "x-api:prod", 300, layers=layers),
            ImageView("ui", "x-ui:prod", 600),
            ImageView("none", "x:prod", 0),
        )
    )  # fmt: skip
    inside(drawing)
    assert words(parse(drawing)) == ["api", "300 B", "ui", "600 B", "none", "0 B"]
    wide = [float(e.attrib["width"]) for e in parse(drawing).iter("rect")]
    assert wide[0] + wide[1] + 2 == pytest.approx(wide[2] / 2, abs=1)


# --- the trend ------------------------------------------------------------------------------


def mixed(count: int) -> list[TrendPoint]:
    def one(n: int) -> TrendPoint:
        if n % 9 == 4:
            return TrendPoint(n, 1.7e9 + n * 3600, 3.0, "failed")
        if n % 5 == 2:
            return TrendPoint(n, 1.7e9 + n * 3600, 0.2, "done", skipped=True)
        return TrendPoint(n, 1.7e9 + n * 3600, 5 + n % 70, "done", steps=9, cached_steps=n % 10)

    return [one(n) for n in range(count)]


@pytest.mark.parametrize("count", [0, 1, 2, 5, 60, 61, 120, 500])
def test_a_trend_of_any_length_stays_inside(count: int) -> None:
    drawing = charts_trend.trend(thin_out(mixed(count)))
    inside(drawing)
    assert ('class="band"' in drawing.body) == (count > 120)
    assert len(drawing.body) < 60_000


def test_few_builds_are_dots_and_failures_are_crosses() -> None:
    body = charts_trend.trend(thin_out(mixed(10))).body
    assert body.count('class="dot"') == 7
    assert body.count('class="skip"') == 2
    assert body.count('class="cross"') == 1
    assert "build 4 did not end well" in body


def test_where_all_failed_there_is_no_line() -> None:
    failed = [TrendPoint(n, 1.7e9, 2.0, "failed") for n in range(4)]
    body = charts_trend.trend(thin_out(failed)).body
    assert body.count('class="cross"') == 4
    assert 'class="trend"' not in body


@pytest.mark.parametrize(
    "draw",
    [
        lambda: charts_trend.trend(thin_out(mixed(50))),
        lambda: charts_build.timeline(build(step(0.0, 1.0))),
    ],
)
def test_the_same_values_give_the_same_picture(draw: Callable[[], Drawing]) -> None:
    assert draw() == draw()
