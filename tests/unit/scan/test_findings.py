"""What of all that was found counts: the limit, what has no mend, ignores and their days."""

from __future__ import annotations

from datetime import date

import pytest
from msgspec.structs import replace

from rebake.scan.findings import (
    EXIT_CODES,
    Finding,
    Ignore,
    PartResult,
    Policy,
    ScanResult,
    Severity,
    ignores_of,
    severity_of,
)

TODAY = date(2026, 6, 15)
HOLE = Finding(
    "vulnerability", "CVE-1", "high", "api:prod", "a hole", package="lodash", version="4.0.0",
    fixed="4.17.12", place="ui/bun.lock",
)  # fmt: skip
POLICY = Policy(today=TODAY)


@pytest.mark.parametrize(
    ("severity", "limit", "standing"),
    [
        ("high", "high", "fails"),
        ("critical", "high", "fails"),
        ("medium", "high", "below"),
        ("unknown", "low", "below"),
        ("high", "critical", "below"),
        ("low", "low", "fails"),
    ],
)
def test_the_limit(severity: Severity, limit: Severity, standing: str) -> None:
    found = replace(HOLE, severity=severity)
    assert replace(POLICY, limit=limit).judge(found).standing == standing


def test_what_no_version_has_mended() -> None:
    found = replace(HOLE, fixed="")
    assert POLICY.judge(found).standing == "unfixed"
    assert replace(POLICY, ignore_unfixed=False).judge(found).standing == "fails"
    # A rule is no vulnerability: it can always be mended.
    assert POLICY.judge(replace(found, kind="image")).standing == "fails"


@pytest.mark.parametrize("target", ["", "api:*", "ui/bun.lock", "lod?sh"])
def test_an_ignore(target: str) -> None:
    one = Ignore("cve-1", "no user input reaches it", TODAY, target)
    judged = replace(POLICY, ignores=(one,)).judge(HOLE)
    assert (judged.standing, judged.ignore) == ("ignored", one)


@pytest.mark.parametrize(("id", "target"), [("CVE-2", ""), ("CVE-1", "worker:*"), ("CVE", "")])
def test_an_ignore_of_something_else(id: str, target: str) -> None:  # noqa: A002
    policy = replace(POLICY, ignores=(Ignore(id, "why", TODAY, target),))
    assert policy.judge(HOLE).standing == "fails"
    assert policy.unused([HOLE]) == policy.ignores


def test_an_expired_ignore_lets_nothing_through_and_fails_by_itself() -> None:
    one = Ignore("CVE-1", "until the next release", date(2026, 6, 14))
    policy = replace(POLICY, ignores=(one,))
    judged = policy.judge(HOLE)
    assert judged.standing == "fails"
    assert policy.unused([]) == ()
    # Be what it is for found or not.
    result = ScanResult((PartResult("image", "ok"),), policy)
    assert result.faults == ["the ignore of CVE-1 expired on 2026-06-14 (until the next release)"]
    assert result.exit_code == 1


@pytest.mark.parametrize(
    ("severities", "code"),
    [((), 0), (("medium",), 0), (("high",), 13), (("high", "critical"), 14)],
)
def test_the_exit_code_is_the_worst_that_counts(
    severities: tuple[Severity, ...], code: int
) -> None:
    found = tuple(POLICY.judge(replace(HOLE, severity=severity)) for severity in severities)
    assert ScanResult((PartResult("image", "ok", found),), POLICY).exit_code == code


def test_each_severity_has_a_code_of_its_own() -> None:
    assert len({0, 1, *EXIT_CODES.values()}) == len(EXIT_CODES) + 2


def test_what_could_not_be_done_is_never_clean() -> None:
    broken = ScanResult((PartResult("database", "broken", note="is cut off"),), POLICY)
    assert broken.exit_code == 1
    missing = ScanResult((PartResult("image", "missing", note="trivy"),), POLICY)
    assert missing.exit_code == 0
    assert replace(missing, strict=True).exit_code == 1
    assert replace(missing, strict=True).faults == ["image: trivy"]
    # Though something was found as well.
    hole = PartResult("image", "failed", (POLICY.judge(HOLE),))
    assert ScanResult((*broken.parts, hole), POLICY).exit_code == 1


def test_words_of_other_programs() -> None:
    words = ("HIGH", "Moderate", "Negligible", "important", "", None, "huge")
    assert [severity_of(word) for word in words] == [
        "high", "medium", "low", "high", "unknown", "unknown", "unknown",
    ]  # fmt: skip


def test_ignores_as_the_settings_have_them() -> None:
    entries = [{"id": "A", "reason": "r", "expires": "2026-01-02", "target": ""}]
    assert ignores_of(entries) == (Ignore("A", "r", date(2026, 1, 2)),)
