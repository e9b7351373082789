"""The scripts of docker/ and scripts/: each word and flag is one of the tasks, in any shell."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from invoke.parser import Parser, ParserContext

from rebake.tasks import namespace
from script_calls import BUILD, OTHERS, SHIM, load_shim
from standalone import foreign_imports

ROOT = Path(__file__).parents[2]
SHELL_SCRIPTS = (
    "docker/build.sh",
    "scripts/warm-cache.sh",
    "scripts/refresh-cache.sh",
    "scripts/test-docker-build.sh",
    "scripts/benchmark-builds.sh",
)
POWERSHELL_SCRIPTS = ("docker/build.ps1", "scripts/run_tests.ps1")
SHELLS = [shell for shell in ("sh", "dash", "bash", "zsh") if shutil.which(shell)]


@pytest.fixture(scope="module")
def shim() -> ModuleType:
    return load_shim()


def tasks_in(words: list[str]) -> list[str]:
    """The tasks that Invoke reads in some words, or Nox's session."""
    if words[:2] == ["nox", "-s"]:
        return [f"nox {words[2]}"]
    read = Parser(contexts=namespace.to_contexts(), initial=ParserContext()).parse_argv(words)
    return [context.name for context in read if context.name]


@pytest.mark.parametrize("script", ["docker/build.sh", "docker/build.ps1"])
@pytest.mark.parametrize("line", BUILD)
def test_what_the_build_script_is_told_is_what_the_tasks_are_told(
    shim: ModuleType, script: str, line: str
) -> None:
    expected, tasks = BUILD[line]
    assert shim.words_of(script, line.split()) == expected
    assert tasks_in(expected) == tasks


@pytest.mark.parametrize("call", OTHERS, ids=" ".join)
def test_what_another_script_is_told_is_what_its_task_is_told(
    shim: ModuleType, call: tuple[str, str]
) -> None:
    expected, task = OTHERS[call]
    assert shim.words_of(call[0], call[1].split()) == expected
    assert tasks_in(expected) == [task]


