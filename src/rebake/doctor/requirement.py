"""Whether a locked version satisfies what a manifest asks for, by cargo's rules. Pure.

Source: The Cargo Book, "Specifying Dependencies": caret by default, `~`, `*`, comparisons, commas.
"""

from __future__ import annotations

import re

_PART = re.compile(
    r"(?P<sign>\^|~|=|>=|<=|>|<)?\s*"
    r"(?P<major>\d+|\*)(?:\.(?P<minor>\d+|[*xX]))?(?:\.(?P<patch>\d+|[*xX]))?"
    r"(?P<pre>-[0-9A-Za-z.-]+)?(?:\+\S+)?$"
)
_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)(-[0-9A-Za-z.-]+)?(?:\+\S+)?$")
Numbers = tuple[int, ...]


def satisfies(requirement: str, version: str) -> bool:
    """Whether `version` is one that `requirement` allows.

    What can't be read, and versions before a release, are taken for allowed: a false alarm is
    worse than a missed one.
    """
    found = _VERSION.match(version.strip())
    if found is None or found[4]:
        return True
    numbers = (int(found[1]), int(found[2]), int(found[3]))
    return all(_one(part.strip(), numbers) for part in requirement.split(","))


def _one(part: str, version: Numbers) -> bool:  # noqa: PLR0911 - one return an operator
    match = _PART.match(part)
    if match is None or match["pre"]:
        return True
    asked = tuple(
        int(word) for word in (match["major"], match["minor"], match["patch"]) if _is_number(word)
    )
    if not asked:
        return True  # `*`
    head = version[: len(asked)]
    match match["sign"]:
        case "=":
            return head == asked
        case ">":
            return head > asked
        case ">=":
            return head >= asked
        case "<":
            return version < asked
        case "<=":
            return head <= asked
        case "~":
            return version >= asked and head[:2] == asked[:2]
    wild = any(word is not None and not _is_number(word) for word in match.group("minor", "patch"))
    if wild:
        return head == asked
    return version >= asked and _compatible(asked, version)


def _compatible(asked: Numbers, version: Numbers) -> bool:
    """The caret: nothing changes at or before the first number that is not 0."""
    for i, number in enumerate(asked):
        if number:
            return version[: i + 1] == asked[: i + 1]
    return version[: len(asked)] == asked


def _is_number(word: str | None) -> bool:
    return word is not None and word.isdigit()
