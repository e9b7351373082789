"""The page: whole in itself, safe with any text, the same each time, small, and quick to make."""

from __future__ import annotations

import re
import time
from datetime import UTC, timedelta, timezone
from html.parser import HTMLParser

import pytest
from msgspec.structs import replace

from rebake.redact import Redactor
from rebake.report.measured import read
from rebake.report.page import MARK, render
from rebake.report.views import (
    BuildView,
    ContextView,
    FileView,
    ImageView,
    LayerView,
    ReportView,
    StepView,
    TrendPoint,
    cleaned,
    printable,
)
from rebake.results import CacheCount, CacheUse, StepUsage, StoreUse
from unit.report.test_charts import build, mixed, step
from unit.report.test_measured import document, row

EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&{{ 7 * 7 }}</style></title>"
FORBIDDEN = {
    "script", "link", "img", "iframe", "object", "embed", "base", "form", "image", "use",
}  # fmt: skip
VOID = {"meta", "br"}


class Reader(HTMLParser):
    """Reads a page as a browser does, and keeps what it holds."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.open: list[str] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> without a beginning"
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not self.open or self.open[-1] != "style":
            self.texts.append(data)

    @property
    def text(self) -> str:
        """What is read, with one space between the parts."""
        return re.sub(r" ([:;.,])", r"\1", " ".join(" ".join(self.texts).split()))


def parsed(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert reader.open == []
    return reader


def view(**rest: object) -> ReportView:
    made = build(
        step(0.0, 5.0, target="api,worker", title="cargo build"),
        step(5.0, 5.0, cached=True, target="api", title="COPY /out/api /api", kind="copy"),
        images=(ImageView("api", "x-api:prod", 300, "3f9c", layers=(LayerView("sha256:d", 300),)),),
        contexts=(ContextView("backend", 3, 900, (FileView("Cargo.lock", 700), FileView("a", 9))),),
        facts=(("buildx", "0.29.1"),),
        git_head="f" * 40,
    )
    values: dict[str, object] = {
        "project": "shop", "version": "0.1.0", "made_at": 1_795_000_000.0, "build": made,
        "timeline": made, "trend": tuple(mixed(30)), "total": 30, "benchmark": read(document()),
    }  # fmt: skip
    return ReportView(**(values | rest))  # type: ignore[arg-type]


def hostile() -> ReportView:
    evil = build(
        StepView(EVIL, EVIL, EVIL, EVIL, "run", 0.0, 3.0, error=EVIL),
        StepView(EVIL, EVIL, EVIL, EVIL, "copy", 3.0, 3.0, cached=True),
        targets=(EVIL, "api"),
        git_head=EVIL,
        skipped=EVIL,
        images=(ImageView(EVIL, EVIL, 10, EVIL, layers=(LayerView(EVIL, 5, EVIL),)),),
        contexts=(ContextView(EVIL, 1, 1, (FileView(EVIL, 1),)),),
        facts=((EVIL, EVIL),),
    )
    result = document(
        project=EVIL,
        machine={EVIL: EVIL},
        when=EVIL,
        results=[
            row(EVIL, EVIL, 1.0),
            row(EVIL, "rebake", 2.0),
            row("cold", EVIL, None, error=EVIL),
        ],
        limits=[{"name": EVIL, "limit": EVIL, "measured": EVIL, "unit": EVIL, "ok": False}],
    )  # fmt: skip
    trend = (TrendPoint(1, 1.0, 1.0, "done", targets=(EVIL,), git_head=EVIL),) * 3
    return ReportView(
        EVIL, EVIL, 1.0, evil, evil, trend, 3, read(result), benchmark_problem=EVIL
    )  # fmt: skip


VIEWS = {
    "usual": view(),
    "hostile": hostile(),
    "nothing": ReportView("shop", "0.1.0", 0.0),
    "one build": view(trend=tuple(mixed(1)), total=1, benchmark=None),
    "failed": view(build=build(step(0, 3.0, error="exit code: 101"), outcome="failed")),
    "no step": view(build=build(outcome="interrupted"), timeline=None),
    "bad benchmark": view(benchmark=None, benchmark_problem="it can't be read"),
    "empty benchmark": view(benchmark=read({"results": []})),
    "five hundred": view(trend=tuple(mixed(500)), total=500),
}


@pytest.mark.parametrize("shown", VIEWS.values(), ids=VIEWS.keys())
def test_a_page_is_whole_and_asks_for_nothing(shown: ReportView) -> None:
    html = render(shown)
    page = parsed(html)
    assert html.startswith("<!doctype html>")
    assert MARK in html[:300]
    assert not FORBIDDEN & set(page.tags)
    for tag, name, value in page.attributes:
        assert not name.startswith("on"), (tag, name)
        assert name not in {"src", "srcset", "data", "action", "xlink:href"}
        if name == "href":
            assert re.fullmatch(r"#[a-z]+", value)
        if name == "style":
            assert re.fullmatch(r"width: \d+%", value)
    ids = [value for _, name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert {value[1:] for _, name, value in page.attributes if name == "href"} <= set(ids)
    assert {value for _, name, value in page.attributes if name == "aria-labelledby"} <= set(ids)
    style = html[html.index("<style>") : html.index("</style>")]
    assert not re.search(r"url\(|@import|http", style)
    assert not re.search(r"https?:|//", html)


def test_the_policy_forbids_scripts_and_everything_from_elsewhere() -> None:
    assert "default-src 'none'; style-src 'unsafe-inline'" in render(view())


def test_hostile_texts_are_shown_as_they_are() -> None:
    page = parsed(render(hostile()))
    assert EVIL in page.text
    assert "49" not in page.text.split(EVIL)[0]


def test_the_usual_page_tells_the_figures() -> None:
    text = parsed(render(view())).text
    for words in (
        "Builds of shop",
        "Build 7",
        "Took 6.5 s",
        "Steps cached 1 of 2 50%",
        "Outside of the steps 1.5 s",
        "buildx 0.29.1",
        "commit ffffffffff",
        "build 1/2 cargo build api, worker 5.0 s 77%",
        "30 builds; median",
        "2 of 4 limits missed: b; d",
        "code-change 4.00 5.00 2.00 wrong 30.0 160 1.25 \N{MULTIPLICATION SIGN} 6.00",
        "cold, naive: exit code 1",
        "b at least 8 \N{MULTIPLICATION SIGN} 6 \N{MULTIPLICATION SIGN} missed",
        "memory 8.0 GB",
        "backend: 3 files, 900 B",
        "Cargo.lock 700 B",
    ):
        assert words in text, words


def test_what_the_steps_took_is_told() -> None:
    usage = StepUsage(cpu_s=9.5, peak_bytes=812_000_000)
    made = build(
        step(0.0, 5.0, usage=usage),
        network_bytes=3_000_000,
        caches=CacheUse(CacheCount(3, 1), CacheCount(148, 2), StoreUse(150, 4), StoreUse(60, 0)),
    )
    text = parsed(render(view(build=made, timeline=made))).text
    for words in (
        "Over the network 3.0 MB",
        "CPU time 9.5 s",
        "Most memory of a step 812 MB",
        "Crates reused 148 of 150 99%",
        "Crates downloaded 4 150 needed",
        "UI packages downloaded 0 60 needed",
        "ran 9.5 s 812 MB",
    ):
        assert words in text, words


def test_every_chart_has_a_name_and_a_table_beside_it() -> None:
    page = parsed(render(view()))
    names = [v for tag, name, v in page.attributes if (tag, name) == ("svg", "aria-label")]
    assert names[:2] == ["Timeline of the steps", "Seconds of each build"]
    assert len(names) == page.tags.count("svg") == 6
    assert page.tags.count("table") >= 6
    headers = page.tags.count("th")
    scopes = [v for tag, name, v in page.attributes if (tag, name) == ("th", "scope")]
    assert len(scopes) == headers


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("nothing", "No build of this project is recorded yet. invoke build makes one."),
        ("nothing", "No result of the benchmark to show. invoke benchmark makes one"),
        ("one build", "A trend needs two builds."),
        ("failed", "failed build 1/2 cargo build: exit code: 101"),
        ("no step", "No step is recorded: nothing had to run."),
        ("bad benchmark", "it can't be read"),
        ("empty benchmark", "It measured nothing."),
        ("five hundred", "neighbours are drawn together"),
    ],
)
def test_unusual_pages_say_what_is_missing(name: str, says: str) -> None:
    assert says in parsed(render(VIEWS[name])).text


def test_a_build_without_steps_shows_those_of_the_one_before() -> None:
    skipped = build(id=9, skipped="no input changed", seconds=0.2)
    text = parsed(render(view(build=skipped, timeline=build(step(0.0, 1.0))))).text
    assert "Nothing was built: no input changed" in text
    assert "Build 9 ran no step. This is build 7" in text


def test_the_same_values_make_the_same_page() -> None:
    assert render(view()) == render(view())


def test_times_are_those_of_the_zone() -> None:
    assert "Made 2026-11-18 11:06" in render(view(), zone=UTC)
    assert "Made 2026-11-18 13:06" in render(view(), zone=timezone(timedelta(hours=2)))


def test_colours_follow_the_reader_and_paper_is_white() -> None:
    html = render(view())
    assert html.index("prefers-color-scheme: dark") < html.index("@media print { :root")


def test_a_thousand_builds_with_hundreds_of_steps_stay_small_and_quick() -> None:
    steps = [step(n / 10, n / 10 + 0.3, title=f"RUN {'x' * 300} {n}") for n in range(400)]
    files = tuple(FileView(f"{'d/' * 30}{n}", n) for n in range(20))
    big = build(*steps, contexts=tuple(ContextView(f"c{n}", 20, 9, files) for n in range(3)))
    began = time.thread_time()  # CPU seconds: others use this machine too
    html = render(view(build=big, timeline=big, trend=tuple(mixed(1000)), total=1000))
    assert len(html.encode()) < 400_000
    assert time.thread_time() - began < 1.5


def test_secrets_are_masked_before_they_are_escaped() -> None:
    secret = "s3cr&t<value>"
    shown = view(build=build(step(0.0, 1.0, title=f"curl {secret}", error=secret)))
    html = render(shown, clean=Redactor([secret]).text)
    assert "s3cr" not in html
    assert "curl ***" in html


def test_what_no_document_can_hold_is_replaced() -> None:
    assert printable("a\x00b\x1b[31m\ud800\u202ec\n\t") == "a\ufffdb\ufffd[31m\ufffd\ufffdc\n\t"
    made: BuildView = cleaned(build(step(0.0, 1.0, title="a\ud800")), str.upper)
    assert made.steps[0].title == "A\ufffd"
    assert made.targets == ("API", "UI")
    render(replace(view(), project="caf\udce9")).encode()


def test_the_time_outside_of_the_steps_counts_what_runs_beside_each_other_once() -> None:
    made = build(step(0.0, 4.0), step(1.0, 3.0), step(3.5, 5.0), seconds=6.0)
    assert made.outside_s == pytest.approx(1.0)
    assert build(step(0.0, 9.0), seconds=6.0).outside_s == 0.0
