"""Lines added and removed, from digests of lines alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebake.explain.diffstat import diffstat
from rebake.history.evidence import LINE_BYTES, line_digests


def stat(before: str, after: str) -> tuple[int, int]:
    return diffstat(line_digests(before.encode(), b"k"), line_digests(after.encode(), b"k"))


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("a\nb\nc\n", "a\nB\nc\n", (1, 1)),
        ("a\nb\n", "a\nb\nc\nd\n", (2, 0)),
        ("a\nb\nc\n", "a\nc\n", (0, 1)),
        ("", "a\n", (1, 0)),
        ("a\n", "a", (0, 0)),
        ("a\nb\n", "b\na\n", (1, 1)),
        ("a\r\nb\r\n", "a\nb\n", (0, 0)),
    ],
)
def test_it_counts_as_diff_does(before: str, after: str, expected: tuple[int, int]) -> None:
    assert stat(before, after) == expected


def test_very_long_differences_are_only_counted() -> None:
    before = "".join(f"{n}\n" for n in range(3000))
    after = "".join(f"{n}\n" for n in range(1000, 5000))
    assert stat(before, after) == (2000, 1000)


LINES = st.lists(st.sampled_from("abcd"), max_size=12)


@given(LINES, LINES)
def test_what_is_added_and_removed_leads_from_one_text_to_the_other(
    before: list[str], after: list[str]
) -> None:
    added, removed = stat("\n".join(before), "\n".join(after))
    assert len(before) + added - removed == len(after)
    assert (added, removed) == (0, 0) or before != after


def test_a_line_tells_nothing_without_the_key() -> None:
    one, two = line_digests(b"password = x\n", b"1"), line_digests(b"password = x\n", b"2")
    assert len(one) == len(two) == LINE_BYTES
    assert one != two
