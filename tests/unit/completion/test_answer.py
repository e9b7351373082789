"""The answer to the Tab key, and the shells' scripts."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rebake.completion import answer as answers
from rebake.completion.answer import NOT_OURS, TABLE, answer
from rebake.completion.scripts import SHELLS, script

BIN = Path(sys.executable).parent
HEAVY = ("invoke", "jinja2", "pydantic", "python_on_whales", "rich")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "shop"
    (folder / "deep").mkdir(parents=True)
    (folder / "rebake.toml").write_text('[aliases]\nw = "worker"\n')
    monkeypatch.chdir(folder / "deep")
    monkeypatch.setenv("REBAKE_STATE_HOME", str(tmp_path / "state"))
    return folder


def test_services_and_aliases_of_the_project_around(project: Path) -> None:
    assert answer(["rebake", "cur=", "build"]) == (0, ["api\t", "worker\t", "ui\t", "w\t"])
    assert answer(["invoke", "cur=w", "logs"]) == (0, ["worker\t", "w\t"])


def test_what_a_candidate_means_stands_after_a_tab(project: Path) -> None:
    code, lines = answer(["invoke", "cur=--vol", "down"])
    assert (code, lines) == (0, ["--volumes\tdelete the stack's data too"])


def test_settings_that_are_wrong_leave_tasks_and_flags(project: Path) -> None:
    (project / "rebake.toml").write_text("[nonsense\n")
    assert answer(["rebake", "cur=", "build"]) == (0, [])
    assert answer(["rebake", "cur=--as", "build"])[1][0].startswith("--assert-warm\t")


def test_outside_a_project_invoke_is_somebody_elses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert answer(["invoke", "cur=b"]) == (NOT_OURS, [])
    assert answer(["/x/.venv/bin/inv", "cur=b"]) == (NOT_OURS, [])
    assert [line.partition("\t")[0] for line in answer(["rebake", "cur=bu"])[1]] == ["build"]


def test_tasks_that_the_project_added_are_named_to_invoke(project: Path) -> None:
    (project / "tasks.py").write_text(
        "from invoke import task\nfrom rebake.tasks import namespace\n\n"
        "@task(\n    help={'n': 'how many'},\n)\ndef load_data(c, n=1):\n    pass\n\n"
        "def helper():\n    pass\n\nnamespace.add_task(load_data)\n"
    )
    assert answer(["invoke", "cur=lo"]) == (0, ["load-data\t", answer(["rebake", "cur=lo"])[1][0]])
    assert answer(["invoke", "cur=u", "build", "api", "load-data"])[1][0].startswith("up\t")
    assert "helper" not in str(answer(["invoke", "cur="]))
    assert answer(["rebake", "cur=load"]) == (0, [])


def test_a_call_with_too_little_is_no_fault() -> None:
    for argv in ([], ["rebake"]):
        code, lines = answer(argv)
        assert code == 0
        assert len(lines) > 10


def test_nothing_heavy_is_imported_for_it(project: Path) -> None:
    answer(["rebake", "cur=", "build"])  # so that the settings are kept
    code = (
        "import sys; sys.argv = ['rebake', '__complete', 'rebake', 'cur=', 'build']\n"
        "import rebake.cli\n"
        "try:\n rebake.cli.main()\nexcept SystemExit as done:\n assert done.code == 0\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["api\t", "worker\t", "ui\t", "w\t", "[]"]


@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_has_a_script_that_asks_the_program(shell: str) -> None:
    text = script(shell)
    assert "__complete" in text
    assert "cur=" in text
    assert "inv" in text
    assert f"rebake completion {shell}" in text
    text.encode("ascii")


def test_table_and_scripts_travel_with_the_package() -> None:
    folder = Path(answers.__file__).parent
    assert TABLE.parent == folder
    assert {f.name for f in folder.iterdir() if f.suffix not in {".py", ".pyc", ""}} == {
        TABLE.name,
        *SHELLS.values(),
    }


# --- in the shells themselves, where they are here --------------------------------------------

PATH = f"{BIN}{os.pathsep}/usr/bin:/bin"


def in_shell(argv: list[str], folder: Path) -> list[str]:
    done = subprocess.run(
        [shutil.which(argv[0]) or argv[0], *argv[1:]],
        cwd=folder,
        env={
            **os.environ,
            "PATH": PATH,
            "HOME": str(folder),
            "SCRIPT": str(TABLE.with_name(SHELLS[argv[0]])),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stderr == ""
    return done.stdout.split("\n")[:-1]


LINES = {
    "rebake bui": ["build"],
    "rebake build ": ["api", "worker", "ui", "w"],
    "invoke build --progress q": ["quiet"],
    "inv refresh-cache clean i": ["images"],
    f"{BIN}/invoke engine st": ["status", "start", "stop"],
    "rebake logs --export ": [],
}


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX shells")
@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")
@pytest.mark.parametrize("line", LINES)
def test_bash(project: Path, line: str) -> None:
    # `complete -p` proves that the function is the one that bash calls for this program.
    code = """
        . "$SCRIPT"
        COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
        complete -p "${1##*/}" | grep -q -- '-F _rebake_complete' || exit 1
        _rebake_complete "$1" "${!#}" "${COMP_WORDS[COMP_CWORD - 1]}"
        [ ${#COMPREPLY[@]} = 0 ] || printf '%s\\n' "${COMPREPLY[@]}"
    """
    assert in_shell(["bash", "-c", code, "bash", *line.split(" ")], project) == LINES[line]


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX shells")
@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")
def test_bash_leaves_other_projects_tasks_to_invoke(tmp_path: Path) -> None:
    (tmp_path / "tasks.py").write_text(
        "from invoke import task\n@task\ndef greet(c):\n    'Hi.'\n@task\ndef build(c):\n    'B.'\n"
    )
    code = """
        eval "$(rebake completion bash)"
        COMP_WORDS=(invoke gr); COMP_CWORD=1
        _rebake_complete invoke gr invoke
        printf '%s\\n' "${COMPREPLY[@]}"
    """
    assert in_shell(["bash", "-c", code], tmp_path) == ["greet"]


@pytest.mark.skipif(shutil.which("fish") is None, reason="no fish here")
@pytest.mark.parametrize("line", [line for line in LINES if LINES[line]])
def test_fish(project: Path, line: str) -> None:
    code = "source $SCRIPT; complete -C $argv[1]"
    found = in_shell(["fish", "--no-config", "-c", code, line], project)
    assert sorted(entry.partition("\t")[0] for entry in found) == sorted(LINES[line])


@pytest.mark.skipif(shutil.which("zsh") is None, reason="no zsh here")
@pytest.mark.parametrize("line", LINES)
def test_zsh(project: Path, line: str) -> None:
    # What the function hands to zsh's own completion; a terminal is not needed for that.
    code = """
        compdef() { :; }
        _describe() { local -a given; given=("${(@P)4}"); print -rl -- ${given%%:*}; }
        _files() { :; }
        . "$SCRIPT"
        words=("$@"); CURRENT=$#; PREFIX=${words[CURRENT]}
        _rebake
    """
    found = in_shell(["zsh", "-f", "-c", code, "zsh", *line.split(" ")], project)
    assert found == LINES[line]
