"""The parts of `lint` that take long or need an engine, each on a thing that is broken for real."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import platformdirs
import pytest

from checks_bench import Linted, failed, write_linted_project
from e2e.support import REPOSITORY
from rebake.checks import sqlx
from rebake.checks.plan import Part
from rebake.checks.run import Finished
from rebake.sessions import Check
from rebake.sessions_ledger import Options

pytestmark = pytest.mark.engine

FOLDER = platformdirs.user_cache_path("rebake") / "e2e-lint" / "a b,ü"


@pytest.fixture(scope="module")
def linted() -> Linted:
    """The small project, with the UI and the rules for licences of this repository."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    linted = write_linted_project(FOLDER)
    shutil.copy(REPOSITORY / "backend" / "deny.toml", FOLDER / "backend")
    for manifest in (FOLDER / "backend" / "crates").glob("*/Cargo.toml"):
        text = manifest.read_text()  # what is never published needs no licence
        manifest.write_text(text.replace("[package]\n", "[package]\npublish = false\n"))
    shutil.rmtree(FOLDER / "ui")
    words = ("git", "ls-files", "-z", "ui")
    listed = subprocess.run(words, cwd=REPOSITORY, check=True, capture_output=True, text=True)
    for name in listed.stdout.split("\0"):
        if name:
            (FOLDER / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPOSITORY / name, FOLDER / name)
    return linted


def states(done: Mapping[str, Finished]) -> set[str]:
    return {finished.state for finished in done.values()}


def test_python(linted: Linted) -> None:
    assert states(linted.lint("python")) == {"ok"}
    linted.write("src/bad.py", "import os\nx: int = 'a'\ny = ( 1)\n")
    linted.write("scripts/worse.py", "def f(:\n")
    done = linted.lint("python")
    failed(done["ruff check"], "src/bad.py:1:8", "F401")
    failed(done["ruff format"], "src/bad.py")
    failed(done["py_compile"], "scripts/worse.py")
    linted.write("scripts/worse.py", "Z = 1\n")
    failed(linted.lint("python")["mypy"], "src/bad.py:2", "Incompatible types")


def test_rust(linted: Linted) -> None:
    file = linted.root / "backend/crates/core/src/lib.rs"
    rules = linted.root / "backend/deny.toml"
    text, allowed = file.read_text(), rules.read_text()
    before = linted.lint("rust", engine=True)
    assert before["cargo deny"].state == "ok", before["cargo deny"].output
    file.write_text(text + "\n/// Broken.\npub fn worse(x: u8) -> bool {\n    return  x == x;\n}\n")
    rules.write_text(allowed.replace("deny = [", 'deny = [\n    { crate = "core_lib" },'))
    try:
        done = linted.lint("rust", engine=True)
    finally:
        file.write_text(text)
        rules.write_text(allowed)
    failed(done["clippy"], "crates/core/src/lib.rs:10:", "equal expressions")
    failed(done["rustfmt"], "crates/core/src/lib.rs:")
    failed(done["cargo deny"], "error[banned]", "core_lib")


def test_typescript(linted: Linted) -> None:
    done = linted.lint("typescript", engine=True)
    assert states(done) == {"ok"}, [part.output for part in done.values()]
    linted.write("ui/src/broken.ts", 'export const broken: number = "no";\ndebugger;\n')
    rules = linted.root / "backend" / "deny.toml"
    text = rules.read_text()
    rules.write_text(text.replace('    "MIT",\n', ""))
    done = linted.lint("typescript", engine=True)
    rules.write_text(text)
    failed(done["tsc"], "src/broken.ts", "TS2322")
    failed(done["biome"], "src/broken.ts", "noDebugger")
    failed(done["ui licences"], "react@", "its licence (MIT) is not in licenses.allow")
    manifest = linted.root / "ui" / "package.json"
    lines = manifest.read_text().splitlines(keepends=True)
    manifest.write_text("".join(line for line in lines if '"@types/bun"' not in line))
    done = linted.lint("typescript", engine=True)
    failed(done["bun install"], "lockfile")
    assert done["tsc"].state == "skipped"


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("ARG API_TOKEN=abc", "SecretsUsedInArgOrEnv"),
        ("COPI a /a", "unknown instruction"),
    ],
)
def test_the_builders_own_check(linted: Linted, line: str, rule: str) -> None:
    file = linted.root / "backend" / "Dockerfile"
    text = file.read_text()
    file.write_text(f"{text}{line}\n")
    try:
        done = linted.lint("dockerfiles", engine=True)
    finally:
        file.write_text(text)
    failed(done["check backend/Dockerfile"], rule, f"Dockerfile:{text.count(chr(10)) + 1}")
    assert done["check ui/Dockerfile"].state == "ok", done["check ui/Dockerfile"].output


def test_compose(linted: Linted) -> None:
    assert states(linted.lint("compose", engine=True)) == {"ok"}
    file = linted.root / "docker" / "docker-compose.yml"
    text = file.read_text()
    file.write_text(text.replace("cap_drop: [ALL]", "cap_dorp: [ALL]"))
    try:
        done = linted.lint("compose", engine=True)
    finally:
        file.write_text(text)
    failed(done["docker-compose.yml"], "cap_dorp")
    assert done["docker-compose.dev.yml"].state == "ok"


def test_query_data(tmp_path: Path) -> None:
    """On this repository, whose queries `lint` has compiled before: sqlx alone takes minutes."""
    check = Check(REPOSITORY, Options(strict=False), makes_engine=True)
    cargo = check.tool("cargo", Part("sqlx data", "rust", (), "cargo"))
    assert not isinstance(cargo, str), cargo
    scratch = REPOSITORY / ".rebake" / "e2e-lint"
    shutil.rmtree(scratch, ignore_errors=True)
    fresh, broken = scratch / "fresh", tmp_path / "sqlx"
    fresh.mkdir(parents=True)
    try:
        wrong = sqlx.generate(cargo, REPOSITORY / "backend", scratch, fresh, {})
        assert wrong is None, wrong
        assert sqlx.differences(fresh, REPOSITORY / "backend" / ".sqlx") == []
        shutil.copytree(REPOSITORY / "backend" / ".sqlx", broken)
        first, second, *_ = sorted(broken.glob("*.json"))
        first.rename(broken / "query-0.json")
        second.write_text(second.read_text().replace('"nullable"', '"nulable"'))
        found = {(change.name, change.kind) for change in sqlx.differences(fresh, broken)}
    finally:
        shutil.rmtree(scratch)
    assert found == {
        (first.name, "added"),
        ("query-0.json", "removed"),
        (second.name, "changed"),
    }
