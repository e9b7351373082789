"""Runs a benchmark: rounds over all subjects, a real edit each, each result looked at."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from msgspec import Struct, field

from rebake.benchmark.document import Finding
from rebake.benchmark.edits import SMALL_CRATES, Sources, edited
from rebake.benchmark.estimate import Clock
from rebake.benchmark.floor_subject import FloorSubject
from rebake.benchmark.journal import Book, Part
from rebake.benchmark.measure import settle
from rebake.benchmark.rebake_subject import RebakeSubject
from rebake.benchmark.recipe_subject import RecipeSubject
from rebake.benchmark.repeats import Repeats
from rebake.benchmark.scenarios import Scenario, rotated, takes_part
from rebake.benchmark.statistics import Result, middle
from rebake.benchmark.subject import Sample, Site, Subject, engine_answers
from rebake.errors import BuildFailed, CommandFailed, EngineLost, RebakeError
from rebake.report.format import seconds as in_words

Say = Callable[[str], None]
T = TypeVar("T")
_BACK_S = 60.0  # how long a lost engine may take to come back


class Wanted(Struct, frozen=True):
    """What was asked for."""

    scenarios: Sequence[Scenario]
    subjects: Sequence[str]
    repeats: Repeats
    known: Mapping[tuple[str, str], float] = field(default_factory=dict)


class _Samples(Struct):
    """What was measured of one subject in one scenario."""

    samples: list[Sample] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    error: str = ""

    def result(self, scenario: str, subject: str, services: int) -> Result:
        last = self.samples[-1] if self.samples else None
        peaks = [s.peak_bytes for s in self.samples if s.peak_bytes is not None]
        return Result(
            scenario=scenario,
            subject=subject,
            services=services,
            runs_s=tuple(sample.seconds for sample in self.samples),
            correct=not self.faults if self.samples else None,
            steps=last.steps if last else None,
            cached_steps=last.cached_steps if last else None,
            cpu_s=middle(sample.cpu_s for sample in self.samples),
            peak_bytes=round(statistics.median(peaks)) if peaks else None,
            context_bytes=last.context_bytes if last else None,
            export_s=middle(sample.export_s for sample in self.samples),
            background_s=middle(sample.background_s for sample in self.samples) or 0.0,
            image_bytes=last.image_bytes if last else {},
            error=self.error,
        )


class Benchmark:
    """One run over one project (or one size of a generated one)."""

    def __init__(self, site: Site, wanted: Wanted, say: Say, book: Book | None = None) -> None:
        """Get ready.

        Args:
            site: what all subjects are given alike.
            wanted: what is to be measured.
            say: told what goes on.
            book: keeps each scenario that came to its end, and has those of an earlier sitting.
        """
        self._site = site
        self._book = book
        self._wanted = wanted
        self._say = say
        self._clock = Clock(wanted.repeats, wanted.known)
        self._taken: dict[tuple[str, str], _Samples] = {}
        self._bake_s: list[float] = []
        self._not_run: list[tuple[str, str, str]] = []
        self._notes: list[str] = []
        self._busy: set[str] = set()  # of which a sample began while something else went on
        self._edits = 0
        self._warm: set[str] = set()
        self._broken: dict[str, str] = {}  # subjects whose first build failed, and why
        self._subjects: dict[str, Subject] = {}
        self._dependencies = 0  # how many can be added, one after the other
        self._unlocked = "no small crate is left to add"

    def run(self) -> Finding:
        """Take all samples.

        Raises:
            Interrupted: Ctrl-C.
            RebakeError: what the benchmark itself needs can't be had.
        """
        scenarios = self._possible()
        parts = [Part(not_run=self._not_run)]
        done = {one.name: part for one in scenarios if (part := self._kept(one)) is not None}
        left = [scenario for scenario in scenarios if scenario.name not in done]
        if done:
            self._say(f"measured before: {', '.join(done)}")
        if left:
            self._prepare(left)
            parts.append(Part(notes=self._notes))
            self._say(f"about {in_words(self._left_s(left))} to go")
        for number, scenario in enumerate(left):
            self._bake_s, self._not_run, self._notes = [], [], []
            self._busy.clear()
            if scenario.start == "fresh engine":
                self._fresh(scenario)
            else:
                self._scenario(scenario, left[number:])
            done[scenario.name] = self._part(scenario)
            if self._book is not None:
                self._book.keep(scenario.name, done[scenario.name])
        parts += [done[scenario.name] for scenario in scenarios]
        return finding_of(parts, len(self._site.layout.services))

    def _kept(self, scenario: Scenario) -> Part | None:
        return None if self._book is None else self._book.part(scenario.name)

    def _part(self, scenario: Scenario) -> Part:
        """What a scenario gave that has just come to its end."""
        services = len(self._site.layout.services)
        results = [
            self._taken[scenario.name, subject].result(scenario.name, subject, services)
            for subject in self._wanted.subjects
            if (scenario.name, subject) in self._taken
        ]
        if self._busy:
            names = ", ".join(sorted(self._busy))
            self._notes.append(f"{scenario.name}: the machine had other work too, beside {names}")
        return Part(results, self._bake_s, self._not_run, self._notes)

    def _possible(self) -> list[Scenario]:
        layout = self._site.layout
        found = []
        for scenario in self._wanted.scenarios:
            if scenario.edit == "ui" and not layout.ui:
                self._not_run.append((scenario.name, "", "the project has no UI"))
            elif scenario.edit == "shared" and not layout.shared_file:
                self._not_run.append((scenario.name, "", "no crate is used by all services"))
            else:
                found.append(scenario)
        return found

    def _pairs(self, scenarios: Sequence[Scenario]) -> list[tuple[str, str]]:
        return [
            (scenario.name, subject)
            for scenario in scenarios
            for subject in self._wanted.subjects
            if not takes_part(subject, scenario, has_ui=bool(self._site.layout.ui))
            and subject not in self._broken
            and not self._taken.get((scenario.name, subject), _Samples()).error
        ]

    def _left_s(self, scenarios: Sequence[Scenario]) -> float:
        """Seconds that these scenarios will take, first builds that are not counted included."""
        total = self._clock.left_s(self._pairs(scenarios))
        if not any(scenario.start == "cold" for scenario in scenarios):
            waiting = set(self._wanted.subjects) - self._warm - self._broken.keys()
            total += sum(self._clock.expected("cold", name) for name in waiting)
        return total

    def _prepare(self, scenarios: Sequence[Scenario]) -> None:
        """Make the copies; all begin with the same text, so that each edit changes one."""
        self._say("making ready, not counted")
        with self._site.made.building():
            for name in self._wanted.subjects:
                try:
                    self._subjects[name] = make(self._site, name)
                except CommandFailed as error:
                    self._give_up(name, error)
            if any(scenario.edit == "dependency" for scenario in scenarios):
                self._lock_dependencies()
            for name, subject in self._subjects.items():
                if isinstance(subject, RecipeSubject):
                    try:
                        self._twice(name, subject.prepare)
                    except (BuildFailed, EngineLost) as error:
                        self._give_up(name, error)
        text = self._text()
        for name, subject in self._subjects.items():
            own = f"{text}-{name}"
            subject.copy.say(Sources(code=own, shared=own, ui=own))

    def _give_up(self, name: str, error: RebakeError) -> None:
        """Go on without a subject that can't even be prepared; its results say why."""
        self._say(f"{name}: {error}")
        self._broken[name] = error.what

    def _lock_dependencies(self) -> None:
        """Let cargo write the lock-files of the edits to come."""
        try:
            floor = self._subjects.get("floor")
            helper = floor if isinstance(floor, FloorSubject) else _helper(self._site)
            count = min(self._wanted.repeats.runs, len(SMALL_CRATES))
            manifests = self._twice("dependencies", lambda: helper.dependencies(count))
        except (BuildFailed, CommandFailed, EngineLost) as error:
            self._say(f"dependency-bump: {error}")
            self._unlocked = error.what
            return
        for subject in self._subjects.values():
            subject.copy.know_dependencies(manifests)
        self._dependencies = len(manifests)

    def _scenario(self, scenario: Scenario, rest: Sequence[Scenario]) -> None:
        names = self._taking_part(scenario)
        if scenario.start != "cold":
            for name in names:
                self._warm_up(name)
        if scenario.edit == "dependency" and not self._dependencies:
            for name in names:
                self._taken[scenario.name, name] = _Samples(error=self._unlocked)
        for repetition in range(self._repetitions(scenario)):
            text = self._text()
            for name in rotated(names, repetition):
                error = self._broken.get(name, "")
                taken = self._taken.setdefault((scenario.name, name), _Samples(error=error))
                if taken.error or repetition >= self._clock.wanted(scenario.name, name):
                    continue
                self._sample(scenario, name, text, taken)
                left = self._left_s(rest)
                shown = f"{taken.samples[-1].seconds:.2f} s" if taken.samples else "failed"
                self._say(
                    f"{scenario.name}, {name}, {repetition + 1}: {shown}; "
                    f"about {in_words(left)} to go"
                )
            if scenario.edit == "none" and "rebake" in names and "rebake" not in self._broken:
                self._bare_bake()

    def _taking_part(self, scenario: Scenario) -> list[str]:
        names = []
        for name in self._wanted.subjects:
            why = takes_part(name, scenario, has_ui=bool(self._site.layout.ui))
            if why:
                self._not_run.append((scenario.name, name, why))
            else:
                names.append(name)
        return names

    def _repetitions(self, scenario: Scenario) -> int:
        if scenario.edit == "dependency":
            return min(self._wanted.repeats.runs, self._dependencies)
        return self._wanted.repeats.most

    def _sample(self, scenario: Scenario, name: str, text: str, taken: _Samples) -> None:
        """Edit, build, look; once more where the engine was to blame."""
        began = time.monotonic()
        subject = self._subjects[name]
        # With the subject's name in it: no two of them make the same layer.
        subject.copy.say(edited(subject.copy.sources, scenario.edit, f"{text}-{name}"))
        edit = "all" if scenario.start == "cold" else scenario.edit
        if scenario.start == "cold":
            subject.make_cold()
        elif scenario.start == "mounts lost":
            subject.lose_mounts()
        if self._site.local and not settle():
            self._busy.add(name)
        try:
            sample = self._built(subject, scenario.name, edit)
        except (BuildFailed, EngineLost) as error:
            taken.error = error.what
            self._say(f"{scenario.name}, {name}: {error}")
            return
        taken.samples.append(sample)
        self._warm.add(name)
        faults = subject.faults()
        for fault in faults:
            taken.faults.append(fault)
            self._say(f"WRONG RESULT: {scenario.name}, {name}: {fault}")
        self._clock.took(scenario.name, name, sample.seconds, time.monotonic() - began)

    def _built(self, subject: Subject, scenario: str, edit: str) -> Sample:
        def build() -> Sample:
            with self._site.made.building():
                return subject.build(edit)

        return self._twice(f"{scenario}, {subject.name}", build)

    def _twice(self, what: str, build: Callable[[], T]) -> T:
        """Do it once more where it failed: the engine or the network may have been to blame."""
        try:
            return build()
        except (BuildFailed, CommandFailed, EngineLost) as error:
            note = f"{what}: thrown away and taken again: {error.what}"
            self._notes.append(note)
            self._say("\n".join([note, *error.details]))
        limit = time.monotonic() + _BACK_S
        while not engine_answers(self._site.endpoint):
            if time.monotonic() > limit:
                raise EngineLost(f"the engine did not come back within {_BACK_S:.0f} s")
            time.sleep(1.0)
        return build()

    def _warm_up(self, name: str) -> None:
        """Build once without counting, for what begins with caches that are warm."""
        if name in self._warm or name in self._broken:
            return
        self._say(f"{name}: a first build, not counted")
        try:
            self._built(self._subjects[name], "first build", "all")
        except (BuildFailed, EngineLost) as error:
            self._give_up(name, error)
        self._warm.add(name)

    def _bare_bake(self) -> None:
        subject = self._subjects["rebake"]
        if isinstance(subject, RebakeSubject):
            if self._site.local and not settle():
                self._busy.add("docker buildx bake")
            try:
                self._bake_s.append(subject.bare_bake())
            except CommandFailed as error:
                self._notes.append(f"docker buildx bake by itself: {error.details[0]}")
                self._say(self._notes[-1])

    def _fresh(self, scenario: Scenario) -> None:
        from rebake.benchmark import fresh_ci

        names = self._taking_part(scenario)
        for name in names:
            self._warm_up(name)
        names = [name for name in names if name not in self._broken]
        try:
            found = fresh_ci.run(
                self._site,
                {name: self._subjects[name] for name in names},
                rounds=self._wanted.repeats.fewest,
                text=self._text,
                took=lambda name, seconds, whole: self._clock.took(
                    scenario.name, name, seconds, whole
                ),
                say=self._say,
            )
        except fresh_ci.CannotBeFresh as error:
            self._not_run.append((scenario.name, "", str(error)))
            self._say(f"{scenario.name}: not run: {error}")
            found = {name: fresh_ci.Taken(error=str(error)) for name in names}
        for name, one in found.items():
            self._taken[scenario.name, name] = _Samples(one.samples, one.faults, one.error)

    def _text(self) -> str:
        """A text that was nowhere before."""
        self._edits += 1
        return f"{self._site.run}-edit-{self._edits:04d}"


def finding_of(parts: Sequence[Part], services: int) -> Finding:
    """Put what the scenarios of one size gave together."""
    bake_s = [seconds for part in parts for seconds in part.bake_runs_s]
    return Finding(
        results=[result for part in parts for result in part.results],
        bake_runs_s={services: bake_s} if bake_s else {},
        not_run=[entry for part in parts for entry in part.not_run],
        notes=[note for part in parts for note in part.notes],
    )


def make(site: Site, name: str) -> Subject:
    """Make a subject by name.

    Raises:
        RebakeError: the floor's containers can't be started.
    """
    if name == "rebake":
        return RebakeSubject(site)
    if name == "floor":
        return FloorSubject(site)
    return RecipeSubject(site, name)


def _helper(site: Site) -> FloorSubject:
    """Containers that only prepare: cargo has to write the lock-files."""
    return FloorSubject(site, label="-helper")


__all__ = ["Benchmark", "RebakeError", "Wanted", "finding_of", "make"]
