"""Counts the lines that were added and removed, from digests of lines. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from difflib import SequenceMatcher

from rebake.history.evidence import split_lines

_LONGEST = 3000  # lines that are aligned; of longer differences, they are only counted


def diffstat(before: bytes, after: bytes) -> tuple[int, int]:
    """Return how many lines were added and removed.

    Args:
        before: the digests of the lines of the old text, as `history.evidence` makes them.
        after: those of the new one.
    """
    old, new = _without_ends(split_lines(before), split_lines(after))
    if len(old) + len(new) > _LONGEST:
        left, right = Counter(old), Counter(new)
        return (right - left).total(), (left - right).total()
    added = removed = 0
    for tag, i1, i2, j1, j2 in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag != "equal":
            removed += i2 - i1
            added += j2 - j1
    return added, removed


def _without_ends(
    old: Sequence[bytes], new: Sequence[bytes]
) -> tuple[Sequence[bytes], Sequence[bytes]]:
    start, most = 0, min(len(old), len(new))
    while start < most and old[start] == new[start]:
        start += 1
    end = 0
    while end < most - start and old[-1 - end] == new[-1 - end]:
        end += 1
    return old[start : len(old) - end], new[start : len(new) - end]
