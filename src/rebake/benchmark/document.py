"""The document of a benchmark: the machine, the results, what they are compared with. Pure."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
from msgspec import Struct, field

from rebake.benchmark.statistics import Limit, Result, limits, middle, ratios
from rebake.results import SCHEMA_VERSION

FILE = "benchmark.json"
_TOLD_S = 0.1


class Finding(Struct, frozen=True):
    """All that one benchmark found.

    Attributes:
        bake_runs_s: seconds of `docker buildx bake` with nothing to do, by number of services.
        not_run: scenario, subject and why it was not run; an empty subject means none was.
        notes: what a reader should know of how it was done.
    """

    results: Sequence[Result]
    bake_runs_s: Mapping[int, Sequence[float]] = field(default_factory=dict)
    not_run: Sequence[tuple[str, str, str]] = ()
    notes: Sequence[str] = ()

    def limits(self, values: Mapping[str, float]) -> list[Limit]:
        """What is claimed, and whether it holds."""
        bake_s = {
            services: value
            for services, runs in self.bake_runs_s.items()
            if (value := middle(runs)) is not None
        }
        return limits(self.results, values, bake_s)

    def document(
        self,
        values: Mapping[str, float],
        *,
        project: Mapping[str, object],
        machine: Mapping[str, object],
        started_at: float,
        seconds: float,
    ) -> dict[str, object]:
        """The document of `--json`."""
        return {
            "schema_version": SCHEMA_VERSION,
            "machine": dict(machine),
            "project": dict(project),
            "results": [result.document() for result in self.results],
            "ratios": [ratio.document() for ratio in ratios(self.results)],
            "limits": [limit.document() for limit in self.limits(values)],
            "references": [
                {
                    "name": "docker buildx bake",
                    "scenario": "no-change",
                    "services": services,
                    "runs_s": [round(value, 3) for value in runs],
                    "median_s": middle(runs),
                }
                for services, runs in self.bake_runs_s.items()
            ],
            "not_run": [
                {"scenario": scenario, "subject": subject, "reason": reason}
                for scenario, subject, reason in self.not_run
            ],
            "notes": [*self.notes, *self._background()],
            "started_at": started_at,
            "seconds": round(seconds, 3),
        }

    def _background(self) -> Iterator[str]:
        """What went on after a command's end; less than a tenth of a second is not told."""
        for one in self.results:
            if one.background_s >= _TOLD_S:
                yield (
                    f"{one.scenario}, {one.subject}: {one.background_s:.1f} s more in the "
                    "background after the command's end, for what no image needs (the dependency "
                    "layer, the caches' ceilings); the next sample waits for it"
                )


def machine(engine: Mapping[str, str], kind: str) -> dict[str, object]:
    """Describe this machine and its engine."""
    return {
        "system": platform.system(),
        "release": platform.release(),
        "architecture": platform.machine(),
        "processor": _processor(),
        "cpus": _cpus(),
        "memory_bytes": psutil.virtual_memory().total,
        "python": platform.python_version(),
        "engine_kind": kind,
        "engine": dict(engine),
    }


def earlier_seconds(file: Path) -> dict[tuple[str, str], float]:
    """Read how long each sample took in the last benchmark; nothing where there is none."""
    try:
        document: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return {
            (str(entry["scenario"]), str(entry["subject"])): float(entry["median_s"])
            for entry in document["results"]
            if entry.get("median_s") is not None
        }
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def write(document: Mapping[str, object], file: Path) -> None:
    """Write the document, whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    text = json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False)
    temporary.write_text(text + "\n", encoding="utf-8")
    temporary.replace(file)


def result_rows(finding: Finding) -> list[tuple[str, ...]]:
    """Rows of the results' table: scenario, subject, median, spread, runs, times rebake, right."""
    times = {(r.scenario, r.subject, r.services): r.ratio for r in ratios(finding.results)}
    sizes = len({result.services for result in finding.results}) > 1
    return [
        (
            result.scenario + (f" ({result.services})" if sizes else ""),
            result.subject,
            _seconds(result.median_s),
            _seconds(result.spread_s),
            str(len(result.runs_s)),
            _times(times.get((result.scenario, result.subject, result.services))),
            {True: "yes", False: "WRONG", None: "-"}[result.correct],
        )
        for result in finding.results
    ]


RESULT_HEADER = ("scenario", "subject", "median", "spread", "runs", "x rebake", "right")
LIMIT_HEADER = ("limit", "claimed", "measured", "kept")


def limit_rows(found: Iterable[Limit]) -> list[tuple[str, ...]]:
    """Rows of the limits' table."""
    return [
        (
            limit.name,
            f"{'≥' if limit.at_least else '≤'} {_value(limit.limit, limit.unit)}",
            "not measured" if limit.measured is None else _value(limit.measured, limit.unit),
            "yes" if limit.ok else "NO",
        )
        for limit in found
    ]


def _value(number: float, unit: str) -> str:
    if unit == "images":
        return f"{number:g}"
    return f"{number:.2f} {'x' if unit == 'times' else unit}"


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} s"


def _times(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def _cpus() -> int:
    count = getattr(os, "sched_getaffinity", None)
    return len(count(0)) if count else os.cpu_count() or 1


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor()
