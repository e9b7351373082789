"""`rebake adopt`: what is found, written and refused; nothing of the project changes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from e2e.old_project import write, write_old_project
from rebake.cli import main
from rebake.errors import UsageError
from rebake.project.dockerfile import parse
from rebake.project.project import open_project
from rebake.scaffold.adopt_look import look
from scaffold_desk import git

REPOSITORY = Path(__file__).parents[3]
# What is taken of the template, as it is in this folder.
PARTS = ("backend/Dockerfile", "ui/Dockerfile", "docker", "scripts/bootstrap.py", "tasks.py")
OVERRIDE = "docker-compose.override.yml"


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("adopt") / "template"
    alone = ("noxfile.py", "copier.yml", "pyproject.toml", "src/rebake/__init__.py")
    for part in (*PARTS, *alone):
        target = root / part
        target.parent.mkdir(parents=True, exist_ok=True)
        if (REPOSITORY / part).is_dir():
            shutil.copytree(REPOSITORY / part, target)
        else:
            shutil.copy2(REPOSITORY / part, target)
    git(root, "init", "--quiet")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "-m", "template")
    return root


@dataclass
class Old:
    root: Path
    template: Path
    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]

    def adopt(self, *words: str, toolkit: bool = False) -> tuple[int, str, str]:
        answers = () if toolkit else ("--data", "toolkit=no")
        source = ("--source", str(self.template))
        return self.rebake("adopt", str(self.root), *source, *answers, *words)

    def rebake(self, *words: str) -> tuple[int, str, str]:
        code: object = 0
        self.capsys.readouterr()
        self.monkeypatch.setattr("sys.argv", ["rebake", *words])
        try:
            main()
        except SystemExit as error:
            code = error.code or 0
        out, err = self.capsys.readouterr()
        assert isinstance(code, int)
        assert "Traceback" not in err
        return code, out, err

    def refused(self, *words: str, toolkit: bool = False) -> str:
        """The error of a call that must be refused, with nothing written."""
        before = self.listing()
        code, out, err = self.adopt(*words, toolkit=toolkit)
        assert (code, out) == (2, ""), err
        assert self.listing() == before
        return err

    def document(self, *words: str) -> Any:
        code, out, err = self.adopt("--json", *words)
        assert code == 0, err
        return json.loads(out)

    def listing(self) -> dict[str, bytes]:
        return {
            path.relative_to(self.root).as_posix(): path.read_bytes() if path.is_file() else b""
            for path in self.root.rglob("*")
            if ".git" not in path.parts
        }

    def change(self, name: str, old: str, new: str) -> None:
        file = self.root / name
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))

    def text(self, name: str) -> str:
        return (self.root / name).read_text()


@pytest.fixture
def old(
    tmp_path: Path,
    template: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Old:
    monkeypatch.setenv("REBAKE_STATE_HOME", str(tmp_path / "state"))
    root = write_old_project(tmp_path / "shop")
    git(root, "init", "--quiet")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "-m", "first")
    return Old(root, template, monkeypatch, capsys)


def test_only_new_files_come_and_all_of_them_are_told(old: Old) -> None:
    document = old.document()
    told = {f"?? {name}" for name in document["files"]}
    assert set(git(old.root, "status", "--porcelain", "-uall").splitlines()) == told
    assert document["command"] == "docker compose up --build"
    assert document["services"] == {
        "backend": {"service": "api", "dockerfile": "Dockerfile", "target": "prod-api"},
        "jobs": {"service": "worker", "dockerfile": "worker.Dockerfile", "target": "prod-worker"},
        "web": {"service": "ui", "dockerfile": "frontend/Dockerfile", "target": "prod-ui"},
    }
    assert os.access(old.root / "docker/rebake/tools/build-ui", os.X_OK)


def test_the_configuration_is_one_that_rebake_reads(old: Old) -> None:
    old.document()
    project = open_project(old.root)
    assert project.config.services == ("api", "worker", "ui")
    project.read_manifests()
    assert project.dockerfiles == {
        "backend": old.root / "Dockerfile.rebake",
        "ui": old.root / "frontend/Dockerfile.rebake",
    }
    assert project.runs_itself


def test_the_override_holds_builds_alone(old: Old) -> None:
    old.document()
    document = yaml.load(old.text(OVERRIDE).replace("!override", ""), yaml.SafeLoader)
    for service in document["services"].values():
        assert set(service) == {"build"}
        assert service["build"]["dockerfile"] == "Dockerfile.rebake"
    assert document["services"]["web"]["build"]["args"]["TITLE"] == "the shop"
    assert set(document) == {"x-rebake-secrets", "services", "secrets"}
    assert all(name.startswith("rebake-") for name in document["secrets"])


def test_the_dockerfiles_have_the_stages_that_the_bake_file_names(old: Old) -> None:
    old.document()
    backend = parse(old.text("Dockerfile.rebake"))
    names = {stage.name for stage in backend.stages}
    assert {"prod-api", "prod-worker", "deps", "build"} <= names
    assert not {"dev", "prod", "dev-tools"} & names
    for stage in backend.stages:  # nothing that was left out is asked for
        for one in stage.instructions:
            mounted = {mount["from"] for mount in one.mounts() if "from" in mount}
            copied = {source} if (source := one.flag("from")) else set()
            assert mounted | copied <= names | {"tools"}
    bake = old.text("docker/rebake/docker-bake.hcl")
    assert bake.count('dockerfile = "Dockerfile.rebake"') == 2
    assert "rebake-app" not in bake
    assert 'targets = ["api", "worker", "ui"]' in bake


def test_a_dry_run_shows_the_files_and_writes_nothing(old: Old) -> None:
    before = old.listing()
    code, out, _ = old.adopt("--dry-run", toolkit=True)
    assert code == 0
    assert old.listing() == before
    lines = out.splitlines()
    assert "+++ rebake.toml" in lines
    assert '+services = ["api", "worker"]' in lines
    assert "+++ docker/rebake/tools/build-workspace" in lines
    assert "+++ vendor/rebake-" in out
    assert "  jobs: the program worker, worker.Dockerfile → the fast build (prod-worker)" in lines


def test_a_file_in_the_way_is_named_and_nothing_is_written(old: Old) -> None:
    name = "frontend/Dockerfile.rebake"
    write(old.root / name, "mine\n")
    assert f"{name} is there already; nothing was written" in old.refused()
    write(old.root / "docker/rebake/tools/build-ui", "mine\n")
    assert "2 files are there already; nothing was written\n   │ docker/rebake" in old.refused()
    assert old.text(name) == "mine\n"


def test_a_ui_that_stays_as_it_is(old: Old) -> None:
    old.change("frontend/Dockerfile", "run build", "run build:prod")
    document = old.document()
    assert "only npm run build and bun run build" in document["left"]["web"]
    assert document["ui"] is None
    assert not (old.root / "frontend/Dockerfile.rebake").exists()
    assert open_project(old.root).config.services == ("api", "worker")


def test_an_image_that_is_called_like_a_stage_stays_what_it_is(old: Old) -> None:
    old.change("worker.Dockerfile", "FROM oven/bun:1.4.5-slim", "FROM tools/prod-jobs:1")
    (mapped,) = (one for one in look(old.root).mapped if one.service.name == "jobs")
    assert mapped.carried.stages.startswith("FROM tools/prod-jobs:1 AS prod-worker\n")


def test_ignore_files_that_differ_leave_ours_alone(old: Old) -> None:
    assert "target\n**/node_modules\n.git\n\n" in look(old.root).ignores["backend"]
    write(old.root / "worker.Dockerfile.dockerignore", "target\ncrates/api\n")
    facts = look(old.root)
    assert len(facts.mapped) == 3
    assert "crates/api" not in facts.ignores["backend"]
    assert "**/node_modules\n.git\n\n" not in facts.ignores["backend"]


def test_one_image_that_two_services_run(old: Old) -> None:
    old.change("docker-compose.yml", "  jobs:\n", "  again:\n    build: .\n  jobs:\n")
    document = old.document()
    assert document["services"]["again"] == document["services"]["backend"]
    assert old.text("docker/rebake/docker-bake.hcl").count('target "api"') == 1
    assert old.text("Dockerfile.rebake").count("AS prod-api\n") == 1


def test_a_second_time_is_refused(old: Old) -> None:
    old.document()
    error = old.refused()
    assert "rebake.toml is there already" in error
    assert "delete first what rebake adopt wrote" in error


def test_broken_files_of_tests_are_no_hindrance(old: Old) -> None:
    write(old.root / "tests/data/Cargo.toml", "[workspace\n")
    write(old.root / "frontend/tests/package.json", "{")
    write(old.root / "tests/compose.yml", "a: [")
    facts = look(old.root)
    assert facts.left == {}
    assert len(facts.mapped) == 3
    assert any("tests/compose.yml" in note for note in facts.notes)


def test_a_python_file_in_the_way_can_be_left_out(old: Old) -> None:
    write(old.root / "tasks.py", "mine\n")
    write(old.root / "pyproject.toml", "[project]\n")
    error = old.refused(toolkit=True)
    assert "tasks.py" in error
    assert "pyproject.toml" in error
    assert "--data toolkit=no" in error
    assert old.adopt()[0] == 0


def test_a_failure_in_the_middle_takes_everything_back(
    old: Old, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = old.listing()

    def full(_source: Path, file: Path) -> None:
        if file.name == "with-host-settings":
            raise OSError(28, "No space left on device", str(file))

    monkeypatch.setattr("rebake.scaffold.adopt.shutil.copymode", full)
    code, _, err = old.adopt()
    assert code != 0
    assert "No space left" in err
    assert old.listing() == before


def test_links_that_leave_the_folder_are_not_followed(old: Old, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (old.root / "docker").symlink_to(tmp_path / "outside")
    assert "docker is there already" in old.refused()
    assert not list((tmp_path / "outside").iterdir())
    (old.root / "docker").unlink()
    (tmp_path / "outside/Dockerfile").write_text(old.text("Dockerfile"))
    (old.root / "Dockerfile").unlink()
    (old.root / "Dockerfile").symlink_to(tmp_path / "outside/Dockerfile")
    assert old.document()["left"] == {"backend": "Dockerfile leaves the project's folder"}


def test_a_service_that_can_t_be_taken_over_stays_as_it_is(old: Old) -> None:
    old.change("worker.Dockerfile", "--bin worker", "--bin worker --features fast")
    document = old.document()
    assert document["left"] == {
        "jobs": "worker.Dockerfile: line 7: cargo build --release --locked --bin worker --features "
        "fast: --features can't be taken over"
    }
    assert '"jobs"' not in old.text(OVERRIDE)
    assert tomllib.loads(old.text("rebake.toml"))["backend"]["services"] == ["api"]


@pytest.mark.parametrize(
    ("name", "before", "after", "reason"),
    [
        ("worker.Dockerfile", "trixie", "bookworm", "one build makes all programs"),
        ("worker.Dockerfile", "EDITION=first", "EDITION=second", "EDITION is another one"),
        ("worker.Dockerfile", "rust:1.97-slim-trixie", "rust:1-alpine", "images of Rust on Debian"),
        ("docker-compose.yml", "dockerfile: worker", "dockerfile: ../worker", "leaves the project"),
        ("docker-compose.yml", "dockerfile: worker", "dockerfile: gone", "is not there"),
        ("worker.Dockerfile", "COPY words.txt", "COPY gone.txt", "is not there, or it is ignored"),
        ("worker.Dockerfile", "WORKDIR /app", "WORKDIR /", "only a folder of its own"),
        ("worker.Dockerfile", "WORKDIR /app", "WORKDIR /target/x", "only a folder of its own"),
        ("worker.Dockerfile", "WORKDIR /app", "WORKDIR /context", "only a folder of its own"),
        ("worker.Dockerfile", "WORKDIR /app", "WORKDIR /app/x", "compiles in /app/x, and"),
        ("docker-compose.yml", "worker.Dockerfile", '"worker\\nRUN x"', "has more than one line"),
        ("docker-compose.yml", "worker.Dockerfile", "'a!b'", "a name with such characters"),
        ("worker.Dockerfile", "COPY words.txt", "COPY .", "is not in ., or all of it"),
    ],
)
def test_reasons(old: Old, name: str, before: str, after: str, reason: str) -> None:
    old.change(name, before, after)
    assert reason in look(old.root).left["jobs"]


def test_a_ui_that_npm_builds_on_alpine(old: Old) -> None:
    old.change("frontend/Dockerfile", "oven/bun:1.4.5-slim AS build", "node:22-alpine3.20 AS build")
    old.change("frontend/Dockerfile", "bun install --frozen-lockfile", "npm ci")
    old.change("frontend/Dockerfile", "bun run build", "npm run build")
    old.change("frontend/Dockerfile", "bun.lock", "package-lock.json")
    (old.root / "frontend/bun.lock").unlink()
    write(
        old.root / "frontend/package-lock.json",
        '{"lockfileVersion": 3, "packages": {"": {}, "node_modules/react": {"version": "19.0.0"}}}',
    )
    document = old.document()
    assert document["ui"] == {"path": "frontend", "manager": "npm"}
    table = tomllib.loads(old.text("rebake.toml"))["base_images"]
    assert table["node"] == "node:22-slim"
    assert table["bun"].startswith("oven/bun:")
    override = yaml.load(old.text(OVERRIDE).replace("!override", ""), yaml.SafeLoader)
    args = override["services"]["web"]["build"]["args"]
    assert (args["UI_MANAGER"], args["NODE_IMAGE"]) == ("npm", "node:22-slim")
    assert "ARG UI_MANAGER=npm\n" in old.text("frontend/Dockerfile.rebake")
    assert any("node:22-slim instead of node:22-alpine3.20" in n for n in document["notes"])
    assert set(open_project(old.root).base_images) == {"rust", "bun", "node"}


def test_a_ui_with_workspaces_or_the_lock_file_of_another_manager(old: Old) -> None:
    lock = old.root / "frontend/bun.lock"
    lock.rename(lock.with_name("yarn.lock"))
    assert "there is no bun.lock" in old.document("--dry-run")["left"]["web"]
    lock.with_name("yarn.lock").rename(lock)
    old.change("frontend/package.json", '"private"', '"workspaces": ["x"], "private"')
    document = old.document()
    assert "has workspaces" in document["left"]["web"]
    assert document["ui"] is None
    assert open_project(old.root).config.services == ("api", "worker")
    assert 'target "_ui"' not in old.text("docker/rebake/docker-bake.hcl")
    assert 'targets = ["api", "worker"]' in old.text("docker/rebake/docker-bake.hcl")


def test_an_override_that_is_there_stays_and_ours_is_named(old: Old) -> None:
    write(old.root / OVERRIDE, "services: {}\n")
    document = old.document()
    assert document["override"] == "docker-compose.rebake.yml"
    assert document["command"] == (
        "docker compose -f docker-compose.yml -f docker-compose.override.yml "
        "-f docker-compose.rebake.yml up --build"
    )
    assert old.text(OVERRIDE) == "services: {}\n"


def test_a_workspace_and_a_compose_file_in_folders_of_their_own(old: Old) -> None:
    (old.root / "services").mkdir()
    for name in ("Cargo.toml", "Cargo.lock", "crates"):
        (old.root / name).rename(old.root / "services" / name)
    (old.root / "deploy").mkdir()
    (old.root / "docker-compose.yml").rename(old.root / "deploy/compose.prod.yml")
    old.change("deploy/compose.prod.yml", "context: .", "context: ..")
    old.change("deploy/compose.prod.yml", "build: .", "build: ..")
    old.change("deploy/compose.prod.yml", "context: frontend", "context: ../frontend")
    for name in ("Dockerfile", "worker.Dockerfile"):
        old.change(name, "COPY . .", "COPY services/ .")
        old.change(name, "COPY words.txt", "COPY services/words.txt")
    (old.root / "words.txt").rename(old.root / "services/words.txt")
    document = old.document()
    assert document["left"] == {}
    assert document["workspace"] == "services"
    assert document["command"] == (
        "cd deploy && docker compose -f compose.prod.yml -f docker-compose.rebake.yml up --build"
    )
    text = old.text("deploy/docker-compose.rebake.yml")
    assert 'context: "../services"' in text
    assert 'tools: "../docker/rebake/tools"' in text
    assert "COPY words.txt /etc/shop/words.txt\n" in old.text("services/Dockerfile.rebake")
    # Their ignore file was another folder's.
    assert "node_modules\n.git\n" not in old.text("services/Dockerfile.rebake.dockerignore")


def test_a_profile_with_lto_and_flags_of_the_project(old: Old) -> None:
    old.change("Cargo.toml", "[workspace]", "[profile.release]\nlto = true\n[workspace]")
    write(old.root / ".cargo/config.toml", '[build]\nrustflags = ["--cfg", "fast"]\n')
    document = old.document()
    text = old.text("Dockerfile.rebake")
    assert "CARGO_PROFILE_RELEASE_INCREMENTAL=false" in text
    assert "RUSTFLAGS" not in text
    assert any("lto" in note for note in document["notes"])
    assert any("rustflags" in note for note in document["notes"])


def test_a_profile_with_few_codegen_units_is_told_of(old: Old) -> None:
    profile = "[profile.release]\ncodegen-units = 1\n"
    old.change("Cargo.toml", "[workspace]", f"{profile}[workspace]")
    (note,) = [note for note in old.document()["notes"] if "codegen-units" in note]
    assert note == (
        "the release profile has codegen-units = 1: "
        "after an edit, larger parts of a crate are compiled again than without it"
    )
    assert "CARGO_PROFILE_RELEASE_INCREMENTAL=true" in old.text("Dockerfile.rebake")


def test_what_is_needed_is_named(old: Old) -> None:
    assert "adopt takes one folder, not 2" in old.refused("another")
    assert "adopt asks for no 'nmae'" in old.refused("--data", "nmae=x")
    assert "did you mean name?" in old.refused("--data", "nmae=x")
    assert "leaves the project's folder" in old.refused("--data", "compose=../x.yml")
    assert "there is no such file" in old.refused("--data", "compose=x.yml")
    assert "nox is yes or no, not 'perhaps'" in old.refused("--data", "nox=perhaps")
    assert "can't be a project's name" in old.refused("--data", "name=con")
    (old.root / "Cargo.lock").unlink()
    assert "cargo generate-lockfile" in old.refused()


def test_a_folder_without_what_is_needed(old: Old) -> None:
    (old.root / "docker-compose.yml").unlink()
    assert "there is no compose file" in old.refused()
    write(old.root / "compose.yml", "services:\n  db:\n    image: postgres:17\n")
    assert "no service is built in compose.yml" in old.refused()
    shutil.rmtree(old.root / "crates")
    (old.root / "Cargo.toml").unlink()
    assert "there is no Cargo.toml" in old.refused()


def test_a_folder_of_many_things_is_told_that_it_is_no_project(tmp_path: Path) -> None:
    write(tmp_path / "one/deep/Cargo.toml", "[workspace\n")
    with pytest.raises(UsageError, match="there is no compose file"):
        look(tmp_path)


def test_a_workspace_whose_name_can_t_be_written_down(old: Old) -> None:
    (old.root / "se*rvices").mkdir()
    for name in ("Cargo.toml", "Cargo.lock", "crates"):
        (old.root / name).rename(old.root / "se*rvices" / name)
    assert "a name with such characters" in old.refused()


def test_two_workspaces_are_a_question(old: Old) -> None:
    shutil.copytree(old.root / "crates", old.root / "a/crates")
    for name in ("Cargo.toml", "Cargo.lock"):
        shutil.copy(old.root / name, old.root / "a")
    shutil.copytree(old.root / "a", old.root / "b")
    (old.root / "Cargo.toml").unlink()
    error = old.refused()
    assert "there are several cargo workspaces: a, b" in error
    assert "--data backend=a" in error


def test_no_program_can_be_taken_over(old: Old) -> None:
    for name in ("Dockerfile", "worker.Dockerfile"):
        old.change(name, "--release", "")
    error = old.refused()
    assert "no service of docker-compose.yml can go on the fast build" in error
    assert "supported: a Dockerfile that compiles" in error


def test_changes_that_are_not_committed_are_a_note(old: Old) -> None:
    write(old.root / "new.txt", "x")
    assert any("not committed" in note for note in old.document("--dry-run")["notes"])
    shutil.rmtree(old.root / ".git")
    assert any("no git repository" in note for note in old.document()["notes"])


def test_a_person_can_say_no(old: Old, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rebake.tasks.scaffold_flow.at_a_terminal", lambda _session: True)
    asked: list[str] = []

    def no(question: str) -> bool:
        asked.append(question)
        return False

    monkeypatch.setattr("rebake.report.prompt.confirm", no)
    assert "nothing was written" in old.refused()
    assert len(asked) == 1
    assert asked[0].startswith("Write ")
    assert old.adopt("--yes")[0] == 0
    assert len(asked) == 1


def test_tasks_of_the_template_s_layout_say_so(old: Old, monkeypatch: pytest.MonkeyPatch) -> None:
    old.document()
    monkeypatch.chdir(old.root)
    for words in (["prod"], ["dev"], ["ps"], ["add-service", "x"], ["benchmark", "--dry-run"]):
        code, _, err = old.rebake(*words)
        assert code == 2
        assert "runs its stack itself" in err or "this one was adopted" in err


def test_the_toolkit_is_carried_along(old: Old) -> None:
    words = ("--source", str(REPOSITORY), "--json", "--data", "nox=yes")
    code, out, err = old.rebake("adopt", str(old.root), *words)
    assert code == 0, err
    wheel = next(name for name in json.loads(out)["files"] if name.endswith(".whl"))
    assert wheel in old.text("pyproject.toml")
    assert subprocess.run(["git", "check-ignore", wheel], cwd=old.root, check=False).returncode == 1
    assert {"tasks.py", "noxfile.py", "scripts/bootstrap.py"} <= set(json.loads(out)["files"])


def test_sessions_without_the_toolkit(old: Old) -> None:
    files = old.document("--data", "nox=yes")["files"]  # with toolkit=no, as all of these
    assert "noxfile.py" in files
    assert "tasks.py" not in files
