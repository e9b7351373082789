"""The short of a report: for the terminal, and as the document of `--json`."""

from __future__ import annotations

from pathlib import Path

from rebake.report import format as fmt
from rebake.report.measured import Benchmark
from rebake.report.trend import in_words
from rebake.report.views import BuildView, ReportView, cleaned
from rebake.results import SCHEMA_VERSION
from rebake.tasks.session import Session

_SHORT = 5  # lines of each part


def show(session: Session, view: ReportView, path: Path) -> None:
    """Print the last build, its slowest steps, the trend, the largest files, limits missed."""
    reporter = session.reporter
    clean = cleaned(view, lambda text: " ".join(text.split()))
    if clean.build is None:
        reporter.result("no build of this project is recorded yet; invoke build makes one")
    else:
        for line in build_lines(clean):
            reporter.result(line)
        _tables(session, clean)
        reporter.result(f"trend: {in_words(clean.trend, clean.total)}")
    for line in benchmark_lines(clean.benchmark):
        reporter.result(line)
    reporter.result(f"{'would write' if session.dry_run else 'report'}: {path}")


def build_lines(view: ReportView) -> list[str]:
    """Say in a line or two how the build went. Pure."""
    build = view.build
    if build is None:
        return []
    head = f"build {build.id} ({build.mode}: {', '.join(build.targets)})"
    head += f" {build.outcome} in {fmt.seconds(build.seconds)}"
    if build.work:
        head += f", {build.cached} of {len(build.work)} steps cached"
    lines = [head]
    if build.skipped:
        lines.append(f"nothing was built: {build.skipped}")
    lines += [
        f"failed: {step.place} {step.title}: {step.error}" for step in build.steps if step.error
    ]
    if view.timeline and view.timeline.id != build.id:
        lines.append(f"the steps below are those of build {view.timeline.id}")
    return lines


def _tables(session: Session, view: ReportView) -> None:
    drawn, build = view.timeline, view.build
    steps = drawn.slowest(_SHORT) if drawn else ()
    if drawn and steps:
        rows = [
            (
                fmt.seconds(step.seconds),
                f"{step.seconds / drawn.seconds:.0%}" if drawn.seconds > 0 else "",
                step.place,
                fmt.shorten(step.title, 60),
            )
            for step in steps
        ]
        session.reporter.table(("slowest", "share", "step", "what"), rows)
    files = [
        (file.bytes, f"{context.name}/{file.path}")
        for context in (build.contexts if build else ())
        for file in context.largest
    ]
    if files:
        top = sorted(files, key=lambda item: (-item[0], item[1]))[:_SHORT]
        session.reporter.table(("size", "largest files"), [(fmt.size(s), n) for s, n in top])


def benchmark_lines(benchmark: Benchmark | None) -> list[str]:
    """Say in a line or more which limits are missed. Pure."""
    if benchmark is None:
        return ["benchmark: no result yet; invoke benchmark makes one"]
    if not benchmark.limits:
        return [f"benchmark: {len(benchmark.groups)} scenarios, no limits"]
    missed = benchmark.missed
    unknown = sum(limit.ok is None for limit in benchmark.limits)
    if not missed and unknown:
        return [f"benchmark: no limit missed, {unknown} of {len(benchmark.limits)} not measured"]
    if not missed:
        return [f"benchmark: all {len(benchmark.limits)} limits kept"]
    head = f"benchmark: {len(missed)} of {len(benchmark.limits)} limits missed"
    return [
        head,
        *(f"  {m.name}: {m.measured_words}, allowed {m.allowed_words}" for m in missed),
    ]


def document(session: Session, view: ReportView, path: Path) -> dict[str, object]:
    """The `--json` document."""
    made: dict[str, object] = {
        "schema_version": SCHEMA_VERSION,
        "path": str(path),
        "bytes": path.stat().st_size if path.exists() else 0,
        "project": view.project,
        "build": _build_document(view.build) if view.build else None,
        "trend": {
            "builds": view.total,
            "shown": len(view.trend),
            **{
                outcome: sum(p.outcome == outcome for p in view.trend)
                for outcome in ("done", "failed", "interrupted")
            },
            "skipped": sum(p.skipped for p in view.trend),
        },
        "benchmark": _benchmark_document(view.benchmark) if view.benchmark else None,
        "seconds": round(session.seconds, 3),
    }
    if session.dry_run:
        made["dry_run"] = True
    return made


def _build_document(build: BuildView) -> dict[str, object]:
    return {
        "id": build.id,
        "mode": build.mode,
        "targets": list(build.targets),
        "outcome": build.outcome,
        "skipped": build.skipped,
        "seconds": round(build.seconds, 3),
        "steps": len(build.work),
        "cached_steps": build.cached,
        "context_bytes": build.context_bytes,
        "downloaded_bytes": build.downloaded_bytes,
        "network_bytes": build.network_bytes,
        "cpu_s": None if build.cpu_s is None else round(build.cpu_s, 3),
        "peak_bytes": build.peak_bytes,
        "caches": build.caches.document(),
        "slowest": [
            {"step": f"{s.place} {s.title}".strip(), "seconds": round(s.seconds, 3)}
            for s in build.slowest(_SHORT)
        ],
        "images": {image.service: image.bytes for image in build.images},
        "largest_files": [
            {"context": context.name, "path": file.path, "bytes": file.bytes}
            for context in build.contexts
            for file in context.largest[:_SHORT]
        ],
    }


def _benchmark_document(benchmark: Benchmark) -> dict[str, object]:
    return {
        "scenarios": len(benchmark.groups),
        "subjects": list(benchmark.subjects),
        "limits": len(benchmark.limits),
        "missed": [limit.name for limit in benchmark.missed],
    }
