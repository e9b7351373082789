"""Reads the document of a benchmark and compares what it measured. Pure.

The document's form is that of `benchmark --json`: see docs/reference/json.md. A key that is not
known is passed over, so that a newer benchmark can be shown too.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct

from rebake.report import format as fmt

OURS, FLOOR = "rebake", "floor"
SCENARIOS = (
    "cold", "no-change", "code-change", "shared-crate", "dependency-bump",
    "ui-change", "dockerfile-change", "cache-lost", "fresh-ci",
)  # fmt: skip
SUBJECTS = (FLOOR, OURS, "cache-mount", "cargo-chef", "dummy-main", "naive")
TIMES = "\N{MULTIPLICATION SIGN}"
_UNITS = {"times": TIMES, "images": ""}
_LARGE = 1000  # from here on, three digits would be an exponent


class NotABenchmark(ValueError):
    """The document is not what a benchmark writes; the text says where."""


class Measurement(Struct, frozen=True):
    """What one subject needed for one scenario.

    `median_s` is None where nothing was measured, and `error` says why; `correct` is false where
    an image did not hold the edit, None where nobody looked.
    """

    scenario: str
    subject: str
    services: int
    runs_s: tuple[float, ...]
    median_s: float | None
    correct: bool | None
    cached_steps: int | None = None
    steps: int | None = None
    cpu_s: float | None = None
    peak_bytes: int | None = None
    context_bytes: int | None = None
    image_bytes: int | None = None
    error: str = ""

    @property
    def wrong(self) -> bool:
        """Whether its image was not that of the sources."""
        return self.correct is False

    @property
    def low_s(self) -> float | None:
        """The fastest run."""
        return min(self.runs_s, default=self.median_s)

    @property
    def high_s(self) -> float | None:
        """The slowest run."""
        return max(self.runs_s, default=self.median_s)


class Group(Struct, frozen=True):
    """One scenario at one size of the workspace, with all its subjects."""

    scenario: str
    services: int
    results: tuple[Measurement, ...]

    def of(self, subject: str) -> Measurement | None:
        """The measurement of a subject."""
        return next((m for m in self.results if m.subject == subject), None)

    def seconds(self, subject: str) -> float | None:
        """A subject's median."""
        found = self.of(subject)
        return found.median_s if found else None

    @property
    def best_peer(self) -> Measurement | None:
        """The fastest of the others whose image was right. The floor makes no image: no peer."""
        peers = [
            m
            for m in self.results
            if m.subject not in {OURS, FLOOR} and not m.wrong and m.median_s is not None
        ]
        return min(peers, key=lambda m: m.median_s or 0.0, default=None)

    def over_floor(self, subject: str) -> float | None:
        """How many times the floor's median a subject needs."""
        return _ratio(self.seconds(subject), self.seconds(FLOOR))

    @property
    def over_best_peer(self) -> float | None:
        """How many times as long as ours the best peer needs: above 1, ours is faster."""
        peer = self.best_peer
        return _ratio(peer.median_s, self.seconds(OURS)) if peer else None


class Limit(Struct, frozen=True):
    """One promise: what may be measured at most, or at least. `ok` is None where nobody looked."""

    name: str
    limit: float | str | None
    measured: float | str | None
    ok: bool | None
    unit: str = ""
    at_least: bool = False

    @property
    def allowed_words(self) -> str:
        """What is allowed: `at most 6.4 s`."""
        if not isinstance(self.limit, float):
            return _value(self.limit, self.unit)
        return f"at {'least' if self.at_least else 'most'} {_value(self.limit, self.unit)}"

    @property
    def measured_words(self) -> str:
        """What was measured: `5.3 s`."""
        return _value(self.measured, self.unit)

    @property
    def result_word(self) -> str:
        """`ok`, `missed` or `not measured`."""
        return {True: "ok", False: "missed", None: "not measured"}[self.ok]


class Reference(Struct, frozen=True):
    """What something else needs that is no subject, such as a plain bake with nothing to do."""

    name: str
    scenario: str
    services: int
    median_s: float | None


