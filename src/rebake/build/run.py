"""Builds images: inputs in, bake, the gate that refuses a wrong image, and the record of it all."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from rebake import __version__
from rebake.build import doubts, gate, ids, network, recording, resend, seed, skip
from rebake.build.bake import BakeResult, BakeStopped, bake, make_dependency_layer
from rebake.build.evidence import Collector, modes_by_half
from rebake.build.inputs import digest_of, read_inputs
from rebake.build.layers import LayersMeanwhile
from rebake.build.plan import RECIPE, BuildPlan, Half, PlannedImage
from rebake.engine.client import ImageInfo
from rebake.engine.endpoint import Endpoint
from rebake.errors import BuildFailed, Interrupted, WrongImage
from rebake.history.records import BuildRecord, ImageRecord, LayerRecord, Outcome, StoredBuild
from rebake.history.store import History
from rebake.project.git import GitState, read_state
from rebake.project.project import Project
from rebake.report.events import OnEvent
from rebake.results import BuildResult, ImageResult

if TYPE_CHECKING:
    from rebake.build.progress_state import BuildProgress

Say = Callable[[str], None]
LayersOf = Callable[[ImageResult, History], tuple[LayerRecord, ...]]
_LAYER_STAGES = frozenset({"skeleton", "deps"})  # of backend/Dockerfile


class ImageStore(Protocol):
    """What a build asks of the engine's images (`engine.images.Images`)."""

    def image(self, ref: str) -> ImageInfo | None:
        """Return an image by reference."""

    def remove_image(self, ref: str, *, force: bool = False) -> bool:
        """Remove an image's name."""


@dataclass(frozen=True)
class Surroundings:
    """What a build happens in.

    Attributes:
        engine: versions by name, for the record.
        base_images: digests by reference.
        host_settings: a digest of the host's settings that builds get.
        on_steps: told what each bake did: layers have no name, only the time of their step.
    """

    engine: Mapping[str, str] = field(default_factory=dict)
    base_images: Mapping[str, str] = field(default_factory=dict)
    host_settings: str = ""
    on_steps: Callable[[BuildProgress], None] = lambda _progress: None


def build_images(
    project: Project,
    plan: BuildPlan,
    images: ImageStore,
    endpoint: Endpoint,
    *,
    on_event: OnEvent,
    say: Say,
    history: Path,
    surroundings: Surroundings | None = None,
) -> BuildResult:
    """Build the images of a plan, as far as anything changed, and check each one.

    Args:
        project: the project.
        plan: what to build.
        images: the engine's images.
        endpoint: the engine.
        on_event: told each step, from another thread.
        say: told what else is worth a line.
        history: the file of build records.
        surroundings: what else decides, and facts for the record.

    Raises:
        BuildFailed, EngineLost, Interrupted: the build did not end well; it is recorded.
        WrongImage: an image does not hold these sources.
    """
    with History(history, on_note=say) as store:
        one = _Build(
            project, plan, images, endpoint, on_event, say, store, surroundings or Surroundings()
        )
        return one.run()


