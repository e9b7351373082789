"""What stands in one instruction of a Dockerfile: flags, words, assignments, variables."""

from __future__ import annotations

import pytest

from rebake.project.dockerfile import cache_mounts, parse
from rebake.project.dockerfile_words import (
    Instruction,
    assignments,
    expand,
    expand_known,
    given_values,
)


def one(text: str) -> Instruction:
    (instruction,) = parse(f"FROM x\n{text}").stages[0].instructions
    return instruction


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$A-${A}", "1-1"), ("${B:-x$A}", "x1"), ("${E:-x}", "x"), ("${E-x}", ""), ("${A:+y}", "y"),
        ("${B:+y}", ""), (r"\$A", "$A"), ("$B.", "."), ("no", "no"),
    ],
)  # fmt: skip
def test_substitution(text: str, expected: str) -> None:
    assert expand(text, {"A": "1", "E": ""}) == expected


def test_what_is_not_known_is_left_as_it_stands() -> None:
    values = {"A": "1", "E": ""}
    text = "$A ${A} ${E:-x} ${N-y} ${A:+z} ${N:+z} $N"
    assert expand_known(text, values) == "1 1 x y z  $N"
    assert expand_known("$E ${E-x} ${N}", values) == "$E x ${N}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('ARG A B=1 C="2 3"', [("A", None), ("B", "1"), ("C", "2 3")]),
        ("ENV OLD form here", [("OLD", "form here")]),
        ("ENV X=a\\ b Y='c d'", [("X", "a b"), ("Y", "c d")]),
        ('ENV A=1 B="x y"', [("A", "1"), ("B", "x y")]),
        ('ENV A "x y"', [("A", "x y")]),
        ('ENV A="it\'s" B=2', [("A", "it's"), ("B", "2")]),
        ("ENV", []),
    ],
)
def test_assignments(text: str, expected: list[tuple[str, str | None]]) -> None:
    assert assignments(one(text)) == expected
    assert given_values(one(text)) == {name: value or "" for name, value in expected}


def test_flags_may_have_quotes() -> None:
    run = one('RUN --mount=type=bind,"source=a b",target=/t --network="none" x --y')
    assert run.flags == (("mount", 'type=bind,"source=a b",target=/t'), ("network", '"none"'))
    assert (run.flag("network"), run.rest) == ("none", "x --y")


def test_the_words_of_both_forms() -> None:
    assert one('CMD ["a", "b c"]').words == ["a", "b c"]
    assert one("CMD [ a").words == ["[", "a"]
    assert one('RUN ["a", "b c"]').commands == [["a", "b c"]]
    assert one("RUN a 'b c' | d; e || f # g").commands == [["a", "b c"], ["d"], ["e"], ["f"]]
    assert one("RUN <<EOF\na b\nEOF\n").commands == [["<<EOF"], ["a", "b"]]


def test_mounts_with_variables() -> None:
    run = one("RUN --mount=type=cache,id=$A-c,dst=/c,ro --mount=type=cache,dst=/d x")
    first, second = run.mounts()
    assert first == {"type": "cache", "id": "$A-c", "target": "/c", "ro": ""}
    assert second == {"type": "cache", "target": "/d"}
    assert run.mounts({"A": "1"})[0]["id"] == "1-c"
    assert cache_mounts(run, {"A": "1"}) == ("1-c", "/d")
