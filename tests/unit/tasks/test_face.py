"""What becomes of errors at the edge."""

from __future__ import annotations

import pytest
from invoke import Collection, Program

from rebake.tasks.face import task

PROBLEMS = {
    "file": PermissionError(13, "Permission denied", "/x/node_modules"),
    "ours": OSError("no file in it"),
}


@task("write", words=("which", "which problem"), common=False)
def write(session, which=()):
    """Write."""
    raise PROBLEMS[which[0]]


def run(word: str) -> None:
    Program(namespace=Collection(write), version="1").run(["invoke", "write", word])


def test_a_file_that_the_system_refuses_is_one_clear_error(capsys) -> None:
    with pytest.raises(SystemExit) as caught:
        run("file")
    assert caught.value.code == 1
    shown = capsys.readouterr().err
    assert shown.startswith("error: /x/node_modules: Permission denied\n")
    assert "Traceback" not in shown


def test_a_fault_of_ours_keeps_its_traceback() -> None:
    with pytest.raises(OSError, match="no file in it"):
        run("ours")


def test_a_tasks_help_can_be_asked_for_twice() -> None:
    @task("greet", flags={"loud": "in capital letters"})
    def greet(session, loud=False):
        """Greet."""

    for _ in range(2):
        texts = {argument.name: argument.help for argument in greet.get_arguments()}
        assert texts["loud"] == "in capital letters"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["here"], (["here"], [])),
        (["here", "--data", "a=1"], (["here"], ["a=1"])),
        (
            ["--data", "a=1", "--data", "b=2 3", "here", "--data=c"],
            (["here"], ["a=1", "b=2 3", "c"]),
        ),
    ],
)
def test_a_flag_may_be_given_several_times(
    words: list[str], expected: tuple[list[str], list[str]]
) -> None:
    seen = []

    @task("make", words=("folder", "where"), many=("data",), common=False)
    def make(session, folder=(), data=None):
        """Make."""
        seen.append((list(folder), list(data or ())))

    Program(namespace=Collection(make, write), version="1").run(
        ["invoke", "make", *words], exit=False
    )
    assert seen == [expected]