class Benchmark(Struct, frozen=True):
    """One result of the benchmark.

    `not_run` says what was left out and why, `notes` how it was done, a line each.
    """

    project: str
    machine: tuple[tuple[str, str], ...]
    results: tuple[Measurement, ...]
    limits: tuple[Limit, ...] = ()
    when: str = ""
    references: tuple[Reference, ...] = ()
    not_run: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def groups(self) -> tuple[Group, ...]:
        """The results by scenario and size: the usual size first, scenarios in their order."""
        keys = dict.fromkeys((m.scenario, m.services) for m in self.results)
        ordered = sorted(
            keys,
            key=lambda k: (k[1] != self.usual_size, _place(k[0], SCENARIOS), k[0], k[1]),
        )
        return tuple(
            Group(
                scenario,
                services,
                tuple(
                    sorted(
                        (m for m in self.results if (m.scenario, m.services) == key),
                        key=lambda m: (_place(m.subject, SUBJECTS), m.subject),
                    )
                ),
            )
            for key in ordered
            for scenario, services in (key,)
        )

    @property
    def subjects(self) -> tuple[str, ...]:
        """All subjects, in their usual order."""
        names = {m.subject for m in self.results}
        return tuple(sorted(names, key=lambda name: (_place(name, SUBJECTS), name)))

    @property
    def usual_size(self) -> int:
        """The number of services that most of it was measured with."""
        counts = Counter(m.services for m in self.results)
        return max(counts, key=lambda size: (counts[size], -size), default=0)

    @property
    def unmeasured(self) -> tuple[str, ...]:
        """Why there are no times where there are none, a line each."""
        failed = (
            f"{self.label(group)}, {m.subject}: {m.error}"
            for group in self.groups
            for m in group.results
            if m.median_s is None and m.error
        )
        return (*failed, *self.not_run)

    @property
    def missed(self) -> tuple[Limit, ...]:
        """The limits that were not kept."""
        return tuple(limit for limit in self.limits if limit.ok is False)

    def label(self, group: Group) -> str:
        """A group's name; it tells the size only where that is not the usual one."""
        return self._label(group.scenario, group.services)

    @property
    def reference_lines(self) -> tuple[str, ...]:
        """The references, a line each."""
        return tuple(
            f"{self._label(r.scenario, r.services)}: {r.name} needs {seconds(r.median_s)} s"
            for r in self.references
            if r.median_s is not None
        )

    def _label(self, scenario: str, services: int) -> str:
        if services == self.usual_size:
            return scenario
        return f"{scenario}, {services} service{'' if services == 1 else 's'}"


def read(document: object) -> Benchmark:
    """Take a benchmark's document apart.

    Raises:
        NotABenchmark: something in it is not of the form that a benchmark writes.
    """
    top = _mapping(document, "the document")
    results = tuple(
        _measurement(item, f"results[{n}]")
        for n, item in enumerate(_sequence(top.get("results"), "results"))
    )
    limits = tuple(
        _limit(item, f"limits[{n}]")
        for n, item in enumerate(_sequence(top.get("limits", ()), "limits"))
    )
    return Benchmark(
        project=_project(top.get("project")),
        machine=tuple(_flat(_mapping(top.get("machine", {}), "machine"))),
        results=results,
        limits=limits,
        when=_when(top.get("when", top.get("started_at"))),
        references=tuple(
            _reference(item, f"references[{n}]")
            for n, item in enumerate(_sequence(top.get("references", ()), "references"))
        ),
        not_run=tuple(
            _not_run(_mapping(item, f"not_run[{n}]"))
            for n, item in enumerate(_sequence(top.get("not_run", ()), "not_run"))
        ),
        notes=tuple(_text(item) for item in _sequence(top.get("notes", ()), "notes")),
    )


def seconds(value: float) -> str:
    """Seconds with three digits, so that ratios can be checked: `0.26`, `5.31`, `32.7`, `163`."""
    return f"{value:.{2 if value < 9.995 else 1 if value < 99.95 else 0}f}"  # noqa: PLR2004


def times(ratio: float) -> str:
    """How many times: two decimals below ten, none above."""
    return f"{ratio:.{2 if ratio < 9.995 else 0}f} {TIMES}"  # noqa: PLR2004


def _value(value: float | str | None, unit: str) -> str:
    if value is None:
        return "not measured"
    if isinstance(value, str):
        return value
    digits = f"{value:.3g}" if abs(value) < _LARGE else f"{value:.0f}"
    return f"{digits} {_UNITS.get(unit, unit)}".rstrip()


