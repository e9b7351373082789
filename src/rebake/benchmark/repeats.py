"""How often each sample is taken. Pure."""

from __future__ import annotations

from msgspec import Struct


class Repeats(Struct, frozen=True):
    """How many samples of a subject in a scenario are taken.

    What is slow is taken less often, since it takes hours. What is quick is taken more often: its
    differences are tenths of a second, and so is what else a machine has to do.

    Attributes:
        runs: how many as a rule.
        slow_runs: how many at most when the quickest one took longer than `slow_s` seconds.
        quick_times: how many times as many when it took less than `quick_s` seconds.
    """

    runs: int
    slow_runs: int
    slow_s: float
    quick_times: int
    quick_s: float

    def after(self, quickest_s: float) -> int:
        """How many are taken where the quickest so far took so many seconds."""
        if quickest_s > self.slow_s:
            return self.fewest
        return self.runs * self.quick_times if quickest_s < self.quick_s else self.runs

    @property
    def fewest(self) -> int:
        """How many are taken of what is slow."""
        return min(self.runs, self.slow_runs)

    @property
    def most(self) -> int:
        """How many are taken at most."""
        return self.runs * self.quick_times
