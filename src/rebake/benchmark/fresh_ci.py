"""Measures a build on a new engine beside a registry that has the cache."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rebake.benchmark.subject import Sample, Site


class CannotBeFresh(Exception):
    """This machine can't run engines of the benchmark's own."""


def run(
    site: Site,
    names: Sequence[str],
    wanted: Any,
    clock: Any,
    text: Callable[[], str],
    say: Callable[[str], None],
) -> Mapping[str, tuple[list[Sample], list[str], str]]:
    """Take the samples.

    Raises:
        CannotBeFresh: no engine of our own can run here.
    """
    raise CannotBeFresh("not yet")
