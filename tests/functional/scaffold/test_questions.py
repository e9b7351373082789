"""`rebake new` on a terminal: it asks, takes what is typed, and nothing is left after Ctrl-C."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

from scaffold_desk import Desk

if sys.platform == "win32":
    pytest.skip("terminals of POSIX", allow_module_level=True)

import pty


def at_a_terminal(desk: Desk, answers: list[tuple[str, str]]) -> tuple[int, str]:
    """Run `rebake new` where somebody sits: after each question, type the answer."""
    ours, theirs = pty.openpty()
    env = {name: value for name, value in os.environ.items() if name not in {"CI", "NO_COLOR"}}
    words = ("new", "shop", "--source", str(desk.template))
    running = subprocess.Popen(
        [sys.executable, "-m", "rebake.cli", *words],
        cwd=desk.folder,
        env={**env, "TERM": "xterm", "GIT_CONFIG_GLOBAL": str(desk.folder / "gitconfig")},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    shown, deadline = "", time.monotonic() + 60
    try:
        while running.poll() is None:
            assert time.monotonic() < deadline, shown
            if select.select([ours], [], [], 0.05)[0]:
                try:
                    shown += os.read(ours, 65536).decode("utf-8", "replace")
                except OSError:  # Linux: nobody writes there any more
                    running.wait(10)
            if answers and answers[0][0] in shown:
                os.write(ours, answers.pop(0)[1].encode())
    finally:
        running.kill()
        running.wait()
        os.close(ours)
    assert answers == [], shown
    return running.returncode, shown


def test_what_is_typed_is_the_answer(desk: Desk) -> None:
    code, shown = at_a_terminal(desk, [("Its name", "-2\r"), ("CI", "\x1b[B\r")])
    assert code == 0, shown
    root: Path = desk.folder / "shop"
    assert (root / "rebake.toml").read_text() == '[project]\nname = "shop-2"\n'
    assert not (root / "ci.yml").exists()


def test_who_gives_up_leaves_nothing(desk: Desk) -> None:
    before = desk.listing()
    code, shown = at_a_terminal(desk, [("Its name", "\r"), ("CI", "\x03")])
    assert code == 130, shown
    assert desk.listing() == before
