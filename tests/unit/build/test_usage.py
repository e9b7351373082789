from __future__ import annotations

import json

import pytest
from msgspec.structs import asdict

from rebake.build.usage import cache_use, parse_binaries, parse_crates, parse_usage
from rebake.results import CacheCount, StepUsage

FULL = StepUsage(12.345, 812_000_000, 4096, 3, 148, 140, 2, 3, 1)


def line(**values: object) -> str:
    return f"rebake-usage {json.dumps(values, separators=(',', ':'))}"


def test_the_line_of_the_tools() -> None:
    assert parse_usage(line(**asdict(FULL))) == FULL
    assert parse_usage('rebake-usage {"cpu_s":2,"peak_bytes":0}') == StepUsage(
        cpu_s=2, peak_bytes=0
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "rebake-usage",
        "rebake-usage {}",
        "rebake-usage []",
        "rebake-usage 3",
        'rebake-usage {"cpu_s":1',
        ' rebake-usage {"cpu_s":1}',
        'note: rebake-usage {"cpu_s":1}',
        'rebake-usage {"cpu_s":-1}',
        'rebake-usage {"cpu_s":NaN}',
        'rebake-usage {"cpu_s":Infinity}',
        'rebake-usage {"cpu_s":1e400}',
        'rebake-usage {"cpu_s":"1"}',
        'rebake-usage {"cpu_s":null}',
        'rebake-usage {"cpu_s":true}',
        'rebake-usage {"peak_bytes":1.5}',
        'rebake-usage {"peak_bytes":99999999999999999999}',
        'rebake-usage {"crates_compiled":[1]}',
        'rebake-usage {"cpu_s":1,"joke":2}',
        'rebake-usage {"cpu_s":1} and more',
        "rebake-usage " + "[" * 400,
        "rebake-usage " + "[" * 100_000,
        "rebake-usage " + "9" * 10_000,
    ],
)
def test_any_other_line_is_nobodys_usage(text: str) -> None:
    assert parse_usage(text) is None


def test_the_caches_of_a_build() -> None:
    backend = StepUsage(
        crates_compiled=3, crates_reused=148, crates_needed=140, crates_downloaded=2
    )
    ui = StepUsage(cpu_s=1.0, packages_needed=3, packages_downloaded=0)
    use = cache_use(CacheCount(4, 5), [backend, ui])
    assert use.document() == {
        "layers": {"hits": 4, "misses": 5},
        "crates": {"reused": 148, "compiled": 3},
        "cargo_registry": {"needed": 140, "downloaded": 2},
        "bun": {"needed": 3, "downloaded": 0},
    }


def test_what_no_step_told_is_left_out() -> None:
    use = cache_use(CacheCount(9, 0), [StepUsage(cpu_s=1.0, crates_compiled=3)])
    assert use.document() == {"layers": {"hits": 9, "misses": 0}}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rebake-crates api@0.1.0 proc-macro2@1.0.0+x", ("api@0.1.0", "proc-macro2@1.0.0+x")),
        ("rebake-crates ", ()),
        ("rebake-crates  ", ()),
        ("rebake-crates", None),
        ("note: rebake-crates a@1", None),
        ("rebake-crates api", None),
        ("rebake-crates a@1 $(x)@1", None),
        ("rebake-crates " + "a@1 " * 20_000, None),
    ],
)
def test_the_line_with_the_crates(text: str, expected: tuple[str, ...] | None) -> None:
    assert parse_crates(text) == expected


def test_the_binaries_and_what_each_is_known_by() -> None:
    line = "rebake-binaries api=12:9834:1795685914.406793803 web-x=3:1:1795685914.000000000 "
    assert parse_binaries(line) == {
        "api": "12:9834:1795685914.406793803",
        "web-x": "3:1:1795685914.000000000",
    }


@pytest.mark.parametrize(
    "line",
    [
        "rebake-crates api@1.0.0",
        "rebake-binaries",
        "rebake-binaries api=12:9834:1795685914",  # a `stat` that knows no fractions
        "rebake-binaries api=12:9834:?",
        "rebake-binaries api=12:9834:1.406793803 worker",
    ],
)
def test_a_line_that_tells_of_no_binaries(line: str) -> None:
    assert parse_binaries(line) is None
