"""The catalogue of errors: words and exit codes."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from rebake import errors
from rebake.errors import ConfigError, Problem, RebakeError

CLASSES = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, RebakeError) and kind is not RebakeError
]
SAMPLES = {
    "problems": [Problem(Path("rebake.toml"), "ui.path", "is a number", "a text", 3)],
    "path": Path("f"),
    "folder": Path("f"),
    "tail": ["last line"],
    "tried": ["tried"],
    "known": ["api", "worker"],
    "argv": ["docker", "info"],
    "line": 3,
    "port": 80,
    "returncode": 1,
    "seconds": 2.0,
    "free_bytes": 10**9,
    "needed_bytes": 2 * 10**9,
    "said_bytes": 10**9,
    "freed_bytes": 10**8,
    "kept": ["target release"],
}


def sample(kind: type[RebakeError]) -> RebakeError:
    return kind(**{name: SAMPLES.get(name, f"<{name}>") for name in kind.field_names()})


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_error_can_be_shown(kind: type[RebakeError]) -> None:
    error = sample(kind)
    first, *_ = str(error).splitlines()
    assert first == error.what
    assert "\n" not in error.what
    assert not error.what.endswith(".")
    assert kind.exit_code in {1, 2, 69, 75, 124, 130}


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_error_says_what_to_do_next(kind: type[RebakeError]) -> None:
    if kind is not errors.Interrupted:
        assert sample(kind).hint


def test_codes_tell_the_errors_apart() -> None:
    codes = [kind.code for kind in CLASSES]
    assert len(set(codes)) == len(codes)


def test_one_problem_is_one_line_and_several_are_a_list() -> None:
    one = Problem(Path("rebake.toml"), "ui.pth", "unknown key", line=4, suggestion="ui.path?")
    assert ConfigError([one]).what == "rebake.toml:4: ui.pth: unknown key; ui.path?"
    assert ConfigError([one]).details == ()
    both = ConfigError([one, Problem(Path("rebake.toml"), "x", "is a text", "a number")])
    assert both.what == "2 problems in the configuration"
    assert "  | rebake.toml: x: is a text; expected a number" in str(both)


def test_the_nearest_name_is_offered_and_else_all_are() -> None:
    assert errors.did_you_mean("wroker", ["api", "worker"]) == "did you mean worker?"
    assert errors.did_you_mean("zzz", ["worker", "api"]) == "known: api, worker"
    assert errors.did_you_mean("zzz", []) == ""


def test_an_error_can_be_raised_with_its_cause_and_hashed() -> None:
    error = errors.UsageError("bad flag")
    assert len({error}) == 1
    with pytest.raises(errors.UsageError) as caught:
        raise error from ValueError("cause")
    assert isinstance(caught.value.__cause__, ValueError)


def test_fields_are_taken_in_their_order_by_name_or_by_default() -> None:
    assert errors.CommandFailed.field_names() == ["argv", "returncode", "tail", "next_step"]
    error = errors.CommandFailed(["docker"], returncode=3)
    assert (error.argv, error.returncode, error.tail, error.next_step) == (["docker"], 3, (), "")
    assert errors.CannotRun.field_names() == errors.NoEngine.field_names()
    assert RebakeError("words of its own").what == "words of its own"


@pytest.mark.parametrize(
    ("values", "named", "words"),
    [
        ((["docker"],), {}, "CommandFailed: no value for returncode"),
        ((["docker"],), {"argv": []}, "CommandFailed: two values for argv"),
        ((["docker"], 1), {"tial": []}, "CommandFailed has no field tial"),
        ((["docker"], 1, [], "", 5), {}, "CommandFailed has 4 fields, not 5"),
    ],
)
def test_a_wrong_field_is_the_programmers_error(
    values: tuple[object, ...], named: dict[str, object], words: str
) -> None:
    with pytest.raises(TypeError, match=words):
        errors.CommandFailed(*values, **named)  # type: ignore[arg-type]
