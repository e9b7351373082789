"""What `nox -s template` looks at: which kinds of projects, and whether it sees their faults."""

import importlib.util
import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from scaffold_desk import git, make_template, make_template_of_this, write

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check", ROOT / "scripts" / "check_template.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_each_pair_of_answers_stands_together_once(script: ModuleType) -> None:
    answers = script.choices(ROOT)
    assert answers["ui_manager"] == ["bun", "npm"]
    assert answers["services"] == ["api", "api worker"]
    assert answers["makefile"] == ["yes", "no"]
    found = script.combinations(answers)
    assert len(found) < 16
    for one, other in itertools.combinations(answers, 2):
        together = {(row[one], row[other]) for row in found}
        assert together == set(itertools.product(answers[one], answers[other]))


def test_a_copy_is_of_what_is_there_now_committed_or_not(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    this = make_template(tmp_path / "this")
    write(this, {"new.txt": "new\n", "kept.txt": "two\n", "gone.txt": None, "a.pyc": ""})
    (this / ".git" / "info").mkdir(exist_ok=True)
    (this / ".git" / "info" / "exclude").write_text("*.pyc\n")
    monkeypatch.setattr(script, "ROOT", this)
    copy = script.copy_of_this(tmp_path / "copy")
    before = set(git(this, "ls-files").splitlines())
    assert set(git(copy, "ls-files").splitlines()) == (before | {"new.txt"}) - {"gone.txt"}
    assert (copy / "kept.txt").read_text() == "two\n"
    assert git(copy, "status", "--porcelain", "--ignored") == ""


@pytest.fixture(scope="module")
def made(
    script: ModuleType, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, str]]:
    folder = tmp_path_factory.mktemp("made")
    source = make_template_of_this(folder / "rebake")
    answers = script.combinations(script.choices(source))[0]
    return script.make(source, answers, folder / "kind"), answers


@pytest.fixture(scope="module")
def copied(made: tuple[Path, dict[str, str]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("copied") / "shop"
    shutil.copytree(made[0], root, ignore=shutil.ignore_patterns(".git"))
    return root


@pytest.fixture
def project(made: tuple[Path, dict[str, str]], copied: Path) -> Iterator[Path]:
    """A project in which a test may change these files; the next one finds them as they were."""
    yield copied
    for name in {"Makefile", *(file for file, _, _ in FAULTS.values())}:
        shutil.copy2(made[0] / name, copied / name)


def test_a_good_project_has_no_faults(
    script: ModuleType, project: Path, made: tuple[Path, dict[str, str]]
) -> None:
    assert list(script.look_at(project, made[1])) == []


FAULTS = {
    "of the template is left": ("rebake.toml", "name = ", 'name = "rebake-app" # '),
    "Expected": ("rebake.toml", "[project]", "[project"),
    "links to absent.md": ("README.md", "(vendor/README.md)", "(absent.md)"),
    "the services of prod are": ("docker/docker-compose.yml", "\n  api:\n", "\n  ap:\n"),
    "docker-compose.dev.yml: ": ("docker/docker-compose.dev.yml", "services:", "services: ["),
    "Cargo.lock has": ("backend/Cargo.lock", 'name = "web"', 'name = "wep"'),
    "ui/package.json: ": ("ui/package.json", "{", "{{"),
}


@pytest.mark.parametrize("says", FAULTS)
def test_a_fault_is_seen(
    script: ModuleType, project: Path, made: tuple[Path, dict[str, str]], says: str
) -> None:
    file, before, after = FAULTS[says]
    text = (project / file).read_text()
    assert before in text
    (project / file).write_text(text.replace(before, after, 1))
    found = list(script.look_at(project, made[1]))
    assert any(says in fault for fault in found), found


def test_a_file_that_is_missing_is_seen(
    script: ModuleType, project: Path, made: tuple[Path, dict[str, str]]
) -> None:
    (project / "Makefile").unlink()
    assert list(script.look_at(project, made[1])) == ["Makefile is missing"]


def test_a_folder_becomes_one_project_after_another(
    script: ModuleType, tmp_path: Path, made: tuple[Path, dict[str, str]]
) -> None:
    one, other, root = made[0], tmp_path / "other", tmp_path / "shop"
    shutil.copytree(one, other)
    (other / "Makefile").unlink()
    (other / "rebake.toml").write_text("# another one\n")
    script.git(other, "-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qam", "x")
    root.mkdir()
    script.git(root, "init", "--quiet", "--template=")
    script.become(root, one)
    (root / "ui" / "node_modules").mkdir()
    assert (root / "Makefile").is_file()
    kept = root / "backend" / "crates" / "api" / "src" / "main.rs"
    before = kept.stat().st_mtime_ns
    script.become(root, other)
    assert not (root / "Makefile").exists()
    assert (root / "rebake.toml").read_text() == "# another one\n"
    assert not (root / "ui" / "node_modules").exists()
    assert kept.stat().st_mtime_ns == before  # cargo compiles what differs, and nothing else
    assert script.git(root, "status", "--porcelain") == ""
