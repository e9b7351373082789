"""Medians, spreads, ratios and limits: numbers in, numbers out. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, Self

from msgspec import Struct, field

Unit = Literal["s", "times", "%", "images"]


class Result(Struct, frozen=True):
    """All samples of one subject in one scenario.

    Attributes:
        services: how many services the workspace makes.
        runs_s: seconds of each sample, in order; the whole command's time.
        correct: whether every sample gave what its sources say; None where none was taken.
        steps: steps of the Dockerfiles, in the last sample; None where there are none (the floor).
        cpu_s: CPU seconds of the whole machine in a sample, the median; None where the engine is
            elsewhere.
        peak_bytes: the most memory that was used above what was used before, the median.
        export_s: seconds in which the engine wrote the images out, the median.
        background_s: seconds that something went on after the command's end, the median; they are
            waited for, and not a part of `runs_s`.
        error: why there are no samples, or fewer; empty when all is well.
    """

    scenario: str
    subject: str
    services: int
    runs_s: tuple[float, ...] = ()
    correct: bool | None = None
    steps: int | None = None
    cached_steps: int | None = None
    cpu_s: float | None = None
    peak_bytes: int | None = None
    context_bytes: int | None = None
    export_s: float | None = None
    background_s: float = 0.0
    image_bytes: Mapping[str, int] = field(default_factory=dict)
    error: str = ""

    @property
    def median_s(self) -> float | None:
        """The middle sample."""
        return statistics.median(self.runs_s) if self.runs_s else None

    @property
    def spread_s(self) -> float | None:
        """From the fastest to the slowest sample."""
        return max(self.runs_s) - min(self.runs_s) if self.runs_s else None

    def document(self) -> dict[str, object]:
        """The entry in `results`."""
        return {
            "scenario": self.scenario,
            "subject": self.subject,
            "services": self.services,
            "runs_s": [round(value, 3) for value in self.runs_s],
            "median_s": _rounded(self.median_s),
            "spread_s": _rounded(self.spread_s),
            "correct": self.correct,
            "cached_steps": self.cached_steps,
            "steps": self.steps,
            "cpu_s": _rounded(self.cpu_s),
            "peak_bytes": self.peak_bytes,
            "context_bytes": self.context_bytes,
            "export_s": _rounded(self.export_s),
            "background_s": _rounded(self.background_s),
            "image_bytes": dict(self.image_bytes),
            "error": self.error,
        }

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """Read what `document` wrote.

        Raises:
            KeyError, TypeError, ValueError: it is no such entry.
        """
        plain = (
            "correct", "cached_steps", "steps", "cpu_s", "peak_bytes", "context_bytes", "export_s",
        )  # fmt: skip
        return cls(
            scenario=str(document["scenario"]),
            subject=str(document["subject"]),
            services=int(document["services"]),
            runs_s=tuple(float(value) for value in document["runs_s"]),
            image_bytes=dict(document["image_bytes"]),
            error=str(document["error"]),
            background_s=float(document.get("background_s", 0.0)),
            **{name: document[name] for name in plain},
        )


class Limit(Struct, frozen=True):
    """One claim and what was measured.

    Attributes:
        limit: the most that is allowed; the least, when `at_least`.
        measured: None where the samples that it needs were asked for and could not be taken.
    """

    name: str
    limit: float
    measured: float | None
    unit: Unit
    at_least: bool = False

    @property
    def ok(self) -> bool:
        """Whether it is kept; what could not be measured is not."""
        if self.measured is None:
            return False
        return self.measured >= self.limit if self.at_least else self.measured <= self.limit

    def document(self) -> dict[str, object]:
        """The entry in `limits`."""
        return {
            "name": self.name,
            "limit": round(self.limit, 3),
            "measured": _rounded(self.measured),
            "unit": self.unit,
            "at_least": self.at_least,
            "ok": None if self.measured is None else self.ok,
        }


class Ratio(Struct, frozen=True):
    """How many times as long as rebake a subject takes."""

    scenario: str
    subject: str
    services: int
    ratio: float

    def document(self) -> dict[str, object]:
        """The entry in `ratios`."""
        return {
            "scenario": self.scenario,
            "subject": self.subject,
            "services": self.services,
            "to": "rebake",
            "ratio": round(self.ratio, 3),
        }


def covered_s(spans: Iterable[tuple[float, float]]) -> float:
    """Return the seconds that are in at least one of some spans, each from a start to an end."""
    total, until = 0.0, float("-inf")
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, until))
        until = max(until, end)
    return total


def middle(values: Iterable[float | None]) -> float | None:
    """The median of the values that are there; None when none is."""
    there = [value for value in values if value is not None]
    return statistics.median(there) if there else None


def ratios(results: Sequence[Result]) -> list[Ratio]:
    """Every subject's median over rebake's, for each scenario and size."""
    ours = {
        (result.scenario, result.services): result.median_s
        for result in results
        if result.subject == "rebake" and result.median_s
    }
    found = []
    for result in results:
        base = ours.get((result.scenario, result.services))
        if result.subject != "rebake" and base and result.median_s is not None:
            found.append(
                Ratio(result.scenario, result.subject, result.services, result.median_s / base)
            )
    return found


class _Measured(Struct, frozen=True):
    """The results by scenario, subject and size, for the limits."""

    results: Mapping[tuple[str, str, int], Result]

    def median(self, scenario: str, subject: str, services: int) -> float | None:
        found = self.results.get((scenario, subject, services))
        return found.median_s if found else None

    def asked(self, scenario: str, subject: str, services: int) -> bool:
        return (scenario, subject, services) in self.results


def limits(
    results: Sequence[Result],
    values: Mapping[str, float],
    bake_s: Mapping[int, float],
) -> list[Limit]:
    """Compare what was measured with what is claimed.

    A claim about subjects or scenarios that were not asked for is left out; one that was asked for
    and could not be measured is not kept.

    Args:
        results: the results.
        values: `[benchmark.limits]`, by key.
        bake_s: the median of `docker buildx bake` with nothing to do, by number of services.
    """
    table = _Measured({(r.scenario, r.subject, r.services): r for r in results})
    sizes = sorted({result.services for result in results})
    found: list[Limit] = []
    for services in sizes:
        mark = f" ({services} services)" if len(sizes) > 1 else ""
        for claim in (_against_bake, _against_floor, _against_recipes, _against_cold, _absolute):
            found += [
                _named(limit, limit.name + mark) for limit in claim(table, services, values, bake_s)
            ]
    ours = [result for result in results if result.subject == "rebake"]
    if ours:
        wrong = sum(result.correct is False for result in ours)
        found.append(Limit("rebake: results that are not what the sources say", 0, wrong, "images"))
    return found


Claim = Callable[[_Measured, int, Mapping[str, float], Mapping[int, float]], Iterable[Limit]]


def _against_bake(
    table: _Measured, services: int, values: Mapping[str, float], bake_s: Mapping[int, float]
) -> Iterable[Limit]:
    if services in bake_s and table.asked("no-change", "rebake", services):
        limit = values["no_change_bake"] * bake_s[services]
        measured = table.median("no-change", "rebake", services)
        yield Limit("no-change: docker buildx bake", limit, measured, "s")


def _against_floor(
    table: _Measured, services: int, values: Mapping[str, float], _bake: Mapping[int, float]
) -> Iterable[Limit]:
    for scenario, key in (
        ("cold", "cold_floor"),
        ("code-change", "code_change_floor"),
        ("shared-crate", "shared_crate_floor"),
        ("dependency-bump", "dependency_bump_floor"),
        ("ui-change", "ui_change_floor"),
    ):
        if not all(table.asked(scenario, name, services) for name in ("rebake", "floor")):
            continue
        floor = table.median(scenario, "floor", services)
        ours = table.results[scenario, "rebake", services]
        # A cold build has all images to write out, which the floor has not.
        more = (ours.export_s or 0.0) if scenario == "cold" else values["floor_plus_s"]
        limit = values[key] * floor + more if floor is not None else 0.0
        words = f"{values[key]:g} x floor + {'export' if scenario == 'cold' else f'{more:g} s'}"
        measured = ours.median_s if floor is not None else None
        yield Limit(f"{scenario}: {words}", limit, measured, "s")


def _against_recipes(
    table: _Measured, services: int, values: Mapping[str, float], _bake: Mapping[int, float]
) -> Iterable[Limit]:
    for scenario, subject, key in (
        ("code-change", "cargo-chef", "code_change_cargo_chef"),
        ("code-change", "naive", "code_change_naive"),
        ("shared-crate", "cargo-chef", "shared_crate_cargo_chef"),
        ("dependency-bump", "cargo-chef", "dependency_bump_cargo_chef"),
        ("cold", "naive", "cold_others"),
        ("cold", "dummy-main", "cold_others"),
        ("cold", "cargo-chef", "cold_others"),
        ("cold", "cache-mount", "cold_others"),
    ):
        if all(table.asked(scenario, name, services) for name in ("rebake", subject)):
            measured = _times(table, (scenario, subject), (scenario, "rebake"), services)
            name = f"{scenario}: times faster than {subject}"
            yield Limit(name, values[key], measured, "times", at_least=True)
    for scenario, key in (
        ("code-change", "code_change_saves_percent"),
        ("ui-change", "ui_change_saves_percent"),
    ):
        if all(table.asked(scenario, name, services) for name in ("rebake", "naive")):
            times = _times(table, (scenario, "naive"), (scenario, "rebake"), services)
            saved = None if times is None else 100.0 * (1.0 - 1.0 / times)
            name = f"{scenario}: less time than naive"
            yield Limit(name, values[key], saved, "%", at_least=True)


def _against_cold(
    table: _Measured, services: int, values: Mapping[str, float], _bake: Mapping[int, float]
) -> Iterable[Limit]:
    for scenario, key in (("cache-lost", "cache_lost_cold"), ("fresh-ci", "fresh_ci_cold")):
        if all(table.asked(name, "rebake", services) for name in (scenario, "cold")):
            measured = _times(table, (scenario, "rebake"), ("cold", "rebake"), services)
            yield Limit(f"{scenario}: part of cold", values[key], measured, "times")


def _absolute(
    table: _Measured, services: int, values: Mapping[str, float], _bake: Mapping[int, float]
) -> Iterable[Limit]:
    for scenario, key in (
        ("cold", "cold_s"),
        ("no-change", "no_change_s"),
        ("code-change", "code_change_s"),
        ("shared-crate", "shared_crate_s"),
        ("dependency-bump", "dependency_bump_s"),
        ("ui-change", "ui_change_s"),
        ("dockerfile-change", "dockerfile_change_s"),
        ("fresh-ci", "fresh_ci_s"),
    ):
        if table.asked(scenario, "rebake", services):
            measured = table.median(scenario, "rebake", services)
            yield Limit(f"{scenario}: seconds", values[key], measured, "s")


def _times(
    table: _Measured, one: tuple[str, str], other: tuple[str, str], services: int
) -> float | None:
    above, below = table.median(*one, services), table.median(*other, services)
    return above / below if above is not None and below else None


def _named(limit: Limit, name: str) -> Limit:
    return Limit(name, limit.limit, limit.measured, limit.unit, limit.at_least)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
