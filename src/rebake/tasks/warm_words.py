"""How warm caches are told to a person."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rebake.report.format import size
from rebake.tasks.session import Session

if TYPE_CHECKING:
    from rebake.tasks.warm_flow import Warmth

_STATES = {"warm": "warm already", "warmed": "warm now", "cold": "cold"}


def show(session: Session, found: Sequence[Warmth]) -> None:
    """Print the closing table."""
    rows = [(one.name, one.kind, _STATES[one.state], size(one.bytes)) for one in found]
    session.reporter.table(("cache", "kind", "state", "size"), rows)
