"""`add-service`: a service comes and goes, wholly or not at all."""

from __future__ import annotations

import json
import shutil
import tomllib
from pathlib import Path

import pytest

from rebake.project.project import open_project
from rebake.scaffold import service as deeds
from rebake.scaffold.service_plan import IMAGE_TEST, crate_files
from scaffold_desk import Desk, commit, git, packed, write

ROOT = Path(__file__).parents[3]
TAKEN = (
    *("rebake.toml", "backend/Cargo.toml", "backend/Cargo.lock", "backend/Dockerfile"),
    *("docker/docker-compose.yml", "docker/docker-compose.dev.yml", "docker/docker-bake.hcl"),
)
CHANGED = {*TAKEN, IMAGE_TEST} - {"backend/Cargo.toml"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What of this repository tells about services, committed."""
    root = tmp_path_factory.mktemp("service") / "shop"
    crates = [path.relative_to(ROOT) for path in ROOT.glob("backend/crates/*/Cargo.toml")]
    mains = [path.relative_to(ROOT) for path in ROOT.glob("backend/crates/*/src/main.rs")]
    for name in (*map(Path, TAKEN), *crates, *mains):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, root / name)
    write(root, {".gitignore": "/.rebake/\n", IMAGE_TEST: 'SERVICES = {"api", "worker", "ui"}\n'})
    git(root, "init", "--quiet", "--template=")
    commit(root)
    return packed(root)


@pytest.fixture
def shop(
    tmp_path: Path,
    made: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Shop:
    shutil.copytree(made, tmp_path / "shop")
    return Shop(tmp_path, None, monkeypatch, capsys)


class Shop(Desk):
    """A project, and `rebake` in it."""

    @property
    def root(self) -> Path:
        return self.folder / "shop"

    def service(self, *words: str) -> tuple[int, str, str]:
        """Run `add-service`."""
        return self.run("add-service", *words, cwd=self.root)

    @property
    def status(self) -> str:
        return git(self.root, "status", "--porcelain", "--untracked-files=all")


def test_a_service_comes_with_all_that_it_needs_and_goes_without_a_trace(shop: Shop) -> None:
    code, out, err = shop.service("mail-out", "--json")
    assert code == 0, err
    document = json.loads(out)
    crate = "backend/crates/mail-out"
    assert (document["service"], document["change"]) == ("mail-out", "added")
    assert document["crate"] == crate
    assert document["files"] == {
        **dict.fromkeys([f"{crate}/{path}" for path in crate_files("mail-out")], "new"),
        **dict.fromkeys(CHANGED, "changed"),
    }
    project = open_project(shop.root)
    assert project.config.services == ("api", "worker", "mail-out", "ui")
    binary = project.workspace.binary("mail-out")
    assert binary is not None
    assert (binary.package, binary.crate) == ("mail-out", shop.root / crate)
    lock = tomllib.loads((shop.root / "backend/Cargo.lock").read_text())["package"]
    [entry] = [each for each in lock if each["name"] == "mail-out"]
    manifest = tomllib.loads((shop.root / crate / "Cargo.toml").read_text())
    assert set(entry["dependencies"]) == {*manifest["dependencies"], *manifest["dev-dependencies"]}
    main = (shop.root / crate / "src/main.rs").read_text()
    assert "app_service::main::<MailOut>(" in main
    assert 'option_env!("REBAKE_BUILD_ID_MAIL_OUT")' in main  # what docker/tools/service-ids sets
    assert not (shop.root / ".rebake").exists() or not list((shop.root / ".rebake").iterdir())

    commit(shop.root)
    code, out, err = shop.service("mail-out", "--remove", "--yes", "--json")
    assert code == 0, err
    document = json.loads(out)
    assert (document["change"], document["files"]["rebake.toml"]) == ("removed", "changed")
    assert document["files"][f"{crate}/src/lib.rs"] == "gone"
    assert not (shop.root / crate).exists()
    commit(shop.root)
    assert git(shop.root, "diff", "HEAD~2", "HEAD") == ""


def test_what_was_only_just_made_can_go_uncommitted(shop: Shop) -> None:
    assert shop.service("mailer")[0] == 0
    code, out, err = shop.service("mailer", "--remove", "--yes")
    assert code == 0, err
    assert "mailer is gone" in out
    assert shop.status == ""


def test_words_for_a_person(shop: Shop) -> None:
    code, out, _ = shop.service("mailer")
    assert code == 0
    assert "  new      backend/crates/mailer/src/lib.rs\n" in out
    assert "mailer is a service now; its code: backend/crates/mailer/src/lib.rs" in out
    assert "next: invoke dev" in out


def test_a_dry_run_shows_the_diff_and_changes_nothing(shop: Shop) -> None:
    code, out, _ = shop.service("mailer", "--dry-run")
    assert code == 0
    assert "+++ b/backend/crates/mailer/src/lib.rs" in out
    assert '+  targets = ["api", "worker", "mailer", "ui"]' in out
    code, text, _ = shop.service("mailer", "--dry-run", "--json")
    document = json.loads(text)
    assert (document["dry_run"], document["diff"].strip()) == (True, out.strip())
    code, out, _ = shop.service("worker", "--remove", "--dry-run")
    assert code == 0
    assert '-target "worker" {' in out
    assert shop.status == ""


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "takes one service, not 0"),
        (["a", "b"], "takes one service, not 2"),
        (["Mailer"], "did you mean mailer?"),
        (["worker"], "a service has it"),
        (["serde"], "a package in backend/Cargo.lock has it"),
        (["core"], "the folder"),
        (["app-core"], "a crate of the workspace has it"),
        (["ui"], "the UI has it"),
        (["deps"], "the bake file has it"),
        (["x;touch y"], "can't be a service's name"),
        (["mailer", "--remove", "--yes"], "no service of the backend named 'mailer'"),
        (["wroker", "--remove", "--yes"], "did you mean worker?"),
        (["worker", "--remove"], "nobody can be asked here"),
        (["worker", "--remove", "--json"], "nobody can be asked here"),
        (["api", "--remove", "--yes"], "depends on api"),
    ],
)
def test_bad_input_is_one_error_and_changes_nothing(
    shop: Shop, words: list[str], says: str
) -> None:
    code, out, err = shop.service(*words)
    assert (code, out, err.count("error: ")) == (2, "", 1), err
    assert says in err
    assert shop.status == ""


@pytest.mark.parametrize(
    ("file", "before", "after"),
    [
        ("backend/Dockerfile", "ARG BINARIES", "ARG PROGRAMS"),
        ("docker/docker-compose.yml", "&hardened", "&hard"),
        ("docker/docker-compose.dev.yml", "[worker, api, worker]", "[worker, worker]"),
        ("docker/docker-bake.hcl", 'group "default"', 'group "all"'),
        ("backend/Cargo.lock", "version = 4", "version ="),
        ("docker/docker-compose.yml", "\n", "\r\n"),
        (IMAGE_TEST, "SERVICES", "IMAGES"),
        ("docker/docker-compose.yml", "    environment:\n", "    environment: {\n"),
    ],
)
def test_an_edited_file_without_the_place_is_named_and_nothing_changes(
    shop: Shop, file: str, before: str, after: str
) -> None:
    text = (shop.root / file).read_text()
    assert before in text
    (shop.root / file).write_text(text.replace(before, after), newline="")
    edited = shop.status
    code, _, err = shop.service("mailer")
    assert (code, err.count("error: ")) == (2, 1), err
    assert file.rsplit("/", 1)[1] in err
    assert "nothing was changed" in err
    assert shop.status == edited


@pytest.mark.parametrize("words", [["mailer"], ["worker", "--remove", "--yes"]])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device", "x"), KeyboardInterrupt])
def test_a_failure_half_way_puts_everything_back(
    shop: Shop, words: list[str], error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    copies = []
    copy2 = shutil.copy2

    def fail(source: Path, target: Path) -> object:
        copies.append(source)
        if len(copies) == 4:
            raise error
        return copy2(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(deeds.shutil, "copy2", fail)
        code, _, err = shop.service(*words)
    assert code in {2, 130}
    assert len(copies) == 4
    assert shop.status == ""
    assert not list((shop.root / ".rebake").iterdir())
    assert shop.service(*words)[0] == 0, err


def test_a_file_that_changed_since_it_was_planned_stops_it(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deeds, "_now", lambda _: "another text")
    code, _, err = shop.service("mailer")
    assert (code, "was changed meanwhile" in err) == (2, True)
    assert shop.status == ""


@pytest.mark.parametrize("name", ["notes.md", "src/main.rs"])
def test_a_crate_of_which_git_does_not_have_everything_stays(shop: Shop, name: str) -> None:
    file = f"backend/crates/worker/{name}"
    write(shop.root, {file: "precious\n"})
    edited = shop.status
    code, _, err = shop.service("worker", "--remove", "--yes")
    assert (code, f"not committed: {file}" in err) == (2, True), err
    assert shop.status == edited


def test_without_git_only_what_was_just_made_can_go(shop: Shop) -> None:
    shutil.rmtree(shop.root / ".git")
    code, _, err = shop.service("worker", "--remove", "--yes")
    assert (code, "it would be lost" in err) == (2, True), err
    assert shop.service("mailer")[0] == 0
    assert shop.service("mailer", "--remove", "--yes")[0] == 0


def test_a_crate_of_two_binaries_stays(shop: Shop) -> None:
    manifest = shop.root / "backend/crates/worker/Cargo.toml"
    second = '[[bin]]\nname = "sweep"\npath = "src/sweep.rs"\n\n[dependencies]\n'
    manifest.write_text(manifest.read_text().replace("[dependencies]\n", second))
    commit(shop.root)
    code, _, err = shop.service("worker", "--remove", "--yes")
    assert (code, "the crate of worker makes sweep as well" in err) == (2, True), err
    assert shop.status == ""


def test_what_others_need_stays(shop: Shop) -> None:
    manifest = shop.root / "backend/crates/api/Cargo.toml"
    text = manifest.read_text()
    line = 'sweeping = { package = "worker", path = "../worker" }\n'
    manifest.write_text(text.replace("[dependencies]\n", f"[dependencies]\n{line}"))
    code, _, err = shop.service("worker", "--remove", "--yes")
    assert (code, "the crate api depends on worker" in err) == (2, True), err
    manifest.write_text(text)
    assert shop.service("worker", "--remove", "--yes")[0] == 0
    code, _, err = shop.service("api", "--remove", "--yes")
    assert (code, "only service" in err) == (2, True), err
