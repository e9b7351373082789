"""Two workers side by side, each with an engine to itself (`pytest -n 2`).

Many tests look at all that an engine has, empty its caches, or measure. So the worker that gets the
clone of this repository works on the engine that everybody uses, with what was compiled there; any
other one on a private engine that only these tests use. It is kept between runs, stopped at their
end, and gets its base images from the first one.

Where the engine is the user's own, there is no second one: the files run one at a time.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path, PurePosixPath
from typing import Any

import platformdirs
from filelock import FileLock, Timeout

from e2e.support import REPOSITORY, clean_environment
from rebake.engine.home import HOME_VARIABLE
from rebake.project.project import open_project

WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")
CACHE = platformdirs.user_cache_path("rebake")
# One after another on the clone; its stack first, which measures what a user waits for.
CLONE = ("test_stack", "test_nginx", "test_scan", "test_tutorial")
# All others, each wherever a worker is free; what takes longest first.
LONGEST = (
    *("test_benchmark", "test_why", "test_never_wrong", "test_refresh_cache", "test_npm"),
    *("test_engine", "test_cache_state", "test_warm_cache", "test_new", "test_bounded"),
    *("test_native", "test_template", "test_long_history", "test_ignore", "test_sign"),
)


def place(name: str) -> int:
    """Where a test file stands in the order."""
    order = (*CLONE, *LONGEST)
    return order.index(name) if name in order else len(order)


def scope(nodeid: str) -> str:
    """What one worker gets as a whole: the clone's files together, any other one by itself."""
    name = PurePosixPath(nodeid.partition("::")[0]).stem
    return "clone" if name in CLONE else name


def invoke(*words: str) -> dict[str, Any]:
    """Run a task of this environment's rebake, and return its document."""
    done = subprocess.run(
        [sys.executable, "-m", "invoke", *words],
        cwd=REPOSITORY,
        env=clean_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


class Engines:
    """The engine of this process."""

    def __init__(self) -> None:
        self._chosen = self._second = self._shared = False
        self._lock = FileLock(CACHE / "e2e.lock")

    def choose(self, name: str) -> None:
        """Choose it before the first test, by the file that this is of."""
        if self._chosen or not WORKER:
            return
        self._chosen = True
        CACHE.mkdir(parents=True, exist_ok=True)
        with FileLock(CACHE / "e2e-start.lock"):  # a second one would find the engine busy
            first = invoke("engine", "start", "--json")
        named = os.environ.keys() & {"DOCKER_HOST", "DOCKER_CONTEXT"}
        self._shared = first["kind"] != "private" or bool(named)
        if not self._shared and name not in CLONE:
            os.environ[HOME_VARIABLE] = str(self._free_home())
            self._second = True
            self._share(first, invoke("engine", "start", "--json"))

    def begin(self) -> None:
        """Wait until no other worker is busy with this engine."""
        if WORKER and self._shared:
            CACHE.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()

    def end(self) -> None:
        """Let another worker have it."""
        if self._lock.is_locked:
            self._lock.release()

    def stop(self) -> None:
        """Stop the second engine."""
        if self._second:
            invoke("engine", "stop", "--json")
            self._home_lock.release()

    def _free_home(self) -> Path:
        """The first one that no other worker has."""
        homes = CACHE / "e2e-engines"
        homes.mkdir(parents=True, exist_ok=True)
        for number in itertools.count(1):
            self._home_lock = FileLock(homes / f"{number}.tests")
            with contextlib.suppress(Timeout):
                self._home_lock.acquire(blocking=False)
                return homes / str(number)
        raise AssertionError

    def _share(self, first: dict[str, Any], second: dict[str, Any]) -> None:
        """Give the second engine the base images that the first one has."""
        table = open_project(REPOSITORY).config.base_images
        for ref in (table.rust, table.bun):
            if self._has(first, ref) and not self._has(second, ref):
                with subprocess.Popen(
                    [first["docker"], "image", "save", ref],
                    env=clean_environment() | first["env"],
                    stdout=subprocess.PIPE,
                ) as saving:
                    subprocess.run(
                        [second["docker"], "image", "load", "--quiet"],
                        env=clean_environment() | second["env"],
                        stdin=saving.stdout,
                        stdout=subprocess.DEVNULL,
                        timeout=300,
                        check=True,
                    )
                assert saving.returncode == 0

    def _has(self, engine: dict[str, Any], ref: str) -> bool:
        asked = subprocess.run(
            [engine["docker"], "image", "inspect", ref],
            env=clean_environment() | engine["env"],
            capture_output=True,
            timeout=60,
            check=False,
        )
        return asked.returncode == 0
