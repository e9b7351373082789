"""The deeds of a scan with a fake engine and a fake scanner: whatever is broken is never clean."""

from __future__ import annotations

import json
import shutil
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from bbolt import SIZE, write_database
from rebake.engine.endpoint import Endpoint
from rebake.errors import DatabaseUnusable, RebakeError, ScannerFailed
from rebake.scan.findings import Finding, Policy
from rebake.scan.run import Missing, Part, run_part, run_parts
from rebake.scan.tools import LocalScanner
from rebake.scan.workshop import Settings, Workshop, words_of
from unit.scan.test_image_rules import FILES, archive, layer

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the fakes are shell scripts")

# Writes the report that stands beside it, and ends with the code that does; a download copies the
# database that is there.
_TRIVY = """#!{python} -IS
import os, pathlib, shutil, sys
home, words = pathlib.Path(__file__).parent, sys.argv[1:]
(home / "surroundings").write_text(os.getcwd() + " " + os.environ.get("TRIVY_SEVERITY", "none"))
with (home / "trivy.log").open("a") as log:
    log.write(" ".join(words) + "\\n")
if "--download-db-only" in words:
    if not (home / "served").is_dir():
        sys.exit("FATAL: no such repository")
    shutil.copytree(home / "served", words[words.index("--cache-dir") + 1], dirs_exist_ok=True)
    sys.exit(0)
report = home / "report.json"
if report.exists():
    shutil.copy(report, words[words.index("--output") + 1])
sys.exit(int((home / "code").read_text()))
"""
CLEAN: dict[str, Any] = {"SchemaVersion": 2}
HOLED = CLEAN | {
    "Results": [
        {"Target": "backend/Cargo.lock", "Vulnerabilities": [
            {"VulnerabilityID": "CVE-2099-0001", "PkgName": "ammonia", "InstalledVersion": "1.9.0",
             "FixedVersion": "2.1.0", "Severity": "HIGH", "Title": "a hole"}]},
    ]
}  # fmt: skip


