"""What people look for who come from a set-up made by hand: scripts, flags and files."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

import pytest

from rebake.checks.plan import Tree, parts_of_lint
from rebake.checks.plan_tests import parts_of_test
from rebake.config.load import defaults_text, load
from rebake.project.ignore import IgnoreMatcher
from rebake.scan import trivy
from rebake.tasks import namespace
from rebake.tasks.face import RebakeTask

ROOT = Path(__file__).parents[2]
STAGES = r"(?m)^FROM \S+ AS {}$"

# A file, and what has to be in it.
FILES = {
    "docker/build.sh": ("docker/build.sh",),
    "docker/build.ps1": ("docker/build.ps1",),
    "docker/docker-compose.dev.yml": (
        r"(?m)^ +- \.\./backend:/src$",  # mounted to be written to
        r"(?m)^ +- \.\./ui:/app$",
        r"_node_modules\$\{UI_PACKAGES:",  # the packages of one lock-file
        r"target: dev",
    ),
    "docker/docker-compose.yml": (r"target: prod", r"read_only: true", r"service_healthy"),
    "docker/docker-bake.hcl": (r'group "default"', r'group "dev"', r'target "backend-deps"'),
    "docker/BUILD_OPTIMIZATION.md": (r"docs/explanation/fastest-build\.md", r"docs/how-to/"),
    "backend/Dockerfile": (
        *(STAGES.format(stage) for stage in ("deps", "dev", "build", "prod")),
        r"--mount=type=cache,.*target=",
        r"compiler-sccache",
    ),
    "ui/Dockerfile": (
        *(STAGES.format(stage) for stage in ("deps", "dev", "build", "prod")),
        r"npm",
    ),
    "backend/.dockerignore": (r"target",),
    "ui/.dockerignore": (r"node_modules",),
    "backend/Cargo.toml": (r"\[workspace\]",),
    "backend/deny.toml": (r"\[licenses\]",),
    "scripts/bootstrap.py": (r"def main",),
    "scripts/docker_workflow_test.sh": (
        *(rf'(?m)^: "\$\{{{name}:=' for name in ("COLD_MAX_S", "HOT_MAX_S", "HEALTH_MAX_S")),
        "healthz",
    ),
    "scripts/warm-cache.sh": ("scripts/warm-cache.sh",),
    "scripts/refresh-cache.sh": ("scripts/refresh-cache.sh",),
    "scripts/test-docker-build.sh": ("scripts/test-docker-build.sh",),
    "scripts/benchmark-builds.sh": ("scripts/benchmark-builds.sh",),
    "scripts/run_tests.ps1": ("scripts/run_tests.ps1",),
    ".github/workflows/ci.yml": (r"REBAKE_CACHE_REMOTE", r"session: \[lint, test, e2e, scan\]"),
    "Makefile": (r"warm-cache", r"refresh-cache"),
    "Tiltfile": (r"local_resource",),
}


@pytest.mark.parametrize("name", FILES)
def test_the_file_is_there_and_is_what_it_is_looked_for_for(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert [pattern for pattern in FILES[name] if not re.search(pattern, text)] == []


FLAGS = {
    "dev": ("--detach", "--native"),
    "prod": ("--no-detach",),
    "build": ("--dev", "--no-cache", "--progress"),
    "rebuild": ("--dev", "--no-cache"),
    "up": ("--dev", "--prod"),
    "logs": ("--follow", "--export", "--tail"),
    "warm-cache": ("--for",),
    "refresh-cache": ("--older-than", "--max-size", "--yes", "--dry-run"),
    "benchmark": ("--check", "--scenarios", "--subjects", "--runs"),
    "workflow-test": ("--json",),
    "doctor": ("--fix", "--check"),
    "sqlx-prepare": ("--check",),
    "add-service": ("--remove",),
    "report": (),
    "history": (),
    "why": (),
}


@pytest.mark.parametrize("name", FLAGS)
def test_the_task_is_there_with_the_flags(name: str) -> None:
    task = namespace.tasks[name]
    assert isinstance(task, RebakeTask)
    known = {
        f"--no-{argument.names[0]}" if argument.default is True else f"--{argument.names[0]}"
        for argument in task.get_arguments()
    }
    assert set(FLAGS[name]) <= known


KEYS = {
    "ui.manager": '"npm"',
    "ui.runtime": '"nginx"',
    "build.compiler_cache": '"sccache"',
    "build.dependency_layer": "true",
    "cache.remote": '"registry.example/shop"',
    "cache.max_size": '"10GB"',
    "cache.max_age": '"7d"',
    "aliases.a": '"api"',
}


@pytest.mark.parametrize("key", KEYS)
def test_the_setting_is_there(tmp_path: Path, key: str) -> None:
    table, name = key.split(".")
    (tmp_path / "rebake.toml").write_text(f"[{table}]\n{name} = {KEYS[key]}\n")
    loaded = load(tmp_path, environ={}, user=tmp_path / "none")
    assert loaded.values()[key] == tomllib.loads(f"x = {KEYS[key]}")["x"]


def test_five_services_of_one_workspace_and_short_names_are_settings(tmp_path: Path) -> None:
    services = ["auth", "bill", "mail", "search", "web-hook"]
    (tmp_path / "rebake.toml").write_text(
        f"[backend]\nservices = {services!r}\n[aliases]\nwh = 'web-hook'\n"
    )
    config = load(tmp_path, environ={}, user=tmp_path / "none").config
    assert config.services[:5] == tuple(services)
    assert dict(config.aliases) == {"wh": "web-hook"}


LIMITS = ("code_change_saves_percent", "ui_change_saves_percent", "cold_s", "code_change_s")


def test_the_savings_that_are_promised_are_limits_of_the_benchmark() -> None:
    limits = tomllib.loads(defaults_text())["benchmark"]["limits"]
    assert set(LIMITS) <= set(limits)
    assert (limits[LIMITS[0]], limits[LIMITS[1]]) == (80.0, 70.0)


# Each check of a hand-written list, by the words of its command.
CHECKS = (
    ("clippy", "--all-targets", "-D", "warnings"),
    ("deny", "--locked", "check", "bans", "licenses"),
    ("fmt", "--all", "--check"),
    ("hadolint",),
    ("shellcheck",),
    ("test", "--locked", "--all-features", "--all-targets"),
)


@pytest.mark.parametrize("words", CHECKS, ids=" ".join)
def test_the_check_is_part_of_a_session(words: tuple[str, ...]) -> None:
    tree = Tree(
        files=(
            *("backend/Cargo.toml", "backend/deny.toml", "backend/Dockerfile"),
            *("ui/package.json", "ui/Dockerfile"),
        ),
        shell=("docker/build.sh",),
    )
    groups = ("rust", "dockerfiles", "shell")
    parts = [part for group in groups for part in parts_of_lint(tree, group)]
    found = [part.argv for part in [*parts, *parts_of_test(tree)]]
    assert any(set(words) <= set(argv) for argv in found), found


def test_production_images_are_started_and_scanned_by_a_session(tmp_path: Path) -> None:
    smoke = parts_of_test(Tree(files=(), compose=("docker/docker-compose.yml",)))
    assert [part.action for part in smoke] == ["smoke"]  # `--version` is the first thing it asks
    words = trivy.image(tmp_path / "a.tar", tmp_path, tmp_path / "out", offline=True)
    assert words[:2] == ["image", "--input"]
    limit = load(tmp_path, environ={}, user=tmp_path / "none").config.scan.severity
    assert limit in {"high", "critical"}  # whatever is critical fails


@pytest.mark.parametrize("half", ["backend", "ui"])
def test_what_editors_leave_does_not_travel_to_the_builder(half: str) -> None:
    file = ROOT / half / ".dockerignore"
    assert "../" not in file.read_text(encoding="utf-8")
    matcher = IgnoreMatcher.load(file)
    folder = "crates/api/src" if half == "backend" else "src"
    kept = "main.rs" if half == "backend" else "app.tsx"
    assert not matcher.excludes(f"{folder}/{kept}")
    left = [f".{kept}.swp", f".{kept}.swo", f"{kept}~", ".env"]
    left += ["main.rs.bk"] if half == "backend" else []
    assert [name for name in left if not matcher.excludes(f"{folder}/{name}")] == []


@pytest.mark.skipif(sys.platform == "win32", reason="a mode of POSIX")
def test_all_shell_scripts_can_be_started() -> None:
    scripts = [name for name in FILES if name.endswith(".sh")]
    assert [name for name in scripts if not (ROOT / name).stat().st_mode & 0o100] == []
