"""Builds that fail, and images that must not be used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rebake.errors.base import RebakeError, WithTail


class BuildFailed(WithTail, RebakeError):
    """A step of an image build failed."""

    step: str
    tail: Sequence[str]
    message: str = ""
    next_step: str = "mend it and run the command again; finished steps are kept"
    code: ClassVar[str] = "build-failed"
    advises: ClassVar[str] = "{next_step}"

    @property
    def what(self) -> str:
        """The failing step."""
        return f"the build failed in {self.step}" + (f": {self.message}" if self.message else "")


class NotWarm(RebakeError):
    """A build that had to be fully cached ran a step."""

    lines: Sequence[str]
    code: ClassVar[str] = "not-warm"
    says: ClassVar[str] = "the build was not fully cached"
    advises: ClassVar[str] = "keep what is named here the same from build to build"

    @property
    def details(self) -> Sequence[str]:
        """What ran, and why."""
        return self.lines


class WrongImage(RebakeError):
    """An image whose build id is not the one of the sources: it must not be used."""

    service: str
    expected: str
    found: str
    code: ClassVar[str] = "wrong-image"
    says: ClassVar[str] = (
        "the image of {service} holds build {found}, but the sources are {expected}; "
        "it was not started"
    )
    advises: ClassVar[str] = "invoke rebuild {service} (were files changed while the build ran?)"


class NotVerified(RebakeError):
    """An image whose signature is missing, or does not say what it must; nothing was started."""

    refusals: Sequence[str]
    code: ClassVar[str] = "not-verified"
    advises: ClassVar[str] = (
        "invoke sign signs what a build here made; anything else is a reason to look closely"
    )

    @property
    def what(self) -> str:
        """The image and why it is refused, or how many when there are several."""
        if len(self.refusals) == 1:
            return self.refusals[0]
        return f"{len(self.refusals)} images are refused"

    @property
    def details(self) -> Sequence[str]:
        """Which images and why, when there are several."""
        return self.refusals if len(self.refusals) > 1 else ()


class NotAttested(RebakeError):
    """Images that come without what `sign.attestations` asks for; none was signed."""

    lacks: Sequence[str]
    next_step: str
    code: ClassVar[str] = "not-attested"
    advises: ClassVar[str] = "{next_step}"

    @property
    def what(self) -> str:
        """What is lacking, or how much when it is several."""
        if len(self.lacks) == 1:
            return f"nothing was signed: {self.lacks[0]}"
        return f"nothing was signed: {len(self.lacks)} things are lacking"

    @property
    def details(self) -> Sequence[str]:
        """Which, when there are several."""
        return self.lacks if len(self.lacks) > 1 else ()


class NotFreed(RebakeError):
    """Cleaning freed less than it said."""

    said_bytes: int
    freed_bytes: int
    kept: Sequence[str]
    code: ClassVar[str] = "not-freed"
    advises: ClassVar[str] = "invoke refresh-cache show; a build or a container may hold them"

    @property
    def what(self) -> str:
        """How much of how much."""
        said, freed = self.said_bytes / 1e6, self.freed_bytes / 1e6
        return f"{freed:.1f} MB of {said:.1f} MB were freed"

    @property
    def details(self) -> Sequence[str]:
        """What stayed."""
        return self.kept
