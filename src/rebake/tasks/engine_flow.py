"""What the words of `invoke engine` do."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from rebake.errors import NoEngine, UsageError
from rebake.results import SCHEMA_VERSION
from rebake.tasks.session import Session

if TYPE_CHECKING:
    from rebake.engine.endpoint import Endpoint


def run_action(  # noqa: PLR0911 - one return a word
    session: Session, word: str, *, shell: str, yes: bool
) -> dict[str, object] | None:
    """Carry out one word."""
    from rebake.engine import private

    if session.dry_run and word != "env":
        return _dry(session, word)
    match word:
        case "status":
            return _status(session)
        case "env":
            return _env(session, shell)
        case "start":
            found = session.detected
            session.say(f"{found.endpoint.kind} engine: {found.endpoint.docker_host}")
            return _status(session, quiet=True)
        case "install":
            private.require_none_else(_other())
            plan = private.install_engine(say=session.say)
            if plan is None:
                session.say("the private engine is installed already")
            return _status(session, quiet=True)
        case "stop":
            if not private.stop(say=session.say):
                session.say("the private engine does not run")
            return _status(session, quiet=True)
        case _:
            return _remove(session, yes=yes)


def _status(session: Session, *, quiet: bool = False) -> dict[str, object]:
    """The engine that would be used now, else the private one as it is."""
    from rebake.engine import detect, private

    try:
        found = detect.detect(remember=not session.dry_run)
        document = {"schema_version": SCHEMA_VERSION, **found.document()}
        env = found.endpoint.environment()
    except NoEngine as error:
        status = private.status()
        document = {
            "schema_version": SCHEMA_VERSION,
            **status.document(),
        }
        env = private.endpoint().environment()
        if error.found_unusable:
            document["problem"] = error.what
    document["env"] = {**env, **_by_hand(session)}
    if not session.as_json and not quiet:
        versions = document["versions"]
        assert isinstance(versions, dict)  # noqa: S101 - both branches above make it so
        rows = [
            ("state", str(document["state"])),
            ("kind", str(document["kind"])),
            ("docker_host", str(document["docker_host"])),
            ("docker", str(document["docker"])),
            *((name, str(text)) for name, text in versions.items()),
        ]
        if "problem" in document:
            rows.append(("problem", str(document["problem"])))
        session.reporter.table(("what", "value"), rows)
    return document


def _env(session: Session, shell: str) -> dict[str, object] | None:
    """Lines for a shell: `eval "$(invoke engine env)"`."""
    from msgspec.structs import replace

    from rebake.engine.endpoint import default_shell, shell_exports

    endpoint = session.detected.endpoint
    endpoint = replace(endpoint, env={**endpoint.env, **_by_hand(session)})
    if session.as_json:
        return {"schema_version": SCHEMA_VERSION, "env": endpoint.environment()}
    session.reporter.result(shell_exports(endpoint, shell or default_shell()).rstrip("\n"))
    return None


def _by_hand(session: Session) -> dict[str, str]:
    """Variables for plain docker commands: the host's settings, and leave for bake to read them.

    Bake asks before it reads a file outside the current folder, and refuses without a terminal.
    """
    return {
        "REBAKE_HOST_SETTINGS": str(session.host_settings),
        "BUILDX_BAKE_ENTITLEMENTS_FS": "0",
    }


def _remove(session: Session, *, yes: bool) -> dict[str, object]:
    from rebake.engine import private

    status = private.status(count_bytes=False)
    folder = status.home.folder
    if not yes:
        if not sys.stdin.isatty() or session.as_json:
            raise UsageError(
                f"remove deletes {folder} with all its images, volumes and caches",
                "invoke engine remove --yes",
            )
        from rebake.report.prompt import confirm

        if not confirm(f"delete {folder} with all its images, volumes and caches?"):
            raise UsageError("nothing was deleted")
    if not private.remove(say=session.say):
        session.say("there is no private engine")
    return _status(session, quiet=True)


def _dry(session: Session, word: str) -> dict[str, object] | None:
    from rebake.engine import private

    if word == "status":
        return _status(session)
    if word in {"start", "install"}:
        other = _other(remember=False)
        if other is not None:
            session.say(f"the {other.kind} engine runs: nothing to do ({other.docker_host})")
            return {"schema_version": SCHEMA_VERSION, "dry_run": True}
        plan = private.plan(say=session.say, keep_lists=False)
        for line in plan.lines():
            session.reporter.result(line) if not session.as_json else None
        return {"schema_version": SCHEMA_VERSION, "dry_run": True, "install": plan.document()}
    session.say(f"engine {word} would act on {private.status(count_bytes=False).home.folder}")
    return {"schema_version": SCHEMA_VERSION, "dry_run": True}


def _other(*, remember: bool = True) -> Endpoint | None:
    """The engine that runs, if there is one."""
    from rebake.engine import detect

    try:
        return detect.detect(remember=remember).endpoint
    except NoEngine:
        return None
