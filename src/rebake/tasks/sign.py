"""The tasks about whether an image is ours, and what is in it: sign, verify, sbom."""

from __future__ import annotations

from collections.abc import Sequence

from rebake.tasks.face import task
from rebake.tasks.session import Session

_WORDS = ("services", "services or aliases; all of them when none is named")


@task(
    "sign",
    words=_WORDS,
    flags={"make_key": "make a pair of keys first; one that is there is never overwritten"},
)
def sign(
    session: Session, services: Sequence[str] = (), make_key: bool = False
) -> dict[str, object] | None:
    """Sign the production images that a build here made."""
    from rebake.tasks import sign_flow

    return sign_flow.sign(session, session.services(services), make_key=make_key)


@task("verify", words=_WORDS)
def verify(session: Session, services: Sequence[str] = ()) -> dict[str, object] | None:
    """Check that production images are those that were signed."""
    from rebake.tasks import sign_flow

    return sign_flow.verify(session, session.services(services))
