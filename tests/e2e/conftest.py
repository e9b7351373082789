"""What the tests with a real engine share."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import PurePosixPath

import platformdirs
import pytest
from filelock import FileLock
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from e2e.support import FOLDER, REPOSITORY, Clone, Docker, clean_environment

# Two lanes, for `-n 2`: their files run one after another in this order, the lanes side by side.
# What works on the builder's cache, or tells what is in it, and all that is not named, stands
# between these; the last one measures times.
FIRST = ("test_refresh_cache", "test_doctor", "test_benchmark")
LAST = "test_stack"
# Beside it: what has an engine of its own, or needs none; then what only builds, and is right
# whatever somebody else takes out of the cache meanwhile.
BESIDE = (
    *("test_engine", "test_native", "test_ignore", "test_never_wrong"),
    *("test_cache_state", "test_bounded", "test_sign", "test_lint", "test_template", "test_new"),
    *("test_adopt", "test_completion"),
)
# These look at all containers, steps or records of the engine: meanwhile nobody else builds there.
ALONE = frozenset({*FIRST, LAST})
BUILDING = frozenset(BESIDE) - {
    *("test_engine", "test_native", "test_template", "test_new", "test_completion"),
}
LOCK = platformdirs.user_cache_path("rebake") / "e2e.lock"


def _place(name: str) -> int:
    if name in FIRST:
        return FIRST.index(name)
    if name in BESIDE:
        return BESIDE.index(name)
    return len(FIRST) + (name == LAST)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files into their order."""
    items.sort(key=lambda item: _place(item.path.stem))


@pytest.fixture(scope="module", autouse=True)
def _builds(request: pytest.FixtureRequest) -> Iterator[None]:
    """Keep those apart that can't build at once, whichever lane is ahead."""
    if request.path.stem not in ALONE | BUILDING or "PYTEST_XDIST_WORKER" not in os.environ:
        yield  # nothing runs beside it
        return
    LOCK.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(LOCK):
        yield


class Lanes(LoadScopeScheduling):
    """Gives each lane to one worker."""

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
