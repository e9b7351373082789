"""Medians, ratios and limits."""

from __future__ import annotations

import tomllib

import pytest

from rebake.benchmark.statistics import Limit, Result, covered_s, limits, middle, ratios
from rebake.config.load import defaults_text

VALUES = tomllib.loads(defaults_text())["benchmark"]["limits"]


def result(scenario: str, subject: str, *runs: float, services: int = 2, **more) -> Result:
    return Result(scenario, subject, services, runs_s=runs, correct=True if runs else None, **more)


def named(found: list[Limit], name: str) -> Limit:
    return next(limit for limit in found if limit.name == name)


def test_the_median_and_the_spread() -> None:
    one = result("cold", "rebake", 3.0, 1.0, 2.5)
    assert one.median_s == 2.5
    assert one.spread_s == 2.0
    assert result("cold", "rebake").median_s is None
    assert result("cold", "rebake").spread_s is None
    assert middle([None, 4.0, 2.0]) == 3.0
    assert middle([None]) is None


def test_the_entry_of_a_result_has_the_promised_keys() -> None:
    entry = result("cold", "floor", 1.23456).document()
    promised = {
        "scenario", "subject", "services", "runs_s", "median_s", "correct", "cached_steps",
        "steps", "cpu_s", "peak_bytes", "context_bytes", "image_bytes",
    }  # fmt: skip
    assert promised <= set(entry)
    assert entry["runs_s"] == [1.235]
    assert entry["steps"] is None


def test_ratios_are_against_rebake_of_the_same_scenario_and_size() -> None:
    found = ratios(
        [
            result("cold", "rebake", 10.0),
            result("cold", "naive", 15.0),
            result("cold", "naive", 99.0, services=5),
            result("no-change", "naive", 1.0),
            result("cold", "floor"),
        ]
    )
    assert [(one.scenario, one.subject, one.services, one.ratio) for one in found] == [
        ("cold", "naive", 2, 1.5)
    ]


def test_a_limit_at_its_edge_is_kept() -> None:
    assert Limit("most", 2.0, 2.0, "s").ok
    assert not Limit("most", 2.0, 2.001, "s").ok
    assert Limit("least", 5.0, 5.0, "times", at_least=True).ok
    assert not Limit("least", 5.0, 4.9, "times", at_least=True).ok


def test_what_could_not_be_measured_is_not_kept() -> None:
    assert not Limit("most", 2.0, None, "s").ok
    assert not Limit("least", 2.0, None, "times", at_least=True).ok


def test_code_change_against_the_floor_and_the_recipes() -> None:
    found = limits(
        [
            result("code-change", "rebake", 6.0),
            result("code-change", "floor", 5.0),
            result("code-change", "cargo-chef", 33.0),
            result("code-change", "naive", 108.0),
        ],
        VALUES,
        {},
    )
    floor = named(found, "code-change: 1.15 x floor + 1 s")
    assert (floor.limit, floor.measured, floor.ok) == (pytest.approx(6.75), 6.0, True)
    assert named(found, "code-change: times faster than cargo-chef").measured == 5.5
    naive = named(found, "code-change: times faster than naive")
    assert (naive.measured, naive.limit, naive.ok) == (18.0, 20.0, False)
    saved = named(found, "code-change: less time than naive")
    assert saved.measured == pytest.approx(94.44, abs=0.01)
    assert (saved.limit, saved.unit, saved.ok) == (80.0, "%", True)
    assert named(found, "code-change: seconds").limit == 15.0
    assert {limit.name.partition(":")[0] for limit in found} == {"code-change", "rebake"}


def test_a_cold_build_may_take_the_export_on_top_of_the_floor() -> None:
    found = limits(
        [
            result("cold", "rebake", 117.9, export_s=3.0),
            result("cold", "floor", 100.0),
            result("cold", "naive", 129.69),
        ],
        VALUES,
        {},
    )
    floor = named(found, "cold: 1.15 x floor + export")
    assert (floor.limit, floor.ok) == (pytest.approx(118.0), True)
    assert named(found, "cold: times faster than naive").measured == pytest.approx(1.1)


def test_no_change_is_compared_with_bake_itself() -> None:
    ours = [result("no-change", "rebake", 0.31)]
    assert named(limits(ours, VALUES, {2: 0.30}), "no-change: docker buildx bake").ok is False
    assert named(limits(ours, VALUES, {2: 0.32}), "no-change: docker buildx bake").ok is True
    assert "no-change: docker buildx bake" not in {x.name for x in limits(ours, VALUES, {})}


def test_lost_caches_and_fresh_machines_are_a_part_of_cold() -> None:
    found = limits(
        [
            result("cold", "rebake", 100.0),
            result("cache-lost", "rebake", 34.0),
            result("fresh-ci", "rebake", error="no engine of our own can run here"),
        ],
        VALUES,
        {},
    )
    assert named(found, "cache-lost: part of cold").ok
    fresh = named(found, "fresh-ci: part of cold")
    assert fresh.measured is None
    assert not fresh.ok


def test_each_size_has_limits_of_its_own() -> None:
    found = limits(
        [
            result("shared-crate", "rebake", 8.0, services=20),
            result("shared-crate", "floor", 5.0, services=20),
            result("shared-crate", "rebake", 4.0, services=1),
            result("shared-crate", "floor", 5.0, services=1),
        ],
        VALUES,
        {},
    )
    name = "shared-crate: 1.2 x floor + 1 s"
    assert named(found, f"{name} (1 services)").ok
    assert not named(found, f"{name} (20 services)").ok


def test_a_wrong_result_of_rebake_breaks_a_limit() -> None:
    wrong = Result("cold", "rebake", 2, runs_s=(1.0,), correct=False)
    other = Result("cold", "cache-mount", 2, runs_s=(1.0,), correct=False)
    name = "rebake: results that are not what the sources say"
    assert not named(limits([wrong], VALUES, {}), name).ok
    assert named(limits([result("cold", "rebake", 1.0), other], VALUES, {}), name).ok
    assert limits([other], VALUES, {}) == []


@pytest.mark.parametrize(
    ("spans", "seconds"),
    [
        ([], 0.0),
        ([(1.0, 2.5)], 1.5),
        ([(9.0, 10.0), (0.0, 1.0)], 2.0),  # what lies between them counts for nothing
        ([(0.0, 4.0), (1.0, 2.0), (3.0, 5.0)], 5.0),
    ],
)
def test_seconds_that_spans_cover_count_once(
    spans: list[tuple[float, float]], seconds: float
) -> None:
    assert covered_s(spans) == seconds
