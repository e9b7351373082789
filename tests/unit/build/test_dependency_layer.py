"""When the dependency layer is made, left for later, and forgotten to be due: never."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from rebake.build import dependency_layer, seed
from rebake.build.dependency_layer import DependencyLayer
from rebake.history.records import BuildRecord
from rebake.history.store import History

ANY = cast("Any", None)  # a plan, an engine and a listener that nobody looks at


class Bench:
    """A history, and what the layer's bake does."""

    def __init__(self, folder: Path) -> None:
        self.store = History(folder / "history.sqlite3")
        self.said: list[str] = []
        self.made: object | None = object()

    def layer(self, key: str) -> DependencyLayer:
        return DependencyLayer(self.store, "app", key, self.said.append)

    def built(self, settings: dict[str, str]) -> None:
        self.store.record(
            BuildRecord(
                project="app",
                worktree="/src",
                mode="prod",
                targets=("api",),
                started_at=1.0,
                seconds=1.0,
                outcome="done",
                settings=settings,
            )
        )


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    one = Bench(tmp_path)
    monkeypatch.setattr(dependency_layer, "make_dependency_layer", lambda *_: one.made)
    yield one
    one.store.close()


def bring(layer: DependencyLayer, *, later: bool = False) -> str:
    return layer.bring_up_to_date(ANY, ANY, ANY, later=later)


def test_the_first_build_makes_it(bench: Bench) -> None:
    layer = bench.layer("one")
    assert bring(layer) == "one"
    assert layer.done is bench.made
    assert layer.due_settings("done", skipped=False) == {}


def test_one_that_is_there_is_not_made_again(bench: Bench) -> None:
    bench.built({seed.SETTING: "one"})
    layer = bench.layer("one")
    assert bring(layer) == "one"
    assert layer.done is None


def test_one_that_could_not_be_made_is_told_and_fails_nothing(bench: Bench) -> None:
    bench.built({seed.SETTING: "old"})
    bench.made = None
    assert bring(bench.layer("one")) == "old"
    assert bench.said == [
        "the dependency layer could not be made; a lost cache mount will cost minutes"
    ]


def test_what_was_left_for_later_is_caught_up_with(bench: Bench) -> None:
    layer = bench.layer("one")
    assert not bring(layer, later=True)
    assert layer.due
    due = layer.due_settings("done", skipped=False)
    assert due == {seed.DUE: "one"}
    bench.built(due)

    assert bench.layer("one").catch_up(ANY, ANY, ANY)
    assert bench.layer("one").known == "one"
    assert not bench.layer("one").catch_up(ANY, ANY, ANY)


def test_the_build_of_other_sources_sees_to_its_own(bench: Bench) -> None:
    bench.built({seed.DUE: "one"})
    assert not bench.layer("two").catch_up(ANY, ANY, ANY)


@pytest.mark.parametrize(
    ("key", "outcome", "skipped"),
    [("", "done", False), ("one", "failed", False), ("one", "done", True)],
    ids=["of the UI alone", "that failed", "with nothing to do"],
)
def test_it_stays_due_after_a_build(bench: Bench, key: str, outcome: Any, skipped: bool) -> None:
    bench.built({seed.DUE: "one"})
    assert bench.layer(key).due_settings(outcome, skipped=skipped) == {seed.DUE: "one"}


def test_it_is_no_longer_due_once_a_build_has_another(bench: Bench) -> None:
    bench.built({seed.DUE: "one"})
    layer = bench.layer("two")
    bring(layer)
    assert layer.due_settings("done", skipped=False) == {}
