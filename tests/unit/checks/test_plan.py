"""The plan of checks is data: nothing runs here."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from msgspec.structs import replace

from rebake.checks import plan, plan_tests
from rebake.checks.files import read_tree
from rebake.checks.plan import LINT_GROUPS, Part, Tree
from rebake.checks.run import lanes_of
from rebake.sessions_actions import actions

TREE = Tree(
    files=(
        "noxfile.py",
        "src/rebake/cli.py",
        "scripts/bootstrap.py",
        "backend/Cargo.toml",
        "backend/Dockerfile",
        "backend/Dockerfile.dockerignore",
        "backend/.sqlx/query-1.json",
        "backend/migrations/0001_a.sql",
        "ui/package.json",
        "docker/tools/a",
        "ui/dev.Dockerfile",
        "tests/unit/test_a.py",
        "tests/e2e/test_b.py",
        "docker/build.ps1",
        ".github/workflows/ci.yml",
    ),
    shell=(".ci/run",),
    compose=("docker/docker-compose.yml",),
)
EMPTY = Tree(files=("README.md",))
ALL_ACTIONS = actions(lambda: "no engine")


def argv_of(parts: list[Part]) -> dict[str, tuple[str, ...]]:
    return {part.name: part.argv for part in parts}


def test_python() -> None:
    argv = argv_of(plan.parts_of_lint(TREE, "python"))
    assert argv["mypy"] == ("mypy",)
    assert argv["ruff check"] == ("ruff", "check", "src", "tests", "scripts", "noxfile.py")
    assert argv["py_compile"][-1] == "scripts/bootstrap.py"


def test_rust() -> None:
    parts = plan.parts_of_lint(TREE, "rust")
    assert {part.cwd for part in parts} == {"backend"}
    argv = argv_of(parts)
    assert argv["rustfmt"] == ("fmt", "--all", "--check")
    assert argv["clippy"] == (
        *("clippy", "--quiet", "--workspace", "--all-targets", "--all-features", "--locked"),
        *("--", "-D", "warnings"),
    )
    assert "cargo deny" not in argv  # nothing says what is allowed
    allowed = Tree(files=("backend/Cargo.toml", "backend/deny.toml"))
    (deny,) = (part for part in plan.parts_of_lint(allowed, "rust") if part.name == "cargo deny")
    assert deny.argv == (
        *("deny", "--locked", "check", "--hide-inclusion-graph"),
        *("bans", "licenses", "sources"),
    )
    assert (deny.need, deny.cwd, deny.lane) == ("cargo-deny", "backend", "cargo")
    assert deny.findings("error[banned]: crate 'ring'\nerror[rejected]: x\nwarning[d]: y\n") == 2
    # Both write to the target folder: cargo would make one wait for the other anyway.
    assert {part.lane for part in parts} == {"cargo", ""}


@pytest.mark.parametrize(
    ("folder", "back"),
    [("docker/tools/step", "../../../"), ("docker/rebake/tools/step", "../../../../")],
)
def test_the_program_of_a_build_step_is_a_crate_of_its_own(folder: str, back: str) -> None:
    parts = plan.parts_of_lint(Tree(files=("backend/Cargo.toml", f"{folder}/Cargo.toml")), "rust")
    own = {part.name: part for part in parts if part.cwd == folder}
    assert own["rustfmt (build step)"].argv == ("fmt", "--check")
    clippy = own["clippy (build step)"]
    # Nothing may lie beside the tools: they are sent to each build.
    assert clippy.argv == (
        *("clippy", "--quiet", "--workspace", "--all-targets", "--all-features", "--locked"),
        *("--target-dir", f"{back}backend/target/step", "--", "-D", "warnings"),
    )
    assert (clippy.need, clippy.lane) == ("cargo-clippy", "cargo")


def test_dockerfiles_by_their_names() -> None:
    parts = plan.parts_of_lint(TREE, "dockerfiles")
    assert argv_of(parts)["hadolint"] == ("hadolint", "backend/Dockerfile", "ui/dev.Dockerfile")
    assert argv_of(parts)["check backend/Dockerfile"] == (
        *("buildx", "build", "--call=check", "--build-context", "tools=docker/tools"),
        *("-f", "backend/Dockerfile", "backend"),
    )


def test_compose_and_shell() -> None:
    compose = argv_of(plan.parts_of_lint(TREE, "compose"))["docker-compose.yml"]
    assert compose == ("compose", "-f", "docker/docker-compose.yml", "config", "--quiet")
    shell = argv_of(plan.parts_of_lint(TREE, "shell"))["shellcheck"]
    assert shell == ("shellcheck", "--format=gcc", ".ci/run")


def test_powershell() -> None:
    (part,) = plan.parts_of_lint(TREE, "powershell")
    assert (part.argv, part.need, part.action) == (
        ("docker/build.ps1",), "powershell", "powershell"
    )  # fmt: skip


def test_workflows() -> None:
    zizmor, rules = plan.parts_of_lint(TREE, "workflows")
    assert zizmor.argv == (
        *("zizmor", "--offline", "--no-progress", "--strict-collection", "--format=plain"),
        ".github",
    )
    assert (rules.arguments, rules.module) == ((".github/workflows/ci.yml",), "yaml")
    *_, actionlint = plan.parts_of_lint(replace(TREE, actionlint=True), "workflows")
    assert actionlint.argv == ("-no-color", "-oneline", ".github/workflows/ci.yml")
    assert actionlint.need == "actionlint"
    assert plan.parts_of_lint(replace(EMPTY, actionlint=True), "workflows") == []


def test_the_settings_are_checked_in_every_repository() -> None:
    parts = plan.parts_of_lint(EMPTY, "config")
    assert [part.action for part in parts] == ["config", "base-images-lock"]


def test_smoke_tests_show_what_passed() -> None:
    (smoke,) = (part for part in plan_tests.parts_of_test(TREE) if part.group == "smoke")
    assert smoke.need == "engine"
    assert smoke.kept("ok: a\nFAILED: b: c\n") == ["ok: a"]
    assert smoke.findings("ok: a\nFAILED: b: c\nFAILED: d: e\n") == 2


def test_typescript_waits_for_its_packages() -> None:
    parts = plan.parts_of_lint(TREE, "typescript")
    assert [part.after for part in parts] == ["", "bun install", "bun install"]
    assert [part.argv for part in parts] == [
        ("install", "--frozen-lockfile"), ("run", "typecheck"), ("run", "lint")
    ]  # fmt: skip


def test_the_uis_licences_where_something_says_what_is_allowed() -> None:
    files = ("ui/package.json", "backend/deny.toml")
    *_, part = plan.parts_of_lint(Tree(files=files, licences=("ISC",)), "typescript")
    assert (part.arguments, part.need) == (("ui", "backend/deny.toml", "ISC"), "toolkit")
    assert (part.after, part.action) == ("bun install", "ui-licences")


def test_npm_looks_at_its_lock_file_first() -> None:
    install = ("install", "--no-save", "--prefer-offline", "--no-audit")
    tree = replace(TREE, manager="npm", install=install)
    lock, ready, *checks = plan.parts_of_lint(tree, "typescript")
    assert lock.argv == ("ci", "--dry-run", "--prefer-offline", "--no-audit")
    assert lock.findings("npm error Missing: a@1 from lock file\nnpm error Invalid: lock\n") == 2
    assert (ready.argv, ready.after, ready.lane) == (install, lock.name, lock.lane)
    assert [part.after for part in checks] == [ready.name, ready.name]
    assert {part.need for part in (lock, ready, *checks)} == {"npm"}
    *_, test = (part for part in plan_tests.parts_of_test(tree) if part.group == "ui")
    assert (test.argv, test.need, test.after) == (("test",), "bun", ready.name)


@pytest.mark.parametrize(
    "group", [name for name in LINT_GROUPS if name not in {"python", "config"}]
)
def test_a_repository_without_it_has_nothing_to_check(group: str) -> None:
    assert plan.parts_of_lint(EMPTY, group) == []


def test_the_tests_of_all_three() -> None:
    parts = plan_tests.parts_of_test(TREE)
    assert [part.group for part in parts] == ["backend", "ui", "ui", "toolkit", "smoke"]
    cargo = ("test", "--quiet", "--locked", "--all-features", "--all-targets")
    assert argv_of(parts)["backend tests"] == cargo


def test_what_tests_compile_of_python_is_kept_even_where_the_machine_says_not_to() -> None:
    tree = Tree(files=("tests/unit/test_a.py", "tests/e2e/test_b.py"))
    parts = [*plan_tests.parts_of_test(tree), *plan_tests.parts_of_e2e(tree)]
    assert [part.env["PYTHONDONTWRITEBYTECODE"] for part in parts] == ["", ""]


def test_arguments_for_pytest_mean_the_toolkit_alone() -> None:
    (part,) = plan_tests.parts_of_test(TREE, ["-k", "x"])
    assert part.arguments == ("-P", "-m", "pytest", "-q", "-k", "x")
    (end,) = plan_tests.parts_of_e2e(TREE, ["-k", "x"])
    assert end.ok == (0, 5)
    assert plan_tests.parts_of_e2e(TREE)[0].ok == (0,)
    assert plan_tests.parts_of_e2e(EMPTY) == []


def test_names_are_unique_and_actions_exist() -> None:
    everything = [
        [part for group in LINT_GROUPS for part in plan.parts_of_lint(TREE, group)],
        plan_tests.parts_of_test(TREE),
    ]
    for parts in everything:
        names = [part.name for part in parts]
        assert len(set(names)) == len(names)
        assert {part.action for part in parts if part.action} <= ALL_ACTIONS.keys()
        assert {part.after for part in parts if part.after} <= set(names)


def test_lanes() -> None:
    parts = [
        Part("a", "g", (), lane="cargo"),
        Part("b", "g", ()),
        Part("c", "g", (), lane="cargo"),
        Part("d", "g", (), after="b"),
    ]
    assert [[part.name for part in lane] for lane in lanes_of(parts)] == [["a", "c"], ["b", "d"]]


@pytest.mark.parametrize(
    ("pattern", "output", "expected"),
    [
        (r"^Found (\d+) error", "x\nFound 12 errors in 3 files\n", 12),
        (r"^warning", "warning: a\nwarning: b\n", 2),
        (r"(?!)", "it broke", 1),
    ],
)
def test_findings(pattern: str, output: str, expected: int) -> None:
    part = Part("a", "g", (), count=re.compile(pattern, re.MULTILINE))
    assert part.findings(output) == expected


@pytest.mark.parametrize(
    "line",
    [
        "19 passed in 13.81s",
        "== 3 passed, 1 skipped in 0.10s ==",
        "112 passed in 85.72s (0:01:25)",
    ],
)
def test_pytests_last_line_is_kept(line: str) -> None:
    (toolkit,) = (part for part in plan_tests.parts_of_test(TREE) if part.group == "toolkit")
    assert toolkit.kept(f"....\n{line}\n") == [line]


def test_a_tree_without_git_leaves_out_what_is_generated(tmp_path: Path) -> None:
    for name in ("a.py", "run", "b.sh", ".ci/run", "node_modules/x.js", ".venv/y.py"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("#!/usr/bin/env bash\n" if file.name == "run" else "")
    tree = read_tree(tmp_path, "backend", "ui", ("docker/compose.yml",))
    assert tree.files == (".ci/run", "a.py", "b.sh", "run")
    assert tree.shell == (".ci/run", "b.sh", "run")
    assert tree.compose == ()


def test_the_tools_of_an_adopted_project() -> None:
    tree = Tree(files=("Dockerfile.rebake", "docker/rebake/tools/build-ui"))
    argv = argv_of(plan.parts_of_lint(tree, "dockerfiles"))["check Dockerfile.rebake"]
    assert "tools=docker/rebake/tools" in argv
