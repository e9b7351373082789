"""What a build leaves for afterwards: the dependency layer, and the ceilings of the caches.

No image needs either, so nobody waits for them: another process does them in the background.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from msgspec.structs import replace

from rebake.build.upkeep import Upkeep
from rebake.results import SCHEMA_VERSION, BuildResult
from rebake.tasks.session import Session

if TYPE_CHECKING:
    from rebake.engine.endpoint import Endpoint

CEILINGS = "the caches' ceilings"
# Where all that there is is needed, each build is one that may have come to the ceiling.
_LOOK_EVERY_S = 60.0
# From a build's end. Who edits again at once would stop it in the middle each time.
_REST_S = 10.0
_OFF = {"", "0", "false", "no", "off"}


def in_background(session: Session) -> bool:
    """Whether a build leaves it to another process.

    In CI it does not: a job's machine may be gone afterwards. And who fills a remote cache for
    others wants it filled.
    """
    config = session.project.config
    return (
        config.build.upkeep == "background"
        and os.environ.get("CI", "").lower() in _OFF
        and not (config.cache.remote and config.cache.export)
    )


def tell_news(session: Session) -> None:
    """Before a build: say what came of what the last one has left."""
    for line in Upkeep(session.project.state).take_news():
        session.say(line)


@contextlib.contextmanager
def resting(session: Session) -> Iterator[None]:
    """However the build in it ends: what rests begins a while after that."""
    try:
        yield
    finally:
        Upkeep(session.project.state).rest_again(_REST_S)


def after_build(
    session: Session, endpoint: Endpoint, result: BuildResult, *, wait: bool
) -> BuildResult:
    """Do it, or start who does; return the result with what is still to be done."""
    from rebake.errors import RebakeError
    from rebake.tasks import caches_flow

    if wait:
        caches_flow.keep_ceilings(session, endpoint, result)
        return result
    later = result.later
    try:
        if caches_flow.ceilings_due(session, endpoint, result, at_most_every_s=_LOOK_EVERY_S):
            later = (*later, CEILINGS)
        if later:
            _start(session)
    except (OSError, RebakeError) as error:  # the images are there: no build fails for this
        session.say(f"not begun in the background: {', '.join(later) or CEILINGS}: {error}")
        return replace(result, later=())
    if later:
        session.say(f"goes on in the background: {', '.join(later)}")
    return replace(result, later=later)


def _start(session: Session) -> None:
    from rebake.process import Command, spawn_background

    upkeep = Upkeep(session.project.state)
    if upkeep.coming() is not None:
        return  # it will see to this too
    upkeep.rest(_REST_S)
    with contextlib.suppress(OSError):  # on Windows, one that is still open
        upkeep.log.unlink()
    upkeep.announce("starting")
    spawn_background(
        Command.of(
            sys.executable, "-P", "-m", "rebake.cli", "refresh-cache", "upkeep",
            cwd=session.project.root, what="the upkeep",
        ),
        upkeep.log,
    )  # fmt: skip


def run(session: Session) -> dict[str, object]:
    """Do all of it now: the task `refresh-cache upkeep`.

    Raises:
        NoEngine: none runs.
    """
    from rebake.errors import NoEngine
    from rebake.tasks import caches_flow, image_flow, wiring

    endpoint = wiring.engine_if_running(session)
    if endpoint is None:
        raise NoEngine("no Docker engine runs, so nothing is to be done", "invoke engine start")
    if session.dry_run:
        return session.show_commands(
            [*wiring.shown_layer(session), *caches_flow.shown_trim(session, endpoint)]
        )
    upkeep = Upkeep(session.project.state)
    known = upkeep.coming()
    if known is not None and known.stage == "starting":
        upkeep.sleep()
    lines: list[str] = []

    def say(line: str) -> None:
        lines.append(line)
        session.say(line)

    try:
        with _alone(session, upkeep):
            upkeep.write("dependency layer")
            upkeep.came()
            made = image_flow.make_layer(session)
            upkeep.write("caches")
            freed = caches_flow.trim(session, endpoint, say)
            if known is not None and known.stage == "starting":
                upkeep.leave_news(lines)
            if freed:
                # The engine takes all steps for new ones once, after that. So that no edit waits:
                upkeep.write("steps")
                image_flow.run_steps(session)
    finally:
        upkeep.clear()
    session.say("the dependency layer was made" if made else "no dependency layer was due")
    return {
        "schema_version": SCHEMA_VERSION,
        "dependency_layer": made,
        "freed_bytes": freed,
        "seconds": round(session.seconds, 3),
    }


@contextlib.contextmanager
def _alone(session: Session, upkeep: Upkeep) -> Iterator[None]:
    """One at a time for a worktree; who comes second waits."""
    from filelock import FileLock, Timeout

    upkeep.folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(upkeep.lock)
    began = time.monotonic()
    try:
        lock.acquire(timeout=0)
    except Timeout:
        upkeep.announce("waiting")
        session.say("waits for the upkeep that is at work")
        lock.acquire()
        session.say(f"waited {time.monotonic() - began:.1f} s")
    try:
        yield
    finally:
        lock.release()
