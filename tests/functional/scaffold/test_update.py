"""`rebake update`: edits stay, the template's news come, conflicts are said, nothing is lost."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from rebake.errors import UsageError
from rebake.scaffold.merge import Change, Merged, apply, merge
from rebake.scaffold.new import Wish, make
from scaffold_desk import CONFIG, Desk, commit, git, write

README = "# {{ name }}\n\nfirst\n\nsecond\n\nthird\n"


@pytest.fixture(scope="module")
def shop(small_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of the template's first version; each test has a copy."""
    folder = tmp_path_factory.mktemp("made") / "shop"
    return make(Wish(folder, str(small_template)), lambda _: None).root


@pytest.fixture
def root(desk: Desk, shop: Path) -> Path:
    return desk.took(shop)


def news(desk: Desk) -> str:
    """Make the template's second version: a line, a file more, a file less, a mode."""
    (desk.template / "kept.txt").chmod(0o755)
    return commit(
        desk.template,
        {
            "README.md.jinja": README.replace("third", "third, better"),
            "part.txt": "app is the best part\n",
            "added/new.txt": "new\n",
            "gone.txt": None,
        },
    )


def test_nothing_new_changes_nothing(desk: Desk, root: Path) -> None:
    code, out, _ = desk.run("update", cwd=root)
    assert code == 0
    assert "up to date" in out
    assert git(root, "status", "--porcelain") == ""


def test_news_come_and_edits_stay(desk: Desk, root: Path) -> None:
    after = news(desk)
    mine: dict[str, str | None] = {f"mine/{number}.txt": f"{number}\n" for number in range(6)}
    mine |= {
        "README.md": "# shop\n\nfirst, mine\n\nsecond\n\nthird\n",
        "rebake.toml": '[project]\nname = "shop"\n\n[dev.ports]\napi = 7000\n',
        "ci.yml": None,
        "run": "#!/bin/sh\necho mine\n",
    }
    commit(root, mine)
    code, out, err = desk.run("update", cwd=root / "mine")
    assert code == 0, err
    assert (root / "README.md").read_text() == (
        "# shop\n\nfirst, mine\n\nsecond\n\nthird, better\n"
    )
    assert "api = 7000" in (root / "rebake.toml").read_text()
    assert not (root / "ci.yml").exists()
    assert (root / "run").read_text().endswith("echo mine\n")
    assert (root / "whole.txt").read_text() == "shop is the best part\n"
    assert (root / "added" / "new.txt").read_text() == "new\n"
    assert not (root / "gone.txt").exists()
    assert os.access(root / "kept.txt", os.X_OK)
    assert all((root / name).read_text() == text for name, text in mine.items() if "mine/" in name)
    assert f"_commit: {after}" in (root / ".copier-answers.yml").read_text()
    for line in ("new      added/new.txt", "gone     gone.txt", "changed  README.md"):
        assert line in out
    assert "look at git diff" in out
    commit(root)
    assert desk.run("update", cwd=root)[0] == 0
    assert git(root, "status", "--porcelain") == ""


def test_a_dry_run_shows_the_diff_and_changes_nothing(desk: Desk, root: Path) -> None:
    news(desk)
    before = desk.listing()
    code, out, _ = desk.run("update", "--dry-run", cwd=root)
    assert code == 0
    assert "+third, better" in out
    assert "+++ b/added/new.txt" in out
    assert git(root, "status", "--porcelain") == ""
    assert desk.listing() == before


