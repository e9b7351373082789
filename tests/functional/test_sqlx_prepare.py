"""`sqlx-prepare` as a user runs it, with a cargo that only pretends to compile."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from rebake.cli import main

# What sqlx's macros would write: the tables that the migrations made.
CARGO = """\
#!/bin/sh
case "$1" in
--version) echo "cargo 1.95.0"; exit 0 ;;
esac
[ -e broken ] && { echo "error: no column named y" >&2; exit 101; }
exec "$PYTHON" - "$@" <<'EOF'
import os, pathlib, sqlite3, sys
assert sys.argv[1:6] == ["rustc", "--quiet", "--locked", "-p", "app-core"], sys.argv
assert os.environ["SQLX_OFFLINE"] == "false"
database = sqlite3.connect(os.environ["DATABASE_URL"].removeprefix("sqlite:"))
names = [row[0] for row in database.execute("select name from sqlite_master")]
(pathlib.Path(os.environ["SQLX_OFFLINE_DIR"]) / "query-1.json").write_text(" ".join(names))
EOF
"""

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the fake is a shell script")


class Desk:
    """A project with a query, and the command line run in it."""

    def __init__(
        self, root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.root, self._patch, self._capsys = root, monkeypatch, capsys
        for name, text in {
            "rebake.toml": '[project]\nname = "shop"\n',
            "backend/Cargo.toml": '[workspace]\nmembers = ["crates/*"]\n'
            '[workspace.package]\nrust-version = "1.90"\n',
            "backend/crates/core/Cargo.toml": '[package]\nname = "app-core"\n',
            "backend/crates/core/src/lib.rs": 'sqlx::query!("select 1")',
            "backend/migrations/1_a.sql": "create table a (x);",
            "backend/.sqlx/query-1.json": "a",
            "backend/.sqlx/query-2.json": "old",
            "bin/cargo": CARGO,
        }.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
        (root / "bin" / "cargo").chmod(0o755)
        monkeypatch.setenv("PATH", f"{root / 'bin'}:{os.environ['PATH']}")
        monkeypatch.setenv("PYTHON", sys.executable)
        monkeypatch.setenv("REBAKE_STATE_HOME", str(root.parent / "state"))
        monkeypatch.setenv("DOCKER_HOST", f"unix://{root}/no.sock")
        monkeypatch.chdir(root)

    def run(self, *words: str) -> tuple[object, str, str]:
        """Exit code, stdout and stderr."""
        self._patch.setattr("sys.argv", ["rebake", "sqlx-prepare", *words])
        code: object = 0
        try:
            main()
        except SystemExit as error:
            code = error.code or 0
        out, err = self._capsys.readouterr()
        return code, out, err

    @property
    def data(self) -> dict[str, str]:
        return {file.name: file.read_text() for file in (self.root / "backend/.sqlx").iterdir()}


@pytest.fixture
def desk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Desk:
    return Desk(tmp_path / "a b,ü", monkeypatch, capsys)


def test_check_names_what_is_out_of_date_and_changes_nothing(desk: Desk) -> None:
    before = desk.data
    code, out, err = desk.run("--check")
    assert (code, out) == (1, "")
    assert "error: 1 file of query data out of date" in err
    assert ".sqlx/query-2.json: no query needs it" in err
    assert "next: invoke sqlx-prepare, and commit what it writes" in err
    assert desk.data == before


def test_it_brings_the_data_up_to_date(desk: Desk) -> None:
    code, out, err = desk.run()
    assert (code, out) == (0, "removed .sqlx/query-2.json\n")
    assert "compiling the queries of app-core" in err
    assert desk.data == {"query-1.json": "a"}
    assert desk.run("--check")[0] == 0
    code, out, err = desk.run()
    assert (code, out) == (0, "")
    assert "backend/.sqlx is up to date" in err


def test_its_document(desk: Desk) -> None:
    (desk.root / "backend/.sqlx/query-1.json").unlink()
    code, out, _ = desk.run("--json")
    document = json.loads(out)
    assert document.pop("seconds") >= 0
    assert (code, document) == (
        0,
        {
            "schema_version": 1,
            "folder": "backend/.sqlx",
            "packages": ["app-core"],
            "changes": [
                {"file": "query-1.json", "change": "added"},
                {"file": "query-2.json", "change": "removed"},
            ],
        },
    )


def test_a_query_that_does_not_compile(desk: Desk) -> None:
    (desk.root / "backend/broken").touch()
    before = desk.data
    code, _, err = desk.run()
    assert code == 1
    assert "no column named y" in err
    assert "next: mend the query or the migration" in err
    assert desk.data == before


def test_a_project_without_migrations(desk: Desk) -> None:
    (desk.root / "backend/migrations/1_a.sql").unlink()
    (desk.root / "backend/migrations").rmdir()
    code, _, err = desk.run()
    assert code == 2
    assert "migrations: is not there" in err


def test_a_cargo_that_is_too_old_needs_an_engine(desk: Desk) -> None:
    cargo = desk.root / "bin" / "cargo"
    cargo.write_text(CARGO.replace("1.95.0", "1.80.0"))
    (desk.root / "rebake.toml").write_text('[project]\nname = "shop"\n[engine]\nkind = "system"\n')
    code, _, err = desk.run()
    assert code == 69
    assert "no cargo that is new enough on this machine" in err
