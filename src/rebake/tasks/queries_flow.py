"""What `sqlx-prepare` does: find a cargo, make the data anew, tell what changed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rebake.checks import sqlx, tools
from rebake.errors import ProjectError, QueriesChanged
from rebake.process import which
from rebake.results import SCHEMA_VERSION
from rebake.tasks import wiring
from rebake.tasks.session import Session

if TYPE_CHECKING:
    from rebake.engine.endpoint import Endpoint


def prepare(session: Session, *, check: bool) -> dict[str, object]:
    """Write the query data, or compare it.

    Args:
        session: the task's.
        check: write nothing.

    Raises:
        ProjectError: there are no migrations to make a database from.
        CommandFailed: the sources do not compile.
        QueriesChanged: with `check`, a file is not as it should be.
    """
    project = session.project
    backend = project.backend
    if not (backend / "migrations").is_dir():
        raise ProjectError(
            backend / "migrations",
            "is not there: query data comes from a database that the migrations make",
        )
    packages = sqlx.packages_with_queries(backend)
    if session.dry_run:
        return session.show_commands(_commands(session, packages))
    session.say(f"compiling the queries of {', '.join(packages) or 'no package'}")
    cargo = tools.local_cargo(backend) or _cargo_of_image(session)
    changes = sqlx.prepare(cargo, backend, project.root / ".rebake", {}, write=not check)
    if check and changes:
        raise QueriesChanged([str(change) for change in changes])
    if not session.as_json:
        for change in changes:
            session.reporter.result(f"{change.kind:<8}{sqlx.FOLDER}/{change.name}")
    folder = (backend / sqlx.FOLDER).relative_to(project.root).as_posix()
    session.say(
        f"{folder}: {_many(len(changes))} changed" if changes else f"{folder} is up to date"
    )
    return {
        "schema_version": SCHEMA_VERSION,
        "folder": folder,
        "packages": packages,
        "changes": [{"file": c.name, "change": c.kind} for c in changes],
        "seconds": round(session.seconds, 3),
    }


def _commands(session: Session, packages: list[str]) -> list[list[str]]:
    """The commands of a dry run, with a folder's name in the place of a temporary one."""
    project = session.project
    scratch = project.root / ".rebake" / "sqlx"
    live = sqlx.variables(scratch / "check.db", scratch / "data")
    # Not asked for its version: rustup's cargo may write something even then.
    local = which("cargo")
    if local is not None:
        session.say("in the base image where this machine's cargo is too old")
        return [list(wiring.shown(live, str(local), *sqlx.words(name))) for name in packages]
    cargo = _in_container(session, wiring.engine_if_running(session) or _any_engine())
    return [list(cargo.command(sqlx.words(n), project.backend, live).argv) for n in packages]


def _cargo_of_image(session: Session) -> tools.Tool:
    session.say("no cargo that is new enough on this machine: using that of the base image")
    endpoint = session.detected.endpoint
    wiring.ensure_base_images(session)
    return _in_container(session, endpoint)


def _in_container(session: Session, endpoint: Endpoint) -> tools.Tool:
    project = session.project
    image = project.config.base_images.rust
    return tools.cargo_in_container(endpoint, image, project.root, project.name)


def _any_engine() -> Endpoint:
    """Stands for the engine that would be set up first."""
    from rebake.engine.endpoint import Endpoint

    return Endpoint("default", "", Path("docker"))


def _many(count: int) -> str:
    return f"{count} file{'' if count == 1 else 's'}"
