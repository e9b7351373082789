"""What is asked every day answers quickly after ten thousand builds, on a real engine."""

from __future__ import annotations

import json
import os
from pathlib import Path

import platformdirs
import pytest

from e2e import small_project
from e2e.long_history import lengthen
from e2e.small_project import Bench
from e2e.support import cpu_s

pytestmark = pytest.mark.engine

FOLDER = Path(os.environ.get("REBAKE_E2E_FOLDER") or platformdirs.user_cache_path("rebake"))
BUILDS = 10_000
# Of the command and all that it starts. What it waits for is the engine, which no history slows.
MOST_CPU_S = 1.5


@pytest.fixture(scope="module")
def bench() -> Bench:
    made = small_project.make(FOLDER / "e2e-long")
    made.one.invoke("build", "api").ok()
    lengthen(made.one.state, BUILDS)
    return made


@pytest.mark.parametrize(
    "words",
    [
        ("refresh-cache", "show"),
        ("why", "api"),
        ("why", "api", "--next"),
        ("history",),
        ("history", "--compare", "9000", "9001"),
        ("doctor",),
    ],
    ids=" ".join,
)
def test_ten_thousand_builds_slow_nothing_down(words: tuple[str, ...], bench: Bench) -> None:
    spent = []
    for _ in range(2):  # the first one writes what was compiled of our modules, and memos
        before = cpu_s()
        done = bench.one.invoke(*words)
        spent.append(cpu_s() - before)
        assert done.returncode == 0 or words == ("doctor",), done.stderr
    assert min(spent) < MOST_CPU_S


def test_they_tell_what_they_tell_of_a_short_one(bench: Bench) -> None:
    listed = bench.one.invoke("history", "--json").ok().document
    assert (listed["total"], listed["shown"]) == (BUILDS, 20)
    assert listed["builds"][0]["id"] == BUILDS
    told = bench.one.invoke("why", "api", "--json").ok().document["builds"][0]
    assert told["build"] == BUILDS
    assert told["steps"]
    shown = json.loads(bench.one.invoke("refresh-cache", "--json").ok().stdout)
    assert "api image (prod)" in {cache["name"] for cache in shown["caches"]}
