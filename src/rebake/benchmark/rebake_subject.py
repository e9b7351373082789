"""rebake itself: the whole command `rebake build --json`, as a user runs it."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from copy import copy
from pathlib import Path
from typing import Any

from rebake.benchmark.copies import Copy, copy_project
from rebake.benchmark.measure import Meter
from rebake.benchmark.statistics import covered_s
from rebake.benchmark.subject import Sample, Site, failure, image_faults, image_ids
from rebake.build.progress import ProgressReader
from rebake.build.upkeep import Upkeep
from rebake.errors import CommandFailed
from rebake.history.records import StoredBuild, each_once
from rebake.history.store import History
from rebake.process import Command, Outcome, run
from rebake.results import BUILD_IDS, NETWORKS

_HISTORY = "history.sqlite3"
_UPKEEP_S = 600.0


class RebakeSubject:
    """`rebake build` in a copy of the project, with names, caches and a history of its own."""

    name = "rebake"

    def __init__(self, site: Site, *, environment: Mapping[str, str] | None = None) -> None:
        """Make the copy.

        Args:
            site: the run.
            environment: more variables for rebake (another engine, a remote cache).
        """
        folder = site.made.folder / self.name
        copy_project(site.project, site.files, folder)
        self._site = site
        self._environment = dict(environment or {})
        self._state = site.made.folder / "state"
        for half in (site.layout.backend, site.layout.ui):
            if half and (folder / half / "Dockerfile").is_file():
                site.made.will_build((folder / half / "Dockerfile").read_text(encoding="utf-8"))
        self._number = 0
        self._refs: dict[str, str] = {}
        self._ids: dict[str, str] = {}
        self.copy = Copy(folder, site.layout, dockerfile=f"{site.layout.backend}/Dockerfile")
        self.make_cold()

    def at(self, site: Site, environment: Mapping[str, str], state: Path) -> RebakeSubject:
        """The same copy under the same name, on another engine or with other settings.

        Args:
            site: the run, on that engine.
            environment: more variables for rebake.
            state: the folder of its history and the like.
        """
        moved = copy(self)
        moved._site, moved._environment, moved._state = site, dict(environment), state  # noqa: SLF001
        moved._refs, moved._ids = {}, {}  # noqa: SLF001
        return moved

    @property
    def prefix(self) -> str:
        """What its images and cache mounts begin with now."""
        return f"{self._site.run}-r{self._number}"

    def make_cold(self) -> None:
        """Take another name: no mount, no layer and no record of the old one counts any more."""
        if self._number:
            self._site.made.remove_images(self.prefix)
            self._site.made.remove_mounts(self.prefix)
        self._number += 1
        self._refs, self._ids = {}, {}

    def lose_mounts(self) -> None:
        """Empty the cache mounts of its present name."""
        self._site.made.empty_mounts(self.prefix, self._site.rust_image)

    def build(self, _edit: str) -> Sample:
        """Run `rebake build --json`.

        Raises:
            BuildFailed, EngineLost: it did not end well.
        """
        before = self._last()
        with Meter(active=self._site.local) as meter:
            outcome = run(self.command("build", *self._services(), "--json"))
        document = self._document(outcome)
        background_s = self._wait_for_upkeep() if "later" in document else 0.0
        images: Mapping[str, Any] = document["images"]
        self._refs = {name: str(image["ref"]) for name, image in images.items()}
        self._forget_old()
        stored = self._last()
        record = stored.record if stored and (before is None or before.id != stored.id) else None
        steps = each_once(record.steps) if record else []
        return Sample(
            seconds=outcome.seconds,
            cpu_s=meter.cpu_s,
            peak_bytes=meter.peak_bytes,
            steps=len(steps),
            cached_steps=sum(step.cached for step in steps),
            context_bytes=record.context_bytes if record else 0,
            export_s=_export_s(stored) if record else 0.0,
            background_s=background_s,
            image_bytes={name: int(image["bytes"]) for name, image in images.items()},
        )

    def faults(self) -> list[str]:
        """Look into the images."""
        return image_faults(self._site, self.copy, self._refs)

    def bare_bake(self) -> float:
        """Run the bake command that stands behind `rebake build`, by itself; return its seconds.

        Raises:
            CommandFailed: it ended badly, or it had something to do.
        """
        shown = self._document(run(self.command("build", *self._services(), "--dry-run", "--json")))
        words = list(shown["commands"][0])
        start = words.index("docker")
        variables = dict(word.split("=", 1) for word in words[1:start])
        # The dry run asks nothing of the engine and reads no file: what a build finds out is the
        # last build's.
        stored = self._last()
        known = stored.record.arguments if stored else {}
        variables |= {n: v for n, v in known.items() if n in BUILD_IDS | NETWORKS}
        place = words.index("--metadata-file") + 1
        words[place] = str(self._site.made.folder / "bake-metadata.json")
        command = self._site.endpoint.command(
            *words[start + 1 :],
            cwd=self.copy.root,
            env={**variables, **self._environment},
        )
        reader = ProgressReader(targets=self._site.layout.images)
        outcome = run(command, on_stderr=reader.feed)
        cached, steps = reader.finish().cached_share
        if not outcome.ok or cached < steps:
            why = [f"{cached} of {steps} steps cached", *outcome.tail()]
            raise CommandFailed(outcome.argv, outcome.returncode, why)
        return outcome.seconds

    def command(self, *words: str) -> Command:
        """A command of the rebake that this environment has, in the copy."""
        env: dict[str, str | None] = {
            "REBAKE_PROJECT_NAME": self.prefix,
            "REBAKE_STATE_HOME": str(self._state),
            "REBAKE_PROGRESS": "plain",
            **self._environment,
        }
        return Command.of(*program(), *words, cwd=self.copy.root, env=env, what="rebake build")

    def _wait_for_upkeep(self) -> float:
        """Wait for what a build has left to another process; return the seconds.

        The images are there; the next sample must begin on a machine that has nothing else to do.
        """
        began = time.monotonic()
        for folder in (self._state / "projects").glob(f"{self.prefix}*"):
            Upkeep(folder).rest(0.0)
            Upkeep(folder).wait(_UPKEEP_S)
        return time.monotonic() - began

    def _services(self) -> tuple[str, ...]:
        # All images; by name where there is no UI, which is among a project's services always.
        return () if self._site.layout.ui else self._site.layout.services

    def _document(self, outcome: Outcome) -> dict[str, Any]:
        if not outcome.ok:
            raise failure(self._site.endpoint, "rebake build", outcome, outcome.tail())
        document = json.loads(outcome.stdout)
        if not isinstance(document, dict):
            raise CommandFailed(outcome.argv, 1, ["no document on its output"])
        return document

    def _last(self) -> StoredBuild | None:
        if not (self._state / _HISTORY).is_file():
            return None
        with History(self._state / _HISTORY) as store:
            newest = store.builds(limit=1)
            return store.build(newest[0].id) if newest else None

    def _forget_old(self) -> None:
        """Remove the images that have lost their names to this build's."""
        now = image_ids(self._site.endpoint, list(self._refs.values()))
        for ref, old in self._ids.items():
            if now.get(ref) != old:
                self._site.made.remove_image_id(old)
        self._ids = now


def program() -> tuple[str, ...]:
    """How to call the rebake of this environment."""
    name = "rebake.exe" if os.name == "nt" else "rebake"
    beside = Path(sys.executable).with_name(name)
    return (str(beside),) if beside.is_file() else (sys.executable, "-m", "rebake.cli")


def _export_s(stored: StoredBuild | None) -> float | None:
    """Seconds in which the engine wrote an image out, or several at once."""
    if stored is None:
        return None
    return covered_s(
        (step.started_s, step.ended_s)
        for step in stored.record.steps
        if step.kind == "export" and step.started_s is not None and step.ended_s is not None
    )
