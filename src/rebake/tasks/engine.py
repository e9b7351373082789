"""The tasks about the engine: engine, base-images."""

from __future__ import annotations

from collections.abc import Sequence

from rebake.errors import UnknownName, UsageError
from rebake.results import SCHEMA_VERSION
from rebake.tasks.face import task
from rebake.tasks.session import Session

_ACTIONS = ("status", "start", "stop", "install", "remove", "env")


@task(
    "engine",
    words=("action", f"{', '.join(_ACTIONS)}; status when none is named"),
    flags={
        "shell": "for env: posix, fish, powershell or cmd",
        "yes": "for remove: do not ask",
    },
)
def engine(
    session: Session, action: Sequence[str] = (), shell: str = "", yes: bool = False
) -> dict[str, object] | None:
    """Look at, start, stop, install or remove the Docker engine of rebake's own."""
    from rebake.tasks import engine_flow

    word = action[0] if action else "status"
    if word not in _ACTIONS:
        raise UnknownName("action", word, _ACTIONS)
    if len(action) > 1:
        raise UsageError(f"one action at a time, not {' '.join(action)}")
    return engine_flow.run_action(session, word, shell=shell, yes=yes)


@task("base-images")
def base_images(session: Session) -> dict[str, object] | None:
    """Show where the images come from that the Dockerfiles start from; fetch what is missing."""
    from rebake.tasks import wiring

    rows = wiring.base_image_rows(session)
    if not session.as_json:
        session.reporter.table(
            ("key", "image", "source", "digest", "MB", "seconds"),
            [
                (
                    str(row["key"]),
                    str(row["ref"]),
                    str(row["source"]),
                    str(row["digest"])[:19],
                    f"{int(str(row['bytes'])) / 1e6:.0f}",
                    f"{float(str(row['seconds'])):.1f}",
                )
                for row in rows
            ],
        )
    return {"schema_version": SCHEMA_VERSION, "base_images": rows}
