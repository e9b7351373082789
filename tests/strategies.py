"""Strategies that need no table of Unicode: hypothesis takes two seconds to make its own."""

from __future__ import annotations

import string

from hypothesis import strategies as st

_SURROGATES = range(0xD800, 0xE000)


def _character(number: int) -> str:
    return chr(number if number < _SURROGATES.start else number + len(_SURROGATES))


# Any character, and every other time one that words and paths are made of.
CHARACTERS = st.sampled_from(string.printable + "äßéΩ日") | st.builds(
    _character, st.integers(0, 0x10FFFF - len(_SURROGATES))
)
