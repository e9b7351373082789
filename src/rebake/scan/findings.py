"""What a scan finds, and what of it counts: severity limit, ignores, what has no mend yet. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from fnmatch import fnmatchcase
from typing import Any, Literal

from msgspec import Struct, field

Severity = Literal["unknown", "low", "medium", "high", "critical"]
Kind = Literal[
    "vulnerability", "secret", "misconfiguration", "image", "dockerfile", "compose", "dependency"
]
Standing = Literal["fails", "below", "unfixed", "ignored"]
State = Literal["ok", "failed", "missing", "broken"]
SEVERITIES: tuple[Severity, ...] = ("unknown", "low", "medium", "high", "critical")
# What a scan ends with, by its worst finding that counts; 1 is for a scan that could not be done.
EXIT_CODES: Mapping[Severity, int] = {"unknown": 10, "low": 11, "medium": 12, "high": 13,
                                      "critical": 14}  # fmt: skip
EXIT_BROKEN = 1


class Finding(Struct, frozen=True):
    """One thing that is wrong.

    Attributes:
        kind: what sort of thing.
        id: of a CVE, an advisory or a rule: what an ignore names.
        severity: how bad it is.
        target: the image, or the file of the repository.
        message: what is wrong, in one line.
        fix: how to mend it; empty where nothing is known.
        package: the package that it is in.
        version: the package's version here.
        fixed: the versions that have it mended; empty where none has.
        place: a file inside the target, or a service of it.
        line: the line, from 1.
        url: more about it.
        scanner: who says so.
    """

    kind: Kind
    id: str
    severity: Severity
    target: str
    message: str
    fix: str = ""
    package: str = ""
    version: str = ""
    fixed: str = ""
    place: str = ""
    line: int | None = None
    url: str = ""
    scanner: str = "rebake"

    @property
    def where(self) -> str:
        """The place in a person's words."""
        what = f"{self.package} {self.version}".strip()
        place = self.place + (f":{self.line}" if self.place and self.line else "")
        target = self.target + (f":{self.line}" if self.line and not self.place else "")
        return ", ".join(part for part in (target, place, what) if part)


class Ignore(Struct, frozen=True):
    """A finding that is let through for a while.

    Attributes:
        id: of the finding.
        reason: why it may pass.
        expires: the last day on which it is let through.
        target: a pattern (`*`, `?`) that the target, the place or the package matches; empty: all.
    """

    id: str
    reason: str
    expires: date
    target: str = ""

    def matches(self, finding: Finding) -> bool:
        """Whether a finding is meant."""
        if self.id.lower() != finding.id.lower():
            return False
        names = (finding.target, finding.place, finding.package)
        return not self.target or any(fnmatchcase(name, self.target) for name in names)


class Policy(Struct, frozen=True):
    """What counts.

    Attributes:
        limit: the lowest severity that fails.
        ignore_unfixed: let vulnerabilities pass that no version has mended yet.
        ignores: single findings that are let through.
        today: the day, for the ignores.
    """

    limit: Severity = "high"
    ignore_unfixed: bool = True
    ignores: tuple[Ignore, ...] = ()
    today: date = date.min

    @property
    def expired(self) -> tuple[Ignore, ...]:
        """The ignores whose day has passed: they fail a scan until somebody decides again."""
        return tuple(one for one in self.ignores if one.expires < self.today)

    def unused(self, findings: Iterable[Finding]) -> tuple[Ignore, ...]:
        """The ignores that let nothing through: what they are for has been mended."""
        found = list(findings)
        return tuple(
            one
            for one in self.ignores
            if one.expires >= self.today and not any(one.matches(finding) for finding in found)
        )

    def judge(self, finding: Finding) -> Judged:
        """Say what a finding counts for."""
        for one in self.ignores:
            if one.expires >= self.today and one.matches(finding):
                return Judged(finding, "ignored", one)
        if rank(finding.severity) < rank(self.limit):
            return Judged(finding, "below")
        if self.ignore_unfixed and finding.kind == "vulnerability" and not finding.fixed:
            return Judged(finding, "unfixed")
        return Judged(finding, "fails")


class Judged(Struct, frozen=True):
    """A finding and what it counts for; `ignore` is the one that lets it through."""

    finding: Finding
    standing: Standing
    ignore: Ignore | None = None


class PartResult(Struct, frozen=True):
    """What became of one part of a scan.

    Attributes:
        name: what the table calls it.
        state: `missing`: its tool is not there; `broken`: it could not be done.
        findings: what it found, judged.
        seconds: how long it took.
        note: why it could not be done, or how it was.
    """

    name: str
    state: State
    findings: tuple[Judged, ...] = ()
    seconds: float = 0.0
    note: str = ""

    @property
    def failing(self) -> list[Finding]:
        """The findings that count."""
        return [one.finding for one in self.findings if one.standing == "fails"]


class ScanResult(Struct, frozen=True):
    """What a whole scan found.

    Attributes:
        parts: its parts, in their order.
        policy: what counted.
        images: the images that were looked at.
        seconds: how long all of it took.
        made_at: when it began, in seconds since 1970.
        strict: a part that is missing fails it.
        facts: the scanner and the database, in words, by name.
    """

    parts: tuple[PartResult, ...]
    policy: Policy
    images: tuple[str, ...] = ()
    seconds: float = 0.0
    made_at: float = 0.0
    strict: bool = False
    facts: Mapping[str, str] = field(default_factory=dict)

    @property
    def all(self) -> list[Judged]:
        """All findings, the worst first."""
        order: dict[Standing, int] = {"fails": 0, "unfixed": 1, "below": 2, "ignored": 3}
        found = [one for part in self.parts for one in part.findings]
        return sorted(
            found,
            key=lambda one: (order[one.standing], -rank(one.finding.severity), one.finding.target),
        )

    @property
    def faults(self) -> list[str]:
        """Why the scan itself did not pass, whatever it found."""
        bad = {"broken", "missing"} if self.strict else {"broken"}
        found = [f"{part.name}: {part.note}" for part in self.parts if part.state in bad]
        return found + [
            f"the ignore of {one.id} expired on {one.expires.isoformat()} ({one.reason})"
            for one in self.policy.expired
        ]

    @property
    def exit_code(self) -> int:
        """0 when clean, 1 when it could not be done, else by the worst finding that counts."""
        if self.faults:
            return EXIT_BROKEN
        worst = [one.finding.severity for one in self.all if one.standing == "fails"]
        return EXIT_CODES[max(worst, key=rank)] if worst else 0


def rank(severity: Severity) -> int:
    """The place of a severity among the others, 0 for the lowest."""
    return SEVERITIES.index(severity)


def severity_of(word: object, default: Severity = "unknown") -> Severity:
    """Read another program's word for a severity (`HIGH`, `Moderate`, `negligible`)."""
    text = str(word or "").strip().lower()
    other: dict[str, Severity] = {"moderate": "medium", "negligible": "low", "important": "high",
                                  "error": "high", "warning": "medium", "note": "low"}  # fmt: skip
    if text in SEVERITIES:
        return text
    return other.get(text, default)


def ignores_of(entries: Sequence[Mapping[str, Any]]) -> tuple[Ignore, ...]:
    """Read `scan.ignore` as the settings have it: dates are text there."""
    return tuple(
        Ignore(
            str(entry["id"]),
            str(entry["reason"]),
            date.fromisoformat(str(entry["expires"])),
            str(entry.get("target") or ""),
        )
        for entry in entries
    )
