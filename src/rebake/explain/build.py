"""Explains a build that was, for one service. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from msgspec import Struct

from rebake.explain.causes import Comparison
from rebake.explain.crates import Workspace, explain_crates
from rebake.explain.graph import Graph, Key, Node, graph_of
from rebake.explain.model import Cause, ExplainedBuild, ExplainedCrate, ExplainedStep
from rebake.explain.side import Side, dockerfile_of
from rebake.history.evidence import BakeTarget, Removal
from rebake.history.records import BuildRecord, StepRecord, StoredBuild, each_once
from rebake.report.steps import WORK, StepName, parse_step_name, plain_stage
from rebake.results import IN_DOUBT, Mode

_DECIDES = ("Cargo.toml", "Dockerfile", "rust-toolchain.toml")  # which dependencies there are
LEFT_OUT = "its image was left as it is: no change reached it"
BACKEND = "backend.path"  # the setting that names the cargo workspace's folder


class Case(Struct, frozen=True):
    """A build, and what it is compared with.

    Attributes:
        build: the build.
        after: what it was made from.
        before: the build that had all steps in the builder's cache before it; None for none.
        older: a build from before that of the very same files, where there is one: what it had in
            the builder's cache should have been there still.
        removed: what rebake removed since then, the newest first.
        number: the number of `before` in the history.
    """

    build: StoredBuild
    after: Side
    before: Side | None = None
    older: Side | None = None
    removed: tuple[Removal, ...] = ()
    number: int | None = None


def bake_target(service: str, mode: Mode) -> str:
    """The bake target of a service's image."""
    if mode == "prod":
        return service
    return "ui-dev" if service == "ui" else "backend-dev"


def explain_build(case: Case, service: str) -> ExplainedBuild:
    """Say why each step of a build ran, for one service."""
    record = case.build.record
    target = bake_target(service, record.mode)
    common = (service, case.build.id, case.number, record.outcome)
    if record.skipped:
        return ExplainedBuild(*common, skipped=record.skipped, seconds=record.seconds)
    if target not in record.targets:
        return ExplainedBuild(*common, skipped=LEFT_OUT, seconds=record.seconds)
    graph = graph_of(case.after, target)
    ours = {target} | {key.target for key in graph.nodes}
    known = case.after.evidence.targets
    steps = [s for s in steps_of(record.steps, target) if _is_ours(s, known, ours)]
    names = {step.digest: _parsed(step, record.targets) for step in steps}
    nodes = {
        step.digest: node
        for step in steps
        if (node := _node_of(step, names[step.digest], graph, known))
    }
    ran = {node.key for step in steps if step.ran and (node := nodes.get(step.digest))}
    comparison = older = None
    changes: list[Cause] = []
    if case.before is not None:
        comparison = Comparison(case.before, case.after, target, case.removed)
        changes = comparison.everything()
    if case.older is not None:
        older = Comparison(case.older, case.after, target, case.removed)
    explained = []
    for step in steps:
        node = nodes.get(step.digest)
        causes: list[Cause] = []
        if step.ran:
            causes = _causes(step, node, comparison, older, (service, steps, ran))
        explained.append(
            ExplainedStep(
                name=_shown(names[step.digest], node),
                ran=step.ran,
                seconds=step.seconds if step.ran else 0.0,
                cause=causes[0] if causes else None,
                also=tuple(causes[1:]),
                place=node.place if node else "",
                attempt=step.attempt,
                error=step.error,
            )
        )
    if not changes and comparison is not None:
        changes = _unchanged(explained, service, record.settings.get(IN_DOUBT, ""))
    first = [_first(service)] if comparison is None else []
    return ExplainedBuild(
        *common,
        changes=tuple(changes or first),
        steps=tuple(explained),
        crates=_crates(case, service, comparison, explained, nodes),
        seconds=record.seconds,
        layer=_layer(record, changes or first),
    )


def steps_of(steps: Sequence[StepRecord], target: str) -> list[StepRecord]:
    """The Dockerfiles' own steps that a bake target needed, in order.

    Of a step that came in several bakes of the build, each time that it ran; once where it never
    did.
    """
    return each_once(step for step in steps if not step.target or target in step.target.split(","))


def mount_gone(node: Node, side: Side) -> str:
    """The cache mount that cargo compiles in, when a step of it began without; else empty."""
    known, project = side.evidence.mounts, side.variables.get("CACHE_ID", "")
    if known is None or not project:
        return ""
    ours = [m for m in node.mounts if m.startswith(project + "-") and "target" in m]
    return next((mount for mount in ours if not _there(mount, known)), "")


def all_compiled(comparison: Comparison, gone: str) -> Cause:
    """Why cargo began with nothing: the cache mount was lost, or it is another one than before."""
    if comparison.old_mounts and gone not in comparison.old_mounts:
        for cause in comparison.everything():
            if cause.kind in {"setting", "argument", "base-image"}:
                return cause
    return Cause("cache-gone", comparison.mount_name(gone))


def _there(mount: str, known: Sequence[str]) -> bool:
    # The architecture in its name is filled in by the builder and not known here.
    start, sign, end = mount.partition("--")
    if not sign:
        return mount in known
    return any(one.startswith(start + "-") and one.endswith("-" + end) for one in known)


