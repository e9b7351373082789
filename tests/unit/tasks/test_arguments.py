"""Optional positional words: `invoke build api worker`, `invoke down up`."""

from __future__ import annotations

import pytest
from invoke import Argument, Collection, Program

from rebake.tasks.face import task

SEEN: list[tuple[str, object]] = []


@task("build", words=("services", "what to build"), flags={"dev": "x", "only": "y"}, common=False)
def build(session, services=(), dev=False, only=""):
    """Build."""
    SEEN.append(("build", (list(services), dev)))


@task("clean", words=("what", "x"), after={"away": ("build", "up")}, common=False)
def clean(session, what=()):
    """Clean."""
    SEEN.append(("clean", list(what)))


@task("up", common=False)
def up(session):
    """Start."""
    SEEN.append(("up", ()))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("biuld",), ["no task named 'biuld'", "did you mean build?"]),
        (("build", "--dve"), ["no flag of build named '--dve'", "did you mean --dev?"]),
        (("build", "--service"), ["no flag of build named '--service'", "invoke build NAME"]),
        (("up", "extra"), ["up takes no words, and no task is named 'extra'"]),
        (("up", "biuld"), ["no task is named 'biuld'", "did you mean build?"]),
        (("build", "--only"), ["--only of build needs a value"]),
    ],
)
def test_a_wrong_word_is_one_error_with_the_nearest_name_and_exit_code_2(words, says, capsys):
    program = Program(namespace=Collection(build, clean, up), version="1")
    SEEN.clear()
    with pytest.raises(SystemExit) as caught:
        program.run(["invoke", *words])
    assert caught.value.code == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("error: ") == 1
    for text in says:
        assert text in shown.err
    assert SEEN == []


@pytest.fixture
def run():
    program = Program(namespace=Collection(build, clean, up), version="1")

    def call(*words: str) -> list[tuple[str, object]]:
        SEEN.clear()
        program.run(["invoke", *words], exit=False)
        return list(SEEN)

    return call


@pytest.mark.parametrize(
    ("words", "seen"),
    [
        (("build",), [("build", ([], False))]),
        (("build", "api"), [("build", (["api"], False))]),
        (("build", "api", "worker", "--dev"), [("build", (["api", "worker"], True))]),
        (("build", "--dev", "api"), [("build", (["api"], True))]),
        (("build", "up"), [("build", ([], False)), ("up", ())]),
        (("build", "api", "up"), [("build", (["api"], False)), ("up", ())]),
        (("up", "build", "api"), [("up", ()), ("build", (["api"], False))]),
        # The same task twice: what was said for one is not said for the other.
        (
            ("build", "api", "--dev", "build", "worker"),
            [("build", (["api"], True)), ("build", (["worker"], False))],
        ),
        # A word that is a task's name too, where it can only be meant as a word.
        (("clean", "away", "build"), [("clean", ["away", "build"])]),
        (("clean", "away", "up", "up"), [("clean", ["away", "up"]), ("up", ())]),
        (("clean", "build"), [("clean", []), ("build", ([], False))]),
        (("clean", "x", "build"), [("clean", ["x"]), ("build", ([], False))]),
        (("clean", "away"), [("clean", ["away"])]),
    ],
)
def test_words(run, words, seen) -> None:
    assert run(*words) == seen


def test_an_unknown_flag_is_still_refused(run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("build", "--nonsense") == []
    assert "no flag of build named '--nonsense'" in capsys.readouterr().err


def test_other_arguments_are_untouched() -> None:
    argument = Argument("name", positional=True)
    assert argument.value is None
    argument.value = "x"
    assert argument.value == "x"
