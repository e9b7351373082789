"""The task that says why steps ran: why."""

from __future__ import annotations

from collections.abc import Sequence

from rebake.tasks.face import task
from rebake.tasks.session import Session


@task(
    "why",
    words=("services", "services or aliases; all that the build was of when none is named"),
    flags={
        "next": "what the next build would run, and how long that would take",
        "build": "number of the build to explain (default: the last one)",
        "dev": "the development images instead of the last build's or the production ones",
    },
)
def why(
    session: Session,
    services: Sequence[str] = (),
    next: bool = False,  # noqa: A002 - the flag's name
    build: str = "",
    dev: bool = False,
) -> dict[str, object] | None:
    """Say why each step of a build ran, down to the crates that cargo compiled."""
    from rebake.tasks import why_flow, why_words

    if next:
        explained = why_flow.coming(session, services, "dev" if dev else "prod")
    else:
        explained = why_flow.past(session, services, build, "dev" if dev else None)
    if not session.as_json:
        why_words.show(session, explained)
    return why_words.document(explained)
