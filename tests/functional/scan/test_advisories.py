"""The real cargo-deny with a database of advisories of our own: what it finds, and what it can't.

Without a network, an engine or another scanner: a git repository here stands in for RustSec's.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from advisories import ADVISORY, write_advisories, write_workspace
from rebake import sessions_scan
from rebake.scan import tools
from rebake.scan.findings import PartResult
from rebake.sessions_scan import Asked, scan

pytestmark = pytest.mark.skipif(
    shutil.which("cargo") is None or shutil.which("git") is None, reason="missing: cargo, git"
)
OWN = '[advisories]\ndb-urls = ["https://advisories.invalid/ours"]\n'


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No engine, no scanner of this machine, and a home of cargo's of its own."""
    monkeypatch.setattr(sessions_scan, "find_engine", lambda *_, **__: "a Docker engine (none)")
    monkeypatch.setattr(tools, "tool_folder", lambda: tmp_path / "tools")
    monkeypatch.setattr(tools, "which", lambda _name: None)
    monkeypatch.setenv("CARGO_HOME", str(tmp_path / "cargo"))
    monkeypatch.setenv("REBAKE_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    for name in [name for name in os.environ if name.startswith("GIT_CONFIG_")]:
        monkeypatch.delenv(name)


class Bench:
    """A project, and a place for databases."""

    def __init__(self, home: Path) -> None:
        self.home, self.root = home, home / "a b"
        write_workspace(self.root, rules="")
        self.configure()

    def configure(self, text: str = "") -> None:
        cache = f'db_folder = "{(self.home / "cache").as_posix()}"\n'
        (self.root / "rebake.toml").write_text(f'[project]\nname = "p"\n[scan]\n{cache}{text}')

    def names(self, repository: str, *, offline: bool = False) -> None:
        self.configure(f'advisory_repository = "{repository}"\noffline = {str(offline).lower()}\n')

    def advisories(self) -> tuple[PartResult, int]:
        """How the part ended, and the exit code of the scan."""
        result = scan(self.root, Asked((), as_json=False, strict=False), say=lambda _line: None)
        (part,) = (part for part in result.parts if part.name == "advisories")
        return part, result.exit_code


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with one advisory; no test may change it."""
    return write_advisories(tmp_path_factory.mktemp("advisories") / "data base")


@pytest.mark.parametrize("place", ["../data base", "file://{home}/data%20base"])
def test_a_hole_is_named(bench: Bench, database: Path, place: str) -> None:
    (bench.home / "data base").symlink_to(database)
    bench.names(place.format(home=bench.home.as_posix()))
    part, code = bench.advisories()
    assert (part.state, code) == ("failed", 13), part.note
    (hole,) = part.failing
    assert (hole.id, hole.package, hole.version) == (ADVISORY, "ammonia", "1.9.0")
    assert (hole.target, hole.message) == ("backend/Cargo.lock", "A hole in ammonia")
    assert hole.fix.startswith("Upgrade to >=2.1.0")


def test_a_crate_without_a_hole_passes(bench: Bench, database: Path) -> None:
    write_workspace(bench.root, "2.1.0", rules="")
    bench.names(str(database))
    part, code = bench.advisories()
    assert (part.state, part.failing, code) == ("ok", [], 0), part.note


def test_without_a_network_what_was_fetched_before_is_read(bench: Bench) -> None:
    database = write_advisories(bench.home / "database")
    bench.names("../database")
    bench.advisories()
    shutil.rmtree(database)
    bench.names("../database", offline=True)
    part, code = bench.advisories()
    assert ([one.id for one in part.failing], code) == ([ADVISORY], 13)


def test_one_that_deny_toml_names_stays(
    bench: Bench, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Settings of git that the environment has already stay, too: they lead to this one.
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", f"url.{database}.insteadOf")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "https://advisories.invalid/ours")
    (bench.root / "backend" / "deny.toml").write_text(OWN)
    bench.names("../not-asked")
    part, code = bench.advisories()
    assert ([one.id for one in part.failing], code) == ([ADVISORY], 13), part.note


def broken(bench: Bench) -> str:
    """See that nothing is called clean, and return what is told."""
    part, code = bench.advisories()
    assert (part.state, code) == ("broken", 1)
    assert "scan.advisory_repository names another one" in part.note
    return part.note


def test_one_that_is_not_there(bench: Bench) -> None:
    bench.names("../nothing")
    assert "nothing' does not appear to be a git repository" in broken(bench)


def test_without_a_network_one_that_was_never_fetched(bench: Bench) -> None:
    bench.names("", offline=True)
    assert "advisory database" in broken(bench)


def test_one_with_an_advisory_that_can_not_be_read(bench: Bench) -> None:
    write_advisories(bench.home / "database", "no advisory\n")
    bench.names("../database")
    assert "failed to parse advisory" in broken(bench)


def test_one_without_advisories(bench: Bench, database: Path) -> None:
    bench.names(str(database))
    bench.advisories()
    (fetched,) = (bench.home / "cargo" / "advisory-dbs").glob("advisory-db-*/crates")
    shutil.rmtree(fetched)
    bench.names(str(database), offline=True)
    assert "failed to find expected `crates` directory" in broken(bench)
    fetched.mkdir()
    assert "failed to load any advisories" in broken(bench)
    # And the next one that may ask mends it.
    bench.names(str(database))
    part, _ = bench.advisories()
    assert [one.id for one in part.failing] == [ADVISORY], part.note


def test_one_whose_objects_are_damaged(bench: Bench) -> None:
    database = write_advisories(bench.home / "database")
    for file in (database / ".git" / "objects").rglob("*"):
        if file.is_file():
            file.chmod(0o644)
            file.write_bytes(file.read_bytes()[:5])
    bench.names("../database")
    broken(bench)


def test_without_a_network_one_that_is_too_old(bench: Bench) -> None:
    write_advisories(bench.home / "database", day="2020-01-01")
    bench.names("../database")
    bench.advisories()
    (folder,) = (bench.home / "cargo" / "advisory-dbs").glob("advisory-db-*/.git")
    for name in ("HEAD", "FETCH_HEAD"):
        if (folder / name).exists():
            os.utime(folder / name, (1_600_000_000, 1_600_000_000))
    bench.names("../database", offline=True)
    assert "repository is stale" in broken(bench)
