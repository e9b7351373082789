"""Runs a planned stack with Compose: up and wait, status, logs, down."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from rebake.engine.endpoint import Endpoint
from rebake.errors import Interrupted, RebakeError, ServiceUnhealthy, TimedOut
from rebake.process import Command, Outcome, run, start
from rebake.process_signals import terminate_as_interrupt
from rebake.results import ServiceState
from rebake.stack.plan import (
    StackPlan,
    compose_words,
    config_words,
    down_words,
    logs_words,
    seed_words,
    target_volume,
    up_words,
)

Say = Callable[[str], None]
OnLog = Callable[[str], None]
OnWait = Callable[[float, tuple[str, ...], str], None]
Elsewhere = Callable[[StackPlan], StackPlan | None]

# What docker/tools/dev-service prints when the sources do not compile: its only way to tell.
BROKEN_BUILD = "dev-service: the build failed"
_MORE_TRIES = 4
_POLL_S = 0.3
_STOP_S = 2  # of services that nobody has used yet
_WORD_EVERY_S = 10.0
_LOG_TAIL = 30


def up(
    plan: StackPlan,
    endpoint: Endpoint,
    *,
    on_log: OnLog,
    on_wait: OnWait = lambda *_: None,
    elsewhere: Elsewhere = lambda _: None,
) -> tuple[ServiceState, ...]:
    """Start a stack and wait until every service is ready.

    Args:
        plan: the stack.
        endpoint: the engine.
        on_log: told each line that the services print meanwhile, from another thread.
        on_wait: told every 10 s how long it took so far, who is waited for, and the last line.
        elsewhere: asked for another plan when Compose could not start this one; None: give up.

    Raises:
        CommandFailed: Compose could not start it.
        ServiceUnhealthy: a service ended, is unhealthy, or does not compile.
        TimedOut: not all were ready in time.
    """
    outcome = _start(plan, endpoint)
    for _ in range(_MORE_TRIES):
        other = None if outcome.ok else elsewhere(plan)
        if other is None:
            break
        plan = other
        outcome = _start(plan, endpoint)
    outcome.check(
        "invoke logs shows what the services printed; invoke down removes what was started"
    )
    broken: list[str] = []
    last = ""

    def watch(line: str) -> None:
        nonlocal last
        last = line
        if BROKEN_BUILD in line:
            broken.append(line)
        on_log(line)

    def wait(seconds: float, names: tuple[str, ...]) -> None:
        on_wait(seconds, names, last)

    states = read_states(plan, endpoint)
    if _all_ready(plan, states):
        return states
    follower = start(
        compose(
            endpoint,
            plan,
            logs_words(plan.name, plan.compose_file, (), follow=True, tail=0),
        ),
        on_stdout=watch,
    )
    try:
        return _wait(plan, endpoint, broken, wait)
    finally:
        follower.stop()


def _start(plan: StackPlan, endpoint: Endpoint) -> Outcome:
    write_override(plan)
    return run(compose(endpoint, plan, up_words(plan)))


@contextlib.contextmanager
def undone_by_interrupt(plan: StackPlan, endpoint: Endpoint, say: Say) -> Iterator[None]:
    """Take a stack down again when Ctrl-C or SIGTERM comes; its volumes stay.

    It is for one that was not there before: containers that go on compiling for nobody would be
    taken for a stack that runs.

    Args:
        plan: the stack.
        endpoint: the engine.
        say: told that it is stopped.

    Raises:
        Interrupted: one of them came.
    """
    try:
        with terminate_as_interrupt():
            yield
    except (KeyboardInterrupt, Interrupted):
        say("stopping what was started; its data is kept")
        words = (*down_words(plan.name, plan.compose_file), "--timeout", str(_STOP_S))
        with contextlib.suppress(RebakeError):
            run(compose(endpoint, plan, words))
        raise Interrupted(f"the start of the {plan.mode} stack") from None


def write_override(plan: StackPlan) -> None:
    """Write what is laid over the compose file."""
    for file in plan.overrides:
        file.parent.mkdir(parents=True, exist_ok=True)
        fresh = file.with_name(f".{file.name}.{os.getpid()}")
        fresh.write_text(json.dumps(plan.override, indent=2) + "\n", encoding="utf-8")
        fresh.replace(file)


def others(plan: StackPlan, endpoint: Endpoint) -> dict[str, str]:
    """The images that the stack would run beside its services' own, by Compose service.

    Raises:
        CommandFailed: Compose can't read the files.
    """
    write_override(plan)
    told = run(compose(endpoint, plan, config_words(plan))).check()
    return parse_others(told.stdout, plan.services)


def parse_others(text: str, services: Sequence[str]) -> dict[str, str]:
    """Read `docker compose config --format json`: what runs and is none of `services`."""
    found: dict[str, str] = {}
    for name, service in (json.loads(text).get("services") or {}).items():
        replicas = (service.get("deploy") or {}).get("replicas", 1)
        if name not in services and service.get("scale", replicas) != 0:
            found[name] = str(service.get("image") or "built here")
    return found


def seed(plan: StackPlan, endpoint: Endpoint, siblings: Sequence[str], say: Say) -> None:
    """Give a new dev stack what another worktree's has compiled of the registry's crates.

    Nothing happens when this stack has compiled before, or no other has. A failure is said and is
    no fault: then everything is compiled.

    Args:
        plan: the stack.
        endpoint: the engine.
        siblings: the Compose projects of the other worktrees' dev stacks.
        say: told what is done.
    """
    there = set(run(endpoint.command("volume", "ls", "--quiet")).stdout.split())
    found = [volume for name in siblings if (volume := target_volume(name)) in there]
    if target_volume(plan.name) in there or not found:
        return
    say(f"taking over what another worktree has compiled of the dependencies ({found[0]})")
    backend = next(name for name in plan.services if name != "ui")
    outcome = run(compose(endpoint, plan, seed_words(plan, backend, found[0])))
    if not outcome.ok:
        say(f"  that failed, compiling everything: {' '.join(outcome.tail(1))}")


def read_states(plan: StackPlan, endpoint: Endpoint) -> tuple[ServiceState, ...]:
    """What runs of a stack, and how healthy it is."""
    words = compose_words(plan.name, plan.compose_file, "ps", "--all", "--format", "json")
    outcome = run(compose(endpoint, plan, words)).check()
    return parse_states(outcome.stdout, plan.urls)


def parse_states(text: str, urls: Mapping[str, str]) -> tuple[ServiceState, ...]:
    """Read `docker compose ps --format json`: one document a line."""
    states = []
    for line in text.splitlines():
        if line.strip():
            entry = json.loads(line)
            name = entry["Service"]
            states.append(
                ServiceState(name, entry.get("State", ""), entry.get("Health", ""), urls.get(name))
            )
    return tuple(sorted(states, key=lambda state: state.name))


def down(
    name: str,
    file: Path,
    endpoint: Endpoint,
    variables: Mapping[str, str],
    *,
    volumes: bool = False,
) -> None:
    """Stop and remove a stack; its volumes stay unless they are asked for.

    Compose removes the volumes that the file names now; those of other lock-files bear the same
    project label, which no other stack has.

    Raises:
        CommandFailed: Compose could not.
    """
    words = down_words(name, file, volumes=volumes)
    run(endpoint.command(*words, env=dict(variables), what="docker compose down")).check()
    if volumes:
        label = f"label=com.docker.compose.project={name}"
        left = run(endpoint.command("volume", "ls", "--quiet", "--filter", label)).check()
        if left.stdout.split():
            run(endpoint.command("volume", "rm", *left.stdout.split())).check()


def compose(endpoint: Endpoint, plan: StackPlan, words: Sequence[str]) -> Command:
    """A Compose command with the stack's variables."""
    verb = words[len(compose_words(plan.name, plan.compose_file)) :]
    while verb[0] == "--file":
        verb = verb[2:]
    return endpoint.command(*words, env=dict(plan.variables), what=f"docker compose {verb[0]}")


