"""Measures a build on a new engine beside a registry that has the cache: a fresh CI machine.

The engine at hand builds once and exports; then, for each round, an engine of the benchmark's own
starts with empty data, gets the base images (a CI machine pulls those whatever it builds, so it is
not counted), and builds the next edit. The subjects of a round share that engine: none of them has
a layer or a mount that another one could use.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from msgspec import Struct, field
from msgspec.structs import replace

from rebake.benchmark.edits import edited
from rebake.benchmark.made import Made
from rebake.benchmark.measure import settle
from rebake.benchmark.rebake_subject import RebakeSubject
from rebake.benchmark.recipe_subject import RecipeSubject
from rebake.benchmark.scenarios import rotated
from rebake.benchmark.subject import Sample, Site, Subject
from rebake.engine import loopback_registry, private
from rebake.engine.endpoint import Endpoint
from rebake.engine.home import Home
from rebake.engine.sweep_tool import MARKER
from rebake.errors import BuildFailed, CannotRun, EngineLost, NoEngine, UsageError
from rebake.process import run as run_command

Say = Callable[[str], None]
_TIMEOUT_S = 600.0


class CannotBeFresh(Exception):
    """This machine can't run engines of the benchmark's own; the text says why."""


class Taken(Struct):
    """What was measured of one subject."""

    samples: list[Sample] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    error: str = ""


def run(
    site: Site,
    subjects: Mapping[str, Subject],
    *,
    rounds: int,
    text: Callable[[], str],
    took: Callable[[str, float, float], None],
    say: Say,
) -> dict[str, Taken]:
    """Take the samples.

    Args:
        site: the run, on the engine at hand.
        subjects: those that take part, by name.
        rounds: how many samples of each.
        text: gives a text that was nowhere before.
        took: told a subject's name, its sample's seconds, and those of all that belonged to it.
        say: told what goes on.

    Raises:
        CannotBeFresh: no engine or registry of our own can run here.
    """
    taken = {name: Taken() for name in subjects}
    try:
        with loopback_registry.running(site.made.folder / "registry", say) as address:
            _export(site, subjects, address, taken=taken, text=text, say=say)
            archive = _save_base_images(site)
            for number in range(rounds):
                with _new_engine(site.made.folder / f"engine-{number}", say) as endpoint:
                    run_command(
                        endpoint.command("load", "--input", archive, timeout_s=_TIMEOUT_S)
                    ).check()
                    there = _moved(site, endpoint)
                    edit = text()
                    for name in rotated(list(subjects), number):
                        if not taken[name].error:
                            began = time.monotonic()
                            _sample(
                                there, subjects[name], address,
                                text=f"{edit}-{name}", taken=taken[name], say=say,
                            )  # fmt: skip
                            if taken[name].samples:
                                seconds = taken[name].samples[-1].seconds
                                took(name, seconds, time.monotonic() - began)
                                say(f"fresh-ci, {name}, {number + 1}: {seconds:.2f} s")
    except (NoEngine, CannotRun, UsageError) as error:
        raise CannotBeFresh(error.what) from error
    return taken


def cache_environment(address: str, *, export: bool) -> dict[str, str]:
    """The variables that give rebake a remote cache."""
    return {
        "REBAKE_CACHE_REMOTE": f"{address}/rebake",
        "REBAKE_CACHE_EXPORT": "true" if export else "false",
    }


def _export(
    site: Site,
    subjects: Mapping[str, Subject],
    address: str,
    *,
    taken: Mapping[str, Taken],
    text: Callable[[], str],
    say: Say,
) -> None:
    """Build once on the engine at hand, whose caches are warm, and write the layers out."""
    for name, subject in subjects.items():
        say(f"fresh-ci, {name}: exporting its cache, not counted")
        subject.copy.say(edited(subject.copy.sources, "code", f"{text()}-{name}"))
        try:
            with site.made.building():
                if isinstance(subject, RebakeSubject):
                    # Without a history, as on a machine that has built nothing: so that the
                    # dependency layer is written out, although it is here.
                    environment = cache_environment(address, export=True)
                    subject.at(site, environment, site.made.folder / "state-export").build("code")
                elif isinstance(subject, RecipeSubject):
                    subject.at(site, f"{address}/{name}").build("code", export=True)
        except (BuildFailed, EngineLost) as error:
            taken[name].error = error.what
            say(f"fresh-ci, {name}: {error}")


def _sample(
    site: Site, subject: Subject, address: str, *, text: str, taken: Taken, say: Say
) -> None:
    subject.copy.say(edited(subject.copy.sources, "code", text))
    moved: Subject
    if isinstance(subject, RebakeSubject):
        environment = {
            **cache_environment(address, export=False),
            **site.endpoint.environment(),
            "REBAKE_ENGINE_KIND": "auto",
            "CI": "true",  # nothing goes on after the command on a machine that goes with it
        }
        state = site.made.folder / f"state-{text}"  # a fresh machine has no history
        moved = subject.at(site, environment, state)
    elif isinstance(subject, RecipeSubject):
        moved = subject.at(site, f"{address}/{subject.name}")
    else:
        return
    if site.local:
        settle()
    try:
        taken.samples.append(moved.build("code"))
    except (BuildFailed, EngineLost) as error:
        taken.error = error.what
        say(f"fresh-ci, {subject.name}: {error}")
        return
    for fault in moved.faults():
        taken.faults.append(fault)
        say(f"WRONG RESULT: fresh-ci, {subject.name}: {fault}")


def _save_base_images(site: Site) -> Path:
    archive = site.made.folder / "base-images.tar"
    run_command(
        site.endpoint.command("save", "--output", archive, *site.images, timeout_s=_TIMEOUT_S)
    ).check()
    return archive


def _moved(site: Site, endpoint: Endpoint) -> Site:
    """The same run on another engine, which goes away as a whole."""
    made = Made(site.made.run, site.made.folder, endpoint)
    return replace(site, made=made, endpoint=endpoint)


@contextlib.contextmanager
def _new_engine(folder: Path, say: Say) -> Iterator[Endpoint]:
    """Start an engine with empty data, from the private engine's programs where they are here."""
    home = Home.at(folder)
    folder.mkdir(mode=0o711)
    (folder / MARKER).touch()
    programs = Home.default().programs
    if programs.is_dir():
        home.programs.symlink_to(programs, target_is_directory=True)
    try:
        yield private.start(home, say=say)
    finally:
        private.remove(home, say=say)
