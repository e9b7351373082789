"""`nox -s scan` as a whole, with a fake engine and a fake scanner, in a project of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import pytest

from attested_archive import Archive, Statement, document_of_parts, provenance
from bbolt import SIZE, write_database
from rebake import sessions_scan
from rebake.engine.endpoint import Endpoint
from rebake.errors import UsageError
from rebake.scan import tools
from rebake.sessions_ledger import Ledger
from rebake.sessions_scan import Asked, scan_and_show
from rebake.sign.sbom import Contents, cyclonedx
from unit.scan.test_image_rules import CONFIG, FILES, KEY, archive, layer

REPOSITORY = Path(__file__).parents[3]
Capsys = pytest.CaptureFixture[str]
posix = pytest.mark.skipif(sys.platform == "win32", reason="the fakes are shell scripts")


@pytest.mark.parametrize(
    ("posargs", "environ", "expected"),
    [
        ([], {}, Asked((), False, False)),
        (["--strict", "--json"], {}, Asked((), True, True)),
        ([], {"CI": "true"}, Asked((), False, True)),
        (["a:1", "b:2", "a:1"], {}, Asked(("a:1", "b:2"), False, False)),
    ],
)
def test_what_is_asked(posargs: list[str], environ: dict[str, str], expected: Asked) -> None:
    assert Asked.of(posargs, environ) == expected


def test_a_flag_that_there_is_not() -> None:
    with pytest.raises(UsageError, match="scan takes no --jsn") as caught:
        Asked.of(["--jsn"], {})
    assert caught.value.hint == "did you mean --json?"


class Bench:
    """A project without sources, and programs that stand in for docker and trivy."""

    def __init__(self, home: Path) -> None:
        self.home, self.root, self.cache = home, home / "p", home / "cache"
        self.root.mkdir()
        (home / "bin").mkdir()
        shutil.copy(REPOSITORY / "noxfile.py", self.root)
        self.configure()
        write_database(self.cache)
        self.image()
        self.trivy({"SchemaVersion": 2}, 0)
        self._program(
            "docker",
            f'echo "$1" >> "{home}/docker.calls"',
            'case "$*" in',
            '  version*) echo \'{"Client":{"Version":"28.0.0"},"Server":{"Version":"28.0.0"}}\';;',
            f'  save*) cp "{home}/image.tar" "$3";;',
            "  *) exit 1;;",
            "esac",
        )

    def configure(self, text: str = "") -> None:
        scan = f'[scan]\noffline = true\ndb_folder = "{self.cache}"\n'
        (self.root / "rebake.toml").write_text(f'[project]\nname = "p"\n{scan}{text}')

    def image(self, **config: Any) -> None:
        archive(self.home / "image.tar", [layer(FILES)], config={**CONFIG, **config})

    def attested(self, *statements: Statement) -> Archive:
        made = Archive([layer(FILES)], CONFIG, *statements)
        made.write(self.home / "image.tar")
        return made

    def trivy(self, report: Any, code: int) -> None:
        (self.home / "report.json").write_text(json.dumps(report))
        self._program(
            "trivy",
            'if [ "$1" = --version ]; then echo Version: 0.74.0; exit 0; fi',
            'while [ "$1" != --output ]; do shift; done',
            f'cp "{self.home}/report.json" "$2"; exit {code}',
        )

    def _program(self, name: str, *lines: str) -> None:
        file = self.home / "bin" / name
        file.write_text("#!/bin/sh\n" + "\n".join(lines) + "\n")
        file.chmod(0o755)

    def scan(self, *posargs: str) -> int:
        """The session in this very process: a Nox for each test would take a second."""
        self.ledger = ledger = Ledger()
        session: Any = Session(list(posargs))
        try:
            scan_and_show(session, self.root, ledger)
        except Ended as error:
            sys.stderr.write(f"{error}\n")
            return ledger.scan_code or 1
        return 0

    def document(self, name: str = "scan.json") -> Any:
        return json.loads((self.root / ".rebake/scan" / name).read_text())


@dataclass
class Session:
    """As much of a session of Nox's as is used."""

    posargs: list[str]

    def error(self, message: str) -> NoReturn:
        raise Ended(message)

    def skip(self, message: str) -> NoReturn:
        raise Skipped(message)


