"""What `why` does: builds out of the history, compared, and the next one in advance."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

from rebake.errors import NotWarm, UsageError
from rebake.explain.build import Case, bake_target, explain_build
from rebake.explain.model import ExplainedBuild
from rebake.explain.side import Side, digests
from rebake.history.records import StoredBuild
from rebake.history.store import History
from rebake.project.project import Project
from rebake.results import Mode
from rebake.tasks.face import number
from rebake.tasks.image_flow import history_file
from rebake.tasks.session import Session


def past(
    session: Session, words: Sequence[str], asked: str, mode: Mode | None
) -> tuple[ExplainedBuild, ...]:
    """Explain a build of the history, for each service.

    Args:
        session: the task's.
        words: services; all that the build was of when empty.
        asked: the build's number; the last one of this folder when empty.
        mode: of the last build; any when None.

    Raises:
        UsageError: there is no such build, or it was not one of these services.
        UnknownName: a service has another name.
    """
    project = session.project
    services = session.services(words) if words else ()
    wanted = number("build", asked, least=1) if asked else None
    file = history_file()
    if not file.exists():  # who only reads makes none
        if wanted is not None:
            raise UsageError(f"--build {wanted}: this project has no such build", "invoke report")
        session.note("no build is recorded yet: invoke build, then ask again")
        return ()
    with History(file, on_note=session.note) as history:
        library = Library(project, history)
        if wanted is not None:
            return library.of_build(wanted, services)
        found = (
            [build for service in services for build in library.of_service(service, mode)]
            if services
            else library.of_last(mode)
        )
        if not found:
            what = f"{mode} build" if mode else "build"
            of = f" of {', '.join(services)}" if services else ""
            session.note(f"no {what}{of} is recorded here yet: invoke build, then ask again")
        return tuple(found)


class Library:
    """The builds of a project, each read once."""

    def __init__(self, project: Project, history: History) -> None:
        self._project, self._history = project, history
        self._builds: dict[int, StoredBuild | None] = {}

    @cached_property
    def _worktree(self) -> str:
        return str(self._project.root)

    def build(self, number: int) -> StoredBuild | None:
        """A build with its input files."""
        if number not in self._builds:
            self._builds[number] = self._history.build(number)
        return self._builds[number]

    def of_build(self, wanted: int, services: Sequence[str]) -> tuple[ExplainedBuild, ...]:
        """Explain one build."""
        found = self.build(wanted)
        if found is None or found.record.project != self._project.cache_id:
            raise UsageError(f"--build {wanted}: this project has no such build", "invoke report")
        return self._explain(found, services)

    def of_last(self, mode: Mode | None) -> tuple[ExplainedBuild, ...]:
        """Explain the last build of this folder."""
        found = self._history.newest_build(self._project.cache_id, self._worktree, mode)
        return self._explain(found, ()) if found else ()

    def of_service(self, service: str, mode: Mode | None) -> tuple[ExplainedBuild, ...]:
        """Explain the last build of a service, or that left it out; empty where there is none."""
        modes: tuple[Mode, ...] = (mode,) if mode else ("prod", "dev")
        found = []
        for one in modes:
            target = bake_target(service, one)
            for wanted in (target, None):
                stored = self._history.newest_build(
                    self._project.cache_id, self._worktree, one, wanted
                )
                if stored and (wanted or stored.image(service)):
                    found.append(stored)
        if not found:
            return ()
        return self._explain(max(found, key=lambda stored: stored.id), (service,))

    def last_of(self, service: str, mode: Mode) -> StoredBuild | None:
        """The last build that made a service's image and ran steps, in this folder if any."""
        found = self._built(service, mode, 2**62)
        return None if found is None else self.build(found)

    def _explain(self, stored: StoredBuild, services: Sequence[str]) -> tuple[ExplainedBuild, ...]:
        record = stored.record
        there = [
            service
            for service in self._project.config.services
            if bake_target(service, record.mode) in record.targets or stored.image(service)
        ]
        missing = [service for service in services if service not in there]
        if missing:
            raise UsageError(
                f"build {stored.id} was not one of {', '.join(missing)}",
                f"it was one of {', '.join(there)}",
            )
        chosen = services or there
        return tuple(explain_build(self.case(stored, service), service) for service in chosen)

    def case(self, stored: StoredBuild, service: str) -> Case:
        """A build and what it is compared with, for a service."""
        record = stored.record
        if record.skipped:
            return Case(stored, Side.of(record))
        before = self._built(service, record.mode, stored.id)
        older = self._history.same_files_before(stored.id, service, before)
        builds = [self.build(n) if n is not None else None for n in (before, older)]
        sides = [Side.of(one.record) if one else None for one in builds]
        after = Side.of(record)
        known = self._history.facts(digests([after, *[side for side in sides if side]]))
        was, same = (side.knowing(known) if side else None for side in sides)
        since = builds[0].record.started_at if builds[0] else record.started_at
        return Case(
            build=stored,
            after=after.knowing(known),
            before=was,
            older=same,
            removed=tuple(
                one
                for one in self._history.removals(record.project, since)
                if one.at <= record.started_at
            ),
            number=before,
        )

    def _built(self, service: str, mode: Mode, before: int) -> int | None:
        ref = image_name(self._project, mode, service)
        for name in (ref, None):  # another worktree's, where this one has none
            found = self._history.built_before(
                self._project.cache_id, mode, service, ref=name, before=before
            )
            if found is not None:
                return found
        return None


