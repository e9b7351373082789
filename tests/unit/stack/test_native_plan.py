"""The plan of native mode, and what is read from cargo."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from rebake.config.values import table_of, tree_of
from rebake.project.project import Project, open_project
from rebake.stack import native_build, native_plan
from rebake.stack.native_plan import Tools, from_json, make_plan, to_json

posix = pytest.mark.skipif(sys.platform == "win32", reason="sockets are passed on POSIX")
TOOLS = Tools(Path("/tools/cargo"), Path("/tools/bun/bun"))
PORTS = {"api": 5174, "mail-er": 5175, "ui": 5173}


def project_with(root: Path, *services: str) -> Project:
    (root / "rebake.toml").touch()
    (root / "backend").mkdir()
    (root / "backend" / "Cargo.lock").write_text('[[package]]\nname = "listenfd"\n')
    loaded = open_project(root).loaded
    tree = tree_of(loaded.config)
    tree["backend"]["services"] = list(services)
    return Project(root, replace(loaded, config=table_of(tree)))


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return project_with(tmp_path, "api", "mail-er")


def test_one_build_for_all_binaries(project: Project) -> None:
    plan = make_plan(project, PORTS, TOOLS, data=Path("/data"), mark="m")
    assert plan.build == (
        "/tools/cargo", "build", "--locked", "--bin", "api", "--bin", "mail-er",
        "--message-format", "json-render-diagnostics",
    )  # fmt: skip
    assert plan.install == ("/tools/bun/bun", "install", "--frozen-lockfile")
    assert plan.build_command().cwd == project.backend
    assert plan.install_command().cwd == project.ui
    assert plan.binaries == ("api", "mail-er")


def test_npm_installs_and_bun_serves(project: Project) -> None:
    tree = tree_of(project.config)
    tree["ui"]["manager"] = "npm"
    config = table_of(tree)
    npm = Project(project.root, replace(project.loaded, config=config))
    tools = replace(TOOLS, npm=Path("/tools/npm"))
    plan = make_plan(npm, PORTS, tools, data=Path("/data"), mark="m")
    assert plan.install == (
        *("/tools/npm", "install", "--no-save"),
        *("--prefer-offline", "--no-audit", "--no-fund"),
    )
    assert plan.lock == "package-lock.json"
    assert plan.service("ui").argv == ("/tools/bun/bun", "run", "dev")
    assert from_json(to_json(plan)) == plan


@posix
def test_services(project: Project) -> None:
    plan = make_plan(project, PORTS, TOOLS, data=Path("/data"), mark="m")
    api, mailer, ui = plan.services
    assert api.env["API_ADDR"] == "127.0.0.1:5174"
    assert mailer.env["MAIL_ER_ADDR"] == "127.0.0.1:5175"
    assert api.env["DATABASE_URL"] == mailer.env["DATABASE_URL"] == "sqlite:///data/app.db"
    assert api.env["LISTEN_PID"] is None
    assert api.pass_socket
    assert not ui.pass_socket
    assert ui.argv == ("/tools/bun/bun", "run", "dev")
    assert ui.env["HOST"] == "127.0.0.1"
    assert ui.env["PORT"] == "5173"
    assert ui.env["API_URL"] == "http://127.0.0.1:5174"
    assert plan.urls["ui"] == "http://127.0.0.1:5173"
    assert api.health_url == "http://127.0.0.1:5174/healthz"
    command = plan.command(api, Path("/target/debug/api"))
    assert command.argv == ("/target/debug/api",)
    assert command.env[native_plan.MARK] == "m"
    path = plan.command(ui).env["PATH"]
    assert path is not None
    assert path.startswith("/tools/bun" + os.pathsep)


def test_no_socket_for_services_that_take_none(project: Project) -> None:
    (project.backend / "Cargo.lock").write_text('[[package]]\nname = "listenfd-like"\n')
    plan = make_plan(project, PORTS, TOOLS, data=Path("/data"), mark="m")
    assert not any(service.pass_socket for service in plan.services)


def test_the_first_service_stands_for_a_missing_api(tmp_path: Path) -> None:
    project = project_with(tmp_path, "main")
    plan = make_plan(project, {"main": 1234, "ui": 1235}, TOOLS, data=Path("/data"), mark="m")
    assert plan.service("ui").env["API_URL"] == "http://127.0.0.1:1234"


@pytest.mark.parametrize(
    ("address", "where", "url"),
    [
        ("127.0.0.1", "127.0.0.1:80", "http://127.0.0.1:80"),
        ("0.0.0.0", "0.0.0.0:80", "http://127.0.0.1:80"),
        ("::1", "[::1]:80", "http://[::1]:80"),
        ("::", "[::]:80", "http://[::1]:80"),
    ],
)
def test_addresses(address: str, where: str, url: str) -> None:
    assert native_plan.host_and_port(address, 80) == where
    assert native_plan.url(address, 80) == url


@posix
def test_a_database_file_with_odd_letters() -> None:
    url = native_plan.database_url(Path("/a b/50%,ü?/app.db"))
    assert url == "sqlite:///a%20b/50%25%2C%C3%BC%3F/app.db"


def test_a_plan_travels_as_json(project: Project) -> None:
    plan = make_plan(project, PORTS, TOOLS, data=Path("/data"), mark="m", owner=(12, 3.5))
    read = from_json(to_json(plan))
    assert read == plan
    assert plan.same_stack(read)
    other = make_plan(project, {**PORTS, "ui": 9}, TOOLS, data=Path("/data"), mark="m")
    assert not plan.same_stack(other)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema_version": 99}', "null"])
def test_what_is_no_plan(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        from_json(text)


def test_cargo_lines_come_apart() -> None:
    line = "    Building [====>   ] 43/151: sqlx, tokio\r\x1b[K   Compiling axum v0.8.9"
    events = native_build.read_line(line)
    assert (events.done, events.total) == (43, 151)
    assert events.texts == ("   Compiling axum v0.8.9",)
    assert native_build.read_line("    Building [=> ] 1/2: x(bin)\r").texts == ()
    assert native_build.read_line("").texts == ("",)


@pytest.mark.parametrize(
    ("text", "noise"),
    [
        ("   Compiling axum v0.8.9", True),
        ("    Finished `dev` profile [unoptimized] target(s) in 0.16s", True),
        ("    Blocking waiting for file lock on build directory", True),
        ("error[E0425]: cannot find value", False),
        ("warning: unused import", False),
        ("     Running the thing", False),
    ],
)
def test_noise(text: str, noise: bool) -> None:
    assert native_build.is_noise(text) is noise


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("crates/api/src/main.rs", True),
        ("migrations/0001.sql", True),
        (".sqlx/query.json", True),
        ("target/debug/api", False),
        ("data/app.db", False),
        ("data/app.db-wal", False),
        ("src/.main.rs.swp", False),
        ("src/main.rs~", False),
    ],
)
def test_sources(name: str, counts: bool) -> None:
    assert native_build.is_source(Path("/b") / name, Path("/b")) is counts


def test_a_file_that_looks_older_than_the_build_is_touched(tmp_path: Path) -> None:
    kept, changed, new = (tmp_path / name for name in ("kept.rs", "changed.rs", "new.rs"))
    old = time.time() - 1000
    for file in (kept, changed):
        file.write_text("one")
        os.utime(file, (old, old))
    record = native_build.SourceRecord().freshen(tmp_path)
    file = tmp_path / "target" / "sources.json"
    record.save(file)
    assert changed.stat().st_mtime == pytest.approx(old)  # nothing is known of a first build

    changed.write_text("two")
    new.write_text("new")
    for one in (changed, new):
        os.utime(one, (old, old))
    native_build.SourceRecord.load(file).freshen(tmp_path)
    assert changed.stat().st_mtime > old + 500
    assert kept.stat().st_mtime == pytest.approx(old)
    assert new.stat().st_mtime == pytest.approx(old)


def test_a_broken_record_of_sources_counts_as_none(tmp_path: Path) -> None:
    file = tmp_path / "sources.json"
    for text in ("{", "[]", '{"digests": 3, "built_ns": 1}'):
        file.write_text(text)
        assert native_build.SourceRecord.load(file) == native_build.SourceRecord()
