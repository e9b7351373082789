"""What the services of a stack print: shown, followed, exported."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rebake.errors import Interrupted, UsageError
from rebake.process import run
from rebake.redact import Redactor
from rebake.results import SCHEMA_VERSION, Mode, StackResult
from rebake.tasks.session import Session
from rebake.tasks.stack_flow import MODES, plan_of, state


def logs(
    session: Session,
    services: Sequence[str],
    follow: bool,
    tail: int | None,
    export: str,
) -> dict[str, object] | None:
    """Show or export the logs of whatever runs here.

    Raises:
        UsageError: nothing runs.
    """
    from rebake.stack import memory
    from rebake.stack.plan import logs_words
    from rebake.stack.run import compose
    from rebake.tasks import native_flow, wiring

    if session.dry_run:
        last = memory.latest(session.project.state)
        plan = plan_of(session, last.mode if last else "dev", last.ports if last else {})
        words = logs_words(plan.name, plan.compose_file, services, follow=follow, tail=tail)
        return session.show_commands([wiring.shown(plan.variables, "docker", *words)], plan.mode)

    running = [mode for mode in MODES if state(session, mode)]
    if not running:
        raise UsageError("nothing runs here", "invoke dev, or invoke prod")
    known = memory.latest(session.project.state)
    mode = known.mode if known and known.mode in running else running[0]
    if mode == "dev" and native_flow.state(session):
        return native_flow.logs(session, services, follow=follow, tail=tail, export=export)
    plan = plan_of(session, mode, known.ports if known else {})
    words = logs_words(plan.name, plan.compose_file, services, follow=follow, tail=tail)
    command = compose(session.detected.endpoint, plan, words)
    if not export:
        run(command, on_stdout=session.reporter.service_log)
        return None
    target = Path(export)
    with target.open("w", encoding="utf-8") as file:
        mask = Redactor.from_environment().text
        run(command, on_stdout=lambda line: print(mask(line), file=file))
    session.say(f"wrote {target}")
    return {"schema_version": SCHEMA_VERSION, "file": str(target), "bytes": target.stat().st_size}


def follow(session: Session, mode: Mode, result: StackResult) -> None:
    """Show a stack's logs until Ctrl-C; then stop it, unless it ran before this command.

    Raises:
        Interrupted: the user pressed Ctrl-C.
    """
    from rebake.stack.plan import compose_words, logs_words
    from rebake.stack.run import compose

    ports = {name: int(url.rpartition(":")[2]) for name, url in result.urls.items()}
    plan = plan_of(session, mode, ports)
    endpoint = session.detected.endpoint
    words = logs_words(plan.name, plan.compose_file, (), follow=True, tail=0)
    try:
        run(compose(endpoint, plan, words), on_stdout=session.reporter.service_log)
    except Interrupted:
        raise Interrupted(f"{mode}; the stack goes on" if result.reused else "") from None
    finally:
        if not result.reused:
            session.say("stopping the stack; its data is kept")
            run(compose(endpoint, plan, compose_words(plan.name, plan.compose_file, "stop")))
