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


@task(
    "verify",
    words=_WORDS,
    flags={"image": "another name of the one service's image, such as the one it was pulled by"},
)
def verify(
    session: Session, services: Sequence[str] = (), image: str = ""
) -> dict[str, object] | None:
    """Check that production images are those that were signed."""
    from rebake.tasks import sign_flow

    return sign_flow.verify(session, session.services(services), image)


@task(
    "sbom",
    words=_WORDS,
    flags={
        "format": "spdx, cyclonedx, or both with a comma (the default)",
        "to": "the folder to write to, instead of the signatures' own",
    },
    choices={"format": ("spdx", "cyclonedx")},
)
def sbom(
    session: Session,
    services: Sequence[str] = (),
    format: str = "",  # noqa: A002 - the flag's name
    to: str = "",
) -> dict[str, object] | None:
    """List what production images are made of, as SPDX and CycloneDX."""
    from rebake.tasks import sbom_flow

    return sbom_flow.sbom(session, session.services(services), format, to)
