"""Makefile and Tiltfile: each target and each button is a task or a session."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import starlark
from invoke.parser import Parser, ParserContext

from rebake.tasks import namespace

ROOT = Path(__file__).parents[2]
MAKEFILE = ROOT / "Makefile"
TILTFILE = ROOT / "Tiltfile"
SESSIONS = {"lint", "test", "e2e"}
MAKE = shutil.which("make")
needs_make = pytest.mark.skipif(MAKE is None, reason="no make here")


def listed(name: str) -> list[str]:
    text = MAKEFILE.read_text(encoding="utf-8").replace("\\\n", " ")
    found = re.search(rf"(?m)^{name} := (.*)$", text)
    assert found is not None
    return found[1].split()


def make(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(MAKE), "-C", str(ROOT), "--no-print-directory", *words],
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_target_is_a_task_or_a_session() -> None:
    assert set(listed("TASKS")) <= set(namespace.task_names)
    assert set(listed("SESSIONS")) == SESSIONS


@needs_make
def test_every_target_runs_what_it_is_named_after() -> None:
    targets = [*listed("TASKS"), *listed("SESSIONS")]
    done = make("-n", *targets)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"python3 scripts/bootstrap.py {name} " for name in targets]


@needs_make
def test_words_and_python_can_be_given() -> None:
    done = make("-n", "build", "ARGS=api --no-cache", "PYTHON=python3.12")
    assert done.stdout == "python3.12 scripts/bootstrap.py build api --no-cache\n"


@needs_make
def test_without_a_target_it_tells_them_all() -> None:
    done = make()
    assert done.returncode == 0
    for name in [*listed("TASKS"), *listed("SESSIONS")]:
        assert re.search(rf"(?<![\w-]){name}(?![\w-])", done.stdout)


@needs_make
def test_a_folder_of_a_targets_name_is_no_reason_to_do_nothing(tmp_path: Path) -> None:
    shutil.copy(MAKEFILE, tmp_path)
    (tmp_path / "build").mkdir()
    done = subprocess.run(
        [str(MAKE), "-n", "build"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == "python3 scripts/bootstrap.py build \n"


# --- Tilt -----------------------------------------------------------------------------------


def resources() -> dict[str, dict[str, Any]]:
    """Run the Tiltfile as Starlark, with Tilt's functions written down instead of carried out."""
    found: dict[str, dict[str, Any]] = {}

    def local_resource(
        name: str,
        *,
        cmd: list[str] | None = None,
        serve_cmd: list[str] | None = None,
        labels: list[str] | None = None,
        auto_init: bool = True,
        trigger_mode: str = "auto",
        allow_parallel: bool = False,
    ) -> None:
        assert name not in found
        found[name] = {"cmd": cmd, "serve": serve_cmd, "auto": auto_init, "mode": trigger_mode}

    tilt = starlark.Module()
    tilt.add_callable("local_resource", local_resource)
    tilt.add_callable("getenv", lambda _name, default: default)
    tilt["TRIGGER_MODE_MANUAL"] = "manual"
    words = starlark.Dialect.standard()  # what Tilt reads, without f-strings and types
    builtin = starlark.Globals.extended_by([starlark.LibraryExtension.StructType])
    for name, text in (("os", "os = struct(getenv = getenv)"), ("Tiltfile", TILTFILE.read_text())):
        read = starlark.parse(name, text, words)
        assert [str(fault) for fault in read.lint()] == []
        starlark.eval(tilt, read, builtin)
    return found


def test_every_resource_of_tilt_is_a_task_or_a_session() -> None:
    for name, resource in resources().items():
        python, script, *words = resource["cmd"] or resource["serve"]
        assert (python, script) == ("python3", "scripts/bootstrap.py")
        if words[:2] == ["nox", "-s"]:
            assert set(words[2:]) <= SESSIONS
            continue
        parser = Parser(contexts=namespace.to_contexts(), initial=ParserContext())
        read = parser.parse_argv(words)
        assert [context.name for context in read if context.name] == [name]


def test_tilt_runs_the_stack_by_itself_and_all_else_on_demand() -> None:
    found = resources()
    assert found.pop("dev")["serve"][-1] == "dev"
    assert all(
        (r["auto"], r["mode"], r["serve"]) == (False, "manual", None) for r in found.values()
    )
