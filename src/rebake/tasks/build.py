"""The tasks that make images: build, rebuild."""

from __future__ import annotations

from collections.abc import Sequence

from rebake.results import Mode
from rebake.tasks.face import task
from rebake.tasks.session import Session

_WORDS = ("services", "services or aliases; all of them when none is named")
_FLAGS = {
    "dev": "the development images instead of the production ones",
    "no_cache": "throw this project's compiled dependencies away too: minutes, not seconds",
}
_ASSERT = {"assert_warm": "fail, and say why, when a step was not in the builder's cache"}


@task("build", words=_WORDS, flags=_FLAGS | _ASSERT)
def build(
    session: Session,
    services: Sequence[str] = (),
    dev: bool = False,
    no_cache: bool = False,
    assert_warm: bool = False,
) -> dict[str, object] | None:
    """Build images of services, as far as anything changed."""
    document = _build(session, services, dev=dev, no_cache=no_cache)
    if assert_warm and document is not None and not session.dry_run:
        from rebake.tasks.why_flow import require_warm

        require_warm(session, services, "dev" if dev else "prod", document)
    return document


@task("rebuild", words=_WORDS, flags=_FLAGS)
def rebuild(
    session: Session, services: Sequence[str] = (), dev: bool = False, no_cache: bool = False
) -> dict[str, object] | None:
    """Compile again even if nothing changed; what cargo and bun keep stays, unless --no-cache."""
    return _build(session, services, dev=dev, no_cache=no_cache, again=True)


def _build(
    session: Session, words: Sequence[str], *, dev: bool, no_cache: bool, again: bool = False
) -> dict[str, object] | None:
    from rebake.tasks import image_flow, wiring

    mode: Mode = "dev" if dev else "prod"
    services = session.services(words)
    if session.dry_run:
        plan = image_flow.plan_images(session, mode, services, no_cache=no_cache, again=again)
        return session.show_commands([wiring.shown_bake(plan)], mode)
    return image_flow.build(session, mode, services, no_cache=no_cache, again=again).document()
