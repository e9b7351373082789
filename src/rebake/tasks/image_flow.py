"""Making images, as the tasks do it: base images, one bake, the gate."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rebake.errors import DiskFull
from rebake.results import BuildResult, Mode
from rebake.tasks.session import Session

if TYPE_CHECKING:
    from rebake.build.plan import BuildPlan
    from rebake.build.run import Later, Surroundings
    from rebake.engine.base_images import BaseImageResult


def plan_images(
    session: Session,
    mode: Mode,
    services: Sequence[str],
    *,
    no_cache: bool = False,
    again: bool = False,
) -> BuildPlan:
    """Plan a build; reads the manifests first, so that a broken one is found early."""
    from rebake.build.plan import plan_build
    from rebake.build.resend import with_names
    from rebake.engine.host_settings import proxy_build_args

    session.project.read_manifests(services)
    plan = plan_build(
        session.project,
        mode,
        services,
        session.host_settings,
        proxy_build_args(os.environ),
        no_cache=no_cache,
        again=str(time.time_ns()) if again else "",
    )
    return with_names(session.project, plan)


def build(
    session: Session,
    mode: Mode,
    services: Sequence[str],
    *,
    no_cache: bool = False,
    again: bool = False,
    wait: bool = False,
) -> BuildResult:
    """Build images: base images first, then one bake, then the gate.

    Args:
        session: the task's.
        mode: prod or dev.
        services: resolved names of services.
        no_cache: throw everything away first.
        again: compile again where nothing changed.
        wait: leave nothing for afterwards (`upkeep_flow`).
    """
    from rebake.engine.images import Images
    from rebake.tasks import overlay, upkeep_flow
    from rebake.tasks.wiring import ask_base_images, fetch_base_images

    overlay.read_build_secrets(session)
    session.project.read_manifests(services)  # a broken one is told before a missing engine
    # The engine takes its time for an answer: it is asked while modules and sources are read.
    detected, ahead = session.detected, ask_base_images(session)
    plan = plan_images(session, mode, services, no_cache=no_cache, again=again)
    images = Images(detected.endpoint)
    images.ask_ahead(image.ref for image in plan.images)
    if no_cache:
        session.say("--no-cache: the compiled dependencies in the cache mounts are thrown away")
    require_space(session)
    wait = wait or not upkeep_flow.in_background(session)
    upkeep_flow.tell_news(session)
    from rebake.build.bake import Early

    # So does buildx, to start.
    with upkeep_flow.resting(session), Early(plan, detected.endpoint) as early:
        from rebake.build.inputs import read_inputs
        from rebake.build.run import build_images

        inputs = read_inputs(plan)
        bases = fetch_base_images(session, ahead)
        if any(base.source != "present" for base in bases):
            inputs = read_inputs(plan)  # that took its time, and the sources may be others by now
        result = build_images(
            session.project,
            plan,
            images,
            detected.endpoint,
            on_event=session.reporter.event,
            say=session.say,
            history=history_file(),
            surroundings=_surroundings(session, bases, layer_later=not wait),
            inputs=inputs,
            early=early,
        )
    session.reporter.built(result)
    if not result.skipped:
        result = upkeep_flow.after_build(session, detected.endpoint, result, wait=wait)
    return result


def _surroundings(
    session: Session, bases: Sequence[BaseImageResult], *, layer_later: bool = False
) -> Surroundings:
    from rebake.build.run import Surroundings
    from rebake.engine.host_settings import digest
    from rebake.tasks import caches_view

    detected = session.detected
    return Surroundings(
        detected.versions.document(),
        {base.ref: base.digest for base in bases},
        digest(session.host_settings),
        caches_view.noting(session, detected.endpoint),
        layer_later=layer_later,
    )


def make_layer(session: Session) -> bool:
    """Make the dependency layer, where the newest build has left one for later; `build.run`."""
    return session.project.config.build.dependency_layer and _later(session, "dependency layer")


def run_steps(session: Session) -> bool:
    """Run the backend's steps again that the engine has forgotten; `build.run`."""
    return _later(session, "steps")


def _later(session: Session, what: Later) -> bool:
    from rebake.build.run import do_later
    from rebake.engine.images import Images
    from rebake.tasks import overlay
    from rebake.tasks.wiring import ask_base_images, fetch_base_images

    overlay.read_build_secrets(session)
    endpoint = session.detected.endpoint
    return do_later(
        what,
        session.project,
        plan_images(session, "prod", session.project.config.backend.services),
        Images(endpoint),
        endpoint,
        on_event=session.reporter.event,
        say=session.say,
        history=history_file(),
        surroundings=_surroundings(session, fetch_base_images(session, ask_base_images(session))),
    )


def history_file() -> Path:
    """The file of build records: one for all projects of this user."""
    from rebake.project.project import state_home

    return state_home() / "history.sqlite3"


def require_space(session: Session) -> None:
    """Refuse to start a build that would fill the disk.

    Raises:
        DiskFull: less is free where the engine keeps its data than `build.min_free_bytes`.
    """
    from rebake.tasks.wiring import data_folder

    needed = session.project.config.build.min_free_bytes
    folder = data_folder(session)
    if folder is not None:  # None: the engine is on another machine, or in a virtual one
        free = shutil.disk_usage(folder).free
        if free < needed:
            raise DiskFull(folder, free, needed)
