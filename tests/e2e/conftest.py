"""What the tests with a real engine share."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import PurePosixPath

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from e2e.support import FOLDER, REPOSITORY, Clone, Docker, clean_environment

# These make engines of their own, or need none, or leave nothing in the builder's cache: they can
# run beside the others. What works on one engine's caches has to come one after another.
BESIDE = frozenset({"test_engine", "test_ignore", "test_native"})
LAST = "test_stack"  # it measures times, so it comes when nothing runs beside it any more


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put what measures times at the end."""
    items.sort(key=lambda item: item.path.stem == LAST)


class Lanes(LoadScopeScheduling):
    """Two lanes for `-n 2`: pytest-xdist gives each of them to one worker."""

    def _split_scope(self, nodeid: str) -> str:
        return "beside" if PurePosixPath(nodeid.partition("::")[0]).stem in BESIDE else "engine"


@pytest.hookimpl(optionalhook=True)  # without pytest-xdist, there is no such hook
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Lanes:
    """Take these lanes, whatever `--dist` says: in another order the tests can't run at once."""
    return Lanes(config, log)


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
