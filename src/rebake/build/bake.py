"""Runs a build plan with `docker buildx bake` and reads what it did."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from rebake.build.plan import DEPENDENCIES, BuildPlan, bake_words, dependency_words
from rebake.engine.endpoint import Endpoint
from rebake.engine.ping import ping
from rebake.errors import BuildFailed, EngineLost, Interrupted
from rebake.process import Command, run
from rebake.redact import Redactor
from rebake.report.events import OnEvent

if TYPE_CHECKING:  # a build with nothing to do reads no progress
    from rebake.build.progress_state import BuildProgress

# buildx asks the engine once more for each target to put a provenance into the metadata file, and
# starts git several times for each target to describe the commit in it. These images have none.
_QUIET = {"BUILDX_METADATA_PROVENANCE": "disabled", "BUILDX_GIT_INFO": "false"}


class BakeResult(Struct, frozen=True):
    """What one bake did: its progress, and the digest of each target's image."""

    progress: BuildProgress
    digests: Mapping[str, str]


@dataclass(eq=False)
class BakeStopped(Exception):
    """A bake did not end well; carries what it had done, for the history."""

    error: BuildFailed | EngineLost | Interrupted
    progress: BuildProgress


def command(plan: BuildPlan, endpoint: Endpoint, metadata: Path) -> Command:
    """The exact command for a plan."""
    return endpoint.buildx_command(
        *bake_words(plan, metadata)[1:],
        cwd=plan.root,
        env=plan.all_variables | _QUIET,
        what="the build",
    )


def bake(plan: BuildPlan, endpoint: Endpoint, on_event: OnEvent) -> BakeResult:
    """Build all images of a plan.

    Args:
        plan: what to build.
        endpoint: the engine.
        on_event: told what happens, from another thread.

    Raises:
        BakeStopped: a step failed, the engine went away, or the user interrupted it.
    """
    from rebake.build.progress import ProgressReader

    redactor = Redactor.from_environment()
    reader = ProgressReader(on_event, targets=plan.targets, redactor=redactor)
    with tempfile.TemporaryDirectory(prefix="rebake-") as folder:
        metadata = Path(folder) / "metadata.json"
        try:
            outcome = run(command(plan, endpoint, metadata), on_stderr=reader.feed)
        except Interrupted as error:
            raise BakeStopped(error, reader.finish()) from error
        progress = reader.finish()
        if not outcome.ok:
            raise BakeStopped(_explain(endpoint, progress, redactor), progress)
        return BakeResult(progress, _digests(metadata))


def make_dependency_layer(
    plan: BuildPlan, endpoint: Endpoint, on_event: OnEvent
) -> BuildProgress | None:
    """Bring the dependency layer up to date from the cache mount, which is warm after a build.

    Returns:
        What was done; None where it could not be made: no build fails for the lack of it.

    Raises:
        Interrupted: the user interrupted it.
    """
    from rebake.build.progress import ProgressReader

    reader = ProgressReader(on_event, targets=(DEPENDENCIES,))
    outcome = run(
        endpoint.buildx_command(
            *dependency_words(plan)[1:],
            cwd=plan.root,
            env=plan.all_variables | _QUIET,
            what="the dependency layer",
        ),
        on_stderr=reader.feed,
    )
    progress = reader.finish()
    return progress if outcome.ok else None


def _explain(
    endpoint: Endpoint, progress: BuildProgress, redactor: Redactor
) -> BuildFailed | EngineLost:
    # Only a local socket can be asked without the client; elsewhere, the step's error must do.
    local = endpoint.docker_host.startswith(("unix://", "npipe://"))
    if local and ping(endpoint.docker_host) is None:
        return EngineLost("the engine went away in the middle of the build")
    failure = progress.failure
    if failure is not None:
        step = failure.step.label or failure.step.title
        return BuildFailed(step, failure.tail, redactor.text(failure.error))
    message = progress.error_message
    tail = progress.messages[-20:] if not message else ()
    return BuildFailed("docker buildx bake", tail, redactor.text(message))


def _digests(metadata: Path) -> dict[str, str]:
    try:
        document: dict[str, Any] = json.loads(metadata.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {
        target: entry["containerimage.digest"]
        for target, entry in document.items()
        if isinstance(entry, dict) and isinstance(entry.get("containerimage.digest"), str)
    }
