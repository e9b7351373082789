"""The tasks that run the services: dev, prod, up, down, logs, ps."""

from __future__ import annotations

from collections.abc import Sequence

from rebake.results import SCHEMA_VERSION, Mode, StackResult
from rebake.tasks.face import number, task
from rebake.tasks.session import Session

_WORDS = ("services", "services or aliases; all of them when none is named")
_DETACH = "return when every service is healthy, and print the addresses"


@task(
    "dev",
    flags={
        "detach": _DETACH,
        "native": "run the services straight on this machine, without containers",
    },
)
def dev(session: Session, detach: bool = False, native: bool = False) -> dict[str, object] | None:
    """Run all services with hot reload; Ctrl-C stops them."""
    from rebake.tasks import native_flow, stack_flow

    session.project.compose_file("dev")
    session.project.read_manifests()  # a broken one is told before an engine is set up
    if session.dry_run:
        return stack_flow.dry_stack(session, "dev", native=native)
    if stack_flow.choose_native(session, asked=native):
        return native_flow.dev(session, detach=detach)
    native_flow.require_stopped(session)
    return stack_flow.serve(session, "dev", detach=detach)


@task(
    "prod",
    flags={
        "detach": f"{_DETACH} (the default; --no-detach shows logs until Ctrl-C, then stops)",
        "require_signed": "start verified images only, by their digests: see verify",
    },
)
def prod(
    session: Session, detach: bool = True, require_signed: bool = False
) -> dict[str, object] | None:
    """Build the production images, run them, and return when they are healthy."""
    from rebake.tasks import stack_flow

    session.project.compose_file("prod")
    session.project.read_manifests()
    if session.dry_run:
        return stack_flow.dry_stack(session, "prod", require_signed=require_signed)
    return stack_flow.serve(session, "prod", detach=detach, require_signed=require_signed)


@task("up", flags={"prod": "the production stack", "dev": "the development stack"})
def up(session: Session, dev: bool = False, prod: bool = False) -> dict[str, object] | None:
    """Start the last stack again (or the one named), without building."""
    from rebake.tasks import stack_flow

    return stack_flow.again(session, "dev" if dev else "prod" if prod else None)


@task("down", flags={"volumes": "delete the stack's data too"})
def down(session: Session, volumes: bool = False) -> dict[str, object] | None:
    """Stop and remove this folder's stacks; data and caches stay."""
    from rebake.tasks import stack_flow

    return stack_flow.down(session, volumes=volumes)


@task(
    "logs",
    words=_WORDS,
    flags={
        "follow": "go on until Ctrl-C",
        "tail": "how many of the last lines of each service",
        "export": "write them to this file",
    },
)
def logs(
    session: Session,
    services: Sequence[str] = (),
    follow: bool = False,
    tail: str = "",
    export: str = "",
) -> dict[str, object] | None:
    """Show what the services printed."""
    from rebake.tasks import logs_flow

    session.project.compose_file("prod")
    lines = number("tail", tail, least=1) if tail else None
    return logs_flow.logs(
        session, session.services(services) if services else (), follow, lines, export
    )


@task("ps")
def ps(session: Session) -> dict[str, object] | None:
    """Show what runs, how healthy it is, and where it answers."""
    from rebake.tasks import stack_flow

    session.project.compose_file("prod")
    modes: tuple[Mode, ...] = ("dev", "prod")
    stacks: dict[str, StackResult] = {
        mode: found for mode in modes if (found := stack_flow.state(session, mode))
    }
    if not session.as_json:
        session.reporter.stacks(stacks)
    return {
        "schema_version": SCHEMA_VERSION,
        "stacks": {mode: stack.document() for mode, stack in stacks.items()},
    }
