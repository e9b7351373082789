"""Says what the next build would run, and how long that would take. Pure.

A step would run when anything that it reads is another one than in the last build, or when a step
that it stands on would. Whether the builder still has the rest in its cache, only the builder
knows; it is taken for granted.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from rebake.explain.build import BACKEND, all_compiled, mount_gone
from rebake.explain.causes import Comparison
from rebake.explain.crates import Workspace, explain_crates, would_compile
from rebake.explain.graph import Graph, Key, Node
from rebake.explain.model import Cause, ExplainedBuild, ExplainedCrate, ExplainedStep
from rebake.explain.side import Side
from rebake.history.tracing import StepRun
from rebake.report.steps import parse_step_name
from rebake.results import IN_DOUBT

_NEWEST = 5  # earlier runs that an estimate is made from
_ALIKE = 2  # packages more or less

RunsOf = Callable[[Node], Sequence[StepRun]]


class Coming(Struct, frozen=True):
    """The next build of a service.

    Attributes:
        after: what it would be made from.
        before: the last build of it; None where there is none.
        number: that build's number in the history.
        current: whether the engine has the image that would come out.
        overhead_s: what a build takes beside its steps.
        doubt: why it would be built though nothing seems changed; empty where it would not.
    """

    after: Side
    before: Side | None
    number: int | None
    current: bool
    overhead_s: float
    doubt: str = ""


def explain_next(coming: Coming, service: str, target: str, runs: RunsOf) -> ExplainedBuild:
    """Say which steps the next build would run, and why.

    Args:
        coming: the build.
        service: whose image.
        target: its bake target.
        runs: the earlier runs of a step, the newest first.
    """
    if coming.before is None:
        first = Cause("first-build", f"the first build of {service}", "nothing to compare with")
        begun = _first(Comparison(coming.after, coming.after, target).graph, first, runs)
        return ExplainedBuild(
            service, None, None, "next", changes=(first,), steps=begun, seconds=None
        )
    comparison = Comparison(coming.before, coming.after, target)
    changes = comparison.everything()
    if not changes and coming.current and not coming.doubt:
        reason = "nothing changed: all files, arguments and base images are those of the image"
        return ExplainedBuild(service, None, coming.number, "next", skipped=reason, seconds=0.0)
    if not changes and coming.current:
        changes = [Cause("setting", IN_DOUBT, coming.doubt)]
    if not changes:
        changes = [Cause("cache-gone", f"the image of {service}", "the engine does not have it")]
    graph = comparison.graph
    compiled, crates = _crates(coming, service, comparison)
    steps: list[ExplainedStep] = []
    seconds: dict[Key, float | None] = {}
    for node in graph.nodes.values():
        runs_now = comparison.changed(node.key)
        causes = comparison.causes(node) if runs_now else []
        took = _estimate(runs(node), compiled if _compiles(node) else None) if runs_now else 0.0
        seconds[node.key] = took
        steps.append(
            ExplainedStep(
                name=name_of(node),
                ran=runs_now,
                seconds=took,
                cause=causes[0] if causes else None,
                also=tuple(causes[1:]),
                place=node.place,
            )
        )
    builds = any(step.ran for step in steps)
    return ExplainedBuild(
        service,
        None,
        coming.number,
        "next",
        changes=tuple(changes),
        steps=tuple(steps),
        crates=crates if builds else (),
        seconds=_total(graph, seconds, coming.overhead_s),
    )


def name_of(node: Node) -> str:
    """A step's name as it is shown for a build that was."""
    label = f"{node.number}/{node.of}"
    words = " ".join(node.words.split("\n", 1)[0].split())
    word, title = node.instruction.word, parse_step_name(f"[x {label}] {words}").title
    return f"{node.label} {title if title.startswith(word + ' ') else f'{word} {title}'}"


def same_step(node: Node, runs: Sequence[StepRun]) -> list[StepRun]:
    """Return those runs that were of a step, by what it does; else by its place in its stage.

    Stages of several Dockerfiles can have one name.
    """
    shown = name_of(node)
    parsed = [(run, parse_step_name(run.name)) for run in runs]
    word = node.instruction.word
    same = [
        run
        for run, name in parsed
        if shown in {f"{name.label} {name.title}", f"{name.label} {word} {name.title}"}
    ]
    return same or [run for run, name in parsed if name.label == node.label]


def _first(graph: Graph, cause: Cause, runs: RunsOf) -> tuple[ExplainedStep, ...]:
    return tuple(
        ExplainedStep(name_of(node), True, _estimate(runs(node), None), cause, place=node.place)
        for node in graph.nodes.values()
    )


def _crates(
    coming: Coming, service: str, comparison: Comparison
) -> tuple[int | None, tuple[ExplainedCrate, ...]]:
    """How many packages cargo would compile for all services, and those of this one."""
    if coming.before is None or not any(map(_compiles, comparison.graph.nodes.values())):
        return None, ()
    folder = coming.after.evidence.settings.get(BACKEND, "backend")
    graph = comparison.graph
    gone = next((m for n in graph.nodes.values() if (m := mount_gone(n, coming.after))), "")
    everything = all_compiled(comparison, gone) if gone else None
    compiled = would_compile(coming.before, coming.after, folder, everything=bool(gone))
    found = explain_crates(coming.before, coming.after, folder, compiled, everything)
    workspace = Workspace.of(coming.after, folder)
    name = "web" if service == "ui" else service
    needed = workspace.closure(name) if name in workspace.members else set()
    return len(compiled), tuple(c for c in found if not needed or c.name in needed)


def _compiles(node: Node) -> bool:
    return any("target" in mount for mount in node.mounts)


def _estimate(runs: Sequence[StepRun], crates: int | None) -> float | None:
    """The middle of the newest runs that are like this one; None where none ever was.

    Those are alike that compiled about as many packages; where there is none, the nearest one is
    taken.
    """
    if not runs:
        return None
    told = [run for run in runs if run.crates is not None]
    if crates is None or not told:
        return statistics.median(run.seconds for run in runs[:_NEWEST])

    def distance(run: StepRun) -> int:
        return abs((run.crates or 0) - crates)

    like = [run for run in told if distance(run) <= max(_ALIKE, crates // 2)]
    return statistics.median(run.seconds for run in (like or [min(told, key=distance)])[:_NEWEST])


def _total(graph: Graph, seconds: Mapping[Key, float | None], overhead_s: float) -> float | None:
    """The longest way through the steps, and what comes on top; None where a step is not known."""
    if any(value is None for value in seconds.values()):
        return None
    ends: dict[Key, float] = {}
    for key, node in graph.nodes.items():  # each comes after those that it needs
        start = max((ends.get(parent, 0.0) for parent in node.parents), default=0.0)
        ends[key] = start + (seconds[key] or 0.0)
    return max(ends.values(), default=0.0) + overhead_s
