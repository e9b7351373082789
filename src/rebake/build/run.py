"""Builds images: inputs in, bake, the gate that refuses a wrong image, and the record of it all."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from rebake import __version__
from rebake.build import resend
from rebake.build.bake import BakeStopped, bake
from rebake.build.inputs import build_id, manifest
from rebake.build.plan import BuildPlan, PlannedImage
from rebake.build.progress import BuildProgress
from rebake.engine.client import EngineClient
from rebake.engine.endpoint import Endpoint
from rebake.errors import Interrupted, WrongImage
from rebake.history.records import BuildRecord, FileDigest, ImageRecord, Outcome
from rebake.history.store import History
from rebake.process import run
from rebake.project.git import read_state
from rebake.project.ignore import IgnoreMatcher, ignore_file, walk
from rebake.project.project import Project
from rebake.report.events import OnEvent
from rebake.results import BuildResult, ImageResult

Say = Callable[[str], None]


@dataclass(frozen=True)
class Surroundings:
    """What a build happens in, for its record."""

    engine: Mapping[str, str] = field(default_factory=dict)
    base_images: Mapping[str, str] = field(default_factory=dict)


def read_inputs(plan: BuildPlan) -> dict[str, tuple[FileDigest, ...]]:
    """Digest every file of each context that the plan builds from, by the folder's name."""
    found = {}
    for context in dict.fromkeys(image.context for image in plan.images):
        matcher = IgnoreMatcher.load(ignore_file(context))
        found[context.name] = manifest(context, walk(context, matcher))
    return found


def build_images(
    project: Project,
    plan: BuildPlan,
    client: EngineClient,
    endpoint: Endpoint,
    *,
    on_event: OnEvent,
    say: Say,
    history: Path,
    surroundings: Surroundings | None = None,
) -> BuildResult:
    """Build the images of a plan and check that each one holds the sources at hand.

    A change that BuildKit did not see (same size, same time) is sent again, once.

    Args:
        project: the project.
        plan: what to build.
        client: typed calls to the engine.
        endpoint: the engine.
        on_event: told each step, from another thread.
        say: told what else is worth a line.
        history: the file of build records.
        surroundings: facts for the record.

    Raises:
        BuildFailed, EngineLost, Interrupted: the build did not end well; it is recorded.
        WrongImage: an image does not hold these sources.
    """

    def once(plan: BuildPlan) -> BuildResult:
        return _build_once(
            project,
            plan,
            client,
            endpoint,
            on_event=on_event,
            say=say,
            history=history,
            surroundings=surroundings or Surroundings(),
        )

    plan = resend.with_names(project, plan)
    hidden = resend.missed(project, plan)
    if hidden:
        names = ", ".join(path.relative_to(project.root).as_posix() for path in hidden)
        say(f"{names}: new content, but the old size and time: the sources are sent again")
        plan = resend.renew(project, plan)
    try:
        return once(plan)
    except WrongImage as error:
        if not _was_not_sent(plan, error):
            raise
        say(
            f"the engine built {error.service} from older sources: a file kept its size and time "
            "and was not sent; all are sent again"
        )
        try:
            plan = resend.renew(project, plan)
        except OSError:
            raise error from None
        return once(plan)


def _was_not_sent(plan: BuildPlan, error: WrongImage) -> bool:
    """Whether an image of other sources was made though no file changed in the meantime."""
    context = next(image.context for image in plan.images if image.service == error.service)
    now = build_id(read_inputs(plan)[context.name])
    return now == error.expected and re.search(r"\b[0-9a-f]{16}\b", error.found) is not None


