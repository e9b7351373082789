"""Builds images: inputs in, bake, the gate that refuses a wrong image, and the record of it all."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from msgspec import Struct, field
from msgspec.structs import replace

from rebake import __version__
from rebake.build import (
    doubts,
    gate,
    ids,
    network,
    outside,
    packing,
    recording,
    resend,
    seed,
    skip,
)
from rebake.build.bake import BakeResult, BakeStopped, Early, bake
from rebake.build.dependency_layer import DependencyLayer
from rebake.build.evidence import Collector, modes_by_half
from rebake.build.inputs import digest_of, read_inputs
from rebake.build.layers import Layers, LayersOf, read_layers
from rebake.build.leaving import Leaving
from rebake.build.mends import Mends, seed_plan
from rebake.build.parts import Around, Parts
from rebake.build.plan import RECIPE, BuildPlan, Half, PlannedImage
from rebake.build.upkeep import Upkeep
from rebake.build.written import Written
from rebake.engine.client import ImageInfo
from rebake.engine.endpoint import Endpoint
from rebake.errors import BuildFailed, Interrupted, WrongImage
from rebake.history.records import (
    BuildRecord,
    FileDigest,
    ImageRecord,
    Outcome,
    StoredBuild,
)
from rebake.history.store import History
from rebake.project.git import GitState, read_state
from rebake.project.project import Project
from rebake.report.events import Event, OnEvent, StepStarted
from rebake.results import IN_DOUBT, BuildResult, ImageResult

if TYPE_CHECKING:
    from rebake.build.progress_state import BuildProgress

Say = Callable[[str], None]
Later = Literal["dependency layer", "steps"]  # stages of `upkeep`, too
Inputs = Mapping[str, tuple[FileDigest, ...]]


class ImageStore(Protocol):
    """What a build asks of the engine's images (`engine.images.Images`)."""

    def image(self, ref: str) -> ImageInfo | None:
        """Return an image by reference."""

    def remove_image(self, ref: str, *, force: bool = False) -> bool:
        """Remove an image's name."""


