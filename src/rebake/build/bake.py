"""Runs a build plan with `docker buildx bake` and reads what it did."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from msgspec import Struct
from msgspec.structs import replace

from rebake.build.plan import (
    DEPENDENCIES,
    BuildPlan,
    bake_words,
    dependency_words,
    early_variables,
    early_words,
    late_definition,
)
from rebake.engine.endpoint import Endpoint
from rebake.engine.ping import ping
from rebake.errors import BuildFailed, EngineLost, Interrupted
from rebake.process import Begun, Command, OnLine, Outcome, begin, run
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


class Early:
    """A bake that starts while it is still found out what it shall make.

    buildx needs as long to start as the files need to be read. It takes what it makes from a bake
    file on its standard input, and waits for that before it asks the builder for anything. Only
    the usual build begins so, after an edit, on a warm cache mount; any other one starts its own
    bake. A context manager: what was not needed is ended.

    Args:
        plan: what the build will make, as far as that is known.
        endpoint: the engine.
    """

    def __init__(self, plan: BuildPlan, endpoint: Endpoint) -> None:
        # The step that finds its mount empty is told to refuse that wherever there is a layer.
        self._plan = plan.seeded("none", "", refuse_empty=True)
        self._begun: Begun | None = None
        self._folder = Path()
        if plan.mode != "prod" or plan.forced or plan.remote is not None:
            return
        self._folder = Path(tempfile.mkdtemp(prefix="rebake-"))
        self._begun = begin(
            endpoint.buildx_command(
                *early_words(self._plan, self.metadata)[1:],
                cwd=plan.root,
                env=early_variables(self._plan) | _QUIET,
                what="the build",
            )
        )

    @property
    def metadata(self) -> Path:
        """Where it writes what it has made."""
        return self._folder / "metadata.json"

    def fits(self, plan: BuildPlan) -> bool:
        """Whether a plan differs in nothing but what can still be told."""
        if self._begun is None or not set(plan.images) <= set(self._plan.images):
            return False
        same = replace(plan, images=self._plan.images)
        nowhere = Path("metadata.json")
        return early_words(same, nowhere) == early_words(self._plan, nowhere) and (
            early_variables(plan) == early_variables(self._plan)
        )

    def finish(self, plan: BuildPlan, on_line: OnLine) -> Outcome:
        """Tell it what to make; see `process.Begun.finish`. For one that fits, and once."""
        begun, self._begun = self._begun, None
        if begun is None:
            raise ValueError(plan.targets)
        return begun.finish(late_definition(plan), on_stderr=on_line)

    def drop(self) -> None:
        """End one that is not needed."""
        if self._begun is not None:
            self._begun.drop()
            self._begun = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.drop()
        if self._folder != Path():
            shutil.rmtree(self._folder, ignore_errors=True)


def bake(
    plan: BuildPlan, endpoint: Endpoint, on_event: OnEvent, early: Early | None = None
) -> BakeResult:
    """Build all images of a plan.

    Args:
        plan: what to build.
        endpoint: the engine.
        on_event: told what happens, from another thread.
        early: one that was begun; it is used where it fits, and dropped where not.

    Raises:
        BakeStopped: a step failed, the engine went away, or the user interrupted it.
    """
    from rebake.build.progress import ProgressReader

    redactor = Redactor.from_environment()
    reader = ProgressReader(on_event, targets=plan.targets, redactor=redactor)
    if early is not None and not early.fits(plan):
        early.drop()
        early = None
    with tempfile.TemporaryDirectory(prefix="rebake-") as folder:
        metadata = Path(folder) / "metadata.json" if early is None else early.metadata
        try:
            if early is None:
                outcome = run(command(plan, endpoint, metadata), on_stderr=reader.feed)
            else:
                outcome = early.finish(plan, reader.feed)
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
