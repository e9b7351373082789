"""Opens all that is known of a project's caches: the engine, the history, the list of caches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from rebake.errors import NoEngine
from rebake.tasks.session import Session

if TYPE_CHECKING:
    from rebake.build.progress_state import BuildProgress
    from rebake.cache.assemble import Past
    from rebake.cache.inventory import Inventory
    from rebake.cache.look import Asked
    from rebake.cache.owner import Owner
    from rebake.engine.endpoint import Endpoint
    from rebake.history.cache_log import CacheLog


class Caches(Struct, frozen=True):
    """What every word about caches works with.

    Attributes:
        asked: what the engine was asked when this was opened: good for the first look.
    """

    endpoint: Endpoint
    owner: Owner
    past: Past
    log: CacheLog
    asked: list[Asked]

    def look(self, patience_s: float | None = None) -> Inventory:
        """Take stock; `patience_s` as in `cache.look.Asked`, None for as long as it takes."""
        from rebake.cache.look import look

        asked = self.asked.pop() if self.asked else _ask(self.endpoint, patience_s)
        return look(self.endpoint, self.owner, self.past, self.log, asked)

    def ours(self, project: str) -> bool:
        """Whether a Compose project is this worktree's, or that of one that is gone."""
        return self.owner.stack(project) is not None


@contextmanager
def opened(
    session: Session, endpoint: Endpoint | None = None, patience_s: float | None = None
) -> Iterator[Caches]:
    """Open everything on the engine that runs; nothing is started.

    Args:
        session: the task's.
        endpoint: the engine; the one that runs when None.
        patience_s: of the first look, for the volumes' sizes; None for as long as it takes.

    Raises:
        NoEngine: none runs.
    """
    from rebake.tasks import wiring

    endpoint = endpoint or wiring.engine_if_running(session)
    if endpoint is None:
        raise NoEngine(
            "no Docker engine runs, so nothing can be told of its caches", "invoke engine start"
        )
    asked = _ask(endpoint, patience_s)  # it answers while the history is read
    past = past_of(session)
    with cache_log(session, endpoint) as log:
        yield Caches(endpoint, owner_of(session, past), past, log, [asked])


def _ask(endpoint: Endpoint, patience_s: float | None) -> Asked:
    from rebake.cache.look import Asked

    return Asked(endpoint) if patience_s is None else Asked(endpoint, patience_s)


def cache_log(session: Session, endpoint: Endpoint) -> CacheLog:
    """The list of caches: one file for all projects of this user, beside the history."""
    from rebake.history.cache_log import CacheLog

    return CacheLog(_file(), endpoint.docker_host, session.say, dry=session.dry_run)


def noting(session: Session, endpoint: Endpoint) -> Callable[[BuildProgress], None]:
    """A function that writes down which steps a build ran: layers have no other name."""
    builder = (session.project.cache_id, str(session.project.root))

    def note(progress: BuildProgress) -> None:
        from rebake.engine import layer_claims

        layer_claims.note(
            _file(), endpoint.docker_host, builder, progress.records(), progress.started_at
        )

    return note


def _file() -> Path:
    from rebake.history.cache_log import FILE_NAME
    from rebake.tasks.image_flow import history_file

    return history_file().with_name(FILE_NAME)


def past_of(session: Session) -> Past:
    """What the history knows of this project's images and builds."""
    from rebake.cache.assemble import Past
    from rebake.history.store import History
    from rebake.stack import memory
    from rebake.tasks.image_flow import history_file
    from rebake.tasks.stack_flow import MODES

    project, file = session.project, history_file()
    if session.dry_run and not file.is_file():
        return Past()
    with History(file, on_note=session.say) as store:
        images = store.image_uses(project.cache_id)
        builds = store.last_builds(project.cache_id)
    known = {mode: memory.recall(project.state, mode) for mode in MODES}
    return Past(images, builds, {m: one.started_at for m, one in known.items() if one})


def owner_of(session: Session, past: Past) -> Owner:
    """What this project calls its own."""
    from rebake.cache.owner import Gone, Owner, mounts_of
    from rebake.project.project import worktree_name
    from rebake.tasks.stack_flow import packages_of_ui

    project = session.project
    folders = {use.worktree for use in past.images} | {build.worktree for build in past.builds}
    gone = tuple(
        Gone(folder, worktree_name(project.slug, Path(folder)))
        for folder in sorted(folders)
        if folder != str(project.root) and not Path(folder).exists()
    )
    dockerfiles = [
        file.read_text(encoding="utf-8", errors="replace")
        for file in project.dockerfiles.values()
        if file.is_file()
    ]
    prod, dev = project.compose_name("prod"), project.compose_name("dev")
    return Owner(
        cache_id=project.cache_id,
        worktree=str(project.root),
        stacks={"prod": prod, "dev": dev},
        gone=gone,
        rust=project.config.base_images.rust,
        manager=project.config.ui.manager,
        packages=packages_of_ui(session),
        mounts=mounts_of(dockerfiles),
        refs=frozenset(
            [f"{prod}-{service}:prod" for service in project.config.services]
            + [f"{dev}-{half}:dev" for half in ("backend", "ui")]
        ),
    )
