"""Never a wrong image, on a real engine: in each case the image holds the sources at hand."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs
import pytest

from e2e import small_project
from e2e.small_project import Bench

pytestmark = pytest.mark.engine

FOLDER = Path(os.environ.get("REBAKE_E2E_FOLDER") or platformdirs.user_cache_path("rebake") / "e2e")
OLD = 1_600_000_000 * 10**9


@pytest.fixture(scope="module")
def bench() -> Bench:
    """The project in a folder of its own, always the same, so that nothing piles up."""
    return small_project.make(FOLDER / "small, ü")


@pytest.fixture(autouse=True)
def clean(bench: Bench) -> None:
    """Each case begins with what is committed, built."""
    for small in (bench.one, bench.two):
        small.git("reset", "--quiet", "--hard")
        small.git("clean", "--quiet", "-fd")
    bench.one.git("checkout", "--quiet", "main")


def test_new_content_with_an_older_time(bench: Bench) -> None:
    for text, age in (("older-1", 0), ("older-22", 1)):
        bench.one.write_text(text, at_ns=OLD - age * 10**9)
        assert bench.built().text == text


def test_same_size_and_same_time_with_new_content(bench: Bench) -> None:
    for text in ("same-1", "same-2"):
        bench.one.write_text(text, at_ns=OLD)
        assert bench.built().text == text
