"""The tiny project, built, with a place for keys: what the tests of signatures and secrets need."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from e2e.support import PROD_PORTS, Docker, Ran, clean_environment
from e2e.tiny_project import write_tiny_project

PASSWORD = "a-password-for-the-tests"


@dataclass(frozen=True)
class Signing:
    """A checkout of the tiny project, the folder with its keys and state, and the engine."""

    root: Path
    home: Path
    docker: Docker

    @property
    def signatures(self) -> Path:
        return self.home / "signatures"

    def invoke(self, *words: str, **env: str) -> Ran:
        return invoke(self.root, self.home, *words, **env)


def invoke(root: Path, home: Path, *words: str, **env: str) -> Ran:
    started = time.monotonic()
    own = {
        "REBAKE_STATE_HOME": str(home / "state"),
        "REBAKE_SIGN_KEY": str(home / "one.key"),
        "REBAKE_SIGN_FOLDER": str(home / "signatures"),
        "COSIGN_PASSWORD": PASSWORD,
        **{f"REBAKE_PROD_PORTS_{name}": port for name, port in PROD_PORTS.items()},
    }
    done = subprocess.run(
        [sys.executable, "-m", "invoke", *words],
        cwd=root,
        env=clean_environment() | own | env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr, time.monotonic() - started)


def make(folder: Path) -> Signing:
    """Write the project; the state stays, so that images which are there are not built again."""
    root, home = folder / "tiny", folder / "home"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    home.mkdir(exist_ok=True)
    write_tiny_project(root)
    (root / "tasks.py").write_text("from rebake.tasks import namespace\n")
    for left in (*home.glob("*.key"), *home.glob("*.pub"), home / "signatures"):
        shutil.rmtree(left) if left.is_dir() else left.unlink(missing_ok=True)
    status = json.loads(invoke(root, home, "engine", "status", "--json").ok().stdout)
    signing = Signing(root, home, Docker(status["docker"], {**status["env"]}))
    signing.invoke("down", "--volumes").ok()
    return signing