def image_name(project: Project, mode: Mode, service: str) -> str:
    """The name of a service's image, as `build.plan` gives it."""
    prefix = project.compose_name(mode)
    if mode == "prod":
        return f"{prefix}-{service}:prod"
    return f"{prefix}-{'ui' if service == 'ui' else 'backend'}:dev"


def require_warm(
    session: Session, words: Sequence[str], mode: Mode, built: Mapping[str, object]
) -> None:
    """Refuse a build, which has just ended, that was not fully cached.

    The document of `why` is written then, where one was asked for.

    Args:
        session: the task's.
        words: its services.
        mode: of the images.
        built: the document of the build.

    Raises:
        NotWarm: a step ran; with the causes.
    """
    from rebake.tasks import why_words

    ran = steps_that_ran(built)
    if not ran:
        return
    with History(history_file(), on_note=session.note) as history:
        library = Library(session.project, history)
        asked = session.services(words)
        found = [one for service in asked for one in library.of_service(service, mode) if one.ran]
    if session.as_json:
        from rebake.report.json import write_document

        write_document(why_words.document(found))
    unknown = [f"{ran} of its steps ran; the history does not tell why"]
    raise NotWarm(why_words.lines(found) or unknown)


def steps_that_ran(built: Mapping[str, object]) -> int:
    """How many steps of a build were not in the builder's cache, by its document."""
    caches = built.get("caches")
    layers = caches.get("layers") if isinstance(caches, Mapping) else None
    return int(layers["misses"]) if isinstance(layers, Mapping) else 0


def coming(session: Session, words: Sequence[str], mode: Mode) -> tuple[ExplainedBuild, ...]:
    """Say what the next build would run. Starts nothing, and needs no engine.

    Args:
        session: the task's.
        words: services; all of them when empty.
        mode: of the images.

    Raises:
        UnknownName: a service has another name.
        ProjectError: a file can't be read.
    """
    from rebake.tasks.why_next import next_builds

    services = session.services(words)
    with contextlib.ExitStack() as stack:
        file = history_file()
        if not file.exists():  # who only reads makes none
            file = Path(stack.enter_context(tempfile.TemporaryDirectory())) / file.name
        history = stack.enter_context(History(file, on_note=session.note))
        return next_builds(session, history, services, mode)
