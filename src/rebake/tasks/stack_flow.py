"""Running a stack, as the tasks do it: up, again, down, its state and its logs."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING

from rebake.config.values import tree_of
from rebake.errors import CannotRun, NoEngine, UsageError
from rebake.results import SCHEMA_VERSION, Mode, ServiceState, StackResult
from rebake.tasks import image_flow
from rebake.tasks.session import Session

MODES: tuple[Mode, ...] = ("dev", "prod")

if TYPE_CHECKING:
    from rebake.stack.memory import Remembered
    from rebake.stack.plan import GivenSecret, StackPlan


def run_stack(
    session: Session, mode: Mode, *, build_first: bool = True, require_signed: bool = False
) -> StackResult:
    """Bring a stack up and wait until it is healthy.

    Nothing is done when it runs already and is made of what is here now.

    Args:
        session: the task's.
        mode: dev or prod.
        build_first: build the images as far as anything changed.
        require_signed: start verified images only, by their digests.

    Raises:
        MissingSecrets: a declared secret is not there; nothing was started.
        NotVerified: an image is not the one that was signed; nothing was started.
    """
    from rebake.stack import memory, ports
    from rebake.stack.run import seed, undone_by_interrupt, up
    from rebake.tasks import overlay, wiring

    project = session.project
    given = overlay.secrets(session, mode, building=build_first, require_signed=require_signed)
    known = memory.recall(project.state, mode)
    running = running_services(session, mode, known)
    plan = plan_stack(session, mode, known if running else None)
    mark = stack_mark(session, plan, given) if mode == "dev" else ""
    images = {}
    if mode == "dev" and known and running and known.fingerprint == mark and mark:
        states = running
        session.say("the stack runs already, nothing changed")
    else:
        if build_first:
            images = dict(image_flow.build(session, mode, plan.services).images)
        if mode == "dev":
            # A volume is mounted there: the engine would make the folder as root.
            (project.ui / "node_modules").mkdir(exist_ok=True)
            others = [f"{name}-dev" for name in project.siblings]
            seed(plan, session.detected.endpoint, others, session.say)
        plan = overlay.laid_over(session, plan, given, require_signed=require_signed)
        session.say(f"starting {', '.join(plan.services)}")
        endpoint = session.detected.endpoint

        def elsewhere(failed: StackPlan) -> StackPlan | None:
            """Plan anew where another stack took a port between the choice and the start."""
            nonlocal plan, mark
            held = held_ports(session, mode)
            if mode != "dev" or not ports.lost(failed.ports, failed.address, held):
                return None
            plan = plan_stack(session, mode, None)
            mark = stack_mark(session, plan, given)
            plan = overlay.laid_over(session, plan, given, require_signed=require_signed)
            return plan

        there = wiring.stack_exists(session, plan.name, volumes=False)
        with nullcontext() if there else undone_by_interrupt(plan, endpoint, session.say):
            states = up(
                plan,
                endpoint,
                on_log=session.reporter.log,
                on_wait=lambda seconds, names, line: session.say(
                    f"  {seconds:.0f} s, waiting for {', '.join(names)}: {line.strip()[:100]}"
                ),
                elsewhere=elsewhere,
            )
        overlay.forget_old(session, mode, given)
    memory.remember(
        project.state,
        memory.Remembered(
            mode,
            "containers",
            plan.ports,
            mark,
            session.detected.endpoint.docker_host,
            time.time(),
        ),
    )
    return StackResult(
        mode=mode,
        urls=plan.urls,
        services=tuple(states),
        engine=session.detected.endpoint.kind,
        seconds=session.seconds,
        notes=tuple(session.notes),
        images=images if mode == "prod" else {},
        reused=bool(running),
    )


def running_services(
    session: Session, mode: Mode, known: Remembered | None
) -> tuple[ServiceState, ...]:
    """The services of a stack when all of them are ready; empty otherwise."""
    from rebake.stack.run import read_states

    if known is None or known.kind != "containers":
        return ()
    probe = plan_of(session, mode, known.ports)
    states = read_states(probe, session.detected.endpoint)
    ready = {state.name for state in states if state.ready}
    return states if ready >= set(probe.services) else ()


def plan_stack(session: Session, mode: Mode, running: Remembered | None) -> StackPlan:
    """Plan a stack: its ports are the configured ones, or free ones in dev."""
    from rebake.stack import ports
    from rebake.stack.plan import plan_stack as plan

    project = session.project
    table = project.config.dev if mode == "dev" else project.config.prod
    wanted = ports.wanted(project.config.services, table.ports)
    ours = dict(running.ports) if running else held_ports(session, mode)
    if mode == "dev":
        chosen = ports.choose(wanted, table.address, ours)
        for name, port in chosen.items():
            if port != wanted[name]:
                who = ports.owner(table.address, wanted[name])
                session.note(f"port {wanted[name]} of {name} is taken by {who}: using {port}")
    else:
        chosen = ports.require(wanted, table.address, ours)
    return plan(
        project,
        mode,
        chosen,
        host_settings=session.host_settings,
        owner=owner_of_files(),
        watch=watch_mode(session),
        packages=packages_of_ui(session),
    )


def held_ports(session: Session, mode: Mode) -> dict[str, int]:
    """The ports that containers of this very stack hold now."""
    from rebake.tasks.wiring import published_ports

    return published_ports(session, session.project.compose_name(mode))


def stack_mark(session: Session, plan: StackPlan, given: Sequence[GivenSecret] = ()) -> str:
    """A digest of all that a dev stack is made of; the mounted sources are not part of it."""
    from rebake.stack.memory import fingerprint

    project = session.project
    tools = project.bake_file.parent / "tools"
    files = [
        plan.compose_file,
        project.bake_file,
        *project.dockerfiles.values(),
        *(path for path in tools.glob("*") if path.is_file()),
    ]
    values = {
        "variables": dict(plan.variables),
        "base": tree_of(project.config.base_images),
        "engine": session.detected.endpoint.docker_host,
        **({"secrets": [one.mark for one in given]} if given else {}),
    }
    return fingerprint([file for file in files if file.is_file()], values)


def serve(
    session: Session, mode: Mode, *, detach: bool, require_signed: bool = False
) -> dict[str, object] | None:
    """Bring a stack up; stay with its logs unless `detach`."""
    result = run_stack(session, mode, require_signed=require_signed)
    session.reporter.stack(result)
    if detach:
        return result.document()
    session.say("Ctrl-C " + ("leaves it running" if result.reused else "stops it"))
    if session.as_json:
        from rebake.report.json import write_document

        write_document(result.document())
    from rebake.tasks.logs_flow import follow

    follow(session, mode, result)
    return None


def dry_stack(
    session: Session, mode: Mode, *, native: bool = False, require_signed: bool = False
) -> dict[str, object]:
    """The commands that dev or prod would run; nothing is asked of an engine."""
    from rebake.stack.plan import plan_stack as plan
    from rebake.stack.plan import up_words
    from rebake.tasks import native_flow, overlay, wiring

    project = session.project
    project.compose_file(mode)  # there is none where the project runs its stack itself
    if native or (mode == "dev" and project.config.engine.kind == "native"):
        return session.show_commands(native_flow.dry_dev(session), mode)
    table = project.config.dev if mode == "dev" else project.config.prod
    watch = "polling" if project.config.dev.watch == "polling" else "events"
    stack = plan(
        project, mode, table.ports, host_settings=session.host_settings,
        owner=owner_of_files(), watch=watch, packages=packages_of_ui(session),
    )  # fmt: skip
    images = image_flow.plan_images(session, mode, project.config.services)
    up = wiring.shown(stack.variables, "docker", *up_words(stack))
    checks = overlay.shown_checks(session, stack, require_signed=require_signed)
    return session.show_commands([wiring.shown_bake(images), *checks, up], mode)


def again(session: Session, mode: Mode | None) -> dict[str, object] | None:
    """Start the last stack again, as it was.

    Raises:
        UsageError: there is none to start.
    """
    from rebake.stack import memory

    session.project.compose_file("prod")
    state = session.project.state
    known = memory.recall(state, mode) if mode else memory.latest(state)
    if known is None:
        raise UsageError("nothing was started here yet", "invoke dev, or invoke prod")
    if session.dry_run:
        return dry_stack(session, known.mode, native=known.kind == "native")
    if known.kind == "native":
        from rebake.tasks import native_flow

        return native_flow.dev(session, detach=True)
    result = run_stack(session, known.mode, build_first=False)
    session.reporter.stack(result)
    return result.document()


def down(session: Session, *, volumes: bool) -> dict[str, object]:
    """Stop and remove this folder's stacks, whatever their mode."""
    from rebake.stack.plan import down_words
    from rebake.stack.run import down as stop
    from rebake.tasks import native_flow, overlay, wiring

    project = session.project
    project.compose_file("prod")
    if session.dry_run:
        names = [(project.compose_name(mode), project.compose_file(mode)) for mode in MODES]
        variables = {"REBAKE_HOST_SETTINGS": str(session.host_settings)}
        return session.show_commands(
            [
                wiring.shown(variables, "docker", *down_words(name, file, volumes=volumes))
                for name, file in names
            ]
        )
    stopped: list[str] = []
    if native_flow.down(session):
        stopped.append("native")
    endpoint = wiring.engine_if_running(session)
    for mode in MODES:
        if endpoint is None:
            break
        name = project.compose_name(mode)
        if wiring.stack_exists(session, name, volumes=volumes):
            session.say(f"stopping the {mode} stack")
            stop(
                name,
                project.compose_file(mode),
                endpoint,
                {"REBAKE_HOST_SETTINGS": str(session.host_settings)},
                volumes=volumes,
            )
            stopped.append(mode)
        overlay.forget(session, mode)
    if not stopped:
        session.say("nothing runs here")
    return {
        "schema_version": SCHEMA_VERSION,
        "stopped": stopped,
        "volumes_deleted": volumes,
        "seconds": round(session.seconds, 3),
    }


