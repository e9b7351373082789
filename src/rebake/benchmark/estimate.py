"""How long the rest of a benchmark will take. Pure: samples in, seconds out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct, field

from rebake.benchmark.repeats import Repeats

# Seconds to begin with where nothing is known: a workspace of three crates on two cores.
_FULL_S = 120.0
_WARM_S = {
    "rebake": 8.0, "naive": _FULL_S, "dummy-main": 35.0, "cargo-chef": 35.0,
    "cache-mount": 15.0, "floor": 6.0,
}  # fmt: skip
_QUICK_S = {"no-change": 1.0, "dockerfile-change": 2.0, "ui-change": 6.0}
_LAYERED = ("naive", "dummy-main", "cargo-chef")


def guess(scenario: str, subject: str) -> float:
    """Seconds of one sample, before any was taken."""
    if scenario in _QUICK_S:
        return _QUICK_S[scenario]
    if scenario == "cold" or (scenario == "fresh-ci" and subject in {"naive", "cache-mount"}):
        return _FULL_S
    if scenario == "fresh-ci":
        return 60.0
    if scenario == "dependency-bump" and subject in _LAYERED:
        return _FULL_S
    if scenario == "cache-lost" and subject not in _LAYERED:
        return 40.0 if subject == "rebake" else _FULL_S
    return _WARM_S[subject]


class Clock(Struct):
    """Keeps what is still to be done and how long each part takes.

    Attributes:
        repeats: how many samples of a pair are taken.
        known: seconds of a sample by scenario and subject, of an earlier benchmark.
    """

    repeats: Repeats
    known: Mapping[tuple[str, str], float] = field(default_factory=dict)
    _taken: dict[tuple[str, str], list[tuple[float, float]]] = field(default_factory=dict)

    def took(self, scenario: str, subject: str, seconds: float, whole_s: float) -> None:
        """Note a sample: what is counted, and how long it took with all that belongs to it."""
        self._taken.setdefault((scenario, subject), []).append((seconds, whole_s))

    def wanted(self, scenario: str, subject: str) -> int:
        """How many samples of a pair are wanted.

        The quickest one decides: the first may have waited for files that nobody read for a while.
        """
        taken = self._taken.get((scenario, subject))
        quickest = min(s for s, _ in taken) if taken else self.expected(scenario, subject)
        return self.repeats.after(quickest)

    def left_s(self, pairs: Iterable[tuple[str, str]]) -> float:
        """Seconds that the rest of these scenario-subject pairs will take."""
        total = 0.0
        for pair in pairs:
            missing = self.wanted(*pair) - len(self._taken.get(pair, ()))
            total += max(0, missing) * self.expected(*pair)
        return total

    def expected(self, scenario: str, subject: str) -> float:
        """Seconds of one sample with all that belongs to it, as far as is known."""
        taken = self._taken.get((scenario, subject))
        if taken:
            return sum(whole for _, whole in taken) / len(taken)
        return self._thought(scenario, subject) * self._pace()

    def _thought(self, scenario: str, subject: str) -> float:
        pair = scenario, subject
        return self.known.get(pair, guess(*pair))

    def _pace(self) -> float:
        """How many times as long as was thought all samples took so far."""
        thought = sum(self._thought(*pair) * len(taken) for pair, taken in self._taken.items())
        took = sum(whole for taken in self._taken.values() for _, whole in taken)
        return took / thought if thought else 1.0