def test_a_conflict_is_marked_said_and_ends_with_1(desk: Desk, root: Path) -> None:
    news(desk)
    commit(root, {"README.md": "# shop\n\nfirst\n\nsecond\n\nthird, mine\n"})
    dry, _, err = desk.run("update", "--dry-run", cwd=root)
    assert (dry, "README.md: changed here and in the template" in err) == (1, True)
    assert git(root, "status", "--porcelain") == ""
    code, _, err = desk.run("update", cwd=root)
    assert code == 1
    text = (root / "README.md").read_text()
    assert "<<<<<<< " in text
    assert "third, mine\n=======\nthird, better\n>>>>>>> template" in text
    assert "1 file needs a decision; the rest of the update is done" in err
    assert "README.md: changed here and in the template" in err
    assert (root / "added" / "new.txt").is_file()
    assert "third, mine" in git(root, "show", "HEAD:README.md")


def test_a_file_deleted_on_one_side_and_changed_on_the_other_is_kept(
    desk: Desk, root: Path
) -> None:
    news(desk)
    commit(root, {"gone.txt": "goes away, not here\n", "part.txt": None})
    code, out, _ = desk.run("update", "--json", cwd=root)
    assert code == 1
    assert json.loads(out)["conflicts"] == [
        "gone.txt: deleted in the template, changed here; it was kept",
        "part.txt: deleted here, changed in the template; it is back",
    ]
    assert (root / "gone.txt").read_text() == "goes away, not here\n"
    assert (root / "part.txt").read_text() == "app is the best part\n"


def test_a_file_renamed_here_gets_its_news(desk: Desk, root: Path) -> None:
    news(desk)
    git(root, "mv", "README.md", "LIESMICH.md")
    commit(root)
    code, _, err = desk.run("update", cwd=root)
    assert code == 0, err
    assert "third, better" in (root / "LIESMICH.md").read_text()
    assert not (root / "README.md").exists()


def test_a_picture_changed_on_both_sides_stays_as_it_is_here(desk: Desk, root: Path) -> None:
    (desk.template / "logo").write_bytes(b"\0one")
    commit(desk.template)
    assert desk.run("update", cwd=root)[0] == 0
    (root / "logo").write_bytes(b"\0mine")
    commit(root)
    (desk.template / "logo").write_bytes(b"\0two")
    commit(desk.template)
    code, _, err = desk.run("update", cwd=root)
    assert (code, "logo: not text; yours was kept" in err) == (1, True)
    assert (root / "logo").read_bytes() == b"\0mine"


def test_edits_that_are_not_committed_stop_it(desk: Desk, root: Path) -> None:
    news(desk)
    write(root, {"README.md": "draft\n"})
    code, _, err = desk.run("update", cwd=root)
    assert code == 2
    assert "not committed: README.md" in err
    assert (root / "README.md").read_text() == "draft\n"


def test_a_file_that_git_does_not_know_is_not_overwritten(desk: Desk, root: Path) -> None:
    news(desk)
    write(root, {"added/new.txt": "precious\n"})
    (root / ".git" / "info").mkdir(exist_ok=True)
    (root / ".git" / "info" / "exclude").write_text("added/\n")
    code, _, err = desk.run("update", cwd=root)
    assert code == 2
    assert "git does not know it" in err
    assert (root / "added" / "new.txt").read_text() == "precious\n"
    assert git(root, "status", "--porcelain") == ""


def test_a_link_on_the_way_leads_nowhere_outside(desk: Desk, root: Path) -> None:
    news(desk)
    outside = desk.folder / "outside"
    outside.mkdir()
    (root / "added").symlink_to(outside)
    (root / ".git" / "info").mkdir(exist_ok=True)
    (root / ".git" / "info" / "exclude").write_text("added\n")
    code, _, err = desk.run("update", cwd=root)
    assert (code, "is outside of the project" in err) == (2, True)
    assert list(outside.iterdir()) == []
    assert git(root, "status", "--porcelain") == ""


def test_an_answer_can_be_changed(desk: Desk, root: Path) -> None:
    code, _, err = desk.run("update", "--data", "ci=none", cwd=root)
    assert code == 0, err
    assert not (root / "ci.yml").exists()
    assert "ci: none" in (root / ".copier-answers.yml").read_text()
    assert desk.run("update", "--data", "cj=none", cwd=root)[0] == 2


