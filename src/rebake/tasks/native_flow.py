"""Native mode as the tasks use it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from rebake.errors import UsageError
from rebake.results import SCHEMA_VERSION, StackResult
from rebake.stack import memory, native
from rebake.tasks.session import Session

_TAIL = 100


def dev(session: Session, *, detach: bool) -> dict[str, object] | None:
    """Run the stack natively; stay with its logs unless `detach`."""
    shown = False

    def ready(result: StackResult) -> None:
        nonlocal shown
        shown = True
        ports = {name: int(url.rpartition(":")[2]) for name, url in result.urls.items()}
        memory.remember(
            session.project.state,
            memory.Remembered("dev", "native", ports, started_at=time.time()),
        )
        session.reporter.stack(result)
        if session.as_json and not detach:
            from rebake.report.json import write_document

            write_document(_document(session, result))

    result = native.up(
        session.project,
        detach=detach,
        say=session.say,
        on_log=lambda service, line: session.reporter.service_log(f"{service} | {line}"),
        on_ready=ready,
    )
    return _document(session, result) if detach else None


def dry_dev(session: Session) -> list[Sequence[str]]:
    """The commands of the native stack, as a person would type them; nothing is looked for."""
    from rebake.stack.native_plan import Tools, make_plan
    from rebake.tasks.wiring import shown

    project = session.project
    home = native.home_of(project)
    npm = Path("npm") if project.config.ui.manager == "npm" else None
    plan = make_plan(
        project, project.config.dev.ports, Tools(Path("cargo"), Path("bun"), npm),
        data=home.data, mark=home.mark,
    )  # fmt: skip
    debug = plan.backend / "target" / "debug"
    return [
        ("env", f"--chdir={plan.backend}", *plan.build),
        ("env", f"--chdir={plan.ui}", *plan.install),
        *(
            (
                *("env", f"--chdir={service.cwd}"),
                *shown(service.env, *(service.argv or (str(debug / service.name),)))[1:],
            )
            for service in plan.services
        ),
    ]


def down(session: Session) -> bool:
    """Stop the native stack; tell whether there was one."""
    stopped = native.down(session.project)
    if stopped:
        session.say("stopped the native stack")
    return stopped


def state(session: Session) -> StackResult | None:
    """The native stack when it runs."""
    return native.state(session.project)


def require_stopped(session: Session) -> None:
    """Refuse to run a second development stack beside the native one.

    Raises:
        UsageError: it runs.
    """
    if native.state(session.project) is not None:
        raise UsageError("the native stack runs here", "invoke down, then invoke dev")


def logs(
    session: Session,
    services: Sequence[str],
    *,
    follow: bool,
    tail: int | None,
    export: str,
) -> dict[str, object] | None:
    """Show or export the native services' logs."""
    if not export:
        native.logs(
            session.project,
            services,
            follow=follow,
            tail=tail or _TAIL,
            on_log=lambda service, line: session.reporter.service_log(f"{service} | {line}"),
        )
        return None
    target = Path(export)
    with target.open("w", encoding="utf-8") as file:
        native.logs(
            session.project,
            services,
            follow=follow,
            tail=tail or _TAIL,
            on_log=lambda service, line: print(f"{service} | {line}", file=file),
        )
    session.say(f"wrote {target}")
    return {"schema_version": SCHEMA_VERSION, "file": str(target), "bytes": target.stat().st_size}


def _document(session: Session, result: StackResult) -> dict[str, object]:
    document = result.document()
    document["seconds"] = round(session.seconds, 3)
    if session.notes:
        document["notes"] = list(session.notes)
    return document
