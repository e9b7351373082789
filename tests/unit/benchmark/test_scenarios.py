"""Which scenarios and subjects there are, and who takes part."""

from __future__ import annotations

import pytest

from rebake.benchmark.scenarios import (
    SCENARIOS,
    SUBJECTS,
    rotated,
    scenarios_named,
    subjects_named,
    takes_part,
)
from rebake.errors import UnknownName

BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}


def test_all_are_taken_when_none_is_named() -> None:
    assert scenarios_named("") == SCENARIOS
    assert subjects_named("") == (
        "rebake", "naive", "dummy-main", "cargo-chef", "cache-mount", "floor",
    )  # fmt: skip


def test_words_come_in_the_order_in_which_they_run() -> None:
    names = [scenario.name for scenario in scenarios_named("fresh-ci, code-change,cold")]
    assert names == ["cold", "code-change", "fresh-ci"]
    assert subjects_named("floor,rebake") == ("rebake", "floor")


def test_an_unknown_word_names_the_nearest() -> None:
    with pytest.raises(UnknownName) as caught:
        scenarios_named("cold,code-chnge")
    assert caught.value.what == "no scenario named 'code-chnge'"
    assert caught.value.hint == "did you mean code-change?"
    assert caught.value.exit_code == 2
    with pytest.raises(UnknownName, match="no subject named 'cargo_chef'"):
        subjects_named("cargo_chef")


def test_the_floor_has_no_part_where_there_is_an_image_only() -> None:
    out = {name for name, one in BY_NAME.items() if takes_part("floor", one, has_ui=True)}
    assert out == {"dockerfile-change", "cache-lost", "fresh-ci"}
    for subject in set(SUBJECTS) - {"floor"}:
        assert all(not takes_part(subject, one, has_ui=True) for one in SCENARIOS)


def test_without_a_ui_nobody_edits_it() -> None:
    assert takes_part("rebake", BY_NAME["ui-change"], has_ui=False) == "the project has no UI"


def test_every_subject_comes_first_once() -> None:
    names = ("a", "b", "c")
    assert [rotated(names, n) for n in range(4)] == [
        ("a", "b", "c"),
        ("b", "c", "a"),
        ("c", "a", "b"),
        ("a", "b", "c"),
    ]
    assert rotated((), 3) == ()