def test_every_flag_and_word_is_tried(shim: ModuleType) -> None:
    typed = {shim.flag_of(word) for line in BUILD for word in line.split()}
    assert {flag for flag, meaning in shim.FLAGS.items() if meaning != "help"} <= typed
    assert set(shim.WORDS) - {"help"} <= typed
    assert {script for script, _ in OTHERS} == set(shim.SIMPLE)
    assert set(shim.SCRIPTS) == {*SHELL_SCRIPTS, *POWERSHELL_SCRIPTS}


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("--dev --prod", "--dev and --prod exclude each other"),
        ("all api", "all takes no further words, not api"),
        ("up api worker", "up takes no further words, not api worker"),
        ("clean --no-cache", "clean builds nothing"),
        ("prune --dev", "prune builds nothing"),
        ("--rebuild --json", "these are two: rebuild, dev"),
        ("all -Paralel", "no flag named -Paralel: did you mean --parallel?"),
        ("api -Fast", "no flag named -Fast"),
        ("--prod --rebiuld", "no flag named --rebiuld: did you mean --rebuild?"),
    ],
)
def test_words_that_do_not_go_together_start_nothing(
    shim: ModuleType, capsys: pytest.CaptureFixture[str], line: str, says: str
) -> None:
    assert shim.main(["docker/build.sh", *line.split()]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("error: ")
    assert says in told.err
    assert " next: docker/build.sh --help\n" in told.err


def test_no_flag_of_a_task_is_taken_for_a_slip_of_the_scripts_own(shim: ModuleType) -> None:
    flags = {
        f"--{prefix}{name}"
        for task in ("dev", "prod", "build", "rebuild", "refresh-cache")
        for argument in namespace.tasks[task].get_arguments()
        for name in argument.names
        for prefix in ("", "no-")
    }
    assert {"--detach", "--native", "--older-than", "--json"} <= flags
    own = set(shim.FLAGS) | {"--no-no-cache"}
    assert {flag for flag in flags - own if shim.near_flag(flag)} == set()


def test_a_script_that_nobody_knows(shim: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert shim.main(["scripts/bild.sh"]) == 2
    assert "docker/build.sh, docker/build.ps1" in capsys.readouterr().err


@pytest.mark.parametrize("script", [*SHELL_SCRIPTS, *POWERSHELL_SCRIPTS])
@pytest.mark.parametrize("asking", ["--help", "-h", "-Help", "-?"])
def test_the_help_names_the_task(
    shim: ModuleType, capsys: pytest.CaptureFixture[str], script: str, asking: str
) -> None:
    assert shim.main([script, asking]) == 0
    told = capsys.readouterr().out
    assert told.startswith(f"usage: {script}")
    named = re.findall(r"invoke ([a-z][a-z-]*)", told) or re.findall(r"(nox) -s test", told)
    assert named
    assert set(named) - {"nox"} <= set(namespace.task_names)
    if script in shim.SIMPLE:
        assert f"The same as: {'' if 'nox' in named else 'invoke '}" in told
        assert " ".join(shim.SIMPLE[script].task) in told


def test_the_build_scripts_help_has_every_flag_and_word(
    shim: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert shim.main(["docker/build.ps1", "help"]) == 0
    rows = capsys.readouterr().out.partition("the same as\n")[2]
    left = " ".join(re.findall(r"(?m)^  (\S.*?)  ", rows))
    for word in (*shim.WORDS, *shim.FLAGS, "-NoCache", "-Parallel"):
        assert word in {"--nocache", "-?"} or re.search(rf"(^|[ ,]){re.escape(word)}\b", left), word
    # The row says what the words really become.
    for typed, task in re.findall(r"(?m)^  (\w+|--[\w-]+)\b.*?  invoke ([a-z-]+)", rows):
        if typed != "SERVICE":
            assert shim.words_of("docker/build.sh", [typed])[0] == task


@pytest.mark.skipif(sys.platform == "win32", reason="shell scripts")
@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("script", SHELL_SCRIPTS)
def test_a_shell_script_hands_over_every_word_as_it_is(
    tmp_path: Path, script: str, shell: str
) -> None:
    python = tmp_path / "python3"
    python.write_text(
        '#!/bin/sh\npwd\nfor word in "$@"; do printf "[%s]\\n" "$word"; done\nexit 7\n'
    )
    python.chmod(0o755)
    words = ["--dev", "a b", "*", "", "$HOME", "--x=ü;y"]
    done = subprocess.run(
        [shutil.which(shell) or shell, str(ROOT / script), *words],
        cwd=tmp_path,
        # A folder that `cd` would go to instead, and say so on stdout.
        env={**os.environ, "PATH": f"{tmp_path}{os.pathsep}/usr/bin:/bin", "CDPATH": "/:/usr"},
        capture_output=True,
        text=True,
        check=False,
    )
    expected = [str(ROOT), "[scripts/shim.py]", f"[{script}]", *(f"[{word}]" for word in words)]
    assert done.stdout.splitlines() == expected
    assert (done.returncode, done.stderr) == (7, "")


@pytest.mark.parametrize("script", [*SHELL_SCRIPTS, "scripts/docker_workflow_test.sh"])
def test_a_shell_script_can_be_run_as_it_is(script: str) -> None:
    file = ROOT / script
    assert file.read_bytes().startswith(b"#!/bin/sh\n")
    if sys.platform != "win32":
        assert os.access(file, os.X_OK)


@pytest.mark.parametrize("script", POWERSHELL_SCRIPTS)
def test_a_powershell_script_hands_over_every_word_and_the_exit_code(script: str) -> None:
    text = (ROOT / script).read_bytes().decode("ascii")  # Windows PowerShell reads nothing else
    lines = text.splitlines()
    assert lines[-2].endswith(f"(Join-Path $root 'scripts/shim.py') '{script}' @args")
    assert lines[-1] == "exit $LASTEXITCODE"
    assert "param" not in text.lower()  # then flags would be PowerShell's own


@pytest.mark.skipif(shutil.which("pwsh") is None, reason="no PowerShell here")
@pytest.mark.parametrize("script", POWERSHELL_SCRIPTS)
def test_a_powershell_script_runs(script: str) -> None:
    done = subprocess.run(
        ["pwsh", "-NoProfile", "-File", ROOT / script, "-Help"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout.startswith(f"usage: {script}")) == (0, True)


@pytest.mark.skipif(sys.platform == "win32", reason="shell scripts")
def test_a_refusal_comes_through_the_whole_chain() -> None:
    done = subprocess.run(
        [ROOT / "docker" / "build.sh", "--dev", "--prod"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: --dev and --prod exclude each other\n")


def test_no_first_line_leads_the_py_launcher_of_windows_elsewhere() -> None:
    assert not SHIM.read_bytes().startswith(b"#!")


def test_python_38_can_read_it_and_it_needs_nothing_but_the_standard_library() -> None:
    assert foreign_imports(SHIM) <= {"bootstrap"}
