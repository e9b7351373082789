"""The Tab key in the shells themselves: those that are not here come from the package archive.

bash and zsh run on a terminal and are typed into; fish tells what its Tab key would offer.
"""

from __future__ import annotations

import os
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import platformdirs
import pytest

from e2e.support import clean_environment
from rebake.engine import archive_program
from rebake.process import which

if sys.platform == "win32":
    pytest.skip("shells of POSIX", allow_module_level=True)

import pty

BIN = Path(sys.executable).parent
FOLDER = platformdirs.user_cache_path("rebake") / "e2e-completion"
# What is typed, what stands there after the Tab key, and what is shown to choose from.
LINES = {
    "rebake bui": ("rebake build ", ()),
    "invoke build --progress q": ("invoke build --progress quiet ", ()),
    "inv refresh-cache clean i": ("inv refresh-cache clean images ", ()),
    f"{BIN}/invoke engine sta": (f"{BIN}/invoke engine sta", ("status", "start")),
    "rebake build ": ("rebake build ", ("api", "worker", "ui", "w")),
}
SOURCE = {"bash": 'eval "$(rebake completion bash)"', "zsh": 'eval "$(rebake completion zsh)"'}
# Ctrl-X writes down what stands in the line.
SHOW = {
    "bash": """told() { printf '%s' "$READLINE_LINE" > told; }; bind -x '"\\C-x": told'""",
    "zsh": """told() { print -rn -- "$BUFFER" > told }; zle -N told; bindkey '^X' told""",
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("completion") / "shop"
    folder.mkdir()
    (folder / "rebake.toml").write_text('[aliases]\nw = "worker"\n')
    return folder


def unpacked(shell: str) -> tuple[Path, Path | None]:
    """A shell, and the folder that it was unpacked into; None: it is installed."""
    home = FOLDER / shell
    found = which(shell)
    if found is not None:
        return found, None
    places = [home / folder / shell for folder in ("usr/bin", "bin")]
    if not any(place.is_file() for place in places):
        if which("apt-get") is None:
            pytest.skip(f"no {shell} here, and no package archive of Debian's")
        FOLDER.mkdir(parents=True, exist_ok=True)
        archive_program.fetch(shell, shell, home, print)
    return next(place for place in places if place.is_file()), home


def environment(project: Path, home: Path | None) -> dict[str, str]:
    """Ours, with the toolkit on PATH, and the unpacked shell's libraries."""
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    own = {"PATH": path, "HOME": str(project), "TERM": "dumb", "LC_ALL": "C.UTF-8"}
    own["REBAKE_STATE_HOME"] = str(project.parent / "state")
    if home is not None:
        libraries = {str(file.parent) for file in home.rglob("lib*.so*")}
        own["LD_LIBRARY_PATH"] = ":".join(sorted(libraries))
    return {**clean_environment(), **own}


class Terminal:
    """A shell on a terminal of its own."""

    def __init__(self, master: int, project: Path, again: str) -> None:
        self._master = master
        self._again = again
        self._told = project / "told"
        self.shown = ""

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def wait_for(self, pattern: str, timeout_s: float = 60) -> None:
        """Read until something is shown."""
        deadline = time.monotonic() + timeout_s
        while not re.search(pattern, self.shown):
            assert time.monotonic() < deadline, f"no {pattern!r} in {self.shown!r}"
            if select.select([self._master], [], [], 0.1)[0]:
                self.shown += os.read(self._master, 65536).decode("utf-8", "replace")

    def after_tab(self, line: str, choices: tuple[str, ...]) -> str:
        """Type a line and the Tab key, and return what stands in the line then."""
        self.shown = ""
        self._told.unlink(missing_ok=True)
        self.type(f"{line}\t")
        if choices:
            self.type(self._again)
            self.wait_for(rf"\b{choices[0]}\b[^\t]*[\r\n]")
        self.type("\x18")
        deadline = time.monotonic() + 60
        while not self._told.is_file() or not self._told.stat().st_size:
            assert time.monotonic() < deadline, self.shown
            time.sleep(0.05)
            if select.select([self._master], [], [], 0)[0]:
                self.shown += os.read(self._master, 65536).decode("utf-8", "replace")
        self.type("\x15")  # empties the line
        return self._told.read_text()


@contextmanager
def on_a_terminal(
    argv: list[str], project: Path, env: dict[str, str], again: str
) -> Iterator[Terminal]:
    """Run a shell that believes that somebody sits there; `again` has it show the choices."""
    master, end = pty.openpty()
    shell = subprocess.Popen(
        argv, cwd=project, env=env, stdin=end, stdout=end, stderr=end, start_new_session=True
    )
    os.close(end)
    try:
        yield Terminal(master, project, again)
    finally:
        shell.kill()
        shell.wait()
        os.close(master)


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_what_the_tab_key_does_to_a_line(shell: str, project: Path) -> None:
    program, home = unpacked(shell)
    env = environment(project, home)
    lines = [SOURCE[shell], SHOW[shell], "echo rea''dy"]
    if shell == "zsh" and home is not None:
        functions = {file.parent for file in (home / "usr/share/zsh/functions").rglob("[!.]*")}
        env["FPATH"] = ":".join(sorted(str(f) for f in functions if f.is_dir()))
        modules = next(file for file in home.rglob("zsh/*/zsh/complete.so")).parents[1]
        lines.insert(0, f"module_path=({modules})")
    quiet = {"bash": ["--norc", "--noprofile", "-i"], "zsh": ["-f", "-i"]}[shell]
    again = {"bash": "\t", "zsh": ""}[shell]  # zsh would take the first one
    with on_a_terminal([str(program), *quiet], project, env, again) as terminal:
        terminal.type("".join(f"{line}\n" for line in lines))
        terminal.wait_for(r"\bready\b")
        for line, (after, choices) in LINES.items():
            assert terminal.after_tab(line, choices) == after
            assert {word for word in choices if not re.search(rf"\b{word}\b", terminal.shown)} == (
                set()
            )


def test_what_fish_offers(project: Path) -> None:
    program, home = unpacked("fish")
    code = (
        "rebake completion fish | source; for line in $argv; echo -- $line; complete -C $line; end"
    )
    done = subprocess.run(
        [str(program), "--no-config", "-c", f"rebake completion fish | source; {code}", *LINES],
        cwd=project,
        env=environment(project, home),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    offered: dict[str, list[str]] = {}
    for line in done.stdout.splitlines():
        if line in LINES:
            now = offered[line] = []
        else:
            now.append(line.partition("\t")[0])
    for line, (after, choices) in LINES.items():
        assert set(offered[line]) == (set(choices) or {after.split()[-1]})