def _all_ready(plan: StackPlan, states: Sequence[ServiceState]) -> bool:
    ready = {state.name for state in states if state.ready}
    return set(plan.services) <= ready


def _wait(
    plan: StackPlan,
    endpoint: Endpoint,
    broken: Sequence[str],
    on_wait: Callable[[float, tuple[str, ...]], None],
) -> tuple[ServiceState, ...]:
    started = time.monotonic()
    deadline = started + plan.start_timeout_s
    next_word = started + _WORD_EVERY_S
    while True:
        states = read_states(plan, endpoint)
        if _all_ready(plan, states):
            return states
        for state in states:
            if state.name not in plan.services:
                continue
            if state.state in {"exited", "dead"} or state.health == "unhealthy":
                raise ServiceUnhealthy(
                    state.name, state.health or state.state, _tail(plan, endpoint, state.name)
                )
        if broken:
            service = broken[0].split("|")[0].strip().rpartition("-")[0] or "the backend"
            raise ServiceUnhealthy(
                service, "its sources do not compile", _tail(plan, endpoint, service)
            )
        waiting = tuple(sorted(set(plan.services) - {s.name for s in states if s.ready}))
        now = time.monotonic()
        if now > next_word:
            on_wait(now - started, waiting)
            next_word = now + _WORD_EVERY_S
        if now > deadline:
            raise TimedOut(
                f"starting {', '.join(waiting)}",
                plan.start_timeout_s,
                f"invoke logs; the limit is {plan.mode}.start_timeout_s in rebake.toml",
            )
        time.sleep(_POLL_S)


def _tail(plan: StackPlan, endpoint: Endpoint, service: str) -> list[str]:
    services = (service,) if service in plan.services else ()
    words = logs_words(plan.name, plan.compose_file, services, follow=False, tail=_LOG_TAIL)
    outcome = run(compose(endpoint, plan, words))
    return outcome.stdout.splitlines()[-_LOG_TAIL:]
