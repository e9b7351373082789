"""Sizes and ages as people write them."""

from __future__ import annotations

import pytest

from rebake.config.amounts import parse_age, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("10GB", 10**10),
        ("10 gb", 10**10),
        ("1.5GiB", 3 * 2**29),
        ("500M", 5 * 10**8),
        ("1kB", 1000),
        ("12345", 12345),
        ("7B", 7),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "ten", "10XB", "-1GB", "0", "0GB", "10iB", "1e9", "GB"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match=r"10GB"):
        parse_size(text)


@pytest.mark.parametrize(
    ("text", "seconds"), [("7d", 604_800), ("12h", 43_200), ("30m", 1800), ("2w", 1_209_600),
                          ("0s", 0), ("1.5h", 5400)]
)  # fmt: skip
def test_ages(text: str, seconds: float) -> None:
    assert parse_age(text) == seconds


@pytest.mark.parametrize("text", ["", "7", "d", "-1d", "7y", "a week"])
def test_what_is_no_age(text: str) -> None:
    with pytest.raises(ValueError, match=r"7d"):
        parse_age(text)
