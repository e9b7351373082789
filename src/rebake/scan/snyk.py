"""Snyk: what it is called with, and what it answers. Pure.

Written from https://docs.snyk.io/snyk-cli/commands/container-test: 0 nothing found, 1 found,
2 failed, 3 nothing to scan. It asks Snyk's own service, and needs SNYK_TOKEN in the environment,
which reaches it by inheritance and stands in no argv.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rebake.errors import ScannerFailed
from rebake.process import Outcome
from rebake.scan.findings import Finding, severity_of

TOKEN = "SNYK_TOKEN"  # noqa: S105 - the variable's name
_FOUND = 1


def image(archive: Path) -> list[str]:
    """Return the arguments that scan a saved image; the report goes to stdout."""
    return ["container", "test", f"docker-archive:{archive}", "--json", "--app-vulns"]


def folder(path: Path) -> list[str]:
    """Return the arguments that scan the lock-files in a folder."""
    return ["test", "--all-projects", "--json", str(path)]


def read(outcome: Outcome, target: str) -> list[Finding]:
    """Return what a scan found.

    Raises:
        ScannerFailed: it did not scan.
    """
    if outcome.returncode not in {0, _FOUND}:
        raise ScannerFailed("snyk", f"exit code {outcome.returncode}", tuple(outcome.tail(8)))
    try:
        document = json.loads(outcome.stdout)
        # One project, or several of them.
        parts = document if isinstance(document, list) else [document]
        found = [finding for part in parts for finding in _project(part, target)]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ScannerFailed("snyk", f"its report can't be read: {error}") from error
    if outcome.returncode == _FOUND and not found:
        raise ScannerFailed("snyk", "it says that it found something, and its report is empty")
    return found


def _project(document: Mapping[str, Any], target: str) -> Iterator[Finding]:
    if document.get("error"):
        raise ScannerFailed("snyk", str(document["error"]))
    yield from _holes(document, target)
    for application in document.get("applications") or ():
        yield from _holes(application, target)


def _holes(document: Mapping[str, Any], target: str) -> Iterator[Finding]:
    place = str(document.get("displayTargetFile") or document.get("targetFile") or "")
    for hole in document["vulnerabilities"]:
        cves = (hole.get("identifiers") or {}).get("CVE") or ()
        fixed = ", ".join(str(one) for one in hole.get("fixedIn") or ())
        if not fixed and hole.get("nearestFixedInVersion"):
            fixed = str(hole["nearestFixedInVersion"])
        name = str(hole.get("packageName") or hole.get("name") or "")
        yield Finding(
            "vulnerability", str(cves[0] if cves else hole["id"]),
            severity_of(hole.get("severity")), target, str(hole.get("title") or ""),
            f"update {name} to {fixed}" if fixed else "", package=name,
            version=str(hole.get("version") or ""), fixed=fixed, place=place,
            url=f"https://security.snyk.io/vuln/{hole['id']}", scanner="snyk",
        )  # fmt: skip
