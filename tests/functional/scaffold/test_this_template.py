"""This very repository as a template: what a project gets of it, and how it is kept up to date."""

from __future__ import annotations

import json
import re
import shutil
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml
from pathspec import GitIgnoreSpec

from rebake import __version__
from rebake.config.place import variable_name
from rebake.errors import RebakeError
from rebake.project.project import open_project
from rebake.scaffold import new as making
from rebake.scaffold import render as rendering
from rebake.scaffold.new import Made, Wish, make
from rebake.scaffold.render import checked
from rebake.scaffold.template import fetch, walk
from rebake.scaffold.update import Wish as UpdateWish
from rebake.scaffold.update import update
from scaffold_desk import Desk, commit, git, make_template_of_this, tracked

ROOT = Path(__file__).parents[3]
WHEEL = f"vendor/rebake-{__version__}-py3-none-any.whl"


def quiet(_: str) -> None:
    pass


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository as it is now, in one commit."""
    return make_template_of_this(tmp_path_factory.mktemp("template"))


@pytest.fixture(scope="module")
def shop(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A project with all defaults."""
    return make(Wish(tmp_path_factory.mktemp("made") / "shop", str(template)), quiet)


@pytest.fixture
def no_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what is the same in each project and takes longest."""
    monkeypatch.setattr(making, "start_wheel", lambda *_, **__: None)


def made(template: Path, folder: Path, **answers: str) -> Path:
    return make(Wish(folder / "other", str(template), answers=answers), quiet, dry_run=False).root


def texts(root: Path) -> dict[str, str]:
    names = git(root, "ls-files").splitlines()
    return {name: (root / name).read_text(encoding="utf-8") for name in names if name != WHEEL}


def test_a_project_is_the_template_and_little_is_rendered(template: Path, shop: Made) -> None:
    there = set(git(template, "ls-files").splitlines())
    different = {
        name
        for name in shop.files
        if name not in there or (shop.root / name).read_bytes() != (template / name).read_bytes()
    }
    assert different == {
        *(".copier-answers.yml", "LICENSE", "README.md", WHEEL),
        *("rebake.toml", "pyproject.toml", "tests/e2e/test_images.py", "vendor/README.md"),
        *("docker/docker-compose.yml", "docker/docker-compose.dev.yml", "docker/docker-bake.hcl"),
        *("docker/BUILD_OPTIMIZATION.md", "backend/Dockerfile", "ui/Dockerfile"),
    }


def test_it_has_nothing_of_the_toolkits_development(shop: Made) -> None:
    folders = {name.split("/")[0] for name in shop.files if "/" in name}
    assert folders == {".ci", ".github", "backend", "docker", "scripts", "tests", "ui", "vendor"}
    assert [name for name in shop.files if name.startswith("scripts/make_")] == []
    assert [name for name in shop.files if name.startswith("tests/")] == [
        "tests/e2e/test_images.py"
    ]
    assert not [name for name in shop.files if name.endswith((".jinja", "copier.yml"))]


def test_of_all_files_of_this_repository_none_more_is_a_projects(shop: Made) -> None:
    document = yaml.safe_load((ROOT / "copier.yml").read_text(encoding="utf-8"))
    always = [line for line in document["_exclude"] if "{" not in line]
    excluded = GitIgnoreSpec.from_lines(always)  # as copier reads them
    plain = [name for name in tracked() if not name.endswith(".jinja") and "{" not in name]
    assert {n for n in plain if not excluded.match_file(n)} - {
        *shop.files,
        "ui/package-lock.json",
        "Tiltfile",
    } == set()


def test_its_words_are_about_itself(shop: Made) -> None:
    said = texts(shop.root)
    assert {name for name, text in said.items() if "rebake-app" in text} == set()
    assert said["README.md"].startswith("# shop\n")
    assert "The shop authors" in said["LICENSE"]
    for name, text in said.items():
        if name.endswith(".md"):
            links = re.findall(r"\]\(([^)#\s]+)\)", text)
            here = (shop.root / name).parent
            assert [link for link in links if not (here / link).exists()] == [], name


def test_what_its_readme_says_of_its_ci_is_so(shop: Made) -> None:
    workflow = yaml.safe_load((shop.root / ".github/workflows/ci.yml").read_text(encoding="utf-8"))
    [job] = workflow["jobs"].values()
    readme = (shop.root / "README.md").read_text(encoding="utf-8")
    [said] = re.findall(r"ci\.yml` runs Nox's sessions (.+) on", readme)
    assert re.findall(r"`(\w+)`", said) == job["strategy"]["matrix"]["session"]
    assert "nox -s" in job["steps"][-1]["run"]
    assert '"$python" scripts/bootstrap.py test' in (shop.root / ".ci/run").read_text()


def test_its_ci_holds_the_images_that_it_scans_to_both_attestations(shop: Made) -> None:
    workflow = yaml.safe_load((shop.root / ".github/workflows/ci.yml").read_text(encoding="utf-8"))
    [job] = workflow["jobs"].values()
    asked = job["env"][variable_name("sign.attestations")]
    assert asked == "${{ matrix.session == 'scan' && 'sbom,provenance' || '' }}"
    [build] = [step for step in job["steps"] if step.get("run", "").endswith("build sbom")]
    assert build["if"] == "matrix.session == 'scan'"


def test_what_makes_its_builds_fast_is_told_with_the_commands_for_it(shop: Made) -> None:
    text = (shop.root / "docker/BUILD_OPTIMIZATION.md").read_text(encoding="utf-8")
    readme = (shop.root / "README.md").read_text(encoding="utf-8")
    assert "docs/" not in text
    assert "\n## Every day\n" in readme  # where it leads
    named = set(re.findall(r"`(invoke [\w-]+)`", text))
    assert len(named) > 3
    assert {command for command in named if command not in readme} == set()


def test_the_toolkit_is_in_it_and_is_this_one(template: Path, shop: Made) -> None:
    with zipfile.ZipFile(shop.root / WHEEL) as wheel:
        names = wheel.namelist()
        source = wheel.read("rebake/scaffold/new.py")
    assert source == (template / "src/rebake/scaffold/new.py").read_bytes()
    assert {
        "rebake/config/defaults.toml",
        "rebake/benchmark/recipes/naive.Dockerfile.jinja",
    } <= set(names)
    wanted = tomllib.loads((shop.root / "pyproject.toml").read_text())["project"]
    assert wanted["dependencies"] == [f"rebake[template] @ {{root:uri}}/{WHEEL}"]


def test_it_is_a_project_and_shares_no_name_with_another(template: Path, shop: Made) -> None:
    one, two = open_project(shop.root), open_project(template)
    assert one.config.services == ("api", "worker", "ui")
    assert one.slug == "shop"
    for name in ("cache_id", "name"):
        assert getattr(one, name) != getattr(two, name)
    for mode in ("dev", "prod"):
        files = [yaml.safe_load(p.compose_file(mode).read_text()) for p in (one, two)]
        assert files[0]["name"] != files[1]["name"]


def test_two_projects_of_one_name_and_the_template_share_nothing(
    template: Path, shop: Made, tmp_path: Path
) -> None:
    shutil.copytree(shop.root, tmp_path / "shop")
    three = [open_project(root) for root in (shop.root, tmp_path / "shop", template)]
    assert three[0].slug == three[1].slug == "shop"
    names = [
        name
        for each in three
        for name in (each.cache_id, each.state, *map(each.compose_name, ("dev", "prod")))
    ]
    assert len(set(names)) == len(names) == 12
    # All else that Compose gives a name takes it from its project's name.
    for each in three:
        for mode in ("dev", "prod"):
            compose = yaml.safe_load(each.compose_file(mode).read_text())
            named = [volume.get("name", "") for volume in compose["volumes"].values()]
            named += [service["image"] for service in compose["services"].values()]
            own = "${COMPOSE_PROJECT_NAME}"
            assert [name for name in named if name and not name.startswith(own)] == []
            assert all("container_name" not in entry for entry in compose["services"].values())


def test_copier_has_to_look_at_few_files(template: Path, tmp_path: Path) -> None:
    found = fetch(str(template), "HEAD", tmp_path)
    all_of_them = sum(path.is_file() for path in walk(found.folder))
    assert rendering._set_aside(found, tmp_path / "aside")
    left = [path for path in walk(found.folder) if path.is_file()]
    assert len(left) < 60 < all_of_them


@pytest.mark.parametrize(("services", "manager"), [("api", "bun"), ("api worker", "npm")])
@pytest.mark.usefixtures("no_wheel")
def test_services_and_manager(template: Path, tmp_path: Path, services: str, manager: str) -> None:
    answers = {"services": services, "ui_manager": manager, "ci": "none", "licence": "none"}
    answers |= {"makefile": "no", "tiltfile": "yes"}
    root = made(template, tmp_path, **answers)
    project = open_project(root)
    wanted = set(services.split())
    assert set(project.config.services) == {*wanted, "ui"}
    assert project.config.ui.manager == manager
    locks = {name for name in ("bun.lock", "package-lock.json") if (root / "ui" / name).exists()}
    assert locks == {"bun.lock" if manager == "bun" else "package-lock.json"}
    lock = tomllib.loads((root / "backend" / "Cargo.lock").read_text())["package"]
    members = {package["name"] for package in lock if "source" not in package}
    crates = [tomllib.loads(p.read_text()) for p in root.glob("backend/crates/*/Cargo.toml")]
    assert members == {crate["package"]["name"] for crate in crates}
    for mode in ("dev", "prod"):
        compose = yaml.safe_load(project.compose_file(mode).read_text())
        assert {*compose["services"], "web"} == {*wanted, "ui", "web"}
    bake = project.bake_file.read_text()
    assert ('target "worker"' in bake) == ("worker" in wanted)
    assert f'default     = "{manager}"' in bake
    if "worker" not in wanted:
        files = ("README.md", "backend/Dockerfile", *map(str, (project.bake_file,)))
        assert [name for name in files if "worker" in (root / name).read_text()] == []
    assert not (root / ".github").exists()
    assert not (root / ".ci").exists()
    assert not (root / "LICENSE").exists()
    assert not (root / "Makefile").exists()
    assert (root / "Tiltfile").is_file()


@pytest.mark.usefixtures("no_wheel")
def test_the_apache_licence(template: Path, tmp_path: Path) -> None:
    root = made(template, tmp_path, licence="Apache-2.0", ci="script")
    assert "Apache License" in (root / "LICENSE").read_text()
    manifest = tomllib.loads((root / "backend" / "Cargo.toml").read_text())
    assert manifest["workspace"]["package"]["license"] == "Apache-2.0"
    assert (root / ".ci" / "run").is_file()
    assert not (root / ".github").exists()


@pytest.mark.usefixtures("no_wheel")
def test_answers_are_text_and_are_not_carried_out(template: Path, tmp_path: Path) -> None:
    holder = "{{ 7 * 7 }} {% include '/etc/passwd' %} $(touch x) `touch y` \"'; touch z #"
    root = made(template, tmp_path, holder=holder)
    assert f"Copyright (c) 2026 {holder}\n" in (root / "LICENSE").read_text(encoding="utf-8")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other"]
    open_project(root)


@pytest.mark.usefixtures("no_wheel")
def test_an_answer_of_two_lines_is_refused_and_nothing_is_written(
    template: Path, tmp_path: Path
) -> None:
    with pytest.raises(RebakeError, match="holder") as refusal:
        made(template, tmp_path, holder="me\n[project]")
    assert refusal.value.exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_an_answer_that_is_none_is_refused(template: Path, tmp_path: Path) -> None:
    found = fetch(str(template), "HEAD", tmp_path)
    for question, answer, says in (
        ("services", "api; touch x", "'api; touch x' is no answer to services"),
        ("services", "worker", "'worker' is no answer to services"),
        ("ui_manager", "--flag", "'--flag' is no answer to ui_manager"),
        ("ci", "../github", "'../github' is no answer to ci"),
        ("licence", "GPL", "'GPL' is no answer to licence"),
        ("makefile", "perhaps", "makefile is yes or no, not 'perhaps'"),
        ("maekfile", "yes", "the template asks for no 'maekfile'"),
    ):
        with pytest.raises(RebakeError, match=re.escape(says)):
            checked(found, {question: answer})
    checked(found, {"services": "api", "ci": "none", "makefile": "no", "tiltfile": True})


def test_ten_edits_survive_the_next_version(
    template: Path,
    shop: Made,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    after = tmp_path / "template"
    shutil.copytree(template, after)
    root = tmp_path / "shop"
    shutil.copytree(shop.root, root)

    def edit(folder: Path, name: str, before: str, now: str) -> None:
        text = (folder / name).read_text(encoding="utf-8")
        assert before in text, name
        (folder / name).write_text(text.replace(before, now, 1), encoding="utf-8")

    mine = {
        "README.md": ("# shop\n", "# The shop\n"),
        "rebake.toml": ('name = "shop"\n', 'name = "shop"\n\n[dev.ports]\napi = 7001\n'),
        "docker/docker-compose.yml": ("mem_limit: 256m", "mem_limit: 512m"),
        "docker/docker-compose.dev.yml": ("retries: 3", "retries: 5"),
        "backend/Dockerfile": ("EXPOSE 8080", "EXPOSE 8080 9090"),
        "backend/Cargo.toml": ('tempfile = "3"', 'tempfile = "3"\nrand = "0.9"'),
        "ui/package.json": ('"version": "0.1.0"', '"version": "0.2.0"'),
        "ui/index.html": ("<title>Items</title>", "<title>Shop</title>"),
        "backend/crates/api/src/main.rs": ("//! ", "//! Mine: "),
        ".gitignore": (".DS_Store", ".DS_Store\n*.mine"),
    }
    for name, (before, now) in mine.items():
        edit(root, name, before, now)
    commit(root)
    theirs = {
        "README.md.jinja": ("## Licence", "## More\n\nNews.\n\n## Licence"),
        "docker/docker-compose.yml": ("max-size: 10m", "max-size: 20m"),
        "backend/Dockerfile": ("EXPOSE 8080\n", "EXPOSE 8081\n"),  # the real conflict
        "backend/Cargo.toml": ('rust-version = "1.95"', 'rust-version = "1.96"'),
        "src/rebake/__init__.py": ('"""', '"""News. '),
    }
    for name, (before, now) in theirs.items():
        edit(after, name, before, now)
    (after / "docker" / "news.txt").write_text("news\n")
    head = commit(after)

    desk = Desk(tmp_path, None, monkeypatch, capsys)
    line = ("update", "--source", str(after))
    code, diff, err = desk.run(*line, "--dry-run", cwd=root)
    assert (code, err.count("error: "), "1 file needs a decision" in err) == (1, 1, True)
    added = {line[1:].strip() for line in diff.splitlines() if line.startswith("+")}
    assert {"## More", 'options: { max-size: 20m, max-file: "3" }', "news"} <= added
    assert [line for line in added if line.startswith("<<<<<<< ")] != []
    assert git(root, "status", "--porcelain") == ""

    code, out, err = desk.run(*line, "--json", cwd=root)
    assert (code, err.count("error: "), "1 file needs a decision" in err) == (1, 1, True)
    done = json.loads(out)
    assert (done["before"], done["after"]) == (git(template, "rev-parse", "HEAD"), head)
    assert done["conflicts"] == ["backend/Dockerfile: changed here and in the template"]
    assert done["changes"]["docker/news.txt"] == "new"
    assert set(done["changes"].values()) == {"new", "changed"}
    for name, (_, now) in mine.items():
        assert now in (root / name).read_text(encoding="utf-8"), name
    for name, (_, now) in theirs.items():
        place = name.removesuffix(".jinja")
        if not place.startswith("src/"):
            assert now in (root / place).read_text(encoding="utf-8"), name
    assert (root / "docker" / "news.txt").read_text() == "news\n"
    assert "<<<<<<< " in (root / "backend" / "Dockerfile").read_text(encoding="utf-8")
    with zipfile.ZipFile(root / WHEEL) as wheel:
        assert b"News." in wheel.read("rebake/__init__.py")
    assert any("another toolkit" in note for note in done["notes"])
    commit(root)
    again = update(UpdateWish(root, source=str(after)), quiet)
    assert (again.before, again.after, again.changes) == (head, head, ())
    (root / WHEEL).unlink()
    commit(root)
    update(UpdateWish(root, source=str(after)), quiet)
    assert (root / WHEEL).is_file()
