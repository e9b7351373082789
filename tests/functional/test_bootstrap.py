"""scripts/bootstrap.py as a program, with a faked uv: no network, no real installation."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "bootstrap.py"
# The interpreter behind our own .venv: what a person would call.
PYTHON = os.path.realpath(sys.executable)

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the fake uv is a script with #!")

# `uv venv` makes a real, empty environment; `uv pip install` puts an `invoke` and a `nox` in it
# that print what they were called with.
FAKE_UV = f"""#!{PYTHON} -IS
import os, sys, time
with open(os.environ["FAKE_LOG"], "a") as file:
    file.write(" ".join(sys.argv[1:3]) + "\\n")
def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        file.write(text)
packages = "lib/python%d.%d/site-packages" % sys.version_info[:2]
if sys.argv[1] == "venv":
    venv = sys.argv[-1]
    write(venv + "/bin/activate", "VIRTUAL_ENV=" + venv)
    home = "home = " + os.path.dirname({PYTHON!r})
    write(venv + "/pyvenv.cfg", home + "\\ninclude-system-site-packages = false\\n")
    os.makedirs(os.path.join(venv, packages))
    for name in ("python", "python3"):
        os.symlink({PYTHON!r}, os.path.join(venv, "bin", name))
else:
    time.sleep(float(os.environ.get("FAKE_SLEEP", "0")))
    if os.environ.get("FAKE_FAIL"):
        sys.exit("connection refused, are you offline?")
    for name in ("invoke", "nox"):
        package = os.path.join(".venv", packages, name)
        write(os.path.join(package, "__init__.py"), "")
        write(os.path.join(package, "__main__.py"), os.environ["FAKE_MAIN"].replace("NAME", name))
"""
FAKE_MAIN = """
import os, sys
print("NAME", *sys.argv[1:])
sys.exit(int(os.environ.get("FAKE_EXIT", "0")))
"""
WAITING_MAIN = """
import sys, time
try:
    print("ready", flush=True)
    time.sleep(30)
except KeyboardInterrupt:
    sys.exit(77)
"""


WITHOUT_ENSUREPIP = """
import runpy, sys
sys.modules.update(ensurepip=None, virtualenv=None)
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


