"""docker/tools/install-packages, with managers that write down how they are called."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[2] / "docker" / "tools" / "install-packages"
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the tool is a shell script")

CI = "npm ci --prefer-offline --no-audit --no-fund"
LOOK = "npm ci --dry-run --loglevel=error --prefer-offline --no-audit --no-fund"
INSTALL = "npm install --no-save --prefer-offline --no-audit --no-fund"
# `npm ci` begins by emptying node_modules; npm's reason is followed by the help of the command.
NPM = """#!/bin/sh
echo "npm $*" >>"$CALLS"
if grep -q disagrees package-lock.json; then
    printf 'npm error code EUSAGE\\nnpm error Missing: x@1 from lock file\\n' >&2
    printf 'npm error Clean install a project\\nnpm error Options:\\n' >&2
    exit 1
fi
case $* in
*--dry-run*) echo 'added 1 package' ;;
ci*) rm -rf node_modules; mkdir node_modules; touch node_modules/whole ;;
install*) ! grep -q breaks package-lock.json || exit 3; touch node_modules/changed ;;
esac
echo 'npm warn something' >&2
"""
BUN = '#!/bin/sh\necho "bun $*" >>"$CALLS"\n'
NODE = '#!/bin/sh\ncat "$0.version"\n'


@dataclass(frozen=True)
class App:
    folder: Path
    programs: Path

    def lock(self, text: str, name: str = "package-lock.json") -> None:
        (self.folder / name).write_text(json.dumps(text))

    def install(self, *words: str, manager: str | None = "npm", code: int = 0) -> str:
        """Run the tool; return what it wrote to stderr."""
        environ = {
            "PATH": f"{self.programs}:{os.environ['PATH']}",
            "CALLS": str(self.programs / "calls"),
            **({"UI_MANAGER": manager} if manager is not None else {}),
        }
        done = subprocess.run(
            [TOOL, *words],
            cwd=self.folder,
            env=environ,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stderr
        return done.stderr

    def calls(self) -> list[str]:
        """How the managers were called since the last time."""
        file = self.programs / "calls"
        if not file.exists():
            return []
        lines = file.read_text().splitlines()
        file.unlink()
        return lines

    @property
    def modules(self) -> set[str]:
        return {path.name for path in (self.folder / "node_modules").iterdir()}


@pytest.fixture
def app(tmp_path: Path) -> App:
    app = App(tmp_path / "a b,ü", tmp_path / "bin")
    for folder in (app.folder, app.programs):
        folder.mkdir()
    for name, text in (("npm", NPM), ("bun", BUN), ("node", NODE)):
        (app.programs / name).write_text(text)
        (app.programs / name).chmod(0o755)
    (app.programs / "node.version").write_text("v24.0.0\n")
    (app.folder / "package.json").write_text("{}")
    app.lock("one")
    return app


def test_bun_is_called_each_time_since_it_finds_out_by_itself(app: App) -> None:
    app.lock("one", "bun.lock")
    app.install("--production", manager=None)
    app.install(manager="bun")
    assert app.calls() == [
        "bun install --frozen-lockfile --production",
        "bun install --frozen-lockfile",
    ]


def test_npm_installs_what_is_not_there_and_then_nothing(app: App) -> None:
    assert app.install() == "npm warn something\n"
    assert app.calls() == [CI]
    app.install()
    assert app.calls() == []


def test_a_new_lock_file_changes_what_it_changes(app: App) -> None:
    app.install()
    app.lock("two")
    app.install()
    app.install()
    assert app.calls() == [CI, LOOK, INSTALL]
    assert app.modules == {"whole", "changed", ".rebake-installed"}


@pytest.mark.parametrize("name", ["package.json", ".npmrc"])
def test_so_do_the_other_files_that_npm_reads(app: App, name: str) -> None:
    app.install()
    (app.folder / name).write_text('{"name": "x"}')
    app.install()
    assert app.calls() == [CI, LOOK, INSTALL]


def test_production_alone_is_another_set(app: App) -> None:
    app.install()
    app.install("--production")
    assert app.calls() == [CI, CI.replace("ci ", "ci --omit=dev ")]
    app.lock("two")
    app.install("--production")
    assert app.calls() == [
        LOOK.replace("error ", "error --omit=dev "),
        INSTALL.replace("save ", "save --omit=dev "),
    ]


def test_another_node_gets_packages_of_its_own(app: App) -> None:
    app.install()
    (app.programs / "node.version").write_text("v26.0.0\n")
    app.install()
    assert app.calls() == [CI, CI]


def test_a_lock_file_that_does_not_fit_changes_nothing_and_the_reason_stands_last(app: App) -> None:
    app.install()
    before = app.modules
    app.lock("disagrees")
    told = app.install(code=1)
    assert told == "npm error code EUSAGE\nnpm error Missing: x@1 from lock file\n"
    assert app.modules == before
    app.lock("one")
    app.calls()
    app.install()
    assert app.calls() == []


def test_an_install_that_breaks_off_is_begun_anew(app: App) -> None:
    app.install()
    app.lock("breaks")
    app.install(code=3)
    app.lock("one")
    app.calls()
    app.install()
    assert app.calls() == [CI]


def test_no_packages_at_all(app: App) -> None:
    (app.programs / "npm").write_text('#!/bin/sh\necho "npm $*" >>"$CALLS"\n')
    app.install()
    app.install()
    assert app.calls() == [CI]


@pytest.mark.parametrize(
    ("manager", "there", "wanted"),
    [("npm", "bun.lock", "package-lock.json"), ("bun", "package-lock.json", "bun.lock")],
)
def test_the_other_managers_lock_file(app: App, manager: str, there: str, wanted: str) -> None:
    (app.folder / "package-lock.json").unlink()
    app.lock("one", there)
    other = "bun" if manager == "npm" else "npm"
    told = app.install(manager=manager, code=2)
    assert f"the package manager is {manager}, but there is no {wanted}" in told
    assert (
        f"there is {there}: set ui.manager in rebake.toml (by hand: UI_MANAGER) to {other}" in told
    )
    (app.folder / there).unlink()
    assert "set ui.manager" not in app.install(manager=manager, code=2)
    assert app.calls() == []


def test_another_manager(app: App) -> None:
    assert "UI_MANAGER is bun or npm, not yarn" in app.install(manager="yarn", code=2)
