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


def ask_secret(question: str, *, again: bool = False) -> str | None:
    """Ask for a text that is not shown; None where nobody can be asked.

    Args:
        question: what is asked for.
        again: ask twice, for a new one; None when the answers differ.
    """
    import getpass

    if not sys.stdin.isatty():
        return None
    try:
        answer = getpass.getpass(f"{question}: ", stream=sys.stderr)
        if again and getpass.getpass(f"{question}, again: ", stream=sys.stderr) != answer:
            print("the two are not the same", file=sys.stderr)  # noqa: T201
            return None
    except EOFError:
        return None
    return answer
