"""The project: names that never collide, services by name and alias."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebake.config.model import SLUG
from rebake.errors import UnknownName, UsageError
from rebake.project.project import open_project, slugify
from strategies import CHARACTERS


def make(folder: Path, text: str = "") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "rebake.toml").write_text(text, encoding="utf-8")
    return folder


def test_two_folders_of_one_name_never_share_a_name(tmp_path: Path) -> None:
    one = open_project(make(tmp_path / "a" / "shop"))
    two = open_project(make(tmp_path / "b" / "shop"))
    assert one.slug == two.slug == "shop"
    assert one.name != two.name
    assert one.cache_id != two.cache_id
    assert one.compose_name("dev") == f"{one.name}-dev"


def test_what_the_images_start_from_and_the_lock_file_follow_the_manager(tmp_path: Path) -> None:
    project = open_project(make(tmp_path))
    assert list(project.base_images) == ["rust", "bun"]
    assert project.ui_lock_file == tmp_path / "ui" / "bun.lock"
    project = open_project(make(tmp_path, '[ui]\nmanager = "npm"\n'))
    assert list(project.base_images) == ["rust", "bun", "node"]
    assert project.ui_lock_file == tmp_path / "ui" / "package-lock.json"


def test_nginx_is_taken_from_an_image_where_it_takes_the_connections(tmp_path: Path) -> None:
    project = open_project(make(tmp_path, '[ui]\nruntime = "nginx"\n'))
    assert list(project.base_images) == ["rust", "bun", "nginx"]


def test_worktrees_share_their_cache_mounts_but_no_containers(tmp_path: Path) -> None:
    main = make(tmp_path / "shop", '[project]\nname = "shop"\n')
    private = main / ".git" / "worktrees" / "fix"
    private.mkdir(parents=True)
    (private / "commondir").write_text("../..\n")
    tree = make(tmp_path / "fix", '[project]\nname = "shop"\n')
    (tree / ".git").write_text(f"gitdir: {private}\n")
    assert open_project(main).cache_id == open_project(tree).cache_id
    assert open_project(main).name != open_project(tree).name


@pytest.mark.parametrize(
    ("text", "slug"),
    [("a b,ü", "a-b-u"), ("My Shop", "my-shop"), ("--x--", "x"), ("日本", "p")],
)
def test_slugify(text: str, slug: str) -> None:
    made = slugify(text)
    assert made == slug or (slug == "p" and made.startswith("p") and len(made) == 9)


@given(st.text(CHARACTERS))
def test_every_text_becomes_a_valid_slug(text: str) -> None:
    assert SLUG.match(slugify(text))


def test_services_by_name_and_alias(tmp_path: Path) -> None:
    project = open_project(make(tmp_path, '[aliases]\nw = "worker"\n'))
    assert project.services() == ("api", "worker", "ui")
    assert project.services(["w", "ui", "worker"]) == ("worker", "ui")
    with pytest.raises(UnknownName) as caught:
        project.services(["wroker"])
    assert str(caught.value) == "no service named 'wroker'\n  next: did you mean worker?"


def test_the_siblings_are_the_other_worktrees_of_the_repository(tmp_path: Path) -> None:
    main, other, gone = (tmp_path / name for name in ("main", "other", "gone"))
    for folder in (main, other):
        make(folder, '[project]\nname = "shop"\n')
    for folder in (other, gone):
        private = main / ".git" / "worktrees" / folder.name
        private.mkdir(parents=True)
        (private / "commondir").write_text("../..\n")
        (private / "gitdir").write_text(f"{folder}/.git\n")
    (other / ".git").write_text(f"gitdir: {main}/.git/worktrees/other\n")
    one, two = open_project(main), open_project(other)
    assert one.siblings == (two.name,)
    assert two.siblings == (one.name,)


def test_a_project_without_a_ui_that_runs_its_stack_itself(tmp_path: Path) -> None:
    text = '[ui]\npath = ""\n[docker]\ncompose_prod = ""\ncompose_dev = ""\n'
    project = open_project(make(tmp_path, text))
    assert project.config.services == ("api", "worker")
    assert list(project.base_images) == ["rust"]
    assert set(project.folders) == set(project.dockerfiles) == {"backend"}
    assert project.runs_itself
    with pytest.raises(UsageError, match="runs its stack itself"):
        project.compose_file("prod")
    with pytest.raises(UsageError, match="benchmark is for projects that were made"):
        project.check_layout("benchmark")
    open_project(make(tmp_path / "usual")).check_layout("benchmark")
