"""What scanners are called with, and how their reports are read.

The reports are of the documented forms, written by hand: Trivy's and Grype's were compared with
their own, Snyk's could not be.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rebake.errors import DatabaseUnusable, ScannerFailed
from rebake.process import Outcome
from rebake.scan import cargo_deny, grype, snyk, trivy
from rebake.scan.findings import Finding

TAR, CACHE, OUT = Path("/w/image.tar"), Path("/c"), Path("/w/report.json")


def outcome(code: int, stdout: str = "", stderr: str = "") -> Outcome:
    return Outcome(("scanner",), code, stdout, stderr, 0.1)


def write(folder: Path, document: Any) -> Path:
    file = folder / "report.json"
    file.write_text(document if isinstance(document, str) else json.dumps(document))
    return file


# --- trivy ---

COMMON = [
    "--format", "json", "--output", str(OUT), "--cache-dir", str(CACHE), "--exit-code", "42",
    "--skip-version-check", "--disable-telemetry", "--quiet", "--skip-db-update",
    "--skip-check-update", "--cache-backend", "memory",
]  # fmt: skip
OFFLINE = ["--skip-java-db-update", "--offline-scan"]


def test_trivys_arguments() -> None:
    assert trivy.image(TAR, CACHE, OUT, offline=True) == [
        "image", "--input", str(TAR), "--scanners", "vuln,secret,misconfig",
        "--image-config-scanners", "misconfig,secret", *COMMON, *OFFLINE,
    ]  # fmt: skip
    without = trivy.image(TAR, CACHE, OUT, offline=False, vulnerabilities=False)
    assert without[4] == "secret,misconfig"
    assert "--offline-scan" not in without
    assert trivy.lock_files(Path("/w/f"), CACHE, OUT, offline=True) == [
        "fs", "--scanners", "vuln", *COMMON, *OFFLINE, str(Path("/w/f")),
    ]  # fmt: skip
    assert trivy.fetch_database(CACHE, "127.0.0.1:5000/trivy-db:2")[-2:] == [
        "--db-repository", "127.0.0.1:5000/trivy-db:2",
    ]  # fmt: skip
    assert "--db-repository" not in trivy.fetch_database(CACHE, "")


def test_no_setting_of_the_environment_hides_a_finding() -> None:
    environ = {"TRIVY_SEVERITY": "LOW", "TRIVY_IGNOREFILE": "x", "TRIVY_PASSWORD": "y", "PATH": "z"}
    assert trivy.environment(environ) == {"TRIVY_SEVERITY": None, "TRIVY_IGNOREFILE": None}


TRIVY = {
    "SchemaVersion": 2,
    "ArtifactName": "image.tar",
    "Results": [
        {
            "Target": "image.tar (debian 12.5)", "Class": "os-pkgs", "Type": "debian",
            "Vulnerabilities": [
                {"VulnerabilityID": "CVE-2099-0003", "PkgName": "bash", "InstalledVersion": "5.2",
                 "FixedVersion": "99.0", "Severity": "HIGH", "Title": "a hole in Debian",
                 "PrimaryURL": "https://avd.example.org/CVE-2099-0003"},
                {"VulnerabilityID": "CVE-2099-0009", "PkgName": "zlib", "InstalledVersion": "1",
                 "Severity": "UNKNOWN", "Description": "first line\nsecond line"},
            ],
        },
        {
            "Target": "app/.env", "Class": "secret",
            "Secrets": [{"RuleID": "aws-access-key-id", "Severity": "CRITICAL", "StartLine": 3,
                         "Title": "AWS Access Key ID", "Match": "KEY=hunter2"}],
        },
        {
            "Target": "Dockerfile", "Class": "config", "Type": "dockerfile",
            "Misconfigurations": [
                {"ID": "DS-0002", "Title": "Image user should not be 'root'", "Status": "FAIL",
                 "Message": "Specify at least 1 USER command", "Resolution": "Add 'USER …'",
                 "Severity": "HIGH", "CauseMetadata": {"StartLine": 7}},
                {"ID": "DS-0001", "Title": "':latest' tag used", "Status": "PASS"},
            ],
        },
        {"Target": "bin/service", "Class": "lang-pkgs", "Type": "rustbinary"},
    ],
}  # fmt: skip


def test_trivys_report(tmp_path: Path) -> None:
    found = trivy.read(outcome(42), write(tmp_path, TRIVY), "api:prod")
    assert found == [
        Finding("vulnerability", "CVE-2099-0003", "high", "api:prod", "a hole in Debian",
                "update bash to 99.0", "bash", "5.2", "99.0", "debian 12.5",
                url="https://avd.example.org/CVE-2099-0003", scanner="trivy"),
        Finding("vulnerability", "CVE-2099-0009", "unknown", "api:prod", "first line", "", "zlib",
                "1", place="debian 12.5", scanner="trivy"),
        Finding("secret", "aws-access-key-id", "critical", "api:prod", "AWS Access Key ID",
                "take it out and make it void", place="app/.env", line=3, scanner="trivy"),
        Finding("misconfiguration", "DS-0002", "high", "api:prod",
                "Image user should not be 'root': Specify at least 1 USER command",
                "Add 'USER …'", place="Dockerfile", line=7, scanner="trivy"),
    ]  # fmt: skip
    assert "hunter2" not in str(found)


def test_nothing_found_is_a_report_too(tmp_path: Path) -> None:
    assert trivy.read(outcome(0), write(tmp_path, {"SchemaVersion": 2}), "x") == []


@pytest.mark.parametrize(
    ("code", "report", "message"),
    [
        (1, TRIVY, "exit code 1"),
        (0, None, "its report can't be read"),
        (0, "", "its report can't be read"),
        (0, "{}", "its report can't be read"),
        (0, "[]", "its report can't be read"),
        (42, {"SchemaVersion": 2, "Results": []}, "its report is empty"),
        (42, {"SchemaVersion": 2, "Results": [{"Vulnerabilities": [{}]}]}, "can't be read"),
    ],
)
def test_trivy_is_never_clean_by_its_exit_code_alone(
    tmp_path: Path, code: int, report: Any, message: str
) -> None:
    file = tmp_path / "none.json" if report is None else write(tmp_path, report)
    with pytest.raises(ScannerFailed, match=message) as caught:
        trivy.read(outcome(code, stderr="FATAL: no database"), file, "x")
    assert (caught.value.tail == ("FATAL: no database",)) == (code == 1)


# --- grype ---

GRYPE = {
    "matches": [
        {
            "vulnerability": {
                "id": "CVE-2099-0003", "severity": "High", "description": "a hole\nand more",
                "dataSource": "https://security.example.org/CVE-2099-0003",
                "fix": {"versions": ["99.0", "98.1"], "state": "fixed"},
            },
            "artifact": {"name": "bash", "version": "5.2", "type": "deb",
                         "locations": [{"path": "/var/lib/dpkg/status"}]},
        },
        {
            "vulnerability": {"id": "GHSA-x", "severity": "Negligible",
                              "fix": {"versions": [], "state": "not-fixed"}},
            "artifact": {"name": "zlib", "version": "1", "locations": []},
        },
    ],
    "descriptor": {
        "name": "grype", "version": "0.121.3",
        "db": {"status": {"valid": True}, "providers": {"debian": {}}},
    },
}  # fmt: skip


def with_database(**database: Any) -> Any:
    return {**GRYPE, "descriptor": {"db": database}}


def test_grypes_arguments() -> None:
    assert grype.image(TAR, OUT) == [
        f"docker-archive:{TAR}", "--output", "json", "--file", str(OUT), "--quiet",
    ]  # fmt: skip
    assert grype.folder(Path("/w"), OUT)[0] == f"dir:{Path('/w')}"
    assert grype.status() == ["db", "status", "--output", "json"]


def test_no_setting_of_grypes_hides_a_finding_and_the_way_to_its_database_stays() -> None:
    environ = {"GRYPE_ONLY_FIXED": "1", "GRYPE_DB_UPDATE_URL": "https://x.example.com", "PATH": "z"}
    assert grype.environment(CACHE, Path("/w/grype.yaml"), environ) == {
        "GRYPE_ONLY_FIXED": None,
        "GRYPE_DB_UPDATE_URL": "https://x.example.com",
        "GRYPE_CONFIG": str(Path("/w/grype.yaml")),
        "GRYPE_DB_CACHE_DIR": str(CACHE / "grype"),
        "GRYPE_DB_AUTO_UPDATE": "false",
        "GRYPE_DB_VALIDATE_AGE": "false",
        "GRYPE_DB_VALIDATE_BY_HASH_ON_START": "true",
        "GRYPE_CHECK_FOR_APP_UPDATE": "false",
    }


def test_grypes_status() -> None:
    told = {"schemaVersion": "v6.1.10", "built": "2026-06-15T08:00:00Z", "path": "/c/x.db",
            "valid": True}  # fmt: skip
    found = grype.read_status(outcome(0, json.dumps(told)), CACHE)
    assert (found.folder, f"{found.updated:%Y-%m-%d}") == (CACHE, "2026-06-15")


@pytest.mark.parametrize(
    ("code", "told", "message"),
    [
        (1, {"path": "/c/x.db", "valid": False, "error": "database does not exist"},
         "/c/x.db: database does not exist"),
        (0, {"path": "/c/x.db", "valid": False}, "/c/x.db: can't be used"),
        (1, {"path": "/c/x.db", "valid": True, "built": "2026-06-15T08:00:00Z"}, "can't be used"),
        (0, {"path": "/c/x.db", "valid": True}, "can't be examined: {"),
        (3, None, "can't be examined: exit code 3"),
        (0, [], "can't be examined"),
    ],
)  # fmt: skip
def test_a_database_of_grypes_is_never_good_without_its_word(
    code: int, told: Any, message: str
) -> None:
    text = "" if told is None else json.dumps(told)
    with pytest.raises(DatabaseUnusable) as caught:
        grype.read_status(outcome(code, text), CACHE)
    assert message in str(caught.value)


def test_grypes_report(tmp_path: Path) -> None:
    found = grype.read(outcome(0), write(tmp_path, GRYPE), "api:prod")
    assert found == [
        Finding("vulnerability", "CVE-2099-0003", "high", "api:prod", "a hole",
                "update bash to 99.0, 98.1", "bash", "5.2", "99.0, 98.1", "var/lib/dpkg/status",
                url="https://security.example.org/CVE-2099-0003", scanner="grype"),
        Finding("vulnerability", "GHSA-x", "low", "api:prod", "", "", "zlib", "1",
                scanner="grype"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("code", "report", "message"),
    [
        (1, GRYPE, "exit code 1"),
        (0, "{}", "can't be read"),
        (0, with_database(status={"valid": False, "error": "too old"}, providers={"a": {}}),
         "its database can't be used: too old"),
        (0, with_database(status={"valid": True}, providers={}), "it has no providers"),
        (0, with_database(status={"valid": True}), "can't be read"),
    ],
)  # fmt: skip
def test_grype_is_never_clean_without_a_report(
    tmp_path: Path, code: int, report: Any, message: str
) -> None:
    with pytest.raises(ScannerFailed, match=message):
        grype.read(outcome(code), write(tmp_path, report), "x")


# --- snyk ---

SNYK = {
    "ok": False,
    "displayTargetFile": "ui/package-lock.json",
    "vulnerabilities": [
        {"id": "SNYK-JS-LODASH-1", "identifiers": {"CVE": ["CVE-2099-0002"]}, "title": "a hole",
         "severity": "critical", "packageName": "lodash", "version": "4.17.0",
         "fixedIn": ["4.17.12"]},
        {"id": "SNYK-2", "identifiers": {"CVE": []}, "title": "another", "severity": "low",
         "packageName": "left-pad", "version": "1.0.0"},
    ],
    "applications": [
        {"targetFile": "Cargo.lock", "vulnerabilities": [
            {"id": "SNYK-3", "title": "a third", "severity": "medium", "name": "ammonia",
             "version": "1.9.0", "nearestFixedInVersion": "2.1.0"}]},
    ],
}  # fmt: skip


def test_snyks_arguments() -> None:
    assert snyk.image(TAR) == [
        "container", "test", f"docker-archive:{TAR}", "--json", "--app-vulns",
    ]  # fmt: skip
    assert snyk.folder(Path("/w")) == ["test", "--all-projects", "--json", str(Path("/w"))]


@pytest.mark.parametrize("wrap", [lambda document: document, lambda document: [document]])
def test_snyks_report(wrap: Callable[[Any], Any]) -> None:
    found = snyk.read(outcome(1, json.dumps(wrap(SNYK))), "api:prod")
    assert [(one.id, one.severity, one.package, one.fixed, one.place) for one in found] == [
        ("CVE-2099-0002", "critical", "lodash", "4.17.12", "ui/package-lock.json"),
        ("SNYK-2", "low", "left-pad", "", "ui/package-lock.json"),
        ("SNYK-3", "medium", "ammonia", "2.1.0", "Cargo.lock"),
    ]
    assert found[0].url == "https://security.snyk.io/vuln/SNYK-JS-LODASH-1"


@pytest.mark.parametrize(
    ("code", "report", "message"),
    [
        (2, SNYK, "exit code 2"),
        (3, SNYK, "exit code 3"),
        (0, "", "can't be read"),
        (0, {"ok": False, "error": "Authentication failed"}, "Authentication failed"),
        (1, {"ok": False, "vulnerabilities": []}, "its report is empty"),
    ],
)
def test_snyk_is_never_clean_without_a_report(code: int, report: Any, message: str) -> None:
    text = report if isinstance(report, str) else json.dumps(report)
    with pytest.raises(ScannerFailed, match=message):
        snyk.read(outcome(code, text), "x")


# --- cargo deny ---


def deny_line(**fields: Any) -> str:
    return json.dumps({"type": "diagnostic", "fields": fields})


SUMMARY = json.dumps({"type": "summary", "fields": {"advisories": {"errors": 1}}})
CRATE = [{"line": 1, "span": "ammonia 1.9.0 registry+https://example.org/index"}]


def test_cargo_denys_arguments() -> None:
    assert cargo_deny.arguments(cargo_deny.ADVISORIES, offline=True) == [
        "deny", "--locked", "--format", "json", "--offline", "check", "--hide-inclusion-graph",
        "advisories",
    ]  # fmt: skip
    assert "--offline" not in cargo_deny.arguments(cargo_deny.TREE, offline=False)


def test_another_database_stands_in_for_rustsecs(tmp_path: Path) -> None:
    public = "https://github.com/RustSec/advisory-db"
    assert cargo_deny.environment("", tmp_path, {}) == {}
    for address in ("https://git.example.com/a/db", "ssh://git@x/db", "git@git.example.com:a/db"):
        assert cargo_deny.environment(address, tmp_path, {}) == {
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": f"url.{address}.insteadOf",
            "GIT_CONFIG_VALUE_0": public,
        }
    environ = {"GIT_CONFIG_COUNT": "2", "GIT_CONFIG_KEY_1": "a.b"}
    folder = cargo_deny.environment("../data base", tmp_path / "x", environ)
    assert folder == {
        "GIT_CONFIG_COUNT": "3",
        "GIT_CONFIG_KEY_2": f"url.{tmp_path.resolve() / 'data base'}.insteadOf",
        "GIT_CONFIG_VALUE_2": public,
    }


def test_cargo_denys_report() -> None:
    hole = deny_line(
        code="vulnerability", severity="error", message="Stack overflow in ammonia",
        labels=CRATE,
        advisory={"id": "RUSTSEC-2019-0001", "title": "Stack overflow in ammonia",
                  "url": "https://example.org/a"},
        notes=["ID: RUSTSEC-2019-0001", "Solution: Upgrade to >=2.1.0 (try `cargo update`)"],
    )  # fmt: skip
    old = deny_line(code="unmaintained", severity="error", labels=CRATE,
                    advisory={"id": "RUSTSEC-2", "title": "it is unmaintained"},
                    notes=["Solution: No safe upgrade is available!"])  # fmt: skip
    licence = deny_line(code="rejected", severity="error", message="failed to satisfy license",
                        labels=CRATE)  # fmt: skip
    twice = deny_line(code="duplicate", severity="warning", message="found 2 duplicate entries")
    note = deny_line(code="accepted", severity="help", message="license requirements satisfied")
    lines = [hole, old, licence, twice, note, "not JSON", SUMMARY]
    text = "\n".join(lines)
    found = cargo_deny.read(outcome(1, stderr=text), "backend/Cargo.lock")
    assert [(one.kind, one.id, one.severity, one.package, one.fixed) for one in found] == [
        ("vulnerability", "RUSTSEC-2019-0001", "high", "ammonia",
         "Upgrade to >=2.1.0 (try `cargo update`)"),
        ("dependency", "RUSTSEC-2", "medium", "ammonia", ""),
        ("dependency", "cargo-deny-rejected", "high", "ammonia", ""),
        ("dependency", "cargo-deny-duplicate", "low", "", ""),
    ]  # fmt: skip
    assert {one.target for one in found} == {"backend/Cargo.lock"}
    assert found[0].version == "1.9.0"


def test_cargo_deny_without_its_database() -> None:
    log = {"type": "log", "fields": {"level": "ERROR", "message": "failed to get metadata\nfatal"}}
    with pytest.raises(ScannerFailed, match="it did not check") as caught:
        cargo_deny.read(outcome(1, stderr=json.dumps(log)), "x")
    assert caught.value.tail == ("failed to get metadata", "fatal")
    assert "cargo deny fetch" in caught.value.hint


def test_cargo_deny_that_fails_and_finds_nothing() -> None:
    with pytest.raises(ScannerFailed, match="exit code 1, and no finding"):
        cargo_deny.read(outcome(1, stderr=SUMMARY), "x")
    assert cargo_deny.read(outcome(0, stderr=SUMMARY), "x") == []
