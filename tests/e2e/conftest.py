"""What the tests with a real engine share."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from e2e.support import FOLDER, REPOSITORY, Clone, Docker


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
