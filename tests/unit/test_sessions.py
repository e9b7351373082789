"""The Nox sessions: options, reports, the closing table, and the noxfile itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rebake import sessions
from rebake.checks import plan, plan_tests
from rebake.checks.plan import Part
from rebake.checks.run import Finished
from rebake.checks.tools import InContainer, Program
from rebake.engine.endpoint import Endpoint
from rebake.sessions import Check, unknown_part
from rebake.sessions_ledger import NOTES_FILE, Ledger, Options, report

ROOT = Path(__file__).parents[2]
PYTEST = plan_tests.parts_of_test(plan.Tree(files=("tests/unit/test_a.py",)))[0]


@pytest.mark.parametrize(
    ("posargs", "environ", "expected"),
    [
        ([], {}, Options(strict=False)),
        (["--strict"], {}, Options(strict=True)),
        (["-k", "x"], {}, Options(strict=False, pytest=("-k", "x"))),
        (["--json", "-x"], {}, Options(strict=False, pytest=("-x",), json=True)),
        ([], {"CI": "true"}, Options(strict=True)),
        ([], {"CI": "false"}, Options(strict=False)),
    ],
)
def test_options(posargs: list[str], environ: dict[str, str], expected: Options) -> None:
    assert Options.of(posargs, environ) == expected


def test_a_passed_part_shows_its_summary_alone() -> None:
    done = Finished(PYTEST, "ok", 2.0, output="....\n4 passed in 1.90s\n")
    assert report(done) == "  toolkit tests: ok (2.0 s)\n4 passed in 1.90s\n"


def test_a_failed_part_shows_everything() -> None:
    done = Finished(PYTEST, "failed", 2.0, 1, "F\nE   assert 0\n1 failed in 1.90s\n")
    shown = report(done)
    assert "FAILED (2.0 s)" in shown
    assert "E   assert 0\n1 failed in 1.90s\n" in shown


def test_what_was_streamed_is_not_shown_twice() -> None:
    done = Finished(PYTEST, "failed", 2.0, 1, "E   assert 0\n")
    assert report(done, streamed=True) == "  toolkit tests: FAILED (2.0 s)\n"


def test_a_missing_tool_is_named() -> None:
    done = Finished(Part("clippy", "rust", ()), "missing", note="cargo (1.95 or newer)")
    assert report(done) == "  clippy: skipped: missing: cargo (1.95 or newer)\n"


def test_the_closing_table() -> None:
    ledger = Ledger()
    assert ledger.table() == ""
    ledger.add("lint", [Finished(Part("mypy", "python", ()), "failed", 1.25, 3)])
    ledger.add("e2e", [Finished(Part("x", "e2e", ()), "missing", note="a Docker engine (none)")])
    ledger.add("e2e", [Finished(Part("y", "e2e", ()), "failed", 0.5, 2)])
    head, failed, missing, _, sums = ledger.table().splitlines()
    assert head.split() == ["part", "result", "findings", "seconds"]
    assert failed.split() == ["lint:", "mypy", "failed", "3", "1.2"]
    assert missing.split()[:4] == ["e2e:", "x", "missing", "-"]
    assert sums.split() == ["3", "parts", "failed", "5", "1.8"]


def test_the_sums_do_not_call_a_run_good_that_left_something_out() -> None:
    ledger = Ledger()
    ledger.add("lint", [Finished(Part("mypy", "python", ()), "ok", 1.0)])
    assert ledger.table().splitlines()[-1].split() == ["1", "part", "ok", "0", "1.0"]
    ledger.add("lint", [Finished(Part("x", "rust", ()), "missing", note="cargo")])
    assert ledger.table().splitlines()[-1].split()[2:4] == ["not", "all"]


def test_the_document(monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = Ledger()
    ledger.add("lint", [Finished(Part("mypy", "python", ()), "failed", 1.25, 3, "a.py:1: x\n")])
    assert ledger.document() == {
        "schema_version": 1,
        "parts": [
            {
                "session": "lint", "part": "mypy", "group": "python", "state": "failed",
                "findings": 3, "seconds": 1.25, "note": "", "output": "a.py:1: x\n",
            }
        ],
        "findings": 3,
        "seconds": 1.25,
        "ok": False,
    }  # fmt: skip
    assert Ledger().document()["ok"] is False


def test_the_processes_of_a_parallel_run_tell_the_first_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(NOTES_FILE, raising=False)
    first = Ledger.of_this_run(["nox", "-s", "lint"])
    for name in ("mypy", "ruff check"):
        worker = Ledger.of_this_run(["nox", "--parallel-worker", "-s", "lint(python)"])
        worker.add("lint", [Finished(Part(name, "python", ()), "ok", 1.0)])
        worker.close()
    assert capsys.readouterr().out == ""
    first.close()
    shown = capsys.readouterr().out
    assert "lint: mypy" in shown
    assert "2 parts" in shown
    assert not Path(os.environ[NOTES_FILE]).exists()


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["nox", "-s", "lint(rust)", "test"], ""),
        (["nox", "-s", "lint"], ""),
        (["nox", "-s", "test", "--", "lint(rusty)"], ""),
        (["nox", "-s", "lint(rusty)"], "did you mean rust?"),
        (["nox", "--session=lint(dokerfiles)"], "did you mean dockerfiles?"),
        (["nox", "-s", "lint(zzz)"], "parts: config, python, rust"),
    ],
)
def test_a_part_of_lint_that_there_is_not(argv: list[str], says: str) -> None:
    said = unknown_part(argv)
    assert says in said
    assert bool(said) is bool(says)


def test_a_tool_is_looked_for_once() -> None:
    check = Check(ROOT, Options(strict=False))
    part = Part("mypy", "python", ("mypy",))
    first = check.tool("toolkit", part)
    assert isinstance(first, Program)
    assert check.tool("toolkit", part) is first
    assert check.tool("toolkit", Part("x", "python", ("no-such",))) == (
        f"no-such is not in {Path(sys.executable).parent}"
    )


def test_npm_of_this_machine_or_of_the_base_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rebake.toml").write_text(
        '[ui]\nmanager = "npm"\n[base_images]\nnode = "node:7"\n[engine]\nkind = "native"\n'
    )
    if sys.platform == "win32":
        pytest.skip("the fake is a shell script")
    (tmp_path / "npm").write_text("#!/bin/sh\n")
    (tmp_path / "npm").chmod(0o755)
    part = Part("tsc", "typescript", ("run", "typecheck"), "npm")

    def tool() -> object:
        return Check(tmp_path, Options(strict=False)).tool("npm", part)

    monkeypatch.setenv("PATH", str(tmp_path))
    assert tool() == Program(tmp_path / "npm")
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    assert tool() == "npm (ui.manager is npm) was not found"
    endpoint = Endpoint("private", "unix:///s", Path("docker"))
    monkeypatch.setattr(sessions, "find_engine", lambda *_, **__: endpoint)
    monkeypatch.setattr(sessions, "images_of", lambda *_, **__: {"node:7"})
    found = tool()
    assert isinstance(found, InContainer)
    assert (found.image, found.words) == ("node:7", ("npm",))


@pytest.fixture(autouse=True, scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What is remembered of projects that are only here for a test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REBAKE_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


def nox(*args: str, cwd: Path = ROOT, **more: str) -> subprocess.CompletedProcess[str]:
    env = {k: v for k, v in os.environ.items() if k not in {"FORCE_COLOR", "PYTHONPATH"}} | more
    return subprocess.run(
        [sys.executable, "-m", "nox", *args],
        cwd=cwd,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_noxfile_names_all_sessions() -> None:
    listed = nox("--list").stdout
    for name in ("lint(python)", "lint(rust)", "lint(typescript)", "test", "e2e"):
        assert f"* {name} -> " in listed
    assert "What follows `--` goes to pytest" in listed


def test_one_lint_by_its_id_and_none_by_another() -> None:
    result = nox("-s", "lint(powershell)")
    assert "powershell: ok" in result.stdout, result.stdout + result.stderr
    assert result.returncode == 0
    wrong = nox("-s", "lint(powrshell)")
    assert wrong.returncode == 1
    assert "did you mean powershell?" in wrong.stderr
    assert "Traceback" not in wrong.stderr


@pytest.mark.parametrize(("words", "code"), [([], 0), (["--", "--strict"], 1)])
def test_a_tool_that_is_missing_fails_only_where_it_must(
    tmp_path: Path, words: list[str], code: int
) -> None:
    (tmp_path / "noxfile.py").write_text((ROOT / "noxfile.py").read_text())
    (tmp_path / "rebake.toml").write_text('[project]\nname = "p"\n')
    (tmp_path / "backend").mkdir()
    (tmp_path / "backend" / "Cargo.toml").write_text("[workspace]\nmembers = []\n")
    empty = tmp_path / "empty"
    away = {"PATH": str(empty), "CARGO_HOME": str(empty), "REBAKE_ENGINE_KIND": "native"}
    result = nox("-s", "lint(rust)", *words, cwd=tmp_path, CI="", **away)
    assert result.returncode == code, result.stdout + result.stderr
    assert "clippy: skipped: missing: cargo (with clippy)" in result.stdout
    *_, clippy, rustfmt, sums = result.stdout.splitlines()  # the closing table
    assert clippy.split()[:4] == ["lint:", "clippy", "missing", "-"]
    assert rustfmt.split()[:4] == ["lint:", "rustfmt", "missing", "-"]
    assert sums.split()[:4] == ["2", "parts", "not", "all"]
    if code:
        assert "not passed: clippy, rustfmt" in result.stderr


@pytest.mark.parametrize("words", [[], ["--", "--json"]])
def test_what_a_checker_prints_is_masked(tmp_path: Path, words: list[str]) -> None:
    secret = "hunter2hunter2"
    (tmp_path / "noxfile.py").write_text((ROOT / "noxfile.py").read_text())
    (tmp_path / "rebake.toml").write_text('[project]\nname = "p"\n')
    file = tmp_path / ".github" / "workflows" / "a.yml"
    file.parent.mkdir(parents=True)
    # What is shown of a finding is the line itself.
    step = f"- uses: actions/checkout@v6 # {secret}"
    file.write_text(f"on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n      {step}\n")
    result = nox("-s", "lint(workflows)", *words, cwd=tmp_path, DEPLOY_TOKEN=secret, CI="")
    assert result.returncode == 1
    assert "actions/checkout@v6 # ***" in result.stdout
    assert secret not in result.stdout + result.stderr


def test_sessions_side_by_side_end_in_one_document() -> None:
    result = nox("-s", "lint(config)", "lint(powershell)", "-j", "2", "--", "--json")
    assert result.returncode == 0, result.stdout + result.stderr
    document = json.loads(result.stdout)
    parts = {(row["group"], row["part"], row["state"]) for row in document["parts"]}
    assert parts == {
        ("config", "rebake.toml", "ok"),
        ("config", "base images' lock", "ok"),
        ("powershell", "powershell", "ok"),
    }
    assert document["ok"] is True


def test_a_fault_in_the_configuration_is_no_traceback_and_repeats_no_password() -> None:
    address = "https://me:hunter3hunter3@git.example.com/db"
    wrong = {"REBAKE_NO_SUCH_KEY": "1", "REBAKE_SCAN_ADVISORY_REPOSITORY": address}
    result = nox("-s", "lint(powershell)", **wrong)
    assert result.returncode == 1
    assert "REBAKE_NO_SUCH_KEY" in result.stderr
    assert "expected an address without a password" in result.stderr
    assert "hunter3" not in result.stdout + result.stderr
    assert "Traceback" not in result.stderr


def test_a_nox_of_another_environment_is_told_what_to_do(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['rebake'] = None\n"
        f"exec(compile(open({str(ROOT / 'noxfile.py')!r}).read(), 'noxfile.py', 'exec'))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert result.returncode == 1
    assert "python3 scripts/bootstrap.py test" in result.stderr
