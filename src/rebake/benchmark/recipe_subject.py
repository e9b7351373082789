"""The other recipes: one `docker buildx bake` of Dockerfiles that follow their documentation."""

from __future__ import annotations

from copy import copy

from rebake.benchmark import rendering
from rebake.benchmark.copies import Copy, copy_project
from rebake.benchmark.measure import Meter
from rebake.benchmark.rendering import RecipeBuild
from rebake.benchmark.statistics import covered_s
from rebake.benchmark.subject import Sample, Site, failure, image_faults, image_ids
from rebake.build.progress import ProgressReader
from rebake.build.progress_state import BuildProgress
from rebake.engine.image_size import unpacked_bytes
from rebake.process import run


class RecipeSubject:
    """One recipe on a copy of the project."""

    def __init__(self, site: Site, name: str) -> None:
        """Make the copy.

        Args:
            site: the run.
            name: the recipe's.
        """
        self.name = name
        self._site = site
        folder = site.made.folder / name
        copy_project(site.project, site.files, folder)
        self.copy = Copy(folder, site.layout)
        self._cache = ""
        self._number = 0
        self._ids: dict[str, str] = {}
        for half in (name, "ui"):
            site.made.will_build(rendering.dockerfile(half, site.layout, cache_id=site.run))
        self.make_cold()

    def at(self, site: Site, cache: str) -> RecipeSubject:
        """The same copy under the same name, on another engine or with a registry cache."""
        moved = copy(self)
        moved._site, moved._cache, moved._ids = site, cache, {}  # noqa: SLF001
        return moved

    @property
    def prefix(self) -> str:
        """What its images and cache mounts begin with now."""
        return f"{self._site.run}-{self.name}-{self._number}"

    def prepare(self) -> None:
        """Make what stands in for an image that others have prebuilt: cargo-chef itself.

        Raises:
            BuildFailed, EngineLost: it did not end well.
        """
        if self.name != "cargo-chef":
            return
        site = self._site
        file = rendering.write(self.recipe(), site.layout)
        first = site.layout.services[0]
        words = ("--set", f"{first}.target=chef", "--set", f"{first}.output=type=cacheonly", first)
        reader = ProgressReader(targets=(first,))
        plain = [word for word in rendering.bake_words(file) if word != "--load"]
        outcome = run(site.endpoint.command(*plain, *words), on_stderr=reader.feed)
        progress = reader.finish()
        if not outcome.ok:
            tail = progress.failure.tail if progress.failure else progress.messages[-10:]
            raise failure(site.endpoint, "the build of cargo-chef itself", outcome, tail)

    def make_cold(self) -> None:
        """Give every step a new argument and every mount a new id."""
        if self._number:
            self._site.made.remove_images(self.prefix)
            self._site.made.remove_mounts(self.prefix)
        self._number += 1
        self._ids = {}

    def lose_mounts(self) -> None:
        """Empty its cache mounts, where it has any."""
        self._site.made.empty_mounts(self.prefix, self._site.rust_image)

    def recipe(self, *, export: bool = False) -> RecipeBuild:
        """What decides its build now."""
        site = self._site
        return RecipeBuild(
            recipe=self.name,
            folder=self.copy.root,
            rendered=site.made.folder / "rendered" / self.prefix,
            prefix=self.prefix,
            cache_id=self.prefix,
            rust_image=site.rust_image,
            bun_image=site.bun_image,
            runtime_image=site.runtime_image,
            host_settings=site.host_settings,
            cold=self.prefix,
            label=self.copy.sources.label,
            cache_from="" if export else self._cache,
            cache_to=self._cache if export else "",
            proxies=site.proxies,
            ui_manager=site.ui_manager,
            node_image=site.node_image,
        )

    def build(self, _edit: str, *, export: bool = False) -> Sample:
        """Run the bake.

        Raises:
            BuildFailed, EngineLost: it did not end well.
        """
        site, build = self._site, self.recipe(export=export)
        file = rendering.write(build, site.layout)
        reader = ProgressReader(targets=site.layout.images)
        command = site.endpoint.command(*rendering.bake_words(file), cwd=self.copy.root)
        with Meter(active=site.local) as meter:
            outcome = run(command, on_stderr=reader.feed)
        progress = reader.finish()
        if not outcome.ok:
            tail = progress.failure.tail if progress.failure else progress.messages[-10:]
            raise failure(site.endpoint, f"the build of {self.name}", outcome, tail)
        refs = {image: build.ref(image) for image in site.layout.images}
        self._forget_old(list(refs.values()))
        cached, steps = progress.cached_share
        sizes = {
            image: unpacked_bytes(site.endpoint.docker_host, ref) for image, ref in refs.items()
        }
        return Sample(
            seconds=outcome.seconds,
            cpu_s=meter.cpu_s,
            peak_bytes=meter.peak_bytes,
            steps=steps,
            cached_steps=cached,
            context_bytes=progress.context_bytes,
            export_s=export_s(progress),
            image_bytes={image: size for image, size in sizes.items() if size is not None},
        )

    def faults(self) -> list[str]:
        """Look into the images."""
        build = self.recipe()
        return image_faults(
            self._site, self.copy, {name: build.ref(name) for name in self._site.layout.images}
        )

    def _forget_old(self, refs: list[str]) -> None:
        now = image_ids(self._site.endpoint, refs)
        for ref, old in self._ids.items():
            if now.get(ref) != old:
                self._site.made.remove_image_id(old)
        self._ids = now


def export_s(progress: BuildProgress) -> float:
    """Seconds in which the engine wrote an image out, or several at once."""
    return covered_s(
        (step.started_s, step.ended_s)
        for step in progress.steps
        if progress.names[step.digest].kind == "export"
        and step.started_s is not None
        and step.ended_s is not None
    )