class Ended(Exception):
    pass


class Skipped(Exception):
    pass


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    bench = Bench(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    # Nothing that this machine has built for itself counts.
    monkeypatch.setattr(tools, "tool_folder", lambda: tmp_path / "tools")
    # Nor does the engine that runs here.
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    monkeypatch.setenv("REBAKE_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.delenv("CI", raising=False)
    engine = Endpoint("default", "unix:///no", tmp_path / "bin" / "docker")
    monkeypatch.setattr(sessions_scan, "find_engine", lambda *_, **__: engine)
    return bench


HOLED = {
    "SchemaVersion": 2,
    "Results": [{"Target": "x", "Vulnerabilities": [
        {"VulnerabilityID": "CVE-2099-0001", "PkgName": "ammonia", "InstalledVersion": "1.9.0",
         "FixedVersion": "2.1.0", "Severity": "CRITICAL", "Title": "a hole"}]}],
}  # fmt: skip


@posix
def test_a_clean_image_passes_and_leaves_reports(bench: Bench, capsys: Capsys) -> None:
    assert bench.scan("shop:1") == 0
    told = capsys.readouterr()
    assert "rules shop:1: ok" in told.out
    assert "scan: passed (1 image, limit high" in told.out
    assert bench.document()["images"] == ["shop:1"]
    assert bench.document("scan.sarif")["version"] == "2.1.0"
    assert "scan: passed" in (bench.root / ".rebake/scan/scan.html").read_text()
    assert not (bench.root / ".rebake/scan/work").exists()


@posix
def test_findings_set_the_exit_code_and_json_is_one_document(bench: Bench, capsys: Capsys) -> None:
    bench.trivy(HOLED, 42)
    bench.image(User="root")
    assert bench.scan("shop:1", "--json") == 14
    told = capsys.readouterr()
    assert told.out == ""
    document = bench.ledger.document()  # which the end of the run writes to the real stdout
    assert document == bench.document()
    assert [one["id"] for one in document["findings"]] == ["CVE-2099-0001", "image-root"]
    assert "rules shop:1: 1 FAIL" in told.err


@posix
def test_images_that_are_not_there_are_told_at_once(bench: Bench, capsys: Capsys) -> None:
    bench.scan()
    first = capsys.readouterr().out.splitlines()[0]
    assert first.startswith("  there is no image p-")
    assert first.endswith("-ui:prod: invoke build makes them")


@posix
def test_ignores_let_through_until_their_day(bench: Bench, capsys: Capsys) -> None:
    bench.trivy(HOLED, 42)
    entry = '[[scan.ignore]]\nid = "CVE-2099-0001"\nreason = "not reached"\nexpires = {}\n'
    bench.configure(entry.format("2999-01-01"))
    assert bench.scan("shop:1") == 0
    told = capsys.readouterr()
    assert "ignored until 2999-01-01  critical  CVE-2099-0001" in told.out
    bench.configure(entry.format("2020-01-01"))
    assert bench.scan("shop:1") == 1
    told = capsys.readouterr()
    assert "the ignore of CVE-2099-0001 expired on 2020-01-01 (not reached)" in told.out
    assert "CRITICAL CVE-2099-0001" in told.out


@posix
def test_the_limit_of_the_settings(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.image(User="root")
    assert bench.scan("shop:1") == 13
    monkeypatch.setenv("REBAKE_SCAN_SEVERITY", "critical")
    assert bench.scan("shop:1") == 0


@posix
def test_what_an_image_must_come_with(bench: Bench, capsys: Capsys) -> None:
    bench.attested()
    assert bench.scan("shop:1") == 0  # nothing is asked for
    assert "attestations" not in capsys.readouterr().out
    bench.configure('[sign]\nattestations = ["sbom", "provenance"]\nfolder = "signatures"\n')
    assert bench.scan("shop:1") == 14
    told = capsys.readouterr().out
    assert "attestations shop:1: 2 FAIL" in told
    assert "CRITICAL image-sbom: shop:1" in told
    assert "it has no list of its parts (SBOM)" in told
    assert "CRITICAL image-provenance: shop:1" in told
    assert "invoke build, on an engine with the containerd image store" in told
    bench.attested(provenance, document_of_parts)
    assert bench.scan("shop:1") == 0
    assert "attestations shop:1: ok" in capsys.readouterr().out
    bench.attested(lambda _: provenance("sha256:" + "0" * 64), document_of_parts)
    assert bench.scan("shop:1") == 14
    assert "it has no provenance of its own: what it carries is about" in capsys.readouterr().out


@posix
def test_a_list_of_parts_beside_the_signatures(bench: Bench) -> None:
    bench.configure('[sign]\nattestations = ["sbom"]\nfolder = "signatures"\n')
    digest = bench.attested(provenance).digest
    folder = bench.root / "signatures"
    folder.mkdir()
    for name, rule in ((digest, 0), ("sha256:" + "0" * 64, 14)):
        contents = Contents("shop/api", name, 1.0, (), (), {})
        (folder / "api.cdx.json").write_text(cyclonedx(contents))
        assert bench.scan("shop:1") == rule


@posix
def test_a_broken_database_is_never_clean(bench: Bench, capsys: Capsys) -> None:
    file = bench.cache / "db" / "trivy.db"
    file.write_bytes(file.read_bytes()[:-SIZE])
    assert bench.scan("shop:1") == 1
    told = capsys.readouterr()
    assert "NOT PASSED: database: " in told.out
    assert "is cut off" in told.out
    assert "scan: could not be done" in told.out


@posix
def test_a_refused_scanner_stops_the_scan(bench: Bench, capsys: Capsys) -> None:
    bench._program("trivy", "echo Version: 0.69.4")
    assert bench.scan("shop:1") == 1
    told = capsys.readouterr()
    assert "trivy 0.69.4 is refused" in told.err


@posix
def test_a_missing_scanner_is_told_and_fails_where_it_must(bench: Bench, capsys: Capsys) -> None:
    bench._program("trivy", "exit 1")
    assert bench.scan("shop:1") == 0
    told = capsys.readouterr()
    assert "image shop:1: skipped: missing: trivy (" in told.out
    assert "not looked at: database, image shop:1" in told.out
    assert bench.scan("shop:1", "--strict") == 1
    told = capsys.readouterr()
    assert "NOT PASSED: image shop:1: trivy (" in told.out


@posix
def test_where_nothing_can_be_looked_at_the_session_is_skipped(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions_scan, "find_engine", lambda *_, **__: "a Docker engine (none)")
    bench._program("trivy", "exit 1")
    with pytest.raises(Skipped, match="a Docker engine"):
        bench.scan("shop:1")


@posix
def test_a_whole_project_whose_bases_are_pinned_by_the_lock_file(
    bench: Bench, capsys: Capsys
) -> None:
    (bench.root / "backend").mkdir()
    (bench.root / "docker").mkdir()
    text = "ARG RUST_IMAGE=other:1\nFROM ${RUST_IMAGE} AS rust\nFROM scratch\n"
    (bench.root / "backend" / "Dockerfile").write_text(text)
    bench.configure('[base_images]\nrust = "rust:1.97-slim-trixie"\n')
    assert bench.scan() == 13
    told = capsys.readouterr().out
    assert "HIGH dockerfile-unpinned: backend/Dockerfile:2" in told
    assert "rust:1.97-slim-trixie has no digest in base-images.lock.json" in told
    lock = {"schema_version": 1, "images": {"rust:1.97-slim-trixie": "sha256:" + "0" * 64}}
    (bench.root / "docker" / "base-images.lock.json").write_text(json.dumps(lock))
    assert bench.scan() == 0
    document = bench.document()
    assert {name: part["state"] for name, part in document["parts"].items()} == {
        "database": "ok", "contexts": "ok", "dockerfile rules": "ok", "dockerfiles": "ok",
        "image api:prod": "ok", "rules api:prod": "ok", "image worker:prod": "ok",
        "rules worker:prod": "ok", "image ui:prod": "ok", "rules ui:prod": "ok",
    }  # fmt: skip
    assert [image.partition("-")[0] for image in document["images"]] == ["p", "p", "p"]
    # Without a compose file nobody is asked how Compose would read it.
    assert set((bench.home / "docker.calls").read_text().split()) == {"image", "save"}
    # Nor where the project was adopted: its stack is its own, its images are ours.
    own = '[base_images]\nrust = "rust:1.97-slim-trixie"\n'
    bench.configure(f'[docker]\ncompose_prod = ""\ncompose_dev = ""\n{own}')
    assert bench.scan() == 0
    assert bench.document()["parts"].keys() == document["parts"].keys()


@posix
@pytest.mark.parametrize(
    ("name", "text", "rule"),
    [
        (".env", "A=b\n", "context-secret"),
        ("crates/id_ed25519", "x\n", "context-secret"),
        ("crates/a.rs", f'const KEY: &str = "{KEY}";\n', "context-secret"),
        (".git/HEAD", "ref: refs/heads/main\n", "context-git"),
    ],
)
def test_what_should_not_travel_to_the_builder(
    bench: Bench, capsys: Capsys, name: str, text: str, rule: str
) -> None:
    file = bench.root / "backend" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    (bench.root / "backend" / "Dockerfile").write_text("FROM scratch\n")
    (bench.root / "backend" / "main.rs").write_text("fn main() {}\n")
    assert bench.scan() == 0
    file.write_text(text)
    assert bench.scan() == 13
    ignored = name.partition("/HEAD")[0]
    found = [(one["id"], one["target"]) for one in bench.document()["findings"]]
    assert found == [(rule, f"backend/{ignored}")]
    (bench.root / "backend" / ".dockerignore").write_text(f"{ignored}\n")
    assert bench.scan() == 0
    assert KEY not in capsys.readouterr().out


@posix
def test_a_wrong_flag_is_no_traceback(bench: Bench, capsys: Capsys) -> None:
    assert bench.scan("--jsn") == 2
    told = capsys.readouterr()
    assert "scan takes no --jsn" in told.err


def test_a_scan_leaves_the_exit_code_to_what_else_failed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from rebake.checks.plan import Part
    from rebake.checks.run import Finished

    ended: list[int] = []
    monkeypatch.setattr(os, "_exit", ended.append)
    ledger = Ledger(scan_code=13)
    ledger.close()
    ledger.add("lint", [Finished(Part("mypy", "python", ()), "failed", 1.0, 3)])
    ledger.close()
    Ledger().close()
    assert ended == [13]


def test_nox_itself_ends_with_the_code_of_a_scan(tmp_path: Path) -> None:
    (tmp_path / "noxfile.py").write_text(
        "import atexit, nox\n"
        "from rebake.sessions_ledger import Ledger\n"
        "ledger = Ledger()\n"
        "atexit.register(ledger.close)\n"
        "@nox.session(venv_backend='none')\n"
        "def scan(session):\n"
        "    ledger.scan_code = 13\n"
        "    session.error('1 high')\n"
    )
    env = {k: v for k, v in os.environ.items() if k not in {"FORCE_COLOR", "PYTHONPATH"}}
    done = subprocess.run(
        [sys.executable, "-m", "nox", "-s", "scan"],
        cwd=tmp_path, env=env, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 13, done.stderr
    assert "1 high" in done.stderr
