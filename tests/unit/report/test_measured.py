"""A benchmark's document, taken apart and compared."""

from __future__ import annotations

import math

import pytest

from rebake.report.measured import Benchmark, NotABenchmark, read, seconds, times

LEAST = {"at_least": True}


def row(scenario: str, subject: str, median: float | None, **rest: object) -> dict[str, object]:
    runs = [] if median is None else [median, median + 0.2, median - 0.1]
    return {
        "scenario": scenario, "subject": subject, "services": 2, "runs_s": runs,
        "median_s": median, "correct": None if median is None else True, "cached_steps": 4,
        "steps": 9, "cpu_s": 8.5, "peak_bytes": 900_000_000, "context_bytes": 81_000,
        "image_bytes": {"api": 9_000_000, "ui": 7_000_000}, "error": "",
    } | rest  # fmt: skip


def document(**rest: object) -> dict[str, object]:
    return {
        "schema_version": 1,
        "machine": {
            "cpu": "Some CPU",
            "memory_bytes": 8_000_000_000,
            "engine": {"buildx": "1", "engine": "28"},
        },
        "project": {"name": "shop"},
        "results": [
            row("code-change", "naive", 160.0),
            row("code-change", "rebake", 5.0),
            row("code-change", "floor", 4.0),
            row("code-change", "cache-mount", 2.0, correct=False),
            row("code-change", "cargo-chef", 30.0),
            row("cold", "rebake", 120.0),
            row("cold", "naive", None, error="exit code 1"),
            row("shared-crate", "rebake", 32.0, services=20),
        ],
        "ratios": [{"scenario": "cold"}],
        "limits": [
            {"name": "a", "limit": 6.0, "measured": 5.0, "unit": "s", "ok": True},
            {"name": "b", "limit": 8, "measured": 6, "unit": "times", "ok": False} | LEAST,
            {"name": "c", "limit": 0.35, "measured": None, "ok": None},
            {"name": "d", "limit": 80, "measured": -3.5, "unit": "%", "ok": False} | LEAST,
        ],
    } | rest  # fmt: skip


@pytest.fixture
def benchmark() -> Benchmark:
    return read(document())


def test_the_usual_size_comes_first_and_scenarios_in_their_order(benchmark: Benchmark) -> None:
    labels = [benchmark.label(group) for group in benchmark.groups]
    assert labels == ["cold", "code-change", "shared-crate, 20 services"]
    assert benchmark.subjects == ("floor", "rebake", "cache-mount", "cargo-chef", "naive")
    assert benchmark.usual_size == 2


def test_a_wrong_image_is_no_peer_and_neither_is_the_floor(benchmark: Benchmark) -> None:
    group = benchmark.groups[1]
    assert group.best_peer is not None
    assert group.best_peer.subject == "cargo-chef"
    assert group.over_best_peer == pytest.approx(6.0)
    assert group.over_floor("rebake") == pytest.approx(1.25)


def test_what_was_not_measured_is_told(benchmark: Benchmark) -> None:
    assert benchmark.groups[0].best_peer is None
    assert benchmark.groups[0].over_floor("rebake") is None
    assert benchmark.unmeasured == ("cold, naive: exit code 1",)


def test_limits_in_words(benchmark: Benchmark) -> None:
    said = [(x.allowed_words, x.measured_words, x.result_word) for x in benchmark.limits]
    assert said == [
        ("at most 6 s", "5 s", "ok"),
        ("at least 8 \N{MULTIPLICATION SIGN}", "6 \N{MULTIPLICATION SIGN}", "missed"),
        ("at most 0.35", "not measured", "not measured"),
        ("at least 80 %", "-3.5 %", "missed"),
    ]
    assert [x.name for x in benchmark.missed] == ["b", "d"]


def test_the_machine_is_flat_lines(benchmark: Benchmark) -> None:
    assert benchmark.machine == (
        ("cpu", "Some CPU"),
        ("memory", "8.0 GB"),
        ("engine buildx", "1"),
        ("engine", "28"),
    )


def test_details(benchmark: Benchmark) -> None:
    ours = benchmark.groups[1].of("rebake")
    assert ours is not None
    assert (ours.low_s, ours.high_s, ours.image_bytes) == (4.9, 5.2, 16_000_000)


@pytest.mark.parametrize(
    ("when", "told"), [("2026-11-25", "2026-11-25"), (1_795_000_000, "2026-11-18"), (None, "")]
)
def test_when(when: object, told: str) -> None:
    assert read(document(started_at=when)).when == told


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ([], "the document: an object"),
        ({}, "results: a list"),
        ({"results": [1]}, r"results\[0\]: an object"),
        ({"results": [row("", "rebake", 1.0)]}, r"results\[0\].scenario: a name"),
        ({"results": [row("cold", "rebake", 1.0, median_s="5")]}, r"\[0\].median_s: a number"),
        ({"results": [row("cold", "rebake", 1.0, median_s=True)]}, r"\[0\].median_s: a number"),
        ({"results": [row("cold", "rebake", 1.0, median_s=math.nan)]}, "median_s: a number"),
        ({"results": [row("cold", "rebake", 1.0, runs_s=[-1])]}, "runs_s: a number below zero"),
        ({"results": [row("cold", "rebake", 1.0, correct="yes")]}, "correct: true, false or null"),
        ({"results": [], "limits": [{"name": 1}]}, r"limits\[0\].name: a name"),
        ({"results": [], "limits": [{"name": "a", "ok": 1}]}, r"limits\[0\].ok: true"),
        ({"results": [], "references": [{"name": "x"}]}, r"references\[0\].scenario: a name"),
        ({"results": [], "not_run": [3]}, r"not_run\[0\]: an object"),
        ({"results": [], "notes": "x"}, "notes: a list"),
        ({"results": [], "machine": 3}, "machine: an object"),
        ({"results": [], "started_at": 1e300}, "started_at"),
    ],
)
def test_what_is_no_benchmark_is_told_with_its_place(bad: object, says: str) -> None:
    with pytest.raises(NotABenchmark, match=says):
        read(bad)


def test_references_what_was_left_out_and_notes_are_lines() -> None:
    bake = {"name": "docker buildx bake", "scenario": "no-change", "runs_s": [0.3]}
    found = read(
        document(
            references=[
                bake | {"services": 2, "median_s": 0.331},
                bake | {"services": 20, "median_s": 0.5},
                bake | {"services": 5, "median_s": None},
            ],
            not_run=[
                {"scenario": "fresh-ci", "subject": "floor", "reason": "as cold"},
                {"scenario": "ui-change", "subject": "", "reason": ""},
            ],
            notes=["two at a time"],
        )
    )
    assert found.reference_lines == (
        "no-change: docker buildx bake needs 0.33 s",
        "no-change, 20 services: docker buildx bake needs 0.50 s",
    )
    assert found.unmeasured == (
        "cold, naive: exit code 1",
        "fresh-ci, floor: as cold",
        "ui-change: not run",
    )
    assert found.notes == ("two at a time",)


def test_an_empty_result_has_no_groups() -> None:
    empty = read({"results": []})
    assert (empty.groups, empty.usual_size, empty.missed) == ((), 0, ())


@pytest.mark.parametrize(
    ("value", "shown"), [(0.256, "0.26"), (9.994, "9.99"), (9.996, "10.0"), (99.96, "100")]
)
def test_seconds_have_three_digits(value: float, shown: str) -> None:
    assert seconds(value) == shown


def test_times() -> None:
    assert times(1.128) == "1.13 \N{MULTIPLICATION SIGN}"
    assert times(32.6) == "33 \N{MULTIPLICATION SIGN}"
