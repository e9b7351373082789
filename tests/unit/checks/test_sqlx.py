"""The check of `.sqlx`, with a compiler that only pretends."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from rebake.checks import sqlx
from rebake.errors import CommandFailed, ProjectError
from rebake.process import Command

# Writes what sqlx's macros would: here, the tables that the migrated database has.
COMPILER = """
import os, pathlib, sqlite3, sys
assert os.environ["SQLX_OFFLINE"] == "false"
database = sqlite3.connect(os.environ["DATABASE_URL"].removeprefix("sqlite:"))
names = [row[0] for row in database.execute("select name from sqlite_master")]
database.close()
folder = pathlib.Path(os.environ["SQLX_OFFLINE_DIR"])
(folder / "query-1.json").write_text(" ".join(names))
"""


class FakeCargo:
    """Runs COMPILER, or fails."""

    def __init__(self, code: str = COMPILER) -> None:
        self.code = code
        self.calls: list[Sequence[str]] = []

    def command(self, argv: Sequence[str], cwd: Path, env: Mapping[str, str]) -> Command:
        self.calls.append(argv)
        return Command.of(sys.executable, "-c", self.code, cwd=cwd, env=dict(env))


@pytest.fixture
def backend(tmp_path: Path) -> Path:
    root = tmp_path / "backend"
    for name, text in {
        "crates/core/Cargo.toml": '[package]\nname = "app-core"\n',
        "crates/core/src/store.rs": 'sqlx::query_as!(Item, "select 1")',
        "crates/api/Cargo.toml": '[package]\nname = "api"\n',
        "crates/api/src/main.rs": "fn main() {}",
        "migrations/2_b.sql": "alter table a rename to b;",
        "migrations/1_a.sql": "create table a (x);",
        "migrations/10_c.sql": "alter table b rename to c;",
        "migrations/10_c.down.sql": "drop table c;",
        ".sqlx/query-1.json": "c",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def check(backend: Path, cargo: FakeCargo | None = None) -> tuple[int, list[str]]:
    outcome = sqlx.check(cargo or FakeCargo(), backend, backend.parent / "scratch", {})
    return outcome.returncode, (outcome.stdout + outcome.stderr).splitlines()


def test_data_that_fits_passes_and_nothing_is_left(backend: Path) -> None:
    cargo = FakeCargo()
    assert check(backend, cargo) == (0, [])
    assert [call[call.index("-p") + 1] for call in cargo.calls] == ["app-core"]
    assert list((backend.parent / "scratch").iterdir()) == []


def test_every_difference_is_named(backend: Path) -> None:
    (backend / ".sqlx/query-1.json").write_text("a")
    (backend / ".sqlx/query-2.json").write_text("x")
    code, lines = check(backend)
    assert code == 1
    assert lines[:2] == [
        ".sqlx/query-2.json: no query needs it",
        ".sqlx/query-1.json: differs from what the query and the migrations say",
    ]
    (backend / ".sqlx/query-1.json").unlink()
    assert ".sqlx/query-1.json: missing" in check(backend)[1]


def test_a_compiler_that_fails_is_heard(backend: Path) -> None:
    code, lines = check(backend, FakeCargo("import sys; sys.exit('no column named y')"))
    assert (code, lines) == (1, ["no column named y"])


def test_a_migration_that_is_no_sql_is_named(backend: Path) -> None:
    (backend / "migrations/11_d.sql").write_text("create tabel d;")
    with pytest.raises(ProjectError, match=r"11_d\.sql: near \"tabel\""):
        check(backend)


def prepare(backend: Path, *, write: bool = True, code: str = COMPILER) -> list[str]:
    scratch = backend.parent / "scratch"
    changes = sqlx.prepare(FakeCargo(code), backend, scratch, {}, write=write)
    assert list(scratch.iterdir()) == []
    return [f"{change.kind} {change.name}" for change in changes]


def test_prepare_makes_the_data_what_the_check_asks_for(backend: Path) -> None:
    folder = backend / ".sqlx"
    (folder / "query-1.json").write_text("a")
    (folder / "query-2.json").write_text("x")
    expected = ["removed query-2.json", "changed query-1.json"]
    assert prepare(backend, write=False) == expected
    assert sorted(file.name for file in folder.iterdir()) == ["query-1.json", "query-2.json"]
    assert prepare(backend) == expected
    assert {file.name: file.read_text() for file in folder.iterdir()} == {"query-1.json": "c"}
    assert prepare(backend) == []
    assert check(backend)[0] == 0


def test_prepare_makes_the_folder_too(backend: Path) -> None:
    (backend / ".sqlx/query-1.json").unlink()
    (backend / ".sqlx").rmdir()
    assert prepare(backend, write=False) == ["added query-1.json"]
    assert not (backend / ".sqlx").exists()
    assert prepare(backend) == ["added query-1.json"]
    assert check(backend)[0] == 0


def test_sources_that_do_not_compile_change_nothing(backend: Path) -> None:
    with pytest.raises(CommandFailed, match="no column named y"):
        prepare(backend, code="import sys; sys.exit('no column named y')")
    assert (backend / ".sqlx/query-1.json").read_text() == "c"


def test_migrations_run_by_number(backend: Path, tmp_path: Path) -> None:
    names = [file.name for file in sqlx.up_migrations(backend / "migrations")]
    assert names == ["1_a.sql", "2_b.sql", "10_c.sql"]
    sqlx.migrate(tmp_path / "x.db", backend / "migrations")
    connection = sqlite3.connect(tmp_path / "x.db")
    tables = connection.execute("select name from sqlite_master").fetchall()
    connection.close()
    assert tables == [("c",)]
