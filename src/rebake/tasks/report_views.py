"""Makes records of the history what a report shows. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from rebake.build.usage import cache_use
from rebake.history.records import BuildSummary, FileDigest, StepRecord, StoredBuild, each_once
from rebake.report.steps import WORK, parse_step_name
from rebake.report.views import (
    BuildView,
    ContextView,
    FileView,
    ImageView,
    LayerView,
    StepView,
    TrendPoint,
)
from rebake.results import CacheCount

_LARGEST = 20  # files of each context
_CLOCKS_S = 1.0  # the engine's clock may differ from ours, which measured the whole build


def build_view(stored: StoredBuild) -> BuildView:
    """Make a record of the history the report's view of a build. Pure."""
    record = stored.record
    told = {id(step) for step in each_once(record.steps)}
    kept = [s for s in record.steps if id(s) in told or s.kind not in WORK or not s.attempt]
    steps = _within([_step_view(step, record.targets) for step in kept], record.seconds)
    work = [step.cached for step in steps if step.kind in WORK and step.attempt]
    usages = [step.usage for step in steps if step.usage is not None]
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
        network_bytes=record.network_bytes,
        caches=cache_use(CacheCount(sum(work), len(work) - sum(work)), usages),
        steps=steps,
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
        usage=step.usage,
        attempt=step.attempt,
    )


def _within(steps: Sequence[StepView], seconds: float) -> tuple[StepView, ...]:
    """Cut off what happened before the build began.

    A step that another build began earlier has that build's times: all others would stand at the
    far end of an empty timeline.
    """
    before = max((step.ended_s or 0.0 for step in steps), default=0.0) - seconds
    if before <= _CLOCKS_S:
        return tuple(steps)

    def moved(value: float | None) -> float | None:
        return None if value is None else max(value - before, 0.0)

    return tuple(
        replace(step, started_s=moved(step.started_s), ended_s=moved(step.ended_s))
        for step in steps
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
