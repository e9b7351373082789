"""The tasks about the engine: engine, base-images."""

from __future__ import annotations

from collections.abc import Sequence

from rebake.errors import UnknownName, UsageError
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
    choices={"action": _ACTIONS, "shell": ("posix", "fish", "powershell", "cmd")},
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


@task(
    "base-images",
    flags={"pin": "write the pulled images' digests down, so that every machine pulls these"},
)
def base_images(session: Session, pin: bool = False) -> dict[str, object] | None:
    """Show where the images come from that the Dockerfiles start from; fetch what is missing."""
    from rebake.engine.base_images import document
    from rebake.report.format import size
    from rebake.tasks import wiring

    if session.dry_run:
        session.say("where no registry answers, they are made from this machine's package archive")
        return session.show_commands(wiring.shown_pulls(session))
    results = wiring.fetch_base_images(session)
    if pin:
        wiring.pin_base_images(session, results)
    if not session.as_json:
        session.reporter.table(
            ("key", "image", "source", "digest", "size", "seconds"),
            [
                (
                    result.key,
                    result.ref,
                    f"{result.source}, made here" if result.made else result.source,
                    result.digest[:19],
                    size(result.bytes),
                    f"{result.seconds:.1f}",
                )
                for result in results
            ],
        )
    return document(results, session.seconds)
