"""What an explanation is made of: causes of steps, reasons of crates, by service."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from rebake.results import IN_DOUBT

CauseKind = Literal[
    "file",
    "argument",
    "base-image",
    "lock-entry",
    "setting",
    "cache-gone",
    "previous-step",
    "first-build",
]


class Cause(Struct, frozen=True):
    """Why a step ran, by name.

    Attributes:
        kind: what it was.
        name: of the file, argument, image, package, setting, cache or step.
        detail: how it changed.
    """

    kind: CauseKind
    name: str
    detail: str = ""

    def document(self) -> dict[str, object]:
        """The part of `--json` for this cause."""
        return {"kind": self.kind, "name": self.name, "detail": self.detail}

    @property
    def text(self) -> str:
        """The cause as one phrase for a person."""
        if self.name == IN_DOUBT:
            return f"built in doubt: {self.detail}"
        words = {
            "argument": f"argument {self.name}",
            "base-image": f"base image {self.name}",
            "lock-entry": self.name,
            "setting": f"setting {self.name}",
            "cache-gone": f"{self.name} is gone",
            "previous-step": f"follows from {self.name}",
        }.get(self.kind, self.name)
        if self.kind == "previous-step" and self.detail:
            return f"{words}: {self.detail}"
        return f"{words} ({self.detail})" if self.detail else words


class ExplainedStep(Struct, frozen=True):
    """One step of a build.

    Attributes:
        name: where it stands and what it does.
        ran: whether it ran; what the builder had cached did not. Of a build to come: whether it
            would.
        seconds: how long it ran; of a build to come, None where the history can't tell.
        cause: why it ran; None where it did not.
        also: further causes, each enough by itself.
        place: the Dockerfile and the line, as `backend/Dockerfile:96`; empty where unknown.
        attempt: the bake of the build that it ran in, from 1: a build bakes again where something
            is amiss that another bake mends.
        error: why it failed, where it did.
    """

    name: str
    ran: bool
    seconds: float | None
    cause: Cause | None = None
    also: tuple[Cause, ...] = ()
    place: str = ""
    attempt: int = 1
    error: str = ""

    def document(self) -> dict[str, object]:
        """The part of `--json` for this step."""
        return {
            "name": self.name,
            "ran": self.ran,
            "seconds": None if self.seconds is None else round(self.seconds, 3),
            "cause": self.cause.document() if self.cause else None,
            "also": [cause.document() for cause in self.also],
            "place": self.place,
            "attempt": self.attempt,
            "error": self.error,
        }


class ExplainedCrate(Struct, frozen=True):
    """A package that cargo compiled, and why.

    `root` is what the reason comes down to, to group by: the package or file that changed first.
    """

    name: str
    version: str
    reason: str
    root: str

    def document(self) -> dict[str, object]:
        """The part of `--json` for this package."""
        return {"name": self.name, "version": self.version, "reason": self.reason}


class ExplainedBuild(Struct, frozen=True):
    """What a build did for one service.

    Attributes:
        service: whose image.
        build: the build's number in the history; None for one to come.
        compared_with: the number of the build that it was compared with; None for the first one.
        outcome: `done`, `failed`, `interrupted`; `next` for one to come.
        skipped: why nothing was built; empty when something was.
        changes: everything that was not as before.
        steps: of the Dockerfiles, in the order in which they began.
        crates: the packages that cargo compiled.
        seconds: of the whole build; of one to come, as the history lets expect.
        layer: the steps of the dependency layer, which is made after the images.
    """

    service: str
    build: int | None
    compared_with: int | None
    outcome: str
    skipped: str = ""
    changes: tuple[Cause, ...] = ()
    steps: tuple[ExplainedStep, ...] = ()
    crates: tuple[ExplainedCrate, ...] = ()
    seconds: float | None = None
    layer: tuple[ExplainedStep, ...] = ()

    @property
    def ran(self) -> tuple[ExplainedStep, ...]:
        """The steps that ran, or would."""
        return tuple(step for step in self.steps if step.ran)

    @property
    def cause(self) -> Cause | None:
        """The first thing that was not as before."""
        return self.changes[0] if self.changes else None

    def document(self) -> dict[str, object]:
        """The part of `--json` for this build."""
        return {
            "service": self.service,
            "build": self.build,
            "compared_with": self.compared_with,
            "outcome": self.outcome,
            "skipped": self.skipped,
            "cause": self.cause.document() if self.cause else None,
            "changes": [cause.document() for cause in self.changes],
            "steps": [step.document() for step in self.steps],
            "dependency_layer": [step.document() for step in self.layer],
            "crates": [crate.document() for crate in self.crates],
            "seconds": None if self.seconds is None else round(self.seconds, 3),
        }