def state(session: Session, mode: Mode) -> StackResult | None:
    """What runs of a stack now; None when nothing does."""
    from rebake.stack import memory
    from rebake.stack.run import read_states
    from rebake.tasks import native_flow, wiring

    if mode == "dev" and (native := native_flow.state(session)):
        return native
    endpoint = wiring.engine_if_running(session)
    if endpoint is None:
        return None
    known = memory.recall(session.project.state, mode)
    plan = plan_of(session, mode, known.ports if known else {})
    states = read_states(plan, endpoint)
    if not states:
        return None
    return StackResult(mode, plan.urls, tuple(states), endpoint.kind, session.seconds)


def plan_of(session: Session, mode: Mode, ports: Mapping[str, int]) -> StackPlan:
    """The plan of a stack that is there already, by its ports."""
    from rebake.stack.plan import plan_stack as plan

    return plan(
        session.project, mode, ports, host_settings=session.host_settings,
        owner=owner_of_files(), watch="events", packages=packages_of_ui(session),
    )  # fmt: skip


def packages_of_ui(session: Session) -> str:
    """What names the volume of the UI's packages; empty where there is no lock-file."""
    from rebake.stack.plan import packages_key

    try:
        return packages_key(session.project.ui_lock_file.read_bytes())
    except FileNotFoundError:
        return ""


def owner_of_files() -> tuple[int, int] | None:
    """The user that dev containers run as, so that what they write belongs to them; Linux only.

    Docker Desktop maps owners by itself.
    """
    if sys.platform != "linux":
        return None
    return os.getuid(), os.getgid()


def watch_mode(session: Session) -> str:
    """How the containers notice changes: events, or polling where a mount delivers none."""
    configured = session.project.config.dev.watch
    if configured != "auto":
        return configured
    remote = session.detected.endpoint.kind in {"docker-desktop", "colima", "orbstack"}
    return "polling" if remote and sys.platform != "linux" else "events"


def choose_native(session: Session, *, asked: bool) -> bool:
    """Whether to run natively: asked for, configured, or because no engine can run here.

    Raises:
        NoEngine: there is none, and installing one is up to the user.
    """
    kind = session.project.config.engine.kind
    if asked or kind == "native":
        return True
    try:
        _ = session.detected
    except CannotRun as error:
        if kind != "auto":
            raise
        session.note(f"no engine can run here ({error.what}): running natively instead")
        return True
    except NoEngine:
        raise
    return False
