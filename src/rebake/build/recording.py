"""Turns what a build did into parts of its record. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from msgspec import Struct, field
from msgspec.structs import replace

from rebake.build.plan import DEPENDENCIES, BuildPlan
from rebake.engine.client import ImageInfo
from rebake.history.evidence import Evidence
from rebake.history.records import BuildRecord, ImageRecord, LayerRecord, StepRecord
from rebake.results import ImageResult

if TYPE_CHECKING:  # a build with nothing to do reads no progress
    from rebake.build.progress_state import BuildProgress


class Bakes(Struct):
    """All bakes of one build, as they end: what each did.

    Attributes:
        layer: what was done for the dependency layer, after the images; None for nothing.
    """

    progresses: list[BuildProgress] = field(default_factory=list)
    layer: BuildProgress | None = None

    @property
    def all(self) -> list[BuildProgress]:
        """In order, the dependency layer's last."""
        return [*self.progresses, *([self.layer] if self.layer is not None else [])]

    @property
    def context_bytes(self) -> int:
        """Bytes of build contexts that were sent."""
        return sum(progress.context_bytes for progress in self.all)

    @property
    def downloaded_bytes(self) -> int:
        """Bytes of layers that were pulled."""
        return sum(progress.downloaded_bytes for progress in self.all)

    @property
    def crates(self) -> tuple[str, ...] | None:
        """The packages that cargo compiled for the images; None where no step told."""
        told = [p.crates for p in self.progresses if p.crates is not None]
        return tuple(dict.fromkeys(name for one in told for name in one)) if told else None

    @property
    def binaries(self) -> Mapping[str, str]:
        """What the binaries are known by that the compiling step made; empty if it did not run."""
        return next((p.binaries for p in reversed(self.progresses) if p.binaries), {})

    def into(self, record: BuildRecord, evidence: Evidence | None) -> BuildRecord:
        """The record of the build with what its bakes did."""
        return replace(
            record,
            context_bytes=self.context_bytes,
            downloaded_bytes=self.downloaded_bytes,
            steps=self.records(),
            evidence=evidence,
        )

    def records(self) -> tuple[StepRecord, ...]:
        """The steps of all bakes, each with its attempt; times count from the first one's start."""
        starts = [p.started_at for p in self.all if p.started_at is not None]
        zero = min(starts, default=0.0)
        found = [
            replace(step, attempt=number)
            for number, progress in enumerate(self.progresses, 1)
            for step in _later(progress, zero)
        ]
        if self.layer is not None:
            found += [
                replace(step, attempt=0, target=DEPENDENCIES) for step in _later(self.layer, zero)
            ]
        return tuple(found)


def _later(progress: BuildProgress, zero: float) -> Iterable[StepRecord]:
    after = 0.0 if progress.started_at is None else round(progress.started_at - zero, 6)

    def moved(moment: float | None) -> float | None:
        return None if moment is None else round(moment + after, 6)

    for step in progress.records():
        yield replace(step, started_s=moved(step.started_s), ended_s=moved(step.ended_s))


def arguments(plan: BuildPlan) -> dict[str, str]:
    """The build arguments of a plan; folders and the like are not."""
    return {k: v for k, v in plan.all_variables.items() if not k.startswith("REBAKE_")}


def as_it_was(image: ImageRecord, there: ImageInfo | None) -> ImageResult:
    """The result for an image that stayed as its last build left it."""
    return ImageResult(
        service=image.service,
        ref=image.ref,
        digest=image.digest,
        bytes=there.bytes if there else 0,
        build_id=image.build_id,
        built=False,
        seconds=0.0,
    )


def image_record(image: ImageResult, layers: tuple[LayerRecord, ...]) -> ImageRecord:
    """The record of an image with these layers."""
    return ImageRecord(
        service=image.service,
        ref=image.ref,
        digest=image.digest,
        bytes=image.bytes,
        build_id=image.build_id,
        built=image.built,
        seconds=image.seconds,
        layers=layers,
    )


def target_seconds(progress: BuildProgress, target: str) -> float:
    """From the start of the first to the end of the last step that this image waited for."""
    spans = [
        (step.started_s, step.ended_s)
        for step in progress.steps
        if step.started_s is not None
        and step.ended_s is not None
        and (not progress.targets[step.digest] or target in progress.targets[step.digest])
    ]
    return max((e for _, e in spans), default=0.0) - min((s for s, _ in spans), default=0.0)
