"""The tasks that show and check: config, doctor, completion."""

from __future__ import annotations

from collections.abc import Sequence

from rebake.completion.scripts import SHELLS, script
from rebake.errors import UnknownName, UsageError
from rebake.results import SCHEMA_VERSION
from rebake.tasks.face import task
from rebake.tasks.session import Session


@task("config", flags={"defaults": "print every key with its default and what it means"})
def config(session: Session, defaults: bool = False) -> dict[str, object] | None:
    """Show the effective settings and where each one comes from."""
    from rebake.config.load import defaults_text

    if defaults:
        if session.as_json:
            import tomllib

            return {"schema_version": SCHEMA_VERSION, "defaults": tomllib.loads(defaults_text())}
        session.reporter.result(defaults_text().rstrip())
        return None
    loaded = session.project.loaded
    values = loaded.values()
    if not session.as_json:
        rows = [(key, str(value), loaded.sources.get(key, "")) for key, value in values.items()]
        session.reporter.table(("key", "value", "from"), rows)
    return {
        "schema_version": SCHEMA_VERSION,
        "root": str(loaded.root),
        "name": session.project.name,
        "values": values,
        "sources": {key: loaded.sources.get(key, "") for key in values},
    }


def _checks() -> list[str]:
    from rebake.doctor.run import CHECKS

    return [check.name for check in CHECKS]


@task(
    "doctor",
    flags={
        "check": "only these checks, by name, with commas",
        "fix": "mend what is safe to mend; with --dry-run, only say what",
    },
    choices={"check": _checks},
)
def doctor(session: Session, check: str = "", fix: bool = False) -> dict[str, object] | None:
    """Check the engine, the project and its settings; say what to mend, and mend what is safe."""
    from rebake.tasks import doctor_flow

    return doctor_flow.run(session, check, fix=fix)


@task(
    "completion",
    words=("shell", f"one of {', '.join(SHELLS)}"),
    choices={"shell": SHELLS},
)
def completion(session: Session, shell: Sequence[str] = ()) -> dict[str, object] | None:
    """Print the script that teaches a shell to complete tasks, flags and services."""
    known = list(SHELLS)
    if len(shell) != 1:
        given = f", not {' '.join(shell)}" if shell else ""
        raise UsageError(f"completion is for one shell at a time{given}", ", ".join(known))
    if shell[0] not in known:
        raise UnknownName("shell", shell[0], known)
    text = script(shell[0])
    if not session.as_json:
        session.reporter.result(text.rstrip("\n"))
    return {"schema_version": SCHEMA_VERSION, "shell": shell[0], "script": text}
