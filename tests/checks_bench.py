"""A project to run the parts of `lint` on, with the real programs."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from e2e.support import REPOSITORY
from e2e.tiny_project import write_tiny_project
from rebake.checks import plan
from rebake.checks.run import Finished, Listener, run_parts
from rebake.sessions import Check
from rebake.sessions_ledger import Options

_FILES = {
    "pyproject.toml": '[tool.mypy]\nstrict = true\nfiles = ["src", "scripts"]\n'
    '[tool.ruff.lint]\nselect = ["F", "E"]\n',
    "src/good.py": "X = 1\n",
    "scripts/tool.py": "Y = 2\n",
    "scripts/run.sh": '#!/bin/sh\necho "$1"\n',
    "scripts/run.ps1": "param([string]$Name)\nWrite-Output $Name\n",
}
_SILENT = Listener(lambda _: None, lambda _: None, lambda _: None)


@dataclass(frozen=True)
class Linted:
    """A small project, all of it in order."""

    root: Path

    def write(self, name: str, text: str) -> None:
        """Write a file."""
        file = self.root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8", newline="")

    def lint(self, group: str, *, engine: bool = False) -> dict[str, Finished]:
        """Run the parts of a group, with an engine if asked; how each ended, by its name."""
        check = Check(self.root, Options(strict=False), makes_engine=engine)
        parts = plan.parts_of_lint(check.tree, group)
        done = run_parts(parts, self.root, check.tool, _SILENT, check.actions)
        return {finished.part.name: finished for finished in done}


def write_linted_project(folder: Path) -> Linted:
    """Write the project."""
    linted = Linted(write_tiny_project(folder))
    for name, text in _FILES.items():
        linted.write(name, text)
    shutil.copy(REPOSITORY / ".hadolint.yaml", folder)
    return linted


def failed(done: Finished, *says: str) -> None:
    """See that a part failed and named these."""
    assert done.state == "failed", f"{done.part.name}: {done.state} {done.note}\n{done.output}"
    assert done.findings >= 1
    for text in says:
        assert text in done.output