def _build_once(
    project: Project,
    plan: BuildPlan,
    client: EngineClient,
    endpoint: Endpoint,
    *,
    on_event: OnEvent,
    say: Say,
    history: Path,
    surroundings: Surroundings,
) -> BuildResult:
    started, began = time.time(), time.monotonic()
    inputs = read_inputs(plan)
    before = {image.ref: client.image(image.ref) for image in plan.images}

    def record(
        outcome: Outcome, progress: BuildProgress, images: Mapping[str, ImageResult]
    ) -> None:
        state = read_state(project.root)
        with contextlib.suppress(OSError), History(history, on_note=say) as store:
            store.record(
                BuildRecord(
                    project=project.cache_id,
                    worktree=str(project.root),
                    mode=plan.mode,
                    targets=plan.targets,
                    started_at=started,
                    seconds=time.monotonic() - began,
                    outcome=outcome,
                    rebake_version=__version__,
                    engine=surroundings.engine,
                    git_head=state.head if state else "",
                    git_dirty=state.dirty if state else False,
                    context_bytes=progress.context_bytes,
                    downloaded_bytes=progress.downloaded_bytes,
                    steps=progress.records(),
                    images=tuple(_record_of(image) for image in images.values()),
                    inputs=inputs,
                    arguments=_arguments(plan),
                    base_images=surroundings.base_images,
                )
            )
            if store.count() > project.config.history.keep * 1.1:
                store.prune(project.config.history.keep)

    try:
        result = bake(plan, endpoint, on_event)
    except BakeStopped as stopped:
        ended: Outcome = "interrupted" if isinstance(stopped.error, Interrupted) else "failed"
        record(ended, stopped.progress, {})
        raise stopped.error from stopped

    seconds = time.monotonic() - began
    images: dict[str, ImageResult] = {}
    for image in plan.images:
        info = client.image(image.ref)
        old = before[image.ref]
        images[image.service] = ImageResult(
            service=image.service,
            ref=image.ref,
            digest=result.digests.get(image.target) or (info.digest if info else ""),
            bytes=info.bytes if info else 0,
            build_id=build_id(inputs[image.context.name]),
            built=old is None or info is None or old.id != info.id,
            seconds=_target_seconds(result.progress, image.target),
        )
    if plan.mode == "prod":
        try:
            _check(plan, endpoint, images, _checked(project, history, images))
        except WrongImage as error:
            # Without its name, nothing can start it by mistake.
            client.remove_image(images[error.service].ref, force=True)
            raise
    record("done", result.progress, images)
    return BuildResult(images, result.progress.steps, seconds, mode=plan.mode)


def _check(
    plan: BuildPlan,
    endpoint: Endpoint,
    images: Mapping[str, ImageResult],
    checked: Collection[str],
) -> None:
    """The gate: ask each image's binary what it was built from, unless it has told already."""

    def told(image: PlannedImage) -> str:
        return run(
            endpoint.command(
                "run", "--rm", "--network", "none", "--read-only", "--cap-drop", "ALL",
                "--pull", "never", image.ref, "--version",
                timeout_s=60.0, what=f"{image.service} --version",
            )
        ).check().stdout.strip()  # fmt: skip

    new = [image for image in plan.images if image.service not in checked]
    with ThreadPoolExecutor(max_workers=4) as pool:
        for image, answer in zip(new, pool.map(told, new), strict=True):
            expected = images[image.service].build_id
            if expected not in answer:
                raise WrongImage(image.service, expected, answer or "unknown")


def _checked(project: Project, history: Path, images: Mapping[str, ImageResult]) -> set[str]:
    """The services whose very image, of these very sources, passed the gate in an earlier build."""
    found = set()
    with History(history) as store:
        for service, image in images.items():
            last = store.last(project.cache_id, "prod", service, outcome="done")
            known = last.image(service) if last else None
            if (
                known is not None
                and not image.built
                and (known.ref, known.digest, known.build_id)
                == (image.ref, image.digest, image.build_id)
            ):
                found.add(service)
    return found


def _arguments(plan: BuildPlan) -> dict[str, str]:
    return {name: value for name, value in plan.variables.items() if not name.startswith("REBAKE_")}


def _record_of(image: ImageResult) -> ImageRecord:
    return ImageRecord(
        service=image.service,
        ref=image.ref,
        digest=image.digest,
        bytes=image.bytes,
        build_id=image.build_id,
        built=image.built,
        seconds=image.seconds,
    )


def _target_seconds(progress: BuildProgress, target: str) -> float:
    """From the start of the first to the end of the last step that this image waited for."""
    spans = [
        (step.started_s, step.ended_s)
        for step in progress.steps
        if step.started_s is not None
        and step.ended_s is not None
        and (not progress.targets[step.digest] or target in progress.targets[step.digest])
    ]
    return max((e for _, e in spans), default=0.0) - min((s for s, _ in spans), default=0.0)
