"""What `why` shows and hands out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rebake.report.format import seconds as in_words
from rebake.results import SCHEMA_VERSION

if TYPE_CHECKING:
    from rebake.explain.model import Cause, ExplainedBuild, ExplainedCrate, ExplainedStep
    from rebake.tasks.session import Session


_MOST_CHANGES = 10  # that are shown where no step ran
_MOST_ALSO = 4  # further causes of a step that are shown


def document(builds: Sequence[ExplainedBuild]) -> dict[str, object]:
    """The `--json` document."""
    return {"schema_version": SCHEMA_VERSION, "builds": [build.document() for build in builds]}


def show(session: Session, builds: Sequence[ExplainedBuild]) -> None:
    """Print the explanation as text."""
    for text in lines(builds):
        session.reporter.result(text)


def lines(builds: Sequence[ExplainedBuild]) -> list[str]:
    """The explanation as lines: steps that several services share stand there once."""
    found: list[str] = []
    for group in _groups(builds):
        found += _group(group)
    return found


def _groups(builds: Sequence[ExplainedBuild]) -> list[list[ExplainedBuild]]:
    groups: dict[tuple[object, ...], list[ExplainedBuild]] = {}
    for build in builds:
        groups.setdefault((build.build, build.outcome, build.skipped), []).append(build)
    return list(groups.values())


def _group(group: Sequence[ExplainedBuild]) -> list[str]:
    first = group[0]
    names = ", ".join(build.service for build in group)
    coming = first.build is None
    head = f"next build of {names}" if coming else f"build {first.build} of {names}"
    if first.outcome not in {"done", "next"}:
        head += f" ({first.outcome})"
    if first.skipped:
        return [f"{head}: nothing ran", f"  {first.skipped}"]
    steps = _shared(group)
    several = any(step.attempt > 1 for build in group for step in build.steps)
    count = len({name for name, _ in _all(group)})
    took = ""
    if first.seconds is not None:
        took = f", {'about ' if coming else ''}{in_words(first.seconds)}"
    verb = "would run" if coming else "ran"
    steps_told = f": {len(steps)} of {count} steps {verb}" if count else ""
    found = [f"{head}{steps_told}{took}"]
    new = [build.cause for build in group if build.compared_with is None]
    found += [f"  {cause.text}" for cause in new if cause is not None]
    if not steps and not new:
        found += [f"  {cause.text}" for cause in first.changes[:_MOST_CHANGES]]
    for step, services in steps:
        whose = "" if len(services) == len(group) else f"  [{', '.join(services)}]"
        time = "" if step.seconds is None else f"  {in_words(step.seconds)}"
        again = f"  (bake {step.attempt})" if several else ""
        found.append(f"  {step.name}{time}{again}{whose}")
        if step.error and several:
            found.append(f"      failed, and was mended by another bake: {step.error}")
        found += [f"      {cause.text}" for cause in _told(step)]
        if len(step.also) > _MOST_ALSO:
            found.append(f"      and {len(step.also) - _MOST_ALSO} more")
    found += _layer(first)
    crates = {(c.name, c.version): c for build in group for c in build.crates}
    return found + _crates(list(crates.values()), coming=coming)


def _layer(build: ExplainedBuild) -> list[str]:
    """What was done afterwards, so that a lost cache mount costs less."""
    ran = [step for step in build.layer if step.ran]
    if not ran:
        return []
    took = in_words(sum(step.seconds or 0.0 for step in ran))
    cause = ran[0].cause
    why = f": {cause.text}" if cause is not None and cause.kind != "first-build" else ""
    return [f"  then the dependency layer  {took}{why}"]


def _told(step: ExplainedStep) -> list[Cause]:
    """The causes that a person needs: none twice, and the first build is told above."""
    found: list[Cause] = []
    for cause in (step.cause, *step.also[:_MOST_ALSO]):
        if cause is None or cause.kind == "first-build":
            continue
        if cause.kind != "previous-step" or cause.detail not in {one.text for one in found}:
            found.append(cause)
    return found


def _all(group: Sequence[ExplainedBuild]) -> list[tuple[str, str]]:
    return [(step.name, step.place) for build in group for step in build.steps]


def _shared(
    group: Sequence[ExplainedBuild],
) -> list[tuple[ExplainedStep, list[str]]]:
    found: dict[tuple[str, str, int], tuple[ExplainedStep, list[str]]] = {}
    for build in group:
        for step in build.ran:
            found.setdefault((step.name, step.place, step.attempt), (step, []))[1].append(
                build.service
            )
    return list(found.values())


def _crates(crates: Sequence[ExplainedCrate], *, coming: bool) -> list[str]:
    if not crates:
        return []
    groups: dict[str, list[ExplainedCrate]] = {}
    for crate in crates:
        groups.setdefault(crate.root, []).append(crate)
    verb = "would compile" if coming else "compiled"
    found = [f"  cargo {verb} {len(crates)} {'package' if len(crates) == 1 else 'packages'}:"]
    for root, some in groups.items():
        first = next((crate for crate in some if crate.name == root), None)
        others = [crate.name for crate in some if crate is not first]
        if first is None:
            found.append(f"      {some[0].reason} → {_some(others)}")
            continue
        arrow = f" → {_some(others)}" if others else ""
        found.append(f"      {root}: {first.reason}{arrow}")
    return found


def _some(names: Sequence[str]) -> str:
    most = 8
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")
