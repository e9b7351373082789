"""Many builds become few points, and none is lost."""

from __future__ import annotations

import pytest

from rebake.report.trend import in_words, thin_out
from rebake.report.views import TrendPoint


def points(count: int, **rest: object) -> list[TrendPoint]:
    return [
        TrendPoint(n, 1000.0 * n, 5.0 + n % 3, "done", steps=10, cached_steps=7, **rest)  # type: ignore[arg-type]
        for n in range(1, count + 1)
    ]


@pytest.mark.parametrize("count", [0, 1, 2, 119, 120, 121, 500, 1000])
def test_every_build_is_in_one_group(count: int) -> None:
    buckets = thin_out(points(count))
    assert len(buckets) == min(count, 120)
    assert sum(b.count for b in buckets) == count
    assert [b.first for b in buckets[1:]] == [b.last + 1 for b in buckets[:-1]]


def test_a_group_tells_the_middle_and_the_ends() -> None:
    builds = [
        TrendPoint(1, 10.0, 4.0, "done", steps=10, cached_steps=5),
        TrendPoint(2, 20.0, 6.0, "done", steps=10, cached_steps=10),
        TrendPoint(3, 30.0, 90.0, "failed"),
        TrendPoint(4, 40.0, 0.2, "done", skipped=True),
        TrendPoint(5, 50.0, 9.0, "done"),
    ]
    (bucket,) = thin_out(builds, most=1)
    assert (bucket.median_s, bucket.low_s, bucket.high_s) == (6.0, 4.0, 9.0)
    assert (bucket.failed, bucket.failed_s, bucket.skipped, bucket.cached) == (1, 90.0, 1, 0.75)
    assert not bucket.idle


def test_builds_that_had_nothing_to_do_count_only_among_themselves() -> None:
    idle, failed = thin_out(
        [TrendPoint(1, 1.0, 0.2, "done", skipped=True), TrendPoint(2, 2.0, 3.0, "interrupted")]
    )
    assert (idle.idle, idle.median_s) == (True, 0.2)
    assert (failed.idle, failed.median_s, failed.failed_s) == (False, None, 3.0)


def test_words() -> None:
    assert in_words([], 0) == "0 builds"
    assert in_words(points(1), 1) == "1 build; median 6.0 s"
    slow = [TrendPoint(n, n, 8.0, "done") for n in range(20)]
    fast = [TrendPoint(n, n, 5.0, "done") for n in range(20)]
    bad = [TrendPoint(1, 1, 1.0, "failed"), TrendPoint(2, 2, 0.2, "done", skipped=True)]
    assert in_words([*bad, *slow, *fast], 90) == (
        "90 builds, the newest 42 looked at; median 6.5 s; "
        "the last 20: 5.0 s, the 20 before: 8.0 s; 1 had nothing to do; 1 did not end well"
    )
