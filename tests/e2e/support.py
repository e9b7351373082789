"""A clone of this repository, and ways to run its commands.

The clone stands in a folder with a space, a comma and a letter that is not ASCII, always the same
one, so that a second run finds its caches warm, as a user would. Data is new each time.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs

REPOSITORY = Path(__file__).parents[2]
FOLDER = platformdirs.user_cache_path("rebake") / "e2e" / "a b,ü"


def _free_ports(*names: str) -> dict[str, str]:
    """Ports that are free now: the default ones may be a stack's that somebody works with."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in names]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return {n: str(one.getsockname()[1]) for n, one in zip(names, sockets, strict=True)}


PROD_PORTS = _free_ports("UI", "API", "WORKER")


@dataclass(frozen=True)
class Ran:
    """A command of the clone that ended."""

    returncode: int
    stdout: str
    stderr: str
    seconds: float

    @property
    def document(self) -> Any:
        """The one JSON document on stdout."""
        return json.loads(self.stdout)

    def ok(self) -> Ran:
        assert self.returncode == 0, f"exit {self.returncode}\n{self.stdout}\n{self.stderr}"
        return self


@dataclass(frozen=True)
class Clone:
    """A clone of this repository."""

    root: Path

    def bootstrap(self, *words: str, timeout: float = 900, **environ: str) -> Ran:
        """`python3 scripts/bootstrap.py …`, as the README says it."""
        return self.run(sys.executable, "scripts/bootstrap.py", *words, timeout=timeout, **environ)

    def invoke(self, *words: str, timeout: float = 900, cwd: Path | None = None, **env: str) -> Ran:
        """`.venv/bin/invoke …`."""
        return self.run(str(self.program("invoke")), *words, timeout=timeout, cwd=cwd, **env)

    def program(self, name: str) -> Path:
        """A program of the clone's .venv."""
        if os.name == "nt":
            return self.root / ".venv" / "Scripts" / f"{name}.exe"
        return self.root / ".venv" / "bin" / name

    def run(self, *argv: str, timeout: float, cwd: Path | None = None, **environ: str) -> Ran:
        """Run a command in the clone."""
        started = time.monotonic()
        done = subprocess.run(
            argv,
            cwd=cwd or self.root,
            env=clean_environment()
            | {f"REBAKE_PROD_PORTS_{name}": port for name, port in PROD_PORTS.items()}
            | environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        return Ran(done.returncode, done.stdout, done.stderr, time.monotonic() - started)


def clean_environment() -> dict[str, str]:
    """Ours without what the test run itself put there."""
    dropped = (
        "VIRTUAL_ENV",
        "PYTEST_",
        "NOX_",
        "FORCE_COLOR",
        "COVERAGE_",
        "CARGO_TARGET_DIR",
        "REBAKE_E2E_",
    )
    return {name: value for name, value in os.environ.items() if not name.startswith(dropped)}


def cpu_s() -> float:
    """CPU seconds of all programs that this one started and that have ended.

    What is quick is held to that: the wall clock says nothing on a machine that does something
    else too.
    """
    times = os.times()
    return times.children_user + times.children_system


@dataclass(frozen=True)
class Docker:
    """The engine's client."""

    program: str
    env: dict[str, str]

    def __call__(
        self,
        *words: str,
        timeout: float = 300,
        check: bool = True,
        cwd: Path | None = None,
        **env: str,
    ) -> str:
        done = subprocess.run(
            [self.program, *words],
            cwd=cwd,
            env=clean_environment() | self.env | env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if check:
            assert done.returncode == 0, f"{words}: {done.stdout}\n{done.stderr}"
        return done.stdout

    def json(self, *words: str) -> Any:
        return json.loads(self(*words))
