"""`process.begin`: a program that waits to be told what it shall do."""

from __future__ import annotations

import sys
import time

import psutil
import pytest

from rebake.errors import ProgramMissing
from rebake.process import Command, begin

READS = "import sys; text = sys.stdin.read(); print(text.upper()); print('err', file=sys.stderr); "


def python(code: str) -> Command:
    return Command.of(sys.executable, "-u", "-c", code)


def test_it_is_told_what_to_do_and_seen_through() -> None:
    lines: list[str] = []
    begun = begin(python(f"{READS} sys.exit(3)"))
    time.sleep(0.05)
    outcome = begun.finish("what\nto do", on_stderr=lines.append)
    assert (outcome.returncode, outcome.stdout) == (3, "WHAT\nTO DO\n")
    assert lines == ["err"]
    assert outcome.seconds > 0.05


def test_what_it_said_before_is_not_lost() -> None:
    lines: list[str] = []
    begun = begin(python(f"import sys; print('early', file=sys.stderr); {READS}"))
    time.sleep(0.1)
    begun.finish("", on_stderr=lines.append)
    assert lines == ["early", "err"]


def test_one_that_ended_before_it_was_told_tells_its_code() -> None:
    begun = begin(python("import sys; sys.exit(5)"))
    time.sleep(0.1)
    assert begun.finish("too late" * 100_000).returncode == 5


def test_one_that_is_not_needed_is_ended_and_does_nothing() -> None:
    before = {child.pid for child in psutil.Process().children()}
    with begin(python("import sys; sys.stdin.read(); open('made', 'w')")) as begun:
        assert {child.pid for child in psutil.Process().children()} - before
    begun.drop()  # once more does no harm
    assert {child.pid for child in psutil.Process().children()} == before


def test_an_error_ends_it() -> None:
    before = {child.pid for child in psutil.Process().children()}
    with pytest.raises(KeyError), begin(python("import sys; sys.stdin.read()")):
        raise KeyError
    assert {child.pid for child in psutil.Process().children()} == before


def test_a_program_that_is_missing() -> None:
    with pytest.raises(ProgramMissing):
        begin(Command.of("no-such-program-anywhere"))
