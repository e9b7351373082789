"""Turns what a build did into parts of its record. Pure."""

from __future__ import annotations

from rebake.build.plan import BuildPlan
from rebake.build.progress_state import BuildProgress
from rebake.history.records import ImageRecord, LayerRecord
from rebake.results import ImageResult


def arguments(plan: BuildPlan) -> dict[str, str]:
    """The build arguments of a plan; folders and the like are not."""
    return {k: v for k, v in plan.all_variables.items() if not k.startswith("REBAKE_")}


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
