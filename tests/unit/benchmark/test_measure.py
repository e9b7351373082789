"""A sample holds its own work alone: it waits for what came before, but not forever."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rebake.benchmark import measure


def _shares(monkeypatch: pytest.MonkeyPatch, shares: Iterator[float]) -> list[float]:
    seen: list[float] = []

    def percent(interval: float) -> float:
        seen.append(interval)
        return next(shares)

    monkeypatch.setattr("rebake.benchmark.measure.psutil.cpu_percent", percent)
    monkeypatch.setattr("os.sync", lambda: None, raising=False)
    return seen


def test_it_goes_on_once_the_machine_was_quiet_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = _shares(monkeypatch, iter([80.0, 3.0, 40.0, 4.0, 2.0, 99.0]))
    assert measure.settle(60.0)
    assert len(looks) == 5


def test_what_was_written_before_is_on_the_disk_first(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = _shares(monkeypatch, iter([3.0] * 9))
    written: list[int] = []
    monkeypatch.setattr("os.sync", lambda: written.append(len(looks)), raising=False)
    assert measure.settle(60.0)
    assert written == [0]


def test_without_a_way_to_write_it_all_the_machine_is_still_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks = _shares(monkeypatch, iter([3.0] * 9))
    monkeypatch.delattr("os.sync")
    assert measure.settle(60.0)
    assert len(looks) == 2


def test_a_machine_that_is_never_quiet_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(100))
    monkeypatch.setattr("rebake.benchmark.measure.time.monotonic", lambda: float(next(clock)))
    looks = _shares(monkeypatch, iter([50.0] * 100))
    assert not measure.settle(5.0)
    assert len(looks) == 4