class Project:
    """A folder with the bootstrap in it, and a way to call it."""

    def __init__(self, folder: Path, tools: Path) -> None:
        self.folder = folder
        self.log = tools / "log"
        self.env = {
            "PATH": f"{tools}:/usr/bin:/bin",
            "HOME": str(tools),
            "FAKE_LOG": str(self.log),
            "FAKE_MAIN": FAKE_MAIN,
        }

    def command(self, *args: str) -> list[str]:
        # Without what the machine's own site packages do at each start; it is a third of a call.
        return [PYTHON, "-S", str(self.folder / "scripts" / "bootstrap.py"), *args]

    def run(self, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*args),
            env=self.env | env,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=60,
            check=False,
        )

    def start(self, *args: str, **env: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(*args),
            env=self.env | env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @property
    def calls(self) -> list[str]:
        """What uv was called for, so far."""
        return self.log.read_text().splitlines() if self.log.exists() else []

    def wait_for_call(self, call: str) -> None:
        deadline = time.monotonic() + 20
        while call not in self.calls:
            assert time.monotonic() < deadline, f"{call} was not called"
            time.sleep(0.02)


def new_project(folder: Path, tools: Path) -> Project:
    (folder / "scripts").mkdir(parents=True)
    shutil.copy(SCRIPT, folder / "scripts")
    (folder / "pyproject.toml").write_text('[project]\nname = "x"\n')
    return Project(folder, tools)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    tools = tmp_path / "tools"
    tools.mkdir()
    uv = tools / "uv"
    uv.write_text(FAKE_UV)
    uv.chmod(uv.stat().st_mode | stat.S_IXUSR)
    return new_project(tmp_path / "a b,ü", tools)


def test_the_first_call_sets_up_and_the_second_goes_straight_on(project: Project) -> None:
    first = project.run("prod", "--json")
    assert (first.returncode, first.stdout) == (0, "invoke prod --json\n")
    assert "making .venv with uv (there is none) ... " in first.stderr
    assert "installing the toolkit ... " in first.stderr
    second = project.run("prod", "--json")
    assert (second.stdout, second.stderr) == ("invoke prod --json\n", "")
    assert project.calls == ["venv --quiet", "pip install"]


def test_sessions_go_to_nox(project: Project) -> None:
    assert project.run("test", "--", "-k", "x").stdout == "nox -s lint test e2e -- -k x\n"
    assert project.run("lint").stdout == "nox -s lint\n"


def test_nox_keeps_its_own_words(project: Project) -> None:
    assert project.run("nox", "-s", "test", "--", "-x").stdout == "nox -s test -- -x\n"


def test_each_script_starts_its_task_from_a_fresh_clone(project: Project) -> None:
    scripts = {
        "docker/build.sh": (["--prod", "--rebuild"], "invoke rebuild prod\n"),
        "scripts/warm-cache.sh": (["--for", "ci"], "invoke warm-cache --for ci\n"),
        "scripts/refresh-cache.sh": (["clean", "all"], "invoke refresh-cache clean all\n"),
        "scripts/benchmark-builds.sh": (["--runs", "3"], "invoke benchmark --runs 3\n"),
        "scripts/docker_workflow_test.sh": (["--json"], "invoke workflow-test --json\n"),
    }
    (project.folder / "docker").mkdir()
    for name in ("scripts/shim.py", *scripts):
        shutil.copy(SCRIPT.parents[1] / name, project.folder / name)
    (project.log.parent / "python3").symlink_to(PYTHON)
    for name, (words, expected) in scripts.items():
        done = subprocess.run(
            [project.folder / name, *words],
            cwd=project.log.parent,
            env=project.env | {"FAKE_EXIT": "69"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.stdout, done.returncode) == (expected, 69), done.stderr
    assert project.calls == ["venv --quiet", "pip install"]


def test_no_argument_lists_the_tasks(project: Project) -> None:
    result = project.run()
    assert result.stdout == "invoke --list\n"
    assert "scripts/bootstrap.py dev" in result.stderr


def test_help_sets_nothing_up(project: Project) -> None:
    result = project.run("--help")
    assert result.returncode == 0
    assert "any Invoke task" in result.stderr
    assert not (project.folder / ".venv").exists()


def test_the_exit_code_is_the_tasks(project: Project) -> None:
    assert project.run("dev", FAKE_EXIT="69").returncode == 69


def test_foreign_environments_do_not_get_in(project: Project, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "invoke.py").write_text("print('the wrong invoke')")
    result = project.run(
        "dev",
        VIRTUAL_ENV=str(tmp_path / "other"),
        PYTHONPATH=str(tmp_path / "other"),
        PYTHONDONTWRITEBYTECODE="1",
        LANG="C",
        LC_ALL="C",
        UV_SYSTEM_PYTHON="1",
    )
    assert result.stdout == "invoke dev\n"


def test_the_toolkit_is_compiled_where_python_keeps_nothing_by_itself(project: Project) -> None:
    package = project.folder / "src" / "rebake"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    assert project.run("dev", PYTHONDONTWRITEBYTECODE="1").returncode == 0
    assert len(list(package.glob("__pycache__/*.pyc"))) == 1
    assert len(list(project.folder.glob(".venv/lib/*/*/invoke/__pycache__/*.pyc"))) == 2


def test_checkers_with_checksums_come_first_and_again_when_those_change(project: Project) -> None:
    tools = project.folder / "scripts" / "tools.txt"
    tools.write_text("a==1 --hash=sha256:0\n")
    first = project.run("dev")
    assert first.stderr.index("installing the checkers ... ") < first.stderr.index(
        "the toolkit ... "
    )
    assert project.calls == ["venv --quiet", "pip install", "pip install"]
    assert project.run("dev").stderr == ""
    tools.write_text("a==2 --hash=sha256:1\n")
    project.run("dev")
    assert project.calls[3:] == ["pip install", "pip install"]


def test_a_changed_lint_rule_installs_nothing_and_a_new_dependency_does(project: Project) -> None:
    project.run("dev")
    pyproject = project.folder / "pyproject.toml"
    pyproject.write_text(pyproject.read_text() + "[tool.ruff]\nline-length = 90\n")
    assert project.run("dev").stderr == ""
    assert len(project.calls) == 2
    pyproject.write_text('[project]\nname = "x"\ndependencies = ["y"]\n')
    assert "updating the toolkit" in project.run("dev").stderr
    assert project.calls[2:] == ["pip install"]


def test_an_update_without_network_keeps_what_is_there(project: Project) -> None:
    project.run("dev")
    (project.folder / "pyproject.toml").write_text('[project]\nname = "y"\n')
    failed = project.run("dev", FAKE_FAIL="1")
    assert failed.returncode == 1
    assert "updating the toolkit ... failed" in failed.stderr
    assert "are you offline?" in failed.stderr
    assert "next: is the network there" in failed.stderr
    project.run("dev")
    assert project.calls.count("venv --quiet") == 1


def test_a_first_setup_without_network_says_so_and_is_not_trusted_later(project: Project) -> None:
    # Without ensurepip, the way that is tried after uv does not unpack a pip first.
    script = str(project.folder / "scripts" / "bootstrap.py")
    failed = subprocess.run(
        [PYTHON, "-c", WITHOUT_ENSUREPIP, script, "dev"],
        env=project.env
        | {"PATH": f"{project.log.parent}:/nowhere", "FAKE_FAIL": "1", "PIP_NO_INDEX": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert failed.returncode == 1
    assert "are you offline?" in failed.stderr
    again = project.run("dev")
    assert (again.returncode, again.stdout) == (0, "invoke dev\n")
    assert "an earlier setup was cut off" in again.stderr


def test_a_folder_that_was_moved_or_copied_is_set_up_again(project: Project) -> None:
    project.run("dev")
    moved = project.folder.parent / "elsewhere"
    shutil.copytree(project.folder, moved, symlinks=True)
    result = Project(moved, project.log.parent).run("dev")
    assert result.stdout == "invoke dev\n"
    assert "the folder was moved or copied" in result.stderr


def test_missing_packages_are_noticed(project: Project) -> None:
    project.run("dev")
    shutil.rmtree(next(project.folder.glob(".venv/lib/python*/site-packages/invoke")))
    result = project.run("dev")
    assert result.stdout == "invoke dev\n"
    assert "parts of it are missing" in result.stderr


def test_an_interpreter_that_is_gone_is_noticed(project: Project) -> None:
    project.run("dev")
    for link in project.folder.glob(".venv/bin/python*"):
        link.unlink()
    assert project.run("dev").stdout == "invoke dev\n"


def test_an_environment_made_by_hand_is_kept_and_completed(project: Project) -> None:
    venv = project.folder / ".venv"
    subprocess.run([PYTHON, "-m", "venv", "--without-pip", venv], check=True)
    (venv / "mine").touch()
    assert project.run("dev").stdout == "invoke dev\n"
    assert (venv / "mine").exists()
    assert project.calls == ["pip install"]


def test_two_at_once_set_up_once(project: Project) -> None:
    both = [project.start("dev", FAKE_SLEEP="0.5") for _ in range(2)]
    results = [process.communicate(timeout=60) for process in both]
    assert [out for out, _ in results] == ["invoke dev\n"] * 2
    assert project.calls == ["venv --quiet", "pip install"]
    assert any("another bootstrap" in err for _, err in results)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_setup_ends_with_130_and_is_not_trusted(
    project: Project, number: signal.Signals
) -> None:
    process = project.start("dev", FAKE_SLEEP="30")
    project.wait_for_call("pip install")
    process.send_signal(number)
    started = time.monotonic()
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert time.monotonic() - started < 10
    assert "interrupted" in err
    assert "Traceback" not in err
    again = project.run("dev")
    assert again.stdout == "invoke dev\n"
    assert "an earlier setup was cut off" in again.stderr


def test_sigint_works_where_a_shell_had_it_ignored(project: Project) -> None:
    # `sh -c 'cmd &'` starts cmd with SIGINT ignored.
    script = '"$@" & pid=$!; sleep 1.5; kill -INT $pid; wait $pid; echo $?'
    shell = ["/bin/sh", "-c", script, "sh", *project.command("dev")]
    env = project.env | {"FAKE_SLEEP": "30"}
    result = subprocess.run(shell, env=env, capture_output=True, text=True, check=False)
    assert result.stdout.strip() == "130"


def test_a_killed_setup_keeps_others_waiting_for_its_installer(project: Project) -> None:
    process = project.start("dev", FAKE_SLEEP="2")
    project.wait_for_call("pip install")
    process.kill()
    process.communicate()
    started = time.monotonic()
    again = project.run("dev")
    assert again.stdout == "invoke dev\n"
    assert "another bootstrap" in again.stderr
    assert "an earlier setup was cut off" in again.stderr
    assert time.monotonic() - started > 1


def test_signals_reach_the_task(project: Project) -> None:
    process = project.start("dev", FAKE_MAIN=WAITING_MAIN)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    with contextlib.closing(process.stdout):
        process.communicate(timeout=20)
    assert process.returncode == 77
