"""How long the rest will take."""

from __future__ import annotations

from rebake.benchmark.estimate import Clock, guess
from rebake.benchmark.repeats import Repeats
from rebake.benchmark.scenarios import SCENARIO_NAMES, SUBJECTS


def test_there_is_a_guess_for_every_pair() -> None:
    assert all(guess(a, b) > 0 for a in SCENARIO_NAMES for b in SUBJECTS)


def test_a_slow_first_sample_makes_fewer_of_them() -> None:
    clock = Clock(Repeats(5, 2, 60.0, 1, 10.0))
    clock.took("code-change", "naive", 61.0, 65.0)
    clock.took("code-change", "rebake", 60.0, 65.0)
    assert clock.wanted("code-change", "naive") == 2
    assert clock.wanted("code-change", "rebake") == 5


def test_a_first_sample_that_was_disturbed_takes_none_of_the_others_away() -> None:
    clock = Clock(Repeats(3, 1, 60.0, 3, 10.0))
    clock.took("code-change", "rebake", 42.1, 45.0)
    assert clock.wanted("code-change", "rebake") == 3
    clock.took("code-change", "rebake", 2.3, 5.0)
    assert clock.wanted("code-change", "rebake") == 9


def test_what_is_expected_to_be_quick_counts_more_often() -> None:
    clock = Clock(Repeats(5, 2, 60.0, 3, 10.0))
    assert clock.left_s([("no-change", "rebake")]) == 15 * guess("no-change", "rebake")
    clock.took("no-change", "rebake", 10.0, 12.0)
    assert clock.left_s([("no-change", "rebake")]) == 4 * 12.0


def test_the_time_left_follows_the_samples() -> None:
    clock = Clock(Repeats(3, 2, 60.0, 1, 10.0), {("no-change", "rebake"): 0.5})
    pairs = [("no-change", "rebake"), ("code-change", "rebake")]
    assert clock.left_s(pairs) == 3 * 0.5 + 3 * guess("code-change", "rebake")
    clock.took("no-change", "rebake", 0.3, 2.0)
    clock.took("no-change", "rebake", 0.3, 4.0)
    assert clock.left_s(pairs[:1]) == 3.0
    clock.took("no-change", "rebake", 0.3, 3.0)
    assert clock.left_s(pairs[:1]) == 0.0


def test_a_machine_that_is_slower_than_thought_makes_all_of_it_longer() -> None:
    clock = Clock(Repeats(1, 1, 60.0, 1, 10.0))
    pairs = [("cold", "rebake"), ("cold", "naive"), ("code-change", "rebake")]
    clock.took("cold", "rebake", 300.0, 3 * guess("cold", "rebake"))
    assert clock.left_s(pairs) == 3 * (guess("cold", "naive") + guess("code-change", "rebake"))
    clock.took("cold", "naive", 100.0, guess("cold", "naive"))
    assert clock.left_s(pairs) == 2 * guess("code-change", "rebake")
