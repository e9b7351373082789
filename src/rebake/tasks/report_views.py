"""Makes records of the history what a report shows. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from rebake.history.records import BuildSummary, FileDigest, StepRecord, StoredBuild
from rebake.report.steps import parse_step_name
from rebake.report.views import (
    BuildView,
    ContextView,
    FileView,
    ImageView,
    LayerView,
    StepView,
    TrendPoint,
)

_LARGEST = 20  # files of each context


def build_view(stored: StoredBuild) -> BuildView:
    """Make a record of the history the report's view of a build. Pure."""
    record = stored.record
    return BuildView(
        id=stored.id,
        mode=record.mode,
        targets=record.targets,
        started_at=record.started_at,
        seconds=record.seconds,
        outcome=record.outcome,
        skipped=record.skipped,
        git_head=record.git_head,
        git_dirty=record.git_dirty,
        context_bytes=record.context_bytes,
        downloaded_bytes=record.downloaded_bytes,
        steps=tuple(_step_view(step, record.targets) for step in record.steps),
        images=tuple(
            ImageView(
                image.service,
                image.ref,
                image.bytes,
                image.build_id,
                image.built,
                tuple(LayerView(x.digest, x.bytes, x.created_by) for x in image.layers),
            )
            for image in record.images
        ),
        contexts=tuple(_context(name, files) for name, files in sorted(record.inputs.items())),
        facts=tuple((name, text) for name, text in sorted(record.engine.items()) if text),
    )


def _step_view(step: StepRecord, targets: Iterable[str]) -> StepView:
    named = parse_step_name(step.name, targets=tuple(targets))
    return StepView(
        place=named.label,
        title=named.title,
        name=step.name,
        target=step.target,
        kind=named.kind,
        started_s=step.started_s,
        ended_s=step.ended_s,
        cached=step.cached,
        error=step.error,
        bytes=step.bytes,
    )


def _context(name: str, files: tuple[FileDigest, ...]) -> ContextView:
    largest = sorted(files, key=lambda file: (-file.size, file.path))[:_LARGEST]
    return ContextView(
        name=name,
        files=len(files),
        bytes=sum(file.size for file in files),
        largest=tuple(FileView(file.path, file.size) for file in largest),
    )


def trend_point(summary: BuildSummary) -> TrendPoint:
    """Make a line of the history a point of the trend. Pure."""
    return TrendPoint(
        id=summary.id,
        started_at=summary.started_at,
        seconds=summary.seconds,
        outcome=summary.outcome,
        mode=summary.mode,
        skipped=bool(summary.skipped),
        targets=summary.targets,
        steps=summary.steps,
        cached_steps=summary.cached_steps,
        git_head=summary.git_head,
        git_dirty=summary.git_dirty,
    )
