"""How the tasks benchmark: which project, which engine, and what becomes of the document."""

from __future__ import annotations

import contextlib
import os
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs
from msgspec.structs import replace

from rebake.config.values import tree_of
from rebake.errors import LimitsMissed, RebakeError, UsageError
from rebake.results import SCHEMA_VERSION
from rebake.tasks.session import Session

if TYPE_CHECKING:
    from rebake.benchmark.document import Finding
    from rebake.benchmark.journal import Journal
    from rebake.benchmark.repeats import Repeats
    from rebake.benchmark.run import Wanted
    from rebake.benchmark.subject import Site
    from rebake.project.project import Project

_LARGEST = 100


def benchmark(
    session: Session,
    *,
    subjects: str,
    scenarios: str,
    runs: int | None,
    folder: str,
    services: str,
    resume: bool,
    finish: bool,
    check: bool,
) -> dict[str, object] | None:
    """Run the benchmark, show and keep its document.

    Raises:
        UnknownName, UsageError: a word or number that can't be used, or nothing to go on with.
        LimitsMissed: `check`, and a limit is not kept.
    """
    from rebake.benchmark import document as documents
    from rebake.project.project import open_project

    project = open_project(Path(folder).resolve()) if folder else session.project
    project.check_layout("benchmark")
    session.__dict__["project"] = project
    others = bool(subjects or scenarios or runs or services)
    begun = _begun(project, resume=resume, finish=finish, others=others)
    sizes = list(begun.asked.sizes) if begun else read_sizes(services)
    file = project.state / (documents.FILE if not sizes else "benchmark-services.json")
    if begun:
        then = begun.asked
        names = ",".join(then.scenarios), ",".join(then.subjects)
        wanted = _wanted(names, then.repeats, file)
    else:
        wanted = _wanted((scenarios, subjects), _repeats(project, runs), file)
    if session.dry_run:
        return _dry(session, wanted, sizes)
    journal = _journal(session, project, wanted, sizes, begun)
    started_at = time.time()
    try:
        look = _kept if finish else _measure
        findings = [look(session, project, wanted, size, journal) for size in sizes or [0]]
    except RebakeError:
        if journal.kept:
            which = f" --project {folder}" if folder else ""
            session.say(f"scenarios kept: {journal.kept}; next: invoke benchmark --resume{which}")
        raise
    finding = _together(findings)
    if (sittings := journal.sittings - finish) > 1:
        note = f"measured in {sittings} sittings, each scenario in one of them"
        finding = replace(finding, notes=[*finding.notes, note])
    values: Mapping[str, float] = tree_of(project.config.benchmark.limits)
    detected = session.detected
    document = finding.document(
        values,
        project={
            "name": project.slug,
            "root": str(project.root),
            "services": list(project.config.backend.services),
            "generated": sizes,
        },
        machine=documents.machine(detected.versions.document(), detected.endpoint.kind),
        started_at=started_at,
        seconds=session.seconds,
    )
    documents.write(document, file)
    journal.forget()
    limits = finding.limits(values)
    if not session.as_json:
        session.reporter.table(documents.RESULT_HEADER, documents.result_rows(finding))
        session.reporter.result("")
        session.reporter.table(documents.LIMIT_HEADER, documents.limit_rows(limits))
    for scenario, subject, reason in finding.not_run:
        session.say(f"not run: {scenario}{', ' + subject if subject else ''}: {reason}")
    session.say(f"wrote {file}")
    missed = [limit.name for limit in limits if not limit.ok]
    if check and missed:
        if session.as_json:
            from rebake.report.json import write_document

            write_document(document)
        raise LimitsMissed(missed, len(limits))
    return document


def read_sizes(text: str) -> list[int]:
    """Read `1,5,20`.

    Raises:
        UsageError: one is no whole number from 1 to 100.
    """
    from rebake.tasks.face import number

    sizes = [number("services", word.strip(), least=1) for word in text.split(",") if word.strip()]
    if any(size > _LARGEST for size in sizes):
        raise UsageError(f"--services {text}: at most {_LARGEST}")
    return sizes


def _repeats(project: Project, runs: int | None) -> Repeats:
    """How often to measure: what was asked for, if anything, with the project's settings."""
    from rebake.benchmark.repeats import Repeats

    table = project.config.benchmark
    return Repeats(
        runs or table.runs, table.slow_runs, table.slow_s, table.quick_times, table.quick_s
    )


def _wanted(names: tuple[str, str], repeats: Repeats, file: Path) -> Wanted:
    from rebake.benchmark.document import earlier_seconds
    from rebake.benchmark.run import Wanted
    from rebake.benchmark.scenarios import scenarios_named, subjects_named

    return Wanted(
        scenarios=scenarios_named(names[0]),
        subjects=subjects_named(names[1]),
        repeats=repeats,
        known=earlier_seconds(file),
    )


def _kept(
    _session: Session, project: Project, wanted: Wanted, size: int, journal: Journal
) -> Finding:
    """What a benchmark measured before it was stopped; the rest as not run."""
    from rebake.benchmark.journal import Part
    from rebake.benchmark.run import finding_of

    kept = journal.parts.get(size, {})
    names = [scenario.name for scenario in wanted.scenarios]
    left = Part(
        not_run=[(name, "", "stopped before its end") for name in names if name not in kept]
    )
    parts = [left, *(kept[name] for name in names if name in kept)]
    return finding_of(parts, size or len(project.config.backend.services))