class Bench:
    """A workshop whose engine and scanner are fakes."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.cache = home / "cache"
        self.settings = Settings("trivy", self.cache)
        file = home / "trivy"
        file.write_text(_TRIVY.format(python=sys.executable))
        file.chmod(0o755)
        self.scanner = LocalScanner(file, "0.74.0", "PATH")
        docker = home / "docker"
        docker.write_text(
            f'#!/bin/sh\necho "$*" >>"{home}/docker.log"\n'
            f'test "$4" = api:prod || {{ echo "No such image: $4" >&2; exit 1; }}\n'
            f'cp "{archive(home / "saved.tar", [layer(FILES)])}" "$3"\n'
        )
        docker.chmod(0o755)
        self.engine = Endpoint("default", "unix:///s", docker)
        self.answers(CLEAN, 0)

    def answers(self, report: Any, code: int) -> None:
        (self.home / "report.json").write_text(json.dumps(report))
        (self.home / "code").write_text(str(code))

    def serves(self, **more: Any) -> None:
        write_database(self.home / "served", **more)

    def workshop(self, *, engine: bool = True, **changes: Any) -> Workshop:
        return Workshop(
            self.home / "work",
            replace(self.settings, **changes),
            self.scanner,
            self.engine if engine else None,
        )

    @property
    def log(self) -> list[str]:
        return (self.home / "trivy.log").read_text().splitlines()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_the_database_is_fetched_once_a_day(bench: Bench) -> None:
    bench.serves()
    shop = bench.workshop(repository="127.0.0.1:5000/trivy-db:2")
    shop.prepare()
    assert bench.log[0].endswith("--no-progress --db-repository 127.0.0.1:5000/trivy-db:2")
    assert shop.database is not None
    assert words_of(bench.scanner, shop.database)["database"].endswith(", 5 tables")
    bench.workshop().prepare()
    assert len(bench.log) == 1
    write_database(bench.cache, age=timedelta(days=2))
    bench.workshop().prepare()
    assert len(bench.log) == 2


def test_without_a_network_it_is_never_fetched(bench: Bench) -> None:
    bench.serves()
    with pytest.raises(DatabaseUnusable, match="is not there"):
        bench.workshop(offline=True).prepare()
    assert not (bench.home / "trivy.log").exists()


def test_one_that_can_not_be_fetched_is_told_as_such(bench: Bench) -> None:
    with pytest.raises(DatabaseUnusable, match="can't be fetched: FATAL: no such repository"):
        bench.workshop().prepare()
    assert not (bench.cache / "db").exists()


def test_an_older_one_does_where_there_is_no_newer_one(bench: Bench) -> None:
    write_database(bench.cache, age=timedelta(days=3))
    shop = bench.workshop(max_age=timedelta(days=14))
    shop.prepare()
    assert shop.database is not None
    with pytest.raises(DatabaseUnusable, match=r"older than scan\.db_max_age allows"):
        bench.workshop(max_age=timedelta(days=2)).prepare()


def test_a_cut_off_one_is_fetched_anew_and_told_where_that_fails(bench: Bench) -> None:
    file = write_database(bench.cache)
    file.write_bytes(file.read_bytes()[:-SIZE])
    with pytest.raises(DatabaseUnusable, match="is cut off"):
        bench.workshop().prepare()
    bench.serves()
    bench.workshop().prepare()
    assert not (bench.cache / "db.old").exists()


def test_one_of_another_schema_from_the_registry(bench: Bench) -> None:
    bench.serves(schema=1)
    with pytest.raises(DatabaseUnusable):
        bench.workshop().prepare()


def ready(bench: Bench, **changes: Any) -> Workshop:
    write_database(bench.cache)
    shop = bench.workshop(offline=True, **changes)
    shop.prepare()
    return shop


def test_an_image_is_saved_once_for_rules_and_scanner(bench: Bench) -> None:
    bench.answers(HOLED, 42)
    shop = ready(bench)
    assert [one.id for one in shop.scan_image("api:prod")] == ["CVE-2099-0001"]
    rules = [one.id for one in shop.check_image("api:prod")]
    assert rules == []
    saved = (bench.home / "docker.log").read_text().splitlines()
    assert saved == [f"save --output {bench.home / 'work/image-1.tar'} api:prod"]
    assert "--scanners vuln,secret,misconfig" in bench.log[0]
    shop.close()
    assert not (bench.home / "work").exists()


def test_no_file_of_the_repository_and_no_variable_hides_a_finding(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIVY_SEVERITY", "LOW")
    ready(bench).scan_image("api:prod")
    told = (bench.home / "surroundings").read_text()
    assert told == f"{(bench.home / 'work').resolve()} none"


def test_an_image_that_is_not_there(bench: Bench) -> None:
    with pytest.raises(ScannerFailed, match="no image worker:prod") as caught:
        ready(bench).scan_image("worker:prod")
    assert "invoke build" in caught.value.hint


def test_without_an_engine_images_are_missing(bench: Bench) -> None:
    with pytest.raises(Missing, match="a Docker engine"):
        bench.workshop(engine=False).check_image("api:prod")


def test_without_a_database_the_rest_is_still_looked_for(bench: Bench) -> None:
    shop = bench.workshop(offline=True)
    with pytest.raises(DatabaseUnusable):
        shop.prepare()
    assert shop.scan_image("api:prod") == []
    assert "--scanners secret,misconfig " in bench.log[0]
    with pytest.raises(ScannerFailed, match="no database that can be used"):
        shop.scan_lock_files({})


def test_lock_files_are_told_by_their_path(bench: Bench, tmp_path: Path) -> None:
    bench.answers(HOLED, 42)
    lock = tmp_path / "Cargo.lock"
    lock.write_text("version = 4\n")
    (one,) = ready(bench).scan_lock_files({"backend/Cargo.lock": lock})
    assert (one.target, one.place) == ("backend/Cargo.lock", "")
    copied = Path(bench.log[0].split()[-1]) / "backend/Cargo.lock"
    assert copied.read_text() == "version = 4\n"
    lock.unlink()
    with pytest.raises(ScannerFailed, match=r"backend/Cargo\.lock: No such file"):
        ready(bench).scan_lock_files({"backend/Cargo.lock": lock})


def test_a_scanner_that_breaks_down_is_never_clean(bench: Bench) -> None:
    shop = ready(bench)
    bench.answers(CLEAN, 1)
    with pytest.raises(ScannerFailed, match="exit code 1"):
        shop.scan_image("api:prod")
    (bench.home / "report.json").unlink()
    (bench.home / "code").write_text("0")
    with pytest.raises(ScannerFailed, match="its report can't be read"):
        shop.scan_image("api:prod")


def test_snyk_without_a_token_is_missing(bench: Bench) -> None:
    with pytest.raises(Missing, match="SNYK_TOKEN is not set"):
        bench.workshop(kind="snyk").scan_image("api:prod")


# Tells what it is called with and its settings; has a database once it was told to fetch one.
_GRYPE = """#!{python} -IS
import json, os, pathlib, sys
home, words = pathlib.Path(__file__).parent, sys.argv[1:]
with (home / "grype.log").open("a") as log:
    log.write(" ".join(words) + "\\n")
(home / "env").write_text(json.dumps({{k: v for k, v in os.environ.items() if "GRYPE" in k}}))
file = home / "built"
if words[:2] == ["db", "update"]:
    if not (home / "served").exists():
        sys.exit("unable to update vulnerability database: no such host")
    file.write_text((home / "served").read_text())
