"""What `why --next` does: the sources as they are now, beside the last build."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property

from rebake.build import doubts, ids, outside, targets
from rebake.build import evidence as gathering
from rebake.build.inputs import read_inputs
from rebake.build.plan import BuildPlan
from rebake.engine import build_cache
from rebake.engine.base_images import survey
from rebake.engine.endpoint import Endpoint
from rebake.engine.images import Images
from rebake.explain.build import bake_target
from rebake.explain.graph import Node
from rebake.explain.model import ExplainedBuild
from rebake.explain.predict import Coming, explain_next, same_step
from rebake.explain.side import Side
from rebake.history.evidence import BakeTarget, Evidence, FileFacts
from rebake.history.records import BuildRecord, StoredBuild
from rebake.history.store import History
from rebake.history.tracing import StepRun
from rebake.results import Mode
from rebake.tasks.image_flow import plan_images
from rebake.tasks.session import Session
from rebake.tasks.why_flow import Library, image_name
from rebake.tasks.wiring import engine_if_running

# A busy engine takes long to list its cache: then it is not known whether a mount is gone.
_PATIENCE_S = 3.0
_LOOK_BACK = 20  # builds of which the time beside the steps is known


def next_builds(
    session: Session, history: History, services: Sequence[str], mode: Mode
) -> tuple[ExplainedBuild, ...]:
    """Say what the next build of each service would run."""
    state = _Now(session, history, services, mode)
    return tuple(state.explain(service) for service in services)


class _Now:
    def __init__(
        self, session: Session, history: History, services: Sequence[str], mode: Mode
    ) -> None:
        self._session, self._history, self._mode = session, history, mode
        self._project = session.project
        self._asked: Future[frozenset[str] | None] | None = None
        if (endpoint := self._endpoint) is not None:  # it answers while the sources are read
            pool = ThreadPoolExecutor(max_workers=1)
            self._asked = pool.submit(build_cache.mounts, endpoint, _PATIENCE_S)
            pool.shutdown(wait=False)
        plan: BuildPlan = plan_images(session, mode, services)
        self._inputs = read_inputs(plan)
        self._plan = ids.expecting(plan, session.project.workspace, self._inputs)
        self._library = Library(session.project, history)

    def explain(self, service: str) -> ExplainedBuild:
        last = self._library.last_of(service, self._mode)
        target = bake_target(service, self._mode)
        before = Side.of(last.record) if last else None
        known = self._facts(before)
        coming = Coming(
            after=self._after(last).knowing(known),
            before=before.knowing(known) if before else None,
            number=last.id if last else None,
            current=self._has_image(service, last),
            overhead_s=self._overhead,
            doubt=self._doubt(service, last) if last else "",
        )
        return explain_next(coming, service, target, self._runs)

    def _after(self, last: StoredBuild | None) -> Side:
        """What the build would be made from, in the form of the one that was."""
        old = last.record if last else None
        kept = old.evidence if old else None
        endpoint = self._endpoint
        settings = gathering.settings_of(
            self._project,
            self._plan,
            self._history.key,
            endpoint.docker_host if endpoint else "",
            {},
        )
        if kept is not None:  # what only a build asks for is taken from the last one
            for name in ("engine.version", *(() if endpoint else ("engine.address",))):
                settings[name] = kept.settings.get(name, "")
            settings = {k: v for k, v in settings.items() if k in kept.settings or v}
        record = BuildRecord(
            project=self._project.cache_id,
            worktree=str(self._project.root),
            mode=self._mode,
            targets=self._plan.targets,
            started_at=time.time(),
            seconds=0.0,
            outcome="done",
            engine=old.engine if old else {},
            inputs=self._inputs,
            arguments=self._variables(old.arguments if old else {}),
            base_images=(dict(old.base_images) if old else {}) | self._bases | self._others(old),
            evidence=Evidence(
                settings=settings,
                targets=self._targets,
                mounts=self._mounts,
                modes=gathering.modes_by_half(self._plan, self._inputs),
            ),
        )
        return Side.of(self._history.cleaned(record))

    def _variables(self, last: Mapping[str, str]) -> dict[str, str]:
        """Those of the bake file; which seed a build takes, it decides for itself."""
        given = self._plan.all_variables
        found = {name: value for name, value in given.items() if not name.startswith("REBAKE_")}
        return found | ({"SEED": last["SEED"]} if "SEED" in last else {})

    def _facts(self, before: Side | None) -> dict[str, FileFacts]:
        """What is known of the files of both: of the new ones, they are read."""
        located = gathering.located(self._plan, self._inputs)
        wanted = {file.sha256 for _, file in located}
        if before is not None:
            wanted |= {file.sha256 for _, file in before.files()}
        known = self._history.facts(wanted)
        new = [(place, file) for place, file in located if file.sha256 not in known]
        return known | gathering.facts_of(new, self._history.key)

    @cached_property
    def _endpoint(self) -> Endpoint | None:
        return engine_if_running(self._session)

    @cached_property
    def _targets(self) -> Mapping[str, BakeTarget]:
        _, known = gathering.known_targets(self._project, self._plan, self._history)
        if known is not None:
            return known
        return targets.ask(self._plan, self._endpoint) if self._endpoint else {}

    @cached_property
    def _mounts(self) -> tuple[str, ...] | None:
        found = self._asked.result() if self._asked else None
        return None if found is None else tuple(sorted(found))

    def _others(self, last: BuildRecord | None) -> dict[str, str]:
        """The digests of the images that the last build took in and rebake.toml does not name."""
        if self._endpoint is None or last is None:
            return {}
        return outside.digests_now(last.settings, Images(self._endpoint).image)

    def _doubt(self, service: str, last: StoredBuild) -> str:
        """Why the next build would be made though nothing seems changed; empty for no reason."""
        doubt, _ = doubts.of_plan(self._plan, os.environ)
        if doubt or self._endpoint is None:
            return doubt
        ask = Images(self._endpoint).image
        return outside.Images(self._plan, self._inputs, self._bases, ask).unlike({service: last})[1]

    @cached_property
    def _bases(self) -> dict[str, str]:
        """The digests of the base images that the engine has."""
        if self._endpoint is None:
            return {}
        table = self._project.config.base_images
        found = survey(self._endpoint, (table.rust, table.bun))
        return {ref: image.digest for ref, image in found.items()}

    def _has_image(self, service: str, last: StoredBuild | None) -> bool:
        image = last.image(service) if last else None
        if image is None or self._endpoint is None:
            return image is not None
        ref = image_name(self._project, self._mode, service)
        there = Images(self._endpoint).image(ref)
        return there is not None and image.digest in {there.id, there.digest}

    def _runs(self, node: Node) -> Sequence[StepRun]:
        kind = {"RUN": "run", "COPY": "copy", "ADD": "copy"}.get(node.instruction.word, "meta")
        found = self._history.step_runs(self._project.cache_id, self._mode, node.key.stage, kind)
        return same_step(node, found)

    @cached_property
    def _overhead(self) -> float:
        """What builds take beside their steps: the middle of the last ones."""
        found = self._history.times_beside_steps(self._project.cache_id, self._mode, _LOOK_BACK)
        return statistics.median(found) if found else 0.0
