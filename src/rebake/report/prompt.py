"""Asks a person, on stderr, so that stdout stays for results."""

from __future__ import annotations

import sys


def confirm(question: str) -> bool:
    """Ask a yes-or-no question; no is the default, and the answer of an ended input."""
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)  # noqa: T201
    try:
        answer = sys.stdin.readline()
    except KeyboardInterrupt:
        return False
    return answer.strip().lower() in {"y", "yes"}
