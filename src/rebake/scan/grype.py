"""Grype: what it is called with, and what it answers. Pure.

Written from https://github.com/anchore/grype (README, "Output formats", "Configuration"), and tried
with 0.121. It ends with 0 whatever it found, and with 1 for an error; so `--fail-on` is not used,
and its document is read. It looks for vulnerabilities only.

Its database is a file of SQLite in a folder with the number of its schema. Grype itself tells
whether that is whole: it keeps a checksum beside it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from rebake.errors import DatabaseUnusable, ScannerFailed
from rebake.process import Outcome
from rebake.scan.database import Database
from rebake.scan.findings import Finding, severity_of

# What an empty file of settings holds: the one of the user's home could hide findings.
SETTINGS = "check-for-app-update: false\n"
_KEPT = frozenset(
    {
        "GRYPE_DB_UPDATE_URL",
        "GRYPE_DB_CA_CERT",
        "GRYPE_DB_UPDATE_AVAILABLE_TIMEOUT",
        "GRYPE_DB_UPDATE_DOWNLOAD_TIMEOUT",
    }
)


def image(archive: Path, output: Path) -> list[str]:
    """Return the arguments that scan a saved image."""
    return [f"docker-archive:{archive}", "--output", "json", "--file", str(output), "--quiet"]


def folder(path: Path, output: Path) -> list[str]:
    """Return the arguments that scan the lock-files in a folder."""
    return [f"dir:{path}", "--output", "json", "--file", str(output), "--quiet"]


def fetch_database() -> list[str]:
    """Return the arguments that fetch a newer database where there is one."""
    return ["db", "update"]


def status() -> list[str]:
    """Return the arguments that tell whether the database can be used."""
    return ["db", "status", "--output", "json"]


def cache_of(cache: Path) -> Path:
    """Return where Grype keeps its databases in a cache folder."""
    return cache / "grype"


def environment(cache: Path, settings: Path, environ: Mapping[str, str]) -> dict[str, str | None]:
    """Return its settings: where its database is, and nothing that would hide a finding.

    Args:
        cache: the folder of databases.
        settings: a file with `SETTINGS`, instead of those of the user and of the repository.
        environ: the environment; what it says of the way to a database stays.
    """
    others = {n: None for n in environ if n.startswith("GRYPE_") and n not in _KEPT}
    return {
        **others,
        **{name: value for name, value in environ.items() if name in _KEPT},
        "GRYPE_CONFIG": str(settings),
        "GRYPE_DB_CACHE_DIR": str(cache_of(cache)),
        # Fetched once before all scans, which run side by side; how old it may be is our question.
        "GRYPE_DB_AUTO_UPDATE": "false",
        "GRYPE_DB_VALIDATE_AGE": "false",
        "GRYPE_DB_VALIDATE_BY_HASH_ON_START": "true",
        "GRYPE_CHECK_FOR_APP_UPDATE": "false",
    }


def read_status(outcome: Outcome, cache: Path) -> Database:
    """Read what it tells of its database.

    Raises:
        DatabaseUnusable: it is not there, it is cut off or damaged, or it is for another Grype.
    """
    place = cache_of(cache)
    try:
        told = json.loads(outcome.stdout)
        place = Path(str(told.get("path") or place))
        if not outcome.ok or told["valid"] is not True:
            raise DatabaseUnusable(place, str(told.get("error") or "can't be used"))
        return Database(cache, datetime.fromisoformat(str(told["built"])), 0)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        tail = " ".join(outcome.tail(2)) or f"exit code {outcome.returncode}"
        raise DatabaseUnusable(place, f"can't be examined: {tail}") from error


def read(outcome: Outcome, output: Path, target: str) -> list[Finding]:
    """Return what a scan found.

    Raises:
        ScannerFailed: it did not scan, or had no database.
    """
    if not outcome.ok:
        raise ScannerFailed("grype", f"exit code {outcome.returncode}", tuple(outcome.tail(8)))
    try:
        document = json.loads(output.read_text(encoding="utf-8"))
        database = document["descriptor"]["db"]
        told = database["status"]
        if told.get("valid") is not True:
            raise ScannerFailed("grype", f"its database can't be used: {told.get('error')}")
        if not database["providers"]:
            raise ScannerFailed("grype", "its database holds nothing: it has no providers")
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
