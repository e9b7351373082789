"""A small project, and the command line run in it."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rebake.cli import main

REPOSITORY = Path(__file__).parents[1]


class Bench:
    """A small project, and the command line run in it with everything else kept away.

    Most commands run in this very process, by the program's own entry: a process of its own for
    each would double the time of the whole suite.
    """

    def __init__(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys
        self.root = folder / "a b,ü"
        self.home = folder / "home"
        self.home.mkdir()
        crate = self.root / "backend" / "crates"
        for name in ("api", "worker"):
            (crate / name / "src").mkdir(parents=True)
            (crate / name / "Cargo.toml").write_text(f'[package]\nname = "{name}"\n')
            (crate / name / "src" / "main.rs").write_text("fn main() {}\n")
        (crate / "api" / "src" / "queries.rs").write_text('sqlx::query!("select 1");\n')
        (self.root / "backend" / "migrations").mkdir()
        (self.root / "backend" / "Cargo.toml").write_text('[workspace]\nmembers = ["crates/*"]\n')
        (self.root / "ui").mkdir()
        (self.root / "rebake.toml").write_text('[project]\nname = "shop"\n')
        shutil.copy(REPOSITORY / "tasks.py", self.root)
        shutil.copytree(REPOSITORY / "docker", self.root / "docker")

    def environment(self, **environ: str) -> dict[str, str]:
        keep = ("PATH", "LANG", "LC_ALL", "SYSTEMROOT", "TEMP", "TMP")
        return {name: os.environ[name] for name in keep if name in os.environ} | {
            "HOME": str(self.home),
            "USERPROFILE": str(self.home),
            # An engine that is named and not there: nothing is ever set up.
            "DOCKER_HOST": f"unix://{self.home}/no.sock",
            **environ,
        }

    def run(
        self, *words: str, cwd: Path | None = None, **environ: str
    ) -> subprocess.CompletedProcess[str]:
        """Run `rebake` with these words."""
        code: object = 0
        self._capsys.readouterr()
        with self._monkeypatch.context() as patch:
            environment = self.environment(**environ)
            for name in os.environ.keys() - environment.keys():
                patch.delenv(name)
            for name, value in environment.items():
                patch.setenv(name, value)
            patch.chdir(cwd or self.root)
            patch.setattr("sys.argv", ["rebake", *words])
            try:
                main()
            except SystemExit as error:
                code = error.code or 0
        out, err = self._capsys.readouterr()
        assert isinstance(code, int)
        return subprocess.CompletedProcess(words, code, out, err)

    def run_apart(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run `rebake` as a process of its own."""
        return subprocess.run(
            [sys.executable, "-m", "rebake.cli", *words],
            cwd=self.root,
            env=self.environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def digest(self) -> str:
        """What the project's files are now."""
        total = hashlib.sha256()
        for path in sorted(self.root.rglob("*")):
            if path.is_file():
                total.update(str(path).encode() + path.read_bytes())
        return total.hexdigest()
