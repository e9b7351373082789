"""How often each sample is taken."""

from __future__ import annotations

import pytest

from rebake.benchmark.repeats import Repeats


@pytest.mark.parametrize(
    ("runs", "quickest_s", "count"),
    [
        (5, 60.1, 2),
        (5, 60.0, 5),
        (5, 10.0, 5),
        (5, 9.9, 15),
        (1, 100.0, 1),  # never more than was asked for
        (1, 1.0, 3),
    ],
)
def test_slow_ones_are_taken_less_often_and_quick_ones_more(
    runs: int, quickest_s: float, count: int
) -> None:
    assert Repeats(runs, 2, 60.0, 3, 10.0).after(quickest_s) == count


def test_the_least_and_the_most() -> None:
    repeats = Repeats(5, 2, 60.0, 3, 10.0)
    assert (repeats.fewest, repeats.most) == (2, 15)