def test_a_new_question_takes_its_default(desk: Desk, root: Path) -> None:
    commit(
        desk.template,
        {
            "copier.yml": CONFIG + "colour:\n  type: str\n  default: red\n",
            "colour.txt": "",
            "colour.txt.jinja": "{{ colour }}\n",
        },
    )
    assert desk.run("update", cwd=root)[0] == 0
    assert (root / "colour.txt").read_text() == "red\n"


def test_a_template_that_became_malicious_changes_nothing(desk: Desk, root: Path) -> None:
    hook = {"{{ '.git' }}/hooks/post-commit": "#!/bin/sh\ntouch hacked\n"}
    commit(desk.template, {**hook, "copier.yml": CONFIG.replace("  - .git\n", "")})
    code, _, err = desk.run("update", cwd=root)
    assert (code, "git's own folder" in err) == (2, True)
    assert git(root, "status", "--porcelain") == ""


@pytest.mark.parametrize(
    ("answers", "says"),
    [
        (None, "was not made from the template"),
        ("name: shop\n", "does not tell what commit"),
        ("- a\n", "is no table"),
        ("a: [\n", "does not parse"),
        ("_commit: '1234567'\n_src_path: SOURCE\n", "1234567 is not in it"),
        ("_commit: HEAD\n_src_path: /absent/template\n", "git can't read it"),
        ("_commit: HEAD\n_src_path: 'ext::sh -c touch% hacked'\n", "git can't read it"),
        ("_commit: HEAD\n_src_path: --upload-pack=x\n", "looks like a flag"),
    ],
)
def test_a_project_that_does_not_know_where_it_is_from(
    desk: Desk, root: Path, answers: str | None, says: str
) -> None:
    text = answers.replace("SOURCE", str(desk.template)) if answers else None
    commit(root, {".copier-answers.yml": text})
    code, _, err = desk.run("update", cwd=root)
    assert (code, err.count("error: ")) == (2, 1)
    assert says in err
    assert git(root, "status", "--porcelain") == ""


def test_a_project_in_a_folder_of_a_larger_repository(desk: Desk, root: Path) -> None:
    outer = desk.folder / "outer"
    shutil.copytree(root, outer / "deep" / "shop")
    shutil.rmtree(outer / "deep" / "shop" / ".git")
    git(outer, "init", "--quiet", "--template=")
    commit(outer, {"README.md": "outer\n"})
    news(desk)
    code, _, err = desk.run("update", cwd=outer / "deep" / "shop")
    assert code == 0, err
    assert "third, better" in (outer / "deep" / "shop" / "README.md").read_text()
    assert (outer / "README.md").read_text() == "outer\n"


def test_merging_needs_no_history_in_common(tmp_path: Path) -> None:
    for name, text in (("base", "a\n"), ("theirs", "a\nb\n")):
        write(tmp_path / name, {"f.txt": text, ".gitattributes": "* text=auto eol=lf\n"})
    project = tmp_path / "project"
    project.mkdir()
    git(project, "init", "--quiet", "--template=")
    commit(project, {"f.txt": "a\n", ".gitattributes": "* text=auto eol=lf\n"})
    merged = merge(project, tmp_path / "base", tmp_path / "theirs", tmp_path / "work")
    assert merged.changes == (Change("M", "f.txt"),)
    assert merged.conflicts == ()


def test_nothing_is_written_when_a_later_place_is_taken(tmp_path: Path) -> None:
    write(tmp_path / "merged", {"a.txt": "new\n", "b.txt": "new\n"})
    write(tmp_path / "project", {"b.txt": "precious\n"})
    changes = (Change("A", "a.txt"), Change("A", "b.txt"))
    with pytest.raises(UsageError):
        apply(Merged(tmp_path / "merged", changes, (), ""), tmp_path / "project")
    assert not (tmp_path / "project" / "a.txt").exists()