def _begun(project: Project, *, resume: bool, finish: bool, others: bool) -> Journal | None:
    """The benchmark of a project that was stopped; None where a new one was asked for.

    Args:
        project: the project.
        resume: whether to go on with it.
        finish: whether to write down what it measured.
        others: whether flags say what to measure, too.

    Raises:
        UsageError: they do, or there is none.
    """
    from rebake.benchmark.journal import FILE, Journal

    if resume and finish:
        raise UsageError("--resume goes on, and --finish does not", "leave one of them out")
    if not resume and not finish:
        return None
    again = "--finish" if finish else "--resume"
    if others:
        raise UsageError(f"{again} is for what was asked for then", "leave the other flags out")
    return Journal.resume(project.state / FILE)


def _journal(
    session: Session, project: Project, wanted: Wanted, sizes: Sequence[int], begun: Journal | None
) -> Journal:
    """The file that keeps what is measured: a new one, or that of the benchmark that was stopped.

    Raises:
        UsageError: that one was begun elsewhere.
    """
    from rebake import __version__
    from rebake.benchmark.journal import FILE, Asked, Journal

    engine = session.detected.endpoint.docker_host
    if begun is not None:
        begun.check_place(engine, __version__)
        return begun
    asked = Asked(
        scenarios=tuple(scenario.name for scenario in wanted.scenarios),
        subjects=tuple(wanted.subjects),
        repeats=wanted.repeats,
        sizes=tuple(sizes),
        engine=engine,
        rebake=__version__,
    )
    file = project.state / FILE
    if file.exists():
        session.say("there is one that was stopped (--resume): the first scenario replaces it")
    return Journal(file, asked)


def workflow_test(session: Session) -> dict[str, object] | None:
    """Run the three steps and compare them with the limits of the environment.

    Raises:
        UsageError: a limit is no number.
        LimitsMissed: a step took too long, or what it gave was wrong.
    """
    from rebake.benchmark import workflow
    from rebake.benchmark.rebake_subject import program

    session.project.check_layout("workflow-test")
    limits = workflow.limits_from(os.environ)
    if session.dry_run:
        words = (["build", "--json"], ["build", "--json"], ["prod", "--json"], ["down"])
        return session.show_commands([(*program(), *one) for one in words], "prod")
    with _site(session, session.project) as (site, _note):
        steps = workflow.run_workflow(site, limits, session.say)
    document = workflow.document(steps, session.seconds)
    if not session.as_json:
        session.reporter.table(workflow.HEADER, workflow.rows(steps))
    missed = [step.name for step in steps if not step.ok]
    if missed:
        if session.as_json:
            from rebake.report.json import write_document

            write_document(document)
        raise LimitsMissed(missed, len(steps))
    return document


@contextlib.contextmanager
def _site(session: Session, project: Project, size: int = 0) -> Iterator[tuple[Site, str]]:
    """What a run works on, and a note about it; all that it makes is removed at the end.

    Args:
        session: the task.
        project: the project to copy, or to generate one after.
        size: how many services the generated one has; 0 for the project itself.
    """
    from rebake.benchmark import workshop
    from rebake.benchmark.made import workplace
    from rebake.engine.host_settings import proxy_build_args
    from rebake.tasks import image_flow, wiring

    endpoint = session.detected.endpoint
    image_flow.require_space(session)
    wiring.ensure_base_images(session)
    home = platformdirs.user_cache_path("rebake") / "benchmark"
    with workplace(home, f"bench-{uuid.uuid4().hex[:8]}", endpoint, session.say) as made:
        settings = session.host_settings
        subject = workshop.generate(project, size, made, settings) if size else project
        image, note = workshop.choose_runtime_image(project, made, session.say)
        yield (
            workshop.make_site(subject, made, settings, proxy_build_args(os.environ), image),
            note,
        )


def _measure(
    session: Session, project: Project, wanted: Wanted, size: int, journal: Journal
) -> Finding:
    from rebake.benchmark.copies import digest, listed_files
    from rebake.benchmark.run import Benchmark

    book = journal.book(size, digest(project.root, listed_files(project.root)))
    with _site(session, project, size) as (site, note):
        if size:
            session.say(f"a generated workspace of {size} services")
        finding = Benchmark(site, wanted, session.say, book).run()
    return replace(finding, notes=[*finding.notes, note]) if note else finding


def _together(findings: Sequence[Finding]) -> Finding:
    from rebake.benchmark.document import Finding

    return Finding(
        results=[result for finding in findings for result in finding.results],
        bake_runs_s={n: runs for finding in findings for n, runs in finding.bake_runs_s.items()},
        not_run=list(dict.fromkeys(entry for f in findings for entry in f.not_run)),
        notes=list(dict.fromkeys(note for finding in findings for note in finding.notes)),
    )


def _dry(session: Session, wanted: Wanted, sizes: Sequence[int]) -> dict[str, object]:
    """What would be measured; nothing is asked of an engine."""
    from rebake.benchmark.rebake_subject import program
    from rebake.benchmark.rendering import bake_words
    from rebake.benchmark.scenarios import takes_part

    commands: list[tuple[str, ...]] = []
    for subject in wanted.subjects:
        if subject == "rebake":
            commands.append((*program(), "build", "--json"))
        elif subject == "floor":
            commands.append(("docker", "exec", "floor", "cargo", "build", "--locked", "--release"))
        else:
            commands.append(("docker", *bake_words(Path(subject) / "bake.json")))
    shown = session.show_commands(commands, "prod")
    shown["runs"] = wanted.repeats.runs
    shown["services"] = list(sizes)
    shown["plan"] = [
        {"scenario": scenario.name, "subject": subject}
        for scenario in wanted.scenarios
        for subject in wanted.subjects
        if not takes_part(subject, scenario, has_ui=True)
    ]
    shown["schema_version"] = SCHEMA_VERSION
    return shown