def _measurement(item: object, where: str) -> Measurement:
    row = _mapping(item, where)
    runs = _sequence(row.get("runs_s", ()), f"{where}.runs_s")
    sizes = row.get("image_bytes")
    if isinstance(sizes, Mapping):
        sizes = sum(_number(v, f"{where}.image_bytes") or 0 for v in sizes.values()) or None
    return Measurement(
        scenario=_name(row.get("scenario"), f"{where}.scenario"),
        subject=_name(row.get("subject"), f"{where}.subject"),
        services=_whole(row.get("services", 0), f"{where}.services") or 0,
        runs_s=tuple(_number(run, f"{where}.runs_s") or 0.0 for run in runs),
        median_s=_number(row.get("median_s"), f"{where}.median_s"),
        correct=_truth(row.get("correct"), f"{where}.correct"),
        cached_steps=_whole(row.get("cached_steps"), f"{where}.cached_steps"),
        steps=_whole(row.get("steps"), f"{where}.steps"),
        cpu_s=_number(row.get("cpu_s"), f"{where}.cpu_s"),
        peak_bytes=_whole(row.get("peak_bytes"), f"{where}.peak_bytes"),
        context_bytes=_whole(row.get("context_bytes"), f"{where}.context_bytes"),
        image_bytes=_whole(sizes, f"{where}.image_bytes"),
        error=_text(row.get("error") or ""),
    )


def _reference(item: object, where: str) -> Reference:
    row = _mapping(item, where)
    return Reference(
        _name(row.get("name"), f"{where}.name"),
        _name(row.get("scenario"), f"{where}.scenario"),
        _whole(row.get("services", 0), f"{where}.services") or 0,
        _number(row.get("median_s"), f"{where}.median_s"),
    )


def _not_run(row: Mapping[str, Any]) -> str:
    named = ", ".join(_text(row[key]) for key in ("scenario", "subject") if row.get(key))
    return f"{named}: {_text(row.get('reason') or 'not run')}"


def _limit(item: object, where: str) -> Limit:
    row = _mapping(item, where)

    def value(key: str) -> float | str | None:
        found = row.get(key)
        return found if isinstance(found, str) else _number(found, f"{where}.{key}", signed=True)

    return Limit(
        _name(row.get("name"), f"{where}.name"),
        value("limit"),
        value("measured"),
        _truth(row.get("ok"), f"{where}.ok"),
        _text(row.get("unit") or ""),
        row.get("at_least") is True,
    )


def _when(value: object) -> str:
    """A text as it is; of seconds since 1970 the day."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            return f"{datetime.fromtimestamp(value, UTC):%Y-%m-%d}"
        except (OverflowError, ValueError, OSError) as error:
            raise NotABenchmark("started_at: seconds since 1970 are expected") from error
    return _text(value or "")


def _project(value: object) -> str:
    if isinstance(value, Mapping):
        return _text(value.get("name") or value.get("root") or "")
    return _text(value or "")


def _flat(machine: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Make lines of a machine's description: `cpu.model` becomes `cpu model`, bytes a size."""
    lines: list[tuple[str, str]] = []
    for key, value in machine.items():
        # `engine.engine` is the engine's own version: once is enough.
        name = (key if prefix.strip() == key else f"{prefix}{key}").replace("_", " ")
        if isinstance(value, Mapping):
            lines += _flat(value, f"{name} ")
        elif isinstance(value, (list, tuple)):
            lines.append((name, ", ".join(_text(item) for item in value)))
        elif key.endswith("_bytes") and type(value) is int and value >= 0:
            lines.append((name.removesuffix(" bytes"), fmt.size(value)))
        elif value is not None and value != "":
            lines.append((name, _text(value)))
    return lines


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _mapping(value: object, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise NotABenchmark(f"{where}: an object is expected")
    return value


def _sequence(value: object, where: str) -> Sequence[Any]:
    if not isinstance(value, (list, tuple)):
        raise NotABenchmark(f"{where}: a list is expected")
    return value


def _name(value: object, where: str) -> str:
    if not isinstance(value, str) or not value:
        raise NotABenchmark(f"{where}: a name is expected")
    return value


def _truth(value: object, where: str) -> bool | None:
    if value is not None and not isinstance(value, bool):
        raise NotABenchmark(f"{where}: true, false or null is expected")
    return value


def _number(value: object, where: str, *, signed: bool = False) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise NotABenchmark(f"{where}: a number is expected")
    if value < 0 and not signed:
        raise NotABenchmark(f"{where}: a number below zero")
    return float(value)


def _whole(value: object, where: str) -> int | None:
    number = _number(value, where)
    return None if number is None else round(number)


def _ratio(above: float | None, below: float | None) -> float | None:
    return above / below if above is not None and below else None


def _place(name: str, order: Sequence[str]) -> int:
    return order.index(name) if name in order else len(order)
