"""What the tests with a real engine share."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest

from e2e.support import FOLDER, REPOSITORY, Clone, Docker, clean_environment

# These make engines of their own, or need none, or leave nothing in the builder's cache: they can
# run beside the others. What works on one engine's caches has to come one after another.
BESIDE = frozenset({"test_engine", "test_ignore", "test_native"})
LAST = "test_stack"  # it measures times, so it comes when nothing runs beside it any more


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put each test into one of two lanes, for `-n 2 --dist loadgroup`."""
    items.sort(key=lambda item: item.path.stem == LAST)
    for item in items:
        lane = "beside" if item.path.stem in BESIDE else "engine"
        item.add_marker(pytest.mark.xdist_group(lane))


@pytest.fixture(scope="session")
def own_docker() -> Docker:
    """Plain docker commands on the engine that this environment's rebake uses; it is started."""
    done = subprocess.run(
        [sys.executable, "-m", "invoke", "engine", "start", "--json"],
        cwd=REPOSITORY,
        env=clean_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    status = json.loads(done.stdout)
    return Docker(status["docker"], {**status["env"]})


@pytest.fixture(scope="session")
def clone() -> Clone:
    """A fresh clone of what is committed, its stacks down and their data gone."""
    old = Clone(FOLDER)
    if old.program("invoke").is_file():
        old.invoke("down", timeout=120)
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        ["git", "clone", "--quiet", "--no-hardlinks", str(REPOSITORY), str(FOLDER)], check=True
    )
    return Clone(FOLDER)


@pytest.fixture(scope="session")
def ready_clone(clone: Clone) -> Clone:
    """The clone with its .venv made and an engine that runs."""
    clone.bootstrap("engine", "start").ok()
    clone.invoke("down").ok()  # what an earlier run left that was broken off
    return clone


@pytest.fixture(scope="session")
def docker(ready_clone: Clone) -> Docker:
    """Plain docker commands on the engine that the clone uses."""
    status = ready_clone.invoke("engine", "status", "--json").ok().document
    return Docker(status["docker"], {**status["env"]})
