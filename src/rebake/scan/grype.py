"""Grype: what it is called with, and what it answers. Pure.

Written from https://github.com/anchore/grype (README, "Output formats", "Configuration"). It ends
with 0 whatever it found, and with 1 for an error; so `--fail-on` is not used, and its document is
read. It looks for vulnerabilities only.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rebake.errors import ScannerFailed
from rebake.process import Outcome
from rebake.scan.findings import Finding, severity_of


def image(archive: Path, output: Path) -> list[str]:
    """Return the arguments that scan a saved image."""
    return [f"docker-archive:{archive}", "--output", "json", "--file", str(output), "--quiet"]


def folder(path: Path, output: Path) -> list[str]:
    """Return the arguments that scan the lock-files in a folder."""
    return [f"dir:{path}", "--output", "json", "--file", str(output), "--quiet"]


def environment(cache: Path, *, offline: bool) -> dict[str, str]:
    """Return its settings: where its database is, and whether it may look for a newer one."""
    return {
        "GRYPE_DB_CACHE_DIR": str(cache / "grype"),
        "GRYPE_DB_AUTO_UPDATE": "false" if offline else "true",
        # An old or a missing database is an error and not a warning.
        "GRYPE_DB_VALIDATE_AGE": "true",
        "GRYPE_CHECK_FOR_APP_UPDATE": "false",
    }


def read(outcome: Outcome, output: Path, target: str) -> list[Finding]:
    """Return what a scan found.

    Raises:
        ScannerFailed: it did not scan, or had no database.
    """
    if not outcome.ok:
        raise ScannerFailed("grype", f"exit code {outcome.returncode}", tuple(outcome.tail(8)))
    try:
        document = json.loads(output.read_text(encoding="utf-8"))
        status = (document["descriptor"].get("db") or {}).get("status") or {}
        if status.get("valid") is False or status.get("error"):
            raise ScannerFailed("grype", f"its database can't be used: {status.get('error')}")
        return list(parse(document, target))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ScannerFailed("grype", f"its report can't be read: {error}") from error


def parse(document: Mapping[str, Any], target: str) -> Iterator[Finding]:
    """Read a report."""
    for match in document["matches"]:
        hole, artifact = match["vulnerability"], match["artifact"]
        fixed = ", ".join((hole.get("fix") or {}).get("versions") or ())
        places = artifact.get("locations") or [{}]
        name = str(artifact.get("name") or "")
        yield Finding(
            "vulnerability", str(hole["id"]), severity_of(hole.get("severity")), target,
            str(hole.get("description") or "").partition("\n")[0][:200],
            f"update {name} to {fixed}" if fixed else "", package=name,
            version=str(artifact.get("version") or ""), fixed=fixed,
            place=str(places[0].get("path") or "").lstrip("/"),
            url=str(hole.get("dataSource") or ""), scanner="grype",
        )  # fmt: skip
