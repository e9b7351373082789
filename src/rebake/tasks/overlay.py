"""What is laid over a stack before it starts: its secrets, and verified images by their digests."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rebake.errors import NotVerified
from rebake.results import Mode
from rebake.tasks.session import Session

Source = Mapping[str, Any]

if TYPE_CHECKING:
    from rebake.stack.plan import GivenSecret, StackPlan


def secrets(
    session: Session, mode: Mode, *, building: bool, require_signed: bool
) -> tuple[GivenSecret, ...]:
    """Lay out the secrets of the running services.

    What the rest will need is looked at too, so that it is told before anything starts: the secrets
    of the build, and the public key where only signed images may run.

    Raises:
        MissingSecrets: some are not there.
        UsageError: there is no public key.
    """
    from rebake.project.secrets import read
    from rebake.stack.given import lay_out

    config, root = session.project.config, session.project.root
    if building:
        read_build_secrets(session)
    if _signed_only(session, mode, require_signed=require_signed):
        from rebake.tasks import sign_flow

        sign_flow.require_public_key(session)
    declared = declared_secrets(session, "run")
    if not declared:
        return ()
    values = read("run", declared, root, os.environ)
    users = {name: one.get("services") or config.services for name, one in declared.items()}
    return lay_out(_folder(session, mode), values, users)


def read_build_secrets(session: Session) -> None:
    """See that the secrets of builds are there, and have them masked from now on.

    Raises:
        MissingSecrets: some are not there.
    """
    declared = declared_secrets(session, "build")
    if declared:
        from rebake.project.secrets import read

        read("build", declared, session.project.root, os.environ)


def declared_secrets(session: Session, table: Literal["build", "run"]) -> Mapping[str, Source]:
    """What a table of `[secrets]` says: kept settings are plain tables."""
    found: Mapping[str, Source] = getattr(session.project.config.secrets, table)
    return found


def laid_over(
    session: Session, plan: StackPlan, given: Sequence[GivenSecret], *, require_signed: bool
) -> StackPlan:
    """Return the plan with its secrets, and with verified images only where that is required.

    Raises:
        NotVerified: an image is not the one that was signed, or one that nobody signs would run.
    """
    from rebake.stack.plan import with_override
    from rebake.stack.run import others

    signed = _signed_only(session, plan.mode, require_signed=require_signed)
    images: Mapping[str, str] = {}
    if signed:
        from rebake.tasks import sign_flow

        images = sign_flow.require(session, plan.services)
    plan = with_override(plan, images, given)
    if signed and (unknown := others(plan, session.detected.endpoint)):
        raise NotVerified(
            [f"{image} of {name} in {plan.compose_file} is not signed by this project"
             for name, image in unknown.items()]
        )  # fmt: skip
    return plan


def _signed_only(session: Session, mode: Mode, *, require_signed: bool) -> bool:
    return mode == "prod" and (require_signed or session.project.config.sign.required)


def shown_checks(session: Session, plan: StackPlan, *, require_signed: bool) -> list[Sequence[str]]:
    """The checks of signatures as a person would type them, for --dry-run."""
    if not _signed_only(session, plan.mode, require_signed=require_signed):
        return []
    from rebake.tasks import sign_flow

    return sign_flow.shown_checks(session, plan.services)


def forget_old(session: Session, mode: Mode, given: Sequence[GivenSecret]) -> None:
    """Remove what containers were started with before."""
    from rebake.stack.given import forget_old as remove

    if given:
        remove(_folder(session, mode), given)


def forget(session: Session, mode: Mode) -> None:
    """Remove the secrets of a stack that is down."""
    from rebake.stack.given import forget as remove

    remove(_folder(session, mode))


def _folder(session: Session, mode: Mode) -> Path:
    return session.project.state / "secrets" / mode