elif words[:2] == ["db", "status"]:
    there = file.exists()
    told = {{"path": str(file), "valid": there, "error": "" if there else "does not exist"}}
    print(json.dumps(told | ({{"built": file.read_text()}} if there else {{}})))
    sys.exit(0 if there else 1)
else:
    status = {{"status": {{"valid": True}}, "providers": {{"debian": {{}}}}}}
    report = {{"matches": [], "descriptor": {{"db": status}}}}
    pathlib.Path(words[words.index("--file") + 1]).write_text(json.dumps(report))
"""


class GrypeBench(Bench):
    """The same with Grype."""

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        file = home / "grype"
        file.write_text(_GRYPE.format(python=sys.executable))
        file.chmod(0o755)
        self.settings = Settings("grype", self.cache)
        self.scanner = LocalScanner(file, "0.121.3", "PATH")

    def built(self, name: str, age: timedelta = timedelta()) -> None:
        (self.home / name).write_text((datetime.now(UTC) - age).isoformat())

    @property
    def log(self) -> list[str]:
        return (self.home / "grype.log").read_text().splitlines()


@pytest.fixture
def grypes(tmp_path: Path) -> GrypeBench:
    return GrypeBench(tmp_path)


def test_grypes_database_is_fetched_once_a_day_and_before_all_scans(
    grypes: GrypeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRYPE_ONLY_FIXED", "true")
    grypes.built("served")
    shop = grypes.workshop()
    assert shop.prepare() == []
    assert grypes.log == ["db status --output json", "db update", *["db status --output json"] * 2]
    assert shop.scan_image("api:prod") == []
    told = json.loads((grypes.home / "env").read_text())
    assert told["GRYPE_DB_AUTO_UPDATE"] == "false"
    assert told["GRYPE_DB_CACHE_DIR"] == str(grypes.cache / "grype")
    assert "GRYPE_ONLY_FIXED" not in told
    settings = Path(told["GRYPE_CONFIG"])
    assert settings.read_text() == "check-for-app-update: false\n"
    assert "database" in words_of(grypes.scanner, shop.database)
    grypes.workshop().prepare()
    assert grypes.log.count("db update") == 1


def test_grype_without_a_database_is_never_clean(grypes: GrypeBench) -> None:
    for offline, message in (
        (True, "does not exist"),
        (False, "can't be fetched: .* no such host"),
    ):
        shop = grypes.workshop(offline=offline)
        with pytest.raises(DatabaseUnusable, match=message):
            shop.prepare()
        with pytest.raises(ScannerFailed, match="no database that can be used"):
            shop.scan_image("api:prod")
        with pytest.raises(ScannerFailed, match="no database that can be used"):
            shop.scan_lock_files({})


def test_grypes_older_one_does_until_it_is_too_old(grypes: GrypeBench) -> None:
    grypes.built("built", timedelta(days=3))
    grypes.workshop(max_age=timedelta(days=14)).prepare()
    with pytest.raises(DatabaseUnusable, match=r"older than scan\.db_max_age allows"):
        grypes.workshop(max_age=timedelta(days=2)).prepare()


# --- parts ---

HOLE = Finding("image", "image-root", "high", "x", "it runs as root")


def fails() -> list[Finding]:
    raise ScannerFailed("trivy", "exit code 1", ("token=hunter2hunter2",), "look")


def lacks() -> list[Finding]:
    raise Missing("trivy (not on PATH)")


def test_parts_end_as_they_should_and_in_their_order() -> None:
    parts = [
        Part("good", list),
        Part("bad", lambda: [HOLE]),
        Part("broken", fails),
        Part("missing", lacks),
        Part("mild", lambda: [replace(HOLE, severity="low")]),
    ]
    told: list[str] = []
    results = run_parts(parts, Policy(), workers=3, finished=lambda r: told.append(r.name))
    assert [(one.name, one.state) for one in results] == [
        ("good", "ok"), ("bad", "failed"), ("broken", "broken"), ("missing", "missing"),
        ("mild", "ok"),
    ]  # fmt: skip
    assert sorted(told) == sorted(part.name for part in parts)
    assert results[2].note == "trivy failed: exit code 1; token=***; look"


def test_a_fault_of_our_own_is_not_hidden() -> None:
    def bug() -> list[Finding]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_part(Part("x", bug), Policy())
    assert not issubclass(Missing, RebakeError)


def test_an_archive_is_removed_though_the_folder_was_used_before(bench: Bench) -> None:
    (bench.home / "work").mkdir()
    (bench.home / "work" / "old.tar").write_text("x")
    bench.workshop()
    assert list((bench.home / "work").iterdir()) == []
    shutil.rmtree(bench.home / "work")
    bench.workshop().close()
