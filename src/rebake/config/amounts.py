"""Reads amounts as people write them: `10GB`, `1.5GiB`, `7d`, `12h`. Pure."""

from __future__ import annotations

import re

SIZES = "500MB, 10GB or 1.5GiB"
AGES = "30m, 12h, 7d or 2w"
_SIZE = re.compile(r"^(\d+(?:\.\d+)?)\s*(k|m|g|t)?(i)?(b)?$", re.IGNORECASE)
_AGE = re.compile(r"^(\d+(?:\.\d+)?)\s*(s|m|h|d|w)$", re.IGNORECASE)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def parse_size(text: str) -> int:
    """Return the bytes of `10GB` (10⁹ each) or `10GiB` (2³⁰ each); a bare number is bytes.

    Raises:
        ValueError: it is not written like that, or it is nothing.
    """
    found = _SIZE.match(text.strip())
    if found is None or (found[3] and not found[2]):
        raise ValueError(SIZES)
    size = int(float(found[1]) * (1024 if found[3] else 1000) ** _POWERS[(found[2] or "").lower()])
    if size <= 0:
        raise ValueError(SIZES)
    return size


def parse_age(text: str) -> float:
    """Return the seconds of `7d`.

    Raises:
        ValueError: it is not written like that.
    """
    found = _AGE.match(text.strip())
    if found is None:
        raise ValueError(AGES)
    return float(found[1]) * _SECONDS[found[2].lower()]
