"""Lanes of parts, with this Python as the only tool."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from rebake.checks.plan import Need, Part
from rebake.checks.run import Finished, Listener, run_parts
from rebake.checks.tools import Program, Tool
from rebake.errors import Interrupted
from rebake.process import Outcome, run


def script(name: str, code: str, **options: object) -> Part:
    return Part(name, "g", ("-c", code), "cargo", **options)  # type: ignore[arg-type]


class Heard:
    """A listener that remembers."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.lines: list[str] = []
        self.ended: list[str] = []

    @property
    def listener(self) -> Listener:
        return Listener(
            lambda part: self.started.append(part.name),
            lambda done: self.ended.append(done.part.name),
            self.lines.append,
        )


def resolve(need: Need, part: Part) -> Tool | str:
    return "no such tool" if part.name == "lost" else Program(Path(sys.executable))


def carry_out(parts: list[Part], heard: Heard | None = None) -> dict[str, Finished]:
    done = run_parts(parts, Path.cwd(), resolve, (heard or Heard()).listener)
    return {finished.part.name: finished for finished in done}


def test_each_part_ends_in_its_own_way() -> None:
    done = carry_out(
        [
            script("good", "print('fine')"),
            script("bad", "import sys; print('broken'); sys.exit(1)"),
            script("lost", ""),
            script("next", "", after="bad"),
            script("quiet", "import sys; sys.exit(5)", ok=(0, 5)),
        ]
    )
    states = {name: finished.state for name, finished in done.items()}
    assert states == {
        "good": "ok",
        "bad": "failed",
        "lost": "missing",
        "next": "skipped",
        "quiet": "ok",
    }
    assert done["bad"].output.strip() == "broken"
    assert done["bad"].findings == 1
    assert done["lost"].note == "no such tool"
    assert done["next"].note == "bad: failed"


def test_lanes_run_side_by_side_and_a_lane_in_order(tmp_path: Path) -> None:
    heard = Heard()
    # Each ends only when it has seen the other.
    meet = (
        "import pathlib, sys, time\n"
        f"folder = pathlib.Path({str(tmp_path)!r}); (folder / sys.argv[1]).touch()\n"
        "while not (folder / sys.argv[2]).exists(): time.sleep(0.01)"
    )
    a, b = (
        Part(name, "g", ("-c", meet, name, other), "cargo", lane=lane, timeout_s=60)
        for name, other, lane in (("a", "b", "x"), ("b", "a", ""))
    )
    done = carry_out([a, b, script("c", "", lane="x")], heard)
    assert {finished.state for finished in done.values()} == {"ok"}
    assert heard.ended.index("a") < heard.ended.index("c")


def test_an_action_of_the_caller() -> None:
    def deed(part: Part, _tool: Tool, root: Path) -> Outcome:
        return Outcome((), 1, f"{part.name} in {root.name}\n", "", 0.0)

    part = Part("x", "g", (), "cargo", action="deed")
    (done,) = run_parts([part], Path("/r"), resolve, Heard().listener, {"deed": deed})
    assert (done.state, done.output) == ("failed", "x in r\n")


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_ctrl_c_waits_for_what_a_part_cleans_up() -> None:
    cleaned: list[int] = []

    def deed(part: Part, tool: Tool, root: Path) -> Outcome:
        nap = "import time; print('up', flush=True); time.sleep(60)"
        interrupt = lambda _: os.kill(os.getpid(), signal.SIGINT)  # noqa: E731
        try:
            return run(tool.command(("-c", nap), Path.cwd(), {}), on_stdout=interrupt)
        finally:
            cleaned.append(run(tool.command(("-c", ""), Path.cwd(), {})).returncode)

    part = Part("x", "g", (), "cargo", action="deed")
    with pytest.raises(Interrupted):
        run_parts([part], Path.cwd(), resolve, Heard().listener, {"deed": deed})
    assert cleaned == [0]


def test_a_lone_part_shows_its_lines_as_they_come() -> None:
    heard = Heard()
    done = carry_out([script("only", "print('one'); print('two')")], heard)
    assert heard.lines == ["one", "two"]
    assert done["only"].output == "one\ntwo\n"


def test_a_part_that_hangs_fails() -> None:
    done = carry_out([script("slow", "import time; time.sleep(60)", timeout_s=0.3)])
    assert done["slow"].state == "failed"
    assert "slow took longer" in done["slow"].output


def test_a_fault_of_ours_is_raised() -> None:
    def broken(_need: Need, _part: Part) -> Tool | str:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_parts([script("a", ""), script("b", "")], Path.cwd(), broken, Heard().listener)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_ctrl_c_stops_all_that_runs() -> None:
    nap = "import time; time.sleep(60)"
    started = time.monotonic()
    threading.Timer(1.0, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    with pytest.raises(Interrupted):
        carry_out([script("a", nap, lane="x"), script("b", nap), script("c", nap, lane="x")])
    assert time.monotonic() - started < 10
