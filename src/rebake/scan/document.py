"""A scan as documents for programs: our own JSON, and SARIF 2.1.0. Pure.

SARIF: https://docs.oasis-open.org/sarif/sarif/v2.1.0/ (sections 3.13 to 3.52).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from rebake.results import SCHEMA_VERSION
from rebake.scan.findings import Finding, Judged, PartResult, ScanResult, Severity

_SARIF = "2.1.0"
_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_LEVELS: Mapping[Severity, str] = {"critical": "error", "high": "error", "medium": "warning",
                                   "low": "note", "unknown": "warning"}  # fmt: skip
# What code-scanning services sort by: a CVSS score in the middle of each band.
_SCORES: Mapping[Severity, str] = {"critical": "9.5", "high": "8.0", "medium": "5.5", "low": "2.0",
                                   "unknown": "5.0"}  # fmt: skip


def json_of(result: ScanResult) -> dict[str, Any]:
    """Return the `--json` document of a scan."""
    return {
        "schema_version": SCHEMA_VERSION,
        "passed": result.exit_code == 0,
        "exit_code": result.exit_code,
        "images": list(result.images),
        "severity": result.policy.limit,
        "faults": result.faults,
        "parts": {part.name: _part(part) for part in result.parts},
        "findings": [_judged(one) for one in result.all],
        "unused_ignores": [one.id for one in _unused(result)],
        "facts": dict(result.facts),
        "seconds": round(result.seconds, 3),
    }


def _part(part: PartResult) -> dict[str, Any]:
    return {
        "state": part.state,
        "findings": len(part.findings),
        "failing": len(part.failing),
        "seconds": round(part.seconds, 3),
        **({"note": part.note} if part.note else {}),
    }


def _judged(one: Judged) -> dict[str, Any]:
    found = one.finding
    document: dict[str, Any] = {
        "id": found.id,
        "kind": found.kind,
        "severity": found.severity,
        "standing": one.standing,
        "target": found.target,
        "message": found.message,
        "scanner": found.scanner,
    }
    for name in ("place", "line", "package", "version", "fixed", "fix", "url"):
        if value := getattr(found, name):
            document[name] = value
    if one.ignore is not None:
        document["ignored"] = {
            "reason": one.ignore.reason,
            "expires": one.ignore.expires.isoformat(),
        }
    return document


def _unused(result: ScanResult) -> tuple[Any, ...]:
    return result.policy.unused(one.finding for one in result.all)


def sarif_of(result: ScanResult, version: str) -> dict[str, Any]:
    """Return a scan as a SARIF log with one run.

    Args:
        result: the scan.
        version: rebake's own.
    """
    judged = result.all
    rules = _rules([one.finding for one in judged])
    places = {str(rule["id"]): number for number, rule in enumerate(rules)}
    notices = [
        {"level": "error", "message": {"text": fault}, "descriptor": {"id": "rebake/not-scanned"}}
        for fault in result.faults
    ]
    return {
        "$schema": _SCHEMA,
        "version": _SARIF,
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "rebake",
                        "version": version,
                        "semanticVersion": version,
                        "rules": rules,
                    }
                },
                "invocations": [
                    {
                        "executionSuccessful": not result.faults,
                        "exitCode": result.exit_code,
                        "toolExecutionNotifications": notices,
                    }
                ],
                "columnKind": "unicodeCodePoints",
                "results": [
                    _sarif_result(one, places[one.finding.id], result.images) for one in judged
                ],
            }
        ],
    }


def _rules(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """One rule for each id, as the worst finding has it (findings come worst first)."""
    first: dict[str, Finding] = {}
    for found in findings:
        first.setdefault(found.id, found)
    return [_rule(found) for found in first.values()]


def _rule(found: Finding) -> dict[str, Any]:
    rule: dict[str, Any] = {
        "id": found.id,
        "shortDescription": {"text": found.message or found.id},
        "defaultConfiguration": {"level": _LEVELS[found.severity]},
        "properties": {
            "security-severity": _SCORES[found.severity],
            "tags": ["security", found.kind],
        },
    }
    if found.fix:
        rule["help"] = {"text": found.fix}
    if re.match(r"https?://\S+$", found.url):
        rule["helpUri"] = found.url
    return rule


def _sarif_result(one: Judged, rule: int, images: Collection[str]) -> dict[str, Any]:
    found = one.finding
    what = f"{found.package} {found.version}: " if found.package else ""
    document: dict[str, Any] = {
        "ruleId": found.id,
        "ruleIndex": rule,
        "level": _LEVELS[found.severity],
        "kind": "fail",
        "message": {"text": f"{what}{found.message or found.id}"},
        "locations": [_location(found, images)],
        # The same finding of another day is the same one, whatever else changed.
        "partialFingerprints": {"rebake/v1": _fingerprint(found)},
        "properties": {"standing": one.standing, "severity": found.severity},
    }
    if one.ignore is not None:
        document["suppressions"] = [
            {"kind": "external", "status": "accepted", "justification": one.ignore.reason}
        ]
    return document


def _location(found: Finding, images: Collection[str]) -> dict[str, Any]:
    # An image is no file: its name stands for the place, and what is in it is a logical location.
    folder = "image/" if found.target in images else ""
    uri = folder + quote(found.target, safe="/@.-_~")
    physical: dict[str, Any] = {"artifactLocation": {"uri": uri}}
    physical["region"] = {"startLine": max(found.line or 1, 1)}
    location: dict[str, Any] = {"physicalLocation": physical}
    names = [name for name in (found.place, found.package) if name]
    if names:
        location["logicalLocations"] = [
            {"name": names[-1], "fullyQualifiedName": "/".join([found.target, *names])}
        ]
    return location


def _fingerprint(found: Finding) -> str:
    parts = (found.id, found.target, found.place, found.package, found.message)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
