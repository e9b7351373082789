"""Trivy: what it is called with, and what it answers. Pure.

Written from https://trivy.dev/docs/latest/ ("References", "Configuration", "Air-gapped
environment") and tried with 0.74. It ends with 0 whatever it found unless `--exit-code` is given,
and with 1 for a broken database: so findings get a number of their own, and the report is read.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rebake.errors import ScannerFailed
from rebake.process import Outcome
from rebake.scan.findings import Finding, Severity, severity_of

FOUND = 42  # our own exit code for "there are findings"
_TAIL = 8
_KEPT = frozenset(
    {"TRIVY_USERNAME", "TRIVY_PASSWORD", "TRIVY_REGISTRY_TOKEN", "TRIVY_INSECURE", "TRIVY_TIMEOUT"}
)


def _common(cache: Path, output: Path, *, offline: bool) -> list[str]:
    """What every scan is called with: no look at the network for news, JSON into a file."""
    words = [
        *("--format", "json", "--output", str(output), "--cache-dir", str(cache)),
        *("--exit-code", str(FOUND), "--skip-version-check", "--disable-telemetry", "--quiet"),
        *("--skip-db-update", "--skip-check-update"),
        # Scans run side by side: the cache on disk lets in one at a time.
        *("--cache-backend", "memory"),
    ]
    return [*words, "--skip-java-db-update", "--offline-scan"] if offline else words


def image(
    archive: Path, cache: Path, output: Path, *, offline: bool, vulnerabilities: bool = True
) -> list[str]:
    """Return the arguments that scan a saved image for all that Trivy knows of.

    Args:
        archive: what `docker save` wrote.
        cache: the folder with the database.
        output: where the report goes.
        offline: whether the network is never asked.
        vulnerabilities: leave them out where there is no database: the rest can still be told.
    """
    kinds = "vuln,secret,misconfig" if vulnerabilities else "secret,misconfig"
    return [
        *("image", "--input", str(archive), "--scanners", kinds),
        *("--image-config-scanners", "misconfig,secret"),
        *_common(cache, output, offline=offline),
    ]


def lock_files(folder: Path, cache: Path, output: Path, *, offline: bool) -> list[str]:
    """Return the arguments that scan the lock-files in a folder."""
    return ["fs", "--scanners", "vuln", *_common(cache, output, offline=offline), str(folder)]


def files(folder: Path, cache: Path, output: Path) -> list[str]:
    """Return the arguments that look for misconfiguration and secrets in a folder."""
    common = [w for w in _common(cache, output, offline=False) if w != "--skip-db-update"]
    return ["fs", "--scanners", "misconfig,secret", *common, str(folder)]


def fetch_database(cache: Path, repository: str) -> list[str]:
    """Return the arguments that bring the vulnerability database, from a registry of one's own."""
    words = ["image", "--download-db-only", "--cache-dir", str(cache), "--disable-telemetry"]
    words += ["--skip-version-check", "--no-progress"]
    return [*words, "--db-repository", repository] if repository else words


def read(outcome: Outcome, output: Path, target: str) -> list[Finding]:
    """Return what a scan found.

    Args:
        outcome: how Trivy ended.
        output: the file that it was to write.
        target: what was scanned, in our words.

    Raises:
        ScannerFailed: it did not scan. An exit code alone is never taken for "clean".
    """
    if outcome.returncode not in {0, FOUND}:
        raise ScannerFailed("trivy", f"exit code {outcome.returncode}", tuple(outcome.tail(_TAIL)))
    try:
        document = json.loads(output.read_text(encoding="utf-8"))
        _ = document["SchemaVersion"]
        found = list(parse(document, target))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ScannerFailed("trivy", f"its report can't be read: {error}") from error
    if outcome.returncode == FOUND and not found:
        raise ScannerFailed("trivy", "it says that it found something, and its report is empty")
    return found


def parse(document: Mapping[str, Any], target: str) -> Iterator[Finding]:
    """Read a report (`SchemaVersion` 2)."""
    artifact = str(document.get("ArtifactName") or "")
    for result in document.get("Results") or ():
        place = str(result.get("Target") or "")
        if target and artifact and place.startswith(artifact):
            # `ARCHIVE (debian 12.5)`: where our copy of the image lies is no place in the image.
            place = place.removeprefix(artifact).strip(" ()")
        for entry in result.get("Vulnerabilities") or ():
            yield _vulnerability(entry, target, place)
        for entry in result.get("Secrets") or ():
            yield Finding(
                "secret", str(entry["RuleID"]), _severity(entry), target,
                str(entry.get("Title") or "a secret"),  # never `Match`, which holds it
                "take it out and make it void", place=place, line=entry.get("StartLine"),
                scanner="trivy",
            )  # fmt: skip
        for entry in result.get("Misconfigurations") or ():
            if entry.get("Status", "FAIL") == "FAIL":
                yield _misconfiguration(entry, target, place)


def _vulnerability(entry: Mapping[str, Any], target: str, place: str) -> Finding:
    fixed = str(entry.get("FixedVersion") or "")
    return Finding(
        "vulnerability", str(entry["VulnerabilityID"]), _severity(entry), target,
        str(entry.get("Title") or entry.get("Description") or "")[:200].partition("\n")[0],
        f"update {entry['PkgName']} to {fixed}" if fixed else "",
        package=str(entry["PkgName"]), version=str(entry.get("InstalledVersion") or ""),
        fixed=fixed, place=str(entry.get("PkgPath") or place),
        url=str(entry.get("PrimaryURL") or ""), scanner="trivy",
    )  # fmt: skip


def _misconfiguration(entry: Mapping[str, Any], target: str, place: str) -> Finding:
    cause = entry.get("CauseMetadata") or {}
    title, message = str(entry.get("Title") or ""), str(entry.get("Message") or "")
    return Finding(
        "misconfiguration", str(entry.get("ID") or entry.get("AVDID")), _severity(entry), target,
        f"{title}: {message}" if message and message != title else title,
        str(entry.get("Resolution") or ""), place=place, line=cause.get("StartLine") or None,
        url=str(entry.get("PrimaryURL") or ""), scanner="trivy",
    )  # fmt: skip


def _severity(entry: Mapping[str, Any]) -> Severity:
    return severity_of(entry.get("Severity"))


def environment(environ: Mapping[str, str]) -> dict[str, str | None]:
    """Return what is taken out of the environment: settings that would hide findings.

    What to let through is said in `rebake.toml`, with a reason and a day; nowhere else. Logins and
    the way to a registry stay.
    """
    return {name: None for name in environ if name.startswith("TRIVY_") and name not in _KEPT}
