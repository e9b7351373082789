"""The task that lists what builds did: history."""

from __future__ import annotations

from collections.abc import Sequence

from rebake.tasks.face import number, task
from rebake.tasks.session import Session


@task(
    "history",
    words=("builds", "with --compare: the numbers of two builds, or of one and the one before it"),
    flags={
        "limit": "how many builds are listed, the newest first",
        "compare": "what differs between two builds; the last two when none is named",
    },
)
def history(
    session: Session, builds: Sequence[str] = (), limit: str = "20", compare: bool = False
) -> dict[str, object] | None:
    """List this project's builds: when, how long, how much was cached, and what for."""
    from rebake.errors import UsageError
    from rebake.tasks import history_flow

    if compare:
        return history_flow.compare(session, [number("compare", word, least=1) for word in builds])
    if builds:
        words = " ".join(builds)
        raise UsageError(f"history takes no words: {words}", f"invoke history --compare {words}")
    return history_flow.show(session, number("limit", limit, least=1))
