"""Asks before something is removed."""

from __future__ import annotations

import sys

from rebake.errors import UsageError
from rebake.tasks.session import Session


def ask(session: Session, question: str, *, refusal: str, instead: str) -> None:
    """Go on only if the user says yes, on a terminal.

    Args:
        session: the task's.
        question: what is asked.
        refusal: what happens, for where nobody can be asked.
        instead: the words that do it unasked.

    Raises:
        UsageError: nobody can be asked, or the answer is no.
    """
    if not sys.stdin.isatty() or session.as_json:
        raise UsageError(f"{refusal}, and nobody can be asked here", instead)
    from rebake.report.prompt import confirm

    session.reporter.close()
    if not confirm(question):
        raise UsageError("nothing was removed")