class Surroundings(Struct, frozen=True):
    """What a build happens in.

    Attributes:
        engine: versions by name, for the record.
        base_images: digests by reference.
        host_settings: a digest of the host's settings that builds get.
        on_steps: told what each bake did: layers have no name, only the time of their step.
        layer_later: leave the dependency layer, where it is due, to `make_layer`.
    """

    engine: Mapping[str, str] = field(default_factory=dict)
    base_images: Mapping[str, str] = field(default_factory=dict)
    host_settings: str = ""
    on_steps: Callable[[BuildProgress], None] = lambda _progress: None
    layer_later: bool = False


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
    inputs: Inputs | None = None,
    early: Early | None = None,
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
        inputs: what `read_inputs` has just returned for the plan.
        early: a bake that waits to be told what it shall make.

    Raises:
        BuildFailed, EngineLost, Interrupted: the build did not end well; it is recorded.
        WrongImage: an image does not hold these sources.
    """
    with History(history, on_note=say) as store:
        around = surroundings or Surroundings()
        files = read_inputs(plan) if inputs is None else inputs
        one = _Build(project, plan, images, endpoint, on_event, say, store, around, files)
        one.early = early
        return one.run()


def do_later(
    what: Later,
    project: Project,
    plan: BuildPlan,
    images: ImageStore,
    endpoint: Endpoint,
    *,
    on_event: OnEvent,
    say: Say,
    history: Path,
    surroundings: Surroundings,
) -> bool:
    """Do what no image waits for; `build_images` as to all but the first.

    That is to make the dependency layer that the newest build has left for later, or to run the
    steps of a build that the engine has forgotten, and to write no image. It has, after layers
    were removed: see `build_cache.empty`.

    Returns:
        Whether it was done, and ended well. A layer is not made where none is due, or where the
        sources need another one by now: the build of those sees to it.

    Raises:
        Interrupted: the user interrupted it; a layer is still due.
    """
    with History(history, on_note=say) as store:
        files = read_inputs(plan)
        one = _Build(project, plan, images, endpoint, on_event, say, store, surroundings, files)
        return one.layer_alone() if what == "dependency layer" else one.steps_alone()


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
    inputs: Inputs

    def __post_init__(self) -> None:
        self.started, self.began = time.time(), time.monotonic()
        self.git: Future[GitState | None] | None = None
        self.plan = ids.expecting(
            resend.with_names(self.project, self.plan), self.project.workspace, self.inputs
        )
        self.before: Mapping[str, ImageInfo | None] = {}
        self.caches = seed.CacheState(layer=False, remote=False, built=False)
        self.evidence = Collector(self.project, self.endpoint, self.store, self.surroundings.engine)
        digests = {name: digest_of(files) for name, files in self.inputs.items()}
        self.modes = modes_by_half(self.plan, self.inputs)
        self.doubt, environment = doubts.of_plan(self.plan, os.environ)
        self.in_doubt = ""  # what alone was the reason to build
        self.taken_in: dict[str, str] = {}
        self.bases: dict[str, str] = {}
        around = {
            "engine": self.endpoint.docker_host,
            "host settings": self.surroundings.host_settings,
            "rebake": __version__,
            # Which there are, never what they are: another value is no other image.
            **({"secrets": " ".join(sorted(self.plan.secrets))} if self.plan.secrets else {}),
        }
        bases = self.surroundings.base_images
        self.around = Around(digests, self.modes, bases, {**around, **environment})
        self.keys = skip.keys_of(self.plan, digests, self.modes, bases, self.around.surroundings)
        self.leaving: Leaving | None = None
        self.digests, self.packages = digests, dict[Half, str]()
        self.compiling = packing.recipe_of_compiling(
            self.plan.root, self.inputs[RECIPE], self.plan.dockerfiles.values()
        )
        if self.plan.mode == "prod":
            self.packages = {
                half: seed.packages_key(self.inputs[half], self.compiling, bases, around)
                for half in self.plan.halves
            }
        self.layer = DependencyLayer(
            self.store, self.project.cache_id, self.packages.get("backend", ""), self.say
        )
        self.networks = network.Networks()
        self.bakes = recording.Bakes()
        self.prepared: threading.Thread | None = None
        self.early: Early | None = None
        self.outside = outside.Images(
            self.plan, self.inputs, self.surroundings.base_images, self.images.image
        )

    def run(self) -> BuildResult:
        """Do it."""
        if not self.plan.forced and (found := self._nothing_to_do()):
            return self._skip(found)
        if self.plan.mode == "prod":
            Upkeep(self.project.state).make_way()
        self._look_around()
        if hidden := resend.missed(self.project, self.inputs[RECIPE]):
            self.say(
                f"{', '.join(hidden)}: new content, but the old size and time: all is sent again"
            )
            self.plan = resend.renew(self.project, self.plan)
        self.outside.wait()
        parts = Parts(self.plan, self.inputs, self.around, self.keys)
        self.leaving = Leaving(parts, self.lasts, self.before, self.outside)
        self.plan = self.leaving.begin(self.doubt)
        try:
            result, made, layers = self._bake_until_right()
            if (everything := self.leaving.all_after(self.plan, self.bakes.binaries)) is not None:
                self.say("a binary of an image that was left out is another one: all are built")
                self.plan = everything
                result, made, layers = self._bake_until_right()
            made = self.leaving.together(made)
        except BakeStopped as stopped:
            ended: Outcome = "interrupted" if isinstance(stopped.error, Interrupted) else "failed"
            self._record(ended, {})
            if isinstance(stopped.error, BuildFailed) and resend.had_other_sources(stopped):
                stopped.error.next_step = "files changed while it began: run the command again"
            raise stopped.error from stopped
        try:
            layer = self._dependency_layer()
        except Interrupted:
            self._record("done", made, layers=layers)
            raise
        self._record("done", made, layers=layers, layer=layer)
        return BuildResult(
            made,
            result.progress.steps,
            time.monotonic() - self.began,
            mode=self.plan.mode,
            caches=result.progress.caches(),
            later=(seed.SETTING,) if self.layer.due else (),
        )

    def _bake_until_right(self) -> tuple[BakeResult, dict[str, ImageResult], LayersOf]:
        """Bake; again, for each reason once, where something is amiss that another bake mends."""
        inputs = {name: self.inputs[name] for name in (RECIPE, *self.plan.halves)}
        mends = Mends(self.project, inputs, self.caches, self.networks, self.evidence, say=self.say)
        while True:
            try:
                return self._bake()
            except (BakeStopped, WrongImage) as error:
                plan = mends.plan_after(error, self.plan)
                if plan is None:
                    raise
                self.plan = plan

    def _bake(self) -> tuple[BakeResult, dict[str, ImageResult], LayersOf]:
        written = Written(
            self.plan.images,
            self.before,
            self.images.image,
            partial(read_layers, self.endpoint),
        )
        try:
            listener = written.watching(self._preparing(self.on_event))
            early, self.early = self.early, None
            result = bake(self.plan, self.endpoint, listener, early)
        except BakeStopped as stopped:
            self.bakes.progresses.append(stopped.progress)
            raise
        self.bakes.progresses.append(result.progress)
        now = written.images(result.digests)
        made = {
            image.service: self._made(image, now[image.ref], result) for image in self.plan.images
        }
        layers = LayersOf(self.endpoint, self.project.cache_id, self.plan.mode, written.layers)
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

    def _preparing(self, on_event: OnEvent) -> OnEvent:
        """A listener that begins, as soon as a step runs, what the record needs of no step."""

        def listen(event: Event) -> None:
            if isinstance(event, StepStarted) and event.step.kind == "run" and not self.prepared:
                self.prepared = threading.Thread(target=self._prepare, daemon=True)
                self.prepared.start()
            on_event(event)

        return listen

    def _prepare(self) -> None:
        """Find out what the images take in; nobody but the record asks, and it asks again."""
        with contextlib.suppress(Exception):
            from rebake.engine import layer_claims  # noqa: F401 - told of the steps afterwards

            targets = self.evidence.targets
            self.outside.settings(targets)
            if self.leaving is not None:
                self.leaving.holds(targets)

    # nothing to do

    def _nothing_to_do(self) -> dict[str, ImageRecord] | None:
        """The images, when every one of them would only be made again as it is."""
        lasts = self.lasts
        # The history alone nearly always tells that something changed: then nothing is asked twice.
        if any(not skip.same_key(i, self.keys[i], last) for i, last in lasts.items()):
            return None
        self.before = self._ask_images()
        found, known = {}, dict[str, StoredBuild]()
        for image in self.plan.images:
            there = self.before[image.ref]
            key, last = self.keys[image.service], lasts[image.service]
            present = skip.present(there)
            record = skip.made_already(image.service, key, image.ref, present, last)
            if record is None or last is None:
                return None
            found[image.service], known[image.service] = record, last
        if not self.doubt:
            changed, self.doubt = self.outside.unlike(known)
            if changed:
                return None
        if self.doubt:
            self.in_doubt = self.doubt
            self.say(f"nothing seems changed; built all the same, in doubt: {self.doubt}")
            return None
        for last in known.values():
            self.taken_in |= outside.settings_in(last.record.settings)
            self.bases |= last.record.base_images
        return found

    def _ask_images(self) -> dict[str, ImageInfo | None]:
        """What the engine has under the name of each image; all are asked at once."""
        refs = list(dict.fromkeys(image.ref for image in self.plan.images))
        with ThreadPoolExecutor(max_workers=8) as pool:
            return dict(zip(refs, pool.map(self.images.image, refs), strict=True))

    def _skip(self, found: Mapping[str, ImageRecord]) -> BuildResult:
        if self.early is not None:
            self.early.drop()
        made = {
            i.service: recording.as_it_was(found[i.service], self.before[i.ref])
            for i in self.plan.images
        }
        reason = "nothing changed: all files, arguments and base images are those of the images"
        self._record("done", made, layers=lambda i, _: found[i.service].layers, skipped=reason)
        seconds = time.monotonic() - self.began
        return BuildResult(made, (), seconds, skipped=reason, mode=self.plan.mode)

    @cached_property
    def lasts(self) -> dict[str, StoredBuild | None]:
        """The newest build of each image that ended well."""
        project, mode = self.project.cache_id, self.plan.mode
        return {
            image.service: self.store.last(
                project, mode, image.service, outcome="done", ref=image.ref
            )
            for image in self.plan.images
        }

    # the dependency layer

    def _look_around(self) -> None:
        """Before a build: what is there of the images, and what is known of the caches."""
        pool = ThreadPoolExecutor(max_workers=1)
        self.git = pool.submit(read_state, self.project.root)  # awaited by the record alone
        pool.shutdown(wait=False)
        self.before = self.before or self._ask_images()
        self._choose()
        self.evidence.begin(self.plan)
        self.outside.begin(self.evidence.targets_known)

    def _choose(self) -> None:
        """What an empty mount is filled from, and who has a network."""
        if self.layer.key and not self.plan.no_cache:
            self.caches = seed.CacheState(
                layer=self.layer.known == self.layer.key,
                remote=self.plan.remote is not None,
                built=self.layer.newest is not None,
            )
            self.plan = seed_plan(self.plan, seed.choose(self.caches), self.say)
        known = self.layer.settings if not self.plan.no_cache else {}
        inputs = {h: f"{self.digests[h]}{self.compiling}" for h in self.plan.halves}
        self.networks.choose(known, inputs, self.packages)
        if self.plan.seed != "none":
            self.networks.need("backend")
        self.plan = self.plan.networked(self.networks.by_half)

    def _dependency_layer(self) -> str:
        """Bring the dependency layer up to date where that is due; return its key."""
        if not self.project.config.build.dependency_layer:
            return self.layer.known
        later = self.surroundings.layer_later
        key = self.layer.bring_up_to_date(self.plan, self.endpoint, self.on_event, later=later)
        self.bakes.layer = self.layer.done
        return key

    def layer_alone(self) -> bool:
        """Make the dependency layer where the newest build has left this very one for later."""
        made = self.layer.catch_up(self.plan, self.endpoint, self.on_event)
        if self.layer.done is not None:
            self.surroundings.on_steps(self.layer.done)
        return made

    def steps_alone(self) -> bool:
        """Run the steps, and write no image."""
        self._choose()
        try:
            progress = bake(self.plan.writing_nothing(), self.endpoint, self.on_event).progress
        except BakeStopped as stopped:
            if isinstance(stopped.error, Interrupted):
                raise stopped.error from stopped
            return False  # a build will tell why, if it still is so
        self.surroundings.on_steps(progress)
        return True

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

    def _known_by(self) -> dict[str, str]:
        if self.leaving is None:  # nothing was built
            return {}
        return self.leaving.settings(self.evidence.targets, self.bakes.binaries)

    def _record(
        self,
        outcome: Outcome,
        made: Mapping[str, ImageResult],
        *,
        layers: Callable[[ImageResult, History], Layers] = lambda _image, _store: (),
        skipped: str = "",
        layer: str = "",
    ) -> None:
        state = self.git.result() if self.git is not None else None
        if self.prepared is not None:
            self.prepared.join()
        if self.bakes.progresses:
            self.taken_in = self.outside.settings(self.evidence.targets)
            self.bases = self.outside.base_images(self.taken_in)
        # Before the layers, for which the engine is still being asked.
        known_by = self._known_by() if outcome == "done" else {}
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
                seed.SETTING: layer or self.layer.known,
                **self.layer.due_settings(outcome, skipped=bool(skipped)),
                "seed": self.plan.seed_reason,
                **self.networks.settings(self.layer.settings),
                **self.taken_in,
                **known_by,
                **({IN_DOUBT: self.in_doubt} if self.in_doubt else {}),
            },
            base_images={**self.bases, **self.surroundings.base_images},
        )
        if self.bakes.progresses:
            for progress in self.bakes.all:
                self.surroundings.on_steps(progress)
            crates, modes = self.bakes.crates, self.modes
            record = self.bakes.into(
                record, self.evidence.gather(self.plan, self.inputs, modes, crates)
            )
        with contextlib.suppress(OSError):
            self.store.record(record)
            keep = self.project.config.history.keep
            if self.store.count() > keep * 1.1:
                self.store.prune(keep)
