"""The task about query data: sqlx-prepare."""

from __future__ import annotations

from rebake.tasks.face import task
from rebake.tasks.session import Session


@task("sqlx-prepare", flags={"check": "change nothing; fail when a file would change"})
def sqlx_prepare(session: Session, check: bool = False) -> dict[str, object] | None:
    """Bring backend/.sqlx up to date: what queries are checked against without a database."""
    from rebake.tasks import queries_flow

    return queries_flow.prepare(session, check=check)
