"""`warm-cache` on a real engine, with a project that compiles in seconds."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import platformdirs
import pytest

from e2e import small_project
from e2e.small_project import Small
from e2e.support import Docker, clean_environment, cpu_s
from e2e.test_refresh_cache import Foreign
from e2e.tiny_project import write_tiny_project
from rebake.history.store import History
from rebake.project.project import open_project

pytestmark = pytest.mark.engine

FOLDER = Path(os.environ.get("REBAKE_E2E_FOLDER") or platformdirs.user_cache_path("rebake"))
MOUNTS = {"target release", "cargo registry", "bun store"}


class Bench:
    """The tiny project in a folder of its own, always the same."""

    def __init__(self) -> None:
        self.root, self.state = FOLDER / "e2e-warm" / "tiny", FOLDER / "e2e-warm" / "state"
        shutil.rmtree(self.root, ignore_errors=True)
        write_tiny_project(self.root)

    def rebake(self, *words: str) -> dict[str, Any]:
        done = subprocess.run(
            [sys.executable, "-m", "rebake.cli", *words, "--json"],
            cwd=self.root,
            env=clean_environment() | {"REBAKE_STATE_HOME": str(self.state)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        document: dict[str, Any] = json.loads(done.stdout)
        return document

    def warm(self) -> dict[str, str]:
        """Warm what production builds need; the state of each cache by its name."""
        document = self.rebake("warm-cache", "--for", "prod")
        return {entry["name"]: entry["state"] for entry in document["caches"]}

    def builds(self) -> int:
        """How many builds did anything."""
        with History(self.state / "history.sqlite3") as history:
            project = open_project(self.root).cache_id
            return sum(not build.skipped for build in history.builds(project, limit=1000))


@pytest.fixture(scope="module")
def bench() -> Bench:
    return Bench()


def test_the_second_time_nothing_is_done(bench: Bench) -> None:
    first = bench.warm()
    assert "cold" not in first.values()
    assert MOUNTS | {"api image (prod)", "worker image (prod)", "ui image (prod)"} <= set(first)
    done, spent = bench.builds(), cpu_s()
    again = bench.warm()
    assert cpu_s() - spent < 2.0
    assert [name for name, state in again.items() if state != "warm"] == []
    assert bench.builds() == done


def test_what_was_cleaned_is_warm_again_though_the_images_were_there(bench: Bench) -> None:
    bench.warm()
    removed = bench.rebake("refresh-cache", "clean", "build", "--yes")["removed"]
    assert {entry["name"] for entry in removed} >= MOUNTS
    found = bench.warm()
    assert {found[name] for name in MOUNTS} == {"warmed"}
    assert {found[name] for name in ("api image (prod)", "ui image (prod)")} <= {"warm", "warmed"}
    assert set(bench.warm().values()) == {"warm"}


def test_refresh_leaves_what_is_not_ours_as_it_is(bench: Bench) -> None:
    """The word of `refresh-cache` that warms: a foreign project stands beside ours."""
    bench.warm()
    library = bench.root / "backend/crates/core/src/lib.rs"
    library.write_text(f"{library.read_text()}// {time.time_ns()}\n")
    status = bench.rebake("engine", "status")
    project, ours = open_project(bench.root), Small(bench.root, bench.state)
    foreign = Foreign(
        small_project.Bench(ours, ours, Docker(status["docker"], {**status["env"]})),
        f"f{time.time_ns():x}",
        project.compose_name("prod"),
        project.compose_name("dev"),
        project.config.base_images.rust,
    )
    try:
        foreign.make()
        before = foreign.settled()
        found = bench.rebake("refresh-cache", "refresh", "--yes")["warm"]
        assert "cold" not in {cache["state"] for cache in found["caches"]}
        assert foreign.state() == before
        assert foreign.sentinels() == f"{foreign.run}\n" * 2
    finally:
        foreign.remove()
