"""What the tests with a real engine share."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from e2e import lanes
from e2e.support import FOLDER, REPOSITORY, Clone, Docker

ENGINES = lanes.Engines()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files into their order."""
    items.sort(key=lambda item: lanes.place(item.path.stem))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Choose the engine before any fixture asks for one."""
    ENGINES.choose(item.path.stem)


@pytest.fixture(scope="module", autouse=True)
def _one_at_a_time() -> Iterator[None]:
    ENGINES.begin()
    yield
    ENGINES.end()


def pytest_sessionfinish() -> None:
    """Leave no engine running that only the tests used."""
    ENGINES.stop()


class Lanes(LoadScopeScheduling):
    """Gives each worker a file at a time, in their order."""

    def _split_scope(self, nodeid: str) -> str:
        return lanes.scope(nodeid)


@pytest.hookimpl(optionalhook=True)  # without pytest-xdist, there is no such hook
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Lanes:
    """Take this order, whatever `--dist` says: the clone's files can't run at once."""
    config.option.loadscopereorder = False
    return Lanes(config, log)


@pytest.fixture(scope="session")
def own_docker() -> Docker:
    """Plain docker commands on the engine that this environment's rebake uses; it is started."""
    status = lanes.invoke("engine", "start", "--json")
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