def _causes(
    step: StepRecord,
    node: Node | None,
    comparison: Comparison | None,
    older: Comparison | None,
    about: tuple[str, Sequence[StepRecord], Collection[Key]],
) -> list[Cause]:
    service, steps, ran = about
    if comparison is None:
        return [_first(service)]
    if node is None:  # its Dockerfile is not known: what the builder told is all there is
        before = [s for s in steps if s.digest in step.inputs and s.ran]
        if before:
            return [Cause("previous-step", parse_step_name(before[0].name).label)]
        return comparison.everything() or [_gone(step, comparison)]
    if older is not None and not _forced(comparison):
        same = older.graph.nodes.get(node.key)
        if same is not None and not older.changed(same.key):
            return [older.gone(node)]
    return comparison.causes(node, ran)


def _forced(comparison: Comparison) -> bool:
    return bool(comparison.after.evidence.settings.get("flags"))


def _gone(step: StepRecord, comparison: Comparison) -> Cause:
    by = f"removed by {comparison.removed[0].by}" if comparison.removed else ""
    return Cause("cache-gone", f"the cached layer of {parse_step_name(step.name).label}", by)


def _first(service: str) -> Cause:
    return Cause("first-build", f"the first build of {service}", "nothing to compare with")


def _unchanged(steps: Sequence[ExplainedStep], service: str, doubt: str) -> list[Cause]:
    """Why it was built though nothing is another one."""
    gone = [step.cause for step in steps if step.cause is not None]
    if not gone and doubt:
        return [Cause("setting", IN_DOUBT, doubt)]
    there = Cause("cache-gone", f"the image of {service}", "the engine did not have it")
    return gone[:1] or [there]


def _crates(
    case: Case,
    service: str,
    comparison: Comparison | None,
    steps: Sequence[ExplainedStep],
    nodes: Mapping[str, Node],
) -> tuple[ExplainedCrate, ...]:
    compiled = case.after.evidence.crates
    folder = case.after.evidence.settings.get(BACKEND, "backend")
    places = {node.place for node in nodes.values() if any("target" in m for m in node.mounts)}
    if not compiled or not any(step.ran and step.place in places for step in steps):
        return ()
    everything = None
    if case.before is None:
        everything = _first(service)
    for node in nodes.values():
        gone = mount_gone(node, case.after)
        if gone and comparison is not None:
            everything = all_compiled(comparison, gone)
    found = explain_crates(case.before, case.after, folder, compiled, everything)
    workspace = Workspace.of(case.after, folder)
    needed = _needed(workspace, service)
    return tuple(crate for crate in found if not needed or crate.name in needed)


def _needed(workspace: Workspace, service: str) -> set[str]:
    """The packages of a service; empty where its own is not known."""
    name = "web" if service == "ui" else service
    return workspace.closure(name) if name in workspace.members else set()


def _layer(record: BuildRecord, changes: Sequence[Cause]) -> tuple[ExplainedStep, ...]:
    """The steps that brought the dependency layer up to date: for what decides dependencies."""
    decides = (c for c in changes if c.kind != "file" or c.name.endswith(_DECIDES))
    cause = next(decides, changes[0] if changes else None)
    return tuple(
        ExplainedStep(
            name=f"{name.label} {name.title}",
            ran=step.ran,
            seconds=step.seconds if step.ran else 0.0,
            cause=cause if step.ran else None,
            attempt=step.attempt,
        )
        for step in record.steps
        if step.attempt == 0 and step.kind in WORK
        for name in [_parsed(step, ())]
    )


def _parsed(step: StepRecord, targets: Sequence[str]) -> StepName:
    return parse_step_name(step.name, digest=step.digest, targets=targets)


def _node_of(
    step: StepRecord, name: StepName, graph: Graph, targets: Mapping[str, BakeTarget]
) -> Node | None:
    """The step of the graph that a step of the builder is."""
    number, _, total = name.index.partition("/")
    if not (number.isdigit() and total.isdigit()):
        return None
    after = int(total) - int(number)
    found = [
        node
        for node in graph.nodes.values()
        if plain_stage(node.key.stage) == name.stage.lower()
        and node.key.after == after
        and (node.instruction.word == _word(step.name))
    ]
    owner = _owner(step.name, targets)
    if owner is not None:
        path = dockerfile_of(owner)
        found = [node for node in found if node.dockerfile == path] or found
    return found[0] if found else None


def _is_ours(step: StepRecord, known: Mapping[str, BakeTarget], ours: set[str]) -> bool:
    """Whether a step that no target was told of belongs to one of these."""
    head = step.name.removeprefix("[").partition("]")[0].split()
    return bool(step.target) or len(head) <= 2 or head[0] not in known or head[0] in ours  # noqa: PLR2004


def _word(name: str) -> str:
    rest = name.partition("] ")[2].lstrip()
    return rest.split(" ", 1)[0].upper()


def _owner(name: str, targets: Mapping[str, BakeTarget]) -> BakeTarget | None:
    """The bake target that a step's name begins with, where it does."""
    head = name.removeprefix("[").partition("]")[0].split()
    return targets.get(head[0]) if len(head) > 2 else None  # noqa: PLR2004 - target, stage, 1/2


def _shown(name: StepName, node: Node | None) -> str:
    word = node.instruction.word if node else _word(name.name)
    title = name.title if name.title.startswith(word + " ") else f"{word} {name.title}"
    return f"{name.label} {title}"
