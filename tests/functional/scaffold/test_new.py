"""`rebake new`: what a project gets, what is refused, and that nothing is left of a refusal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from rebake.errors import CommandFailed
from rebake.scaffold import new as making
from rebake.scaffold import render as rendering
from scaffold_desk import CONFIG, Desk, commit, git


def test_a_project_is_made_with_a_first_commit(desk: Desk) -> None:
    code, out, err = desk.new("shop")
    assert code == 0, err
    root = desk.folder / "shop"
    assert (root / "README.md").read_text() == "# shop\n\nfirst\n\nsecond\n\nthird\n"
    assert (root / "whole.txt").read_text() == "shop is a part\n"
    assert (root / "part.txt").read_text() == "app is a part\n"
    assert (root / "ci.yml").read_text() == "on: ${{ push }}\n"
    assert os.access(root / "run", os.X_OK)
    assert not (root / "own").exists()
    assert not list(root.rglob("*.jinja"))
    assert git(root, "status", "--porcelain") == ""
    assert git(root, "log", "--format=%s") == "Start from rebake's template"
    answers = yaml.safe_load((root / ".copier-answers.yml").read_text())
    assert answers == {
        "_commit": git(desk.template, "rev-parse", "HEAD"),
        "_src_path": str(desk.template),
        "ci": "github",
        "name": "shop",
    }
    assert f"cd {root} && python3 scripts/bootstrap.py dev" in out
    assert sorted(p.name for p in desk.folder.iterdir()) == ["shop", "template"]


def test_answers_come_from_flags_then_from_a_file(desk: Desk) -> None:
    (desk.folder / "a.yml").write_text("_commit: x\nname: filed\nci: none\n")
    code, _, err = desk.new(
        "shop", "--answers", "a.yml", "--data", "name=said", "--data", "ci=none"
    )
    assert code == 0, err
    root = desk.folder / "shop"
    assert (root / "rebake.toml").read_text() == '[project]\nname = "said"\n'
    assert not (root / "ci.yml").exists()


def test_the_document(desk: Desk) -> None:
    code, out, _ = desk.new("My Shop", "--json")
    assert code == 0
    document = json.loads(out)
    root = desk.folder / "My Shop"
    assert document["root"] == str(root)
    assert document["answers"] == {"ci": "github", "name": "my-shop"}
    assert document["commit"] == git(root, "rev-parse", "HEAD")
    assert document["template_commit"] == git(desk.template, "rev-parse", "HEAD")
    assert set(document["files"]) == set(git(root, "ls-files").splitlines())
    assert "the project's name is my-shop (from 'My Shop')" in document["notes"]


def test_the_next_step_can_be_copied_whatever_the_folder_is_called(desk: Desk) -> None:
    code, out, _ = desk.new("My Shop")
    assert code == 0
    assert f"cd '{desk.folder / 'My Shop'}' && python3" in out


def test_a_dry_run_lists_the_files_and_leaves_nothing(desk: Desk) -> None:
    before = desk.listing()
    code, out, _ = desk.new("shop", "--dry-run")
    assert code == 0
    assert "README.md" in out.splitlines()
    assert desk.listing() == before


def test_both_ways_to_copy_make_the_same(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    assert desk.new("one", "--data", "name=x")[0] == 0
    monkeypatch.setattr(rendering, "_set_aside", lambda *_: False)
    assert desk.new("two", "--data", "name=x")[0] == 0
    trees = [git(desk.folder / name, "rev-parse", "HEAD^{tree}") for name in ("one", "two")]
    assert trees[0] == trees[1]


def test_an_empty_folder_is_taken_and_another_is_refused(desk: Desk) -> None:
    (desk.folder / "empty").mkdir()
    assert desk.new("empty")[0] == 0
    code, _, err = desk.new("empty")
    assert code == 2
    assert "is not empty" in err
    (desk.folder / "file").touch()
    code, _, err = desk.new("file")
    assert (code, "no folder" in err) == (2, True)
    code, _, err = desk.new("absent/deeper")
    assert (code, "mkdir -p" in err) == (2, True)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["shop", "--data", "nmae=x"], "did you mean name?"),
        (["shop", "--data", "ci=gitlab"], "'gitlab' is no answer to ci|did you mean github?"),
        (["shop", "--data", "name"], "is no QUESTION=VALUE"),
        (["shop", "--answers", "absent.yml"], "no such file"),
        (["shop", "--revision", "absent"], "absent is not in it"),
        (["shop", "--revision", "--upload-pack=touch x"], "needs a value|looks like a flag"),
        (["shop", "twice"], "one folder, not 2"),
        (["shop", "--data", "ci=$(touch x)"], "ci"),
        (["日本"], "no letter a-z"),
        (["con"], "Windows reserves"),
        (["class"], "keyword"),
        (["shop", "--data", "name=rebake"], "a package that the project needs"),
        (["a:b"], "can't be in a name"),
    ],
)
def test_bad_input_is_one_error_and_leaves_nothing(desk: Desk, words: list[str], says: str) -> None:
    before = desk.listing()
    code, out, err = desk.new(*words)
    assert code == 2, err
    assert err.count("error: ") == 1
    assert any(text in err for text in says.split("|")), err
    assert out == ""
    assert desk.listing() == before


@pytest.mark.parametrize("source", ["ext::sh -c 'touch hacked'", "--upload-pack=touch", "absent"])
def test_a_source_that_is_none(desk: Desk, source: str) -> None:
    before = desk.listing()
    code, _, err = desk.run("new", "shop", f"--source={source}")
    assert (code, err.count("error: ")) == (2, 1), err
    assert desk.listing() == before


def hostile(desk: Desk, files: dict[str, str], links: dict[str, str] | None = None) -> None:
    for name, target in (links or {}).items():
        (desk.template / name).symlink_to(target)
    commit(desk.template, dict(files))


HOSTILE = {
    "tasks": ({"copier.yml": CONFIG + "_tasks:\n  - touch {{ _copier_conf.dst_path }}/../x\n"}, {}),
    "migrations": ({"copier.yml": CONFIG + "_migrations:\n  - touch x\n"}, {}),
    "extensions": ({"copier.yml": CONFIG + "_jinja_extensions:\n  - os.path\n"}, {}),
    "data from elsewhere": ({"copier.yml": CONFIG + "_external_data:\n  x: ../../x.yml\n"}, {}),
    "a path upwards": ({"{{ '..' }}/hacked.txt": "x"}, {}),
    "two paths upwards": ({"{{ '../..' }}/hacked.txt": "x"}, {}),
    "an absolute path": ({"{{ root }}/hacked.txt": "x", "copier.yml": CONFIG + "root: /tmp\n"}, {}),
    "a link to a file outside": ({}, {"passwd.txt": "/etc/passwd"}),
    "a link to a folder outside": ({}, {"out": ".."}),
    "a link in place of copier.yml's neighbour": ({}, {"in.jinja": "/etc/passwd"}),
    "a hook": (
        {
            "{{ '.git' }}/hooks/pre-commit": "#!/bin/sh\ntouch ../hacked\n",
            "copier.yml": CONFIG.replace("  - .git\n", ""),
        },
        {},
    ),
    "a hook in capitals": ({"{{ '.GIT' }}/config": "[core]\nfsmonitor = touch hacked\n"}, {}),
    "a file read by include": ({"x.txt.jinja": "{% include '../../etc/passwd' %}"}, {}),
    "python in a template": ({"x.txt.jinja": "{{ ''.__class__.__mro__[1].__subclasses__() }}"}, {}),
    "no questions": ({"copier.yml": "- a\n"}, {}),
    "broken questions": ({"copier.yml": "a: [\n"}, {}),
    "a broken template": ({"x.txt.jinja": "{% if %}"}, {}),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_malicious_template_is_refused_and_nothing_is_written(
    desk: Desk, kind: str, tmp_path: Path
) -> None:
    files, links = HOSTILE[kind]
    hostile(desk, files, links)
    before = desk.listing()
    code, out, err = desk.new("shop")
    assert code == 2, err
    assert err.count("error: template ") == 1
    assert "root:" not in out + err  # /etc/passwd
    assert desk.listing() == before
    assert not Path("/tmp/hacked.txt").exists()


def test_a_link_that_stays_inside_is_fine(desk: Desk) -> None:
    hostile(desk, {}, {"again.txt": "kept.txt"})
    assert desk.new("shop")[0] == 0
    assert (desk.folder / "shop" / "again.txt").read_text() == "one\n"


def test_what_is_not_committed_is_not_taken_along_and_said(desk: Desk) -> None:
    (desk.template / "kept.txt").write_text("draft\n")
    code, _, err = desk.new("shop")
    assert code == 0
    assert "not committed" in err
    assert (desk.folder / "shop" / "kept.txt").read_text() == "one\n"


def test_a_failure_at_the_end_leaves_nothing(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> tuple[str, bool]:
        raise CommandFailed(argv=["git"], returncode=1, tail=["no"], next_step="look")

    monkeypatch.setattr(making, "first_commit", refuse)
    before = desk.listing()
    assert desk.new("shop")[0] == 1
    assert desk.listing() == before


def test_the_users_hooks_and_signing_do_not_stop_the_first_commit(desk: Desk) -> None:
    hooks = desk.folder / "hooks"
    hooks.mkdir()
    (hooks / "pre-commit").write_text("#!/bin/sh\nexit 1\n")
    (hooks / "pre-commit").chmod(0o755)
    (desk.folder / "gitconfig").write_text(
        f"[core]\nhooksPath = {hooks.as_posix()}\n[commit]\ngpgSign = true\n"
    )
    code, _, err = desk.new("shop")
    assert code == 0, err


def test_plain_copier_makes_the_same_files(desk: Desk) -> None:
    assert desk.new("shop")[0] == 0
    plain = desk.folder / "plain" / "shop"
    command = ["copier", "copy", "--quiet", "--defaults", "--data", "name=shop"]
    command += [str(desk.template), str(plain)]
    subprocess.run([sys.executable, "-m", *command], check=True, capture_output=True)
    names = {p.relative_to(plain).as_posix() for p in plain.rglob("*") if p.is_file()}
    assert names == set(git(desk.folder / "shop", "ls-files").splitlines())
    for name in names - {".copier-answers.yml"}:
        assert (plain / name).read_bytes() == (desk.folder / "shop" / name).read_bytes()
