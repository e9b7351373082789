"""The tasks for new projects and for those that the template made: new, update, add-service."""

from __future__ import annotations

from collections.abc import Sequence

from rebake.tasks.face import task
from rebake.tasks.session import Session

_COMMON = {
    "data": "an answer, as QUESTION=VALUE; may be given several times",
    "defaults": "ask nothing, take the defaults",
    "source": "the template's repository: a folder or an address",
    "revision": "a commit, tag or branch of the template",
}


@task(
    "new",
    words=("folder", "the new project's folder"),
    many=("data",),
    flags={**_COMMON, "answers": "a YAML or JSON file with answers"},
)
def new(  # noqa: PLR0917 - Invoke reads flags from the signature
    session: Session,
    folder: Sequence[str] = (),
    data: Sequence[str] | None = None,
    answers: str = "",
    defaults: bool = False,
    source: str = "",
    revision: str = "HEAD",
) -> dict[str, object] | None:
    """Start a project from the template, with a first commit."""
    from rebake.tasks import scaffold_flow

    return scaffold_flow.new(
        session,
        folder,
        data=data or (),
        answers_file=answers,
        defaults=defaults,
        source=source,
        revision=revision,
    )


@task(
    "adopt",
    words=("folder", "the project's folder; the current one when none is named"),
    many=("data",),
    flags={
        "data": "an answer, as QUESTION=VALUE: name, backend, compose, toolkit, nox",
        "answers": "a YAML or JSON file with answers",
        "yes": "do not ask before the files are written",
        "source": _COMMON["source"],
        "revision": _COMMON["revision"],
    },
)
def adopt(  # noqa: PLR0917 - Invoke reads flags from the signature
    session: Session,
    folder: Sequence[str] = (),
    data: Sequence[str] | None = None,
    answers: str = "",
    yes: bool = False,
    source: str = "",
    revision: str = "HEAD",
) -> dict[str, object] | None:
    """Put a project that exists on the fast build: new files alone, nothing is edited."""
    from rebake.tasks import adopt_flow

    return adopt_flow.adopt(
        session,
        folder,
        data=data or (),
        answers_file=answers,
        yes=yes,
        source=source,
        revision=revision,
    )


@task("update", many=("data",), flags=_COMMON)
def update(
    session: Session,
    data: Sequence[str] | None = None,
    defaults: bool = False,
    source: str = "",
    revision: str = "HEAD",
) -> dict[str, object] | None:
    """Bring what the template made up to date, and keep your edits."""
    from rebake.tasks import scaffold_flow

    return scaffold_flow.update(
        session, data=data or (), defaults=defaults, source=source, revision=revision
    )


@task(
    "add-service",
    words=("service", "the new service's name"),
    flags={
        "remove": "take the service out again",
        "yes": "with --remove: do not ask",
    },
)
def add_service(
    session: Session, service: Sequence[str] = (), remove: bool = False, yes: bool = False
) -> dict[str, object] | None:
    """Add a service to the backend: a crate, its containers, its image and its tests."""
    from rebake.tasks import service_flow

    if remove:
        return service_flow.remove(session, service, yes=yes)
    return service_flow.add(session, service)