@dataclass
class _Build:
    """One build while it goes on."""

    project: Project
    plan: BuildPlan
    images: ImageStore
    endpoint: Endpoint
    on_event: OnEvent
    say: Say
    store: History
    surroundings: Surroundings

    def __post_init__(self) -> None:
        self.started, self.began = time.time(), time.monotonic()
        self.git: Future[GitState | None] | None = None
        self.inputs = read_inputs(self.plan)
        self.plan = ids.expecting(
            resend.with_names(self.project, self.plan), self.project.workspace, self.inputs
        )
        self.before: Mapping[str, ImageInfo | None] = {}
        self.caches = seed.CacheState(layer=False, remote=False, built=False)
        self.evidence = Collector(self.project, self.endpoint, self.store, self.surroundings.engine)
        digests = {name: digest_of(files) for name, files in self.inputs.items()}
        self.modes = modes_by_half(self.plan, self.inputs)
        self.doubt, environment = doubts.of_plan(self.plan, os.environ)
        around = {
            "engine": self.endpoint.docker_host,
            "host settings": self.surroundings.host_settings,
            "rebake": __version__,
        }
        self.keys = {
            image.service: skip.image_key(
                inputs={n: digests[n] for n in (RECIPE, *image.needs)},
                modes={half: self.modes[half] for half in image.needs},
                arguments=self.plan.variables,
                base_images=self.surroundings.base_images,
                surroundings={**around, "export": self.plan.export, **environment},
            )
            for image in self.plan.images
        }
        self.digests, self.packages = digests, dict[Half, str]()
        if self.plan.mode == "prod":
            bases, recipe = self.surroundings.base_images, digests[RECIPE]
            self.packages = {
                half: seed.packages_key(self.inputs[half], recipe, bases, around)
                for half in self.plan.halves
            }
        self.layer_key = self.packages.get("backend", "")
        self.networks = network.Networks()

    def run(self) -> BuildResult:
        """Do it."""
        if not self.plan.forced and (found := self._nothing_to_do()):
            return self._skip(found)
        self._look_around()
        if hidden := resend.missed(self.project, self.inputs[RECIPE]):
            self.say(
                f"{', '.join(hidden)}: new content, but the old size and time: all is sent again"
            )
            self.plan = resend.renew(self.project, self.plan)
        try:
            result, made, layers = self._bake_until_right()
        except BakeStopped as stopped:
            ended: Outcome = "interrupted" if isinstance(stopped.error, Interrupted) else "failed"
            self._record(ended, stopped.progress, {})
            if isinstance(stopped.error, BuildFailed) and resend.had_other_sources(stopped):
                stopped.error.next_step = "files changed while it began: run the command again"
            raise stopped.error from stopped
        try:
            layer = self._dependency_layer()
        except Interrupted:
            self._record("done", result.progress, made, layers=layers.of)
            raise
        self._record("done", result.progress, made, layers=layers.of, layer=layer)
        return BuildResult(
            made,
            result.progress.steps,
            time.monotonic() - self.began,
            mode=self.plan.mode,
            caches=result.progress.caches(),
        )

    def _bake_until_right(self) -> tuple[BakeResult, dict[str, ImageResult], LayersMeanwhile]:
        """Bake; again, for each reason once, where something is amiss that another bake mends."""
        mends = [self._with_seed, self._without_seed, self._send_again]
        mends += [self._with_network] * len(self.plan.halves)
        while True:
            try:
                return self._bake()
            except (BakeStopped, WrongImage) as error:
                mend = next((mend for mend in mends if mend(error)), None)
                if mend is None:
                    raise
                if isinstance(error, BakeStopped):
                    self.surroundings.on_steps(error.progress)
                mends.remove(mend)

    def _bake(self) -> tuple[BakeResult, dict[str, ImageResult], LayersMeanwhile]:
        result = bake(self.plan, self.endpoint, self.on_event)
        now = self._ask_images()
        made = {
            image.service: self._made(image, now[image.ref], result) for image in self.plan.images
        }
        layers = LayersMeanwhile(
            self.endpoint, self.project.cache_id, self.plan.mode, made.values()
        )
        if self.plan.mode == "prod":
            try:
                wanted = {i.service: self.plan.expected_ids(i) for i in self.plan.images}
                told = gate.check(self.plan.images, made, wanted, self.endpoint)
            except WrongImage as error:
                # Without its name, nothing can start it by mistake.
                self.images.remove_image(made[error.service].ref, force=True)
                raise
            made = {name: replace(image, build_id=told[name]) for name, image in made.items()}
        return result, made, layers

    def _with_seed(self, error: BakeStopped | WrongImage) -> bool:
        """After a build that found the cache mount empty: fill it from the dependency layer."""
        failure = error.progress.failure if isinstance(error, BakeStopped) else None
        if not self.plan.refuse_empty or failure is None or not seed.was_empty(failure.error):
            return False
        self._take(seed.after_refusal(self.caches))
        self.networks.need("backend")  # the mount with what was downloaded may be gone too
        self.plan = self.plan.networked(self.networks.by_half)
        self.evidence.target_was_empty = True
        return True

    def _with_network(self, error: BakeStopped | WrongImage) -> bool:
        """After a step that failed without a network: whether to try once more with one."""
        failure = error.progress.failure if isinstance(error, BakeStopped) else None
        if failure is None or not network.was_missed(failure.error):
            return False
        half: Half = "ui" if "build-ui" in failure.step.name else "backend"
        if not self.networks.need(half):
            return False
        self.say(f"{half}: it failed without a network, so once more with one")
        self.plan = self.plan.networked(self.networks.by_half)
        return True

    def _without_seed(self, error: BakeStopped | WrongImage) -> bool:
        """After a dependency layer that could not be made: whether to try once more without it."""
        failure = error.progress.failure if isinstance(error, BakeStopped) else None
        if self.plan.seed == "none" or failure is None or failure.step.stage not in _LAYER_STAGES:
            return False
        self.say("the dependency layer could not be made: compiling without it")
        self.plan = self.plan.seeded("none", "the dependency layer could not be made")
        return True

    def _send_again(self, error: BakeStopped | WrongImage) -> bool:
        """After a build of other sources than the plan's: whether to try once more, all sent anew.

        Not where files were changed in the meantime: that is for the user to know.
        """
        if not resend.had_other_sources(error):
            return False
        if read_inputs(self.plan) != self.inputs:
            return False
        self.say(
            "a file changed, but kept its size and time, so it was not sent: all is sent again"
        )
        try:
            self.plan = resend.renew(self.project, self.plan)
        except OSError:
            return False
        return True

    # nothing to do

    def _nothing_to_do(self) -> dict[str, ImageRecord] | None:
        """The images, when every one of them would only be made again as it is."""
        if self.doubt:
            return None
        lasts = {i.service: self._last(i.service, i.ref) for i in self.plan.images}
        # The history alone nearly always tells that something changed: then nothing is asked twice.
        if any(not skip.same_key(i, self.keys[i], last) for i, last in lasts.items()):
            return None
        self.before = self._ask_images()
        found = {}
        for image in self.plan.images:
            there = self.before[image.ref]
            present = {there.id, there.digest} if there is not None else frozenset[str]()
            key, last = self.keys[image.service], lasts[image.service]
            record = skip.made_already(image.service, key, image.ref, present, last)
            if record is None:
                return None
            found[image.service] = record
        return found

    def _ask_images(self) -> dict[str, ImageInfo | None]:
        """What the engine has under the name of each image; all are asked at once."""
        refs = list(dict.fromkeys(image.ref for image in self.plan.images))
        with ThreadPoolExecutor(max_workers=8) as pool:
            return dict(zip(refs, pool.map(self.images.image, refs), strict=True))

    def _skip(self, found: Mapping[str, ImageRecord]) -> BuildResult:
        made = {
            image.service: ImageResult(
                service=image.service,
                ref=image.ref,
                digest=found[image.service].digest,
                bytes=there.bytes if (there := self.before[image.ref]) else 0,
                build_id=found[image.service].build_id,
                built=False,
                seconds=0.0,
            )
            for image in self.plan.images
        }
        reason = "nothing changed: all files, arguments and base images are those of the images"
        self._record(
            "done", None, made, layers=lambda i, _: found[i.service].layers, skipped=reason
        )
        seconds = time.monotonic() - self.began
        return BuildResult(made, (), seconds, skipped=reason, mode=self.plan.mode)

    def _last(self, service: str, ref: str) -> StoredBuild | None:
        return self.store.last(
            self.project.cache_id, self.plan.mode, service, outcome="done", ref=ref
        )

    # the dependency layer

    def _look_around(self) -> None:
        """Before a build: what is there of the images, and what is known of the caches."""
        pool = ThreadPoolExecutor(max_workers=1)
        self.git = pool.submit(read_state, self.project.root)  # awaited by the record alone
        pool.shutdown(wait=False)
        self.before = self.before or self._ask_images()
        if self.layer_key and not self.plan.no_cache:
            self.caches = seed.CacheState(
                layer=self._known_layer() == self.layer_key,
                remote=self.plan.remote is not None,
                built=self._last_prod is not None,
            )
            self._take(seed.choose(self.caches))
        known = self._last_settings() if not self.plan.no_cache else {}
        inputs = {h: f"{self.digests[h]}{self.digests[RECIPE]}" for h in self.plan.halves}
        self.networks.choose(known, inputs, self.packages)
        if self.plan.seed != "none":
            self.networks.need("backend")
        self.plan = self.plan.networked(self.networks.by_half)
        self.evidence.begin(self.plan)

    def _take(self, choice: seed.Choice) -> None:
        self.plan = self.plan.seeded(choice.seed, choice.reason, refuse_empty=choice.refuse_empty)
        if choice.seed == "deps":
            self.say(choice.reason)

    def _known_layer(self) -> str:
        """The key of the dependency layer that the last build left on this engine."""
        return self._last_settings().get(seed.SETTING, "")

    def _last_settings(self) -> Mapping[str, str]:
        last = self._last_prod
        return last.record.settings if last else {}

    @cached_property
    def _last_prod(self) -> StoredBuild | None:
        return self.store.last(self.project.cache_id, "prod", outcome="done")

    def _dependency_layer(self) -> str:
        """Bring the dependency layer up to date where that is due; return its key."""
        known = self._known_layer()
        wanted = self.layer_key and self.project.config.build.dependency_layer
        if not wanted or known == self.layer_key:
            return known
        if (made := make_dependency_layer(self.plan, self.endpoint, self.on_event)) is not None:
            self.surroundings.on_steps(made)
            return self.layer_key
        self.say("the dependency layer could not be made; a lost cache mount will cost minutes")
        return known

    # what came out

    def _made(self, image: PlannedImage, info: ImageInfo | None, result: BakeResult) -> ImageResult:
        old = self.before[image.ref]
        return ImageResult(
            service=image.service,
            ref=image.ref,
            digest=result.digests.get(image.target) or (info.digest if info else ""),
            bytes=info.bytes if info else 0,
            build_id=self.plan.expected_ids(image)[0],
            built=old is None or info is None or old.id != info.id,
            seconds=recording.target_seconds(result.progress, image.target),
            label=info.labels.get(gate.LABEL, "") if info else "",
        )

    # the record

    def _record(
        self,
        outcome: Outcome,
        progress: BuildProgress | None,
        made: Mapping[str, ImageResult],
        *,
        layers: LayersOf = lambda _image, _store: (),
        skipped: str = "",
        layer: str = "",
    ) -> None:
        state = self.git.result() if self.git is not None else None
        record = BuildRecord(
            project=self.project.cache_id,
            worktree=str(self.project.root),
            mode=self.plan.mode,
            targets=self.plan.targets,
            started_at=self.started,
            seconds=time.monotonic() - self.began,
            outcome=outcome,
            rebake_version=__version__,
            engine=self.surroundings.engine,
            git_head=state.head if state else "",
            git_dirty=state.dirty if state else False,
            skipped=skipped,
            images=tuple(
                recording.image_record(image, layers(image, self.store)) for image in made.values()
            ),
            inputs=self.inputs,
            arguments=recording.arguments(self.plan),
            settings={
                **skip.settings_of(self.keys if outcome == "done" else {}),
                seed.SETTING: layer or self._known_layer(),
                "seed": self.plan.seed_reason,
                **self.networks.settings(self._last_settings()),
            },
            base_images=self.surroundings.base_images,
        )
        if progress is not None:
            self.surroundings.on_steps(progress)
            record = replace(
                record,
                context_bytes=progress.context_bytes,
                downloaded_bytes=progress.downloaded_bytes,
                steps=progress.records(),
                evidence=self.evidence.gather(self.plan, self.inputs, self.modes, progress.crates),
            )
        with contextlib.suppress(OSError):
            self.store.record(record)
            keep = self.project.config.history.keep
            if self.store.count() > keep * 1.1:
                self.store.prune(keep)
