"""A small template in a repository of its own, and the command line beside it."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from rebake.cli import main

ROOT = Path(__file__).parents[1]
# Folders that no project gets: a few files of each stand for all, which is quicker.
OWN = ("docs/", "src/", "tests/")
KEPT = ("src/rebake/__init__.py", "src/rebake/scaffold/new.py", "src/rebake/config/defaults.toml")
CONFIG = """\
name:
  type: str
  help: Its name
  default: app
ci:
  type: str
  help: CI
  choices: [github, none]
  default: github
_exclude:
  - /own
  - copier.yml
  - .git
  - "{% if ci == 'none' %}/ci.yml{% endif %}"
"""
FILES = {
    "copier.yml": CONFIG,
    "{{_copier_conf.answers_file}}.jinja": "{{ _copier_answers | to_nice_yaml }}",
    "rebake.toml": "",
    "rebake.toml.jinja": '[project]\nname = "{{ name }}"\n',
    "README.md": "# Template\n",
    "README.md.jinja": "# {{ name }}\n\nfirst\n\nsecond\n\nthird\n",
    "ci.yml": "on: ${{ push }}\n",
    "own/secret.txt": "the template's own",
    "part.txt": "app is a part\n",
    "whole.txt": "",
    "whole.txt.jinja": "{% filter replace('app', name) %}{% include 'part.txt' %}{% endfilter %}",
    "run": "#!/bin/sh\n",
    "gone.txt": "goes away\n",
    "kept.txt": "one\n",
}


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", "-c", "user.name=t", "-c", "user.email=t@localhost", *words],
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()


def write(folder: Path, files: dict[str, str | None]) -> None:
    for name, text in files.items():
        path = folder / name
        if text is None:
            path.unlink()
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")


def commit(folder: Path, files: dict[str, str | None] | None = None) -> str:
    write(folder, files or {})
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--allow-empty", "-m", "x")
    return git(folder, "rev-parse", "HEAD")


def packed(folder: Path) -> Path:
    """Put all that git keeps of a folder into one file, of which there are copies sooner."""
    git(folder, "repack", "-a", "-d", "--quiet")
    return folder


def make_template(folder: Path) -> Path:
    """Make the template's repository, with one commit."""
    folder.mkdir()
    git(folder, "init", "--quiet", "--template=")
    write(folder, dict(FILES))
    (folder / "run").chmod(0o755)
    commit(folder)
    return packed(folder)


def tracked() -> list[str]:
    """The files of this repository, those that are not committed yet too."""
    words = ("ls-files", "--cached", "--others", "--exclude-standard", "-z")
    names = git(ROOT, *words).split("\0")
    return [name for name in names if name and (ROOT / name).is_file()]


def make_template_of_this(folder: Path) -> Path:
    """Make a template of what of this repository counts for projects, as it is now."""
    for name in tracked():
        place = folder / name
        own = name.startswith(OWN) and name not in KEPT and not name.endswith(".jinja")
        if not own or not place.parent.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, place)
    git(folder, "init", "--quiet", "--template=")
    commit(folder)
    return packed(folder)


class Desk:
    """A folder with a template in `template`, and `rebake` run in it, in this very process."""

    def __init__(
        self,
        folder: Path,
        made: Path | None,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        self.folder = folder
        self.template = folder / "template"
        self._monkeypatch = monkeypatch
        self._capsys = capsys
        if made is not None:
            shutil.copytree(made, self.template)

    def run(self, *words: str, cwd: Path | None = None) -> tuple[int, str, str]:
        """Run `rebake`; returns its exit code, output and error output."""
        self._capsys.readouterr()
        code: object = 0
        with self._monkeypatch.context() as patch:
            patch.chdir(cwd or self.folder)
            patch.setenv("GIT_CONFIG_GLOBAL", str(self.folder / "gitconfig"))
            patch.setattr("sys.argv", ["rebake", *words])
            try:
                main()
            except SystemExit as error:
                code = error.code or 0
        out, err = self._capsys.readouterr()
        assert isinstance(code, int)
        assert "Traceback" not in err
        return code, out, err

    def new(self, name: str, *words: str) -> tuple[int, str, str]:
        """Make a project of the template."""
        return self.run("new", name, "--source", str(self.template), *words)

    def took(self, project: Path) -> Path:
        """Take in a copy of a project that another desk's template made."""
        root = self.folder / project.name
        shutil.copytree(project, root, symlinks=True)
        answers = root / ".copier-answers.yml"
        text = answers.read_text(encoding="utf-8")
        lines = [line for line in text.splitlines() if not line.startswith("_src_path:")]
        source = f"_src_path: {json.dumps(str(self.template))}"  # which is YAML, too
        answers.write_text("\n".join([*lines, source, ""]), encoding="utf-8", newline="\n")
        git(root, "commit", "--quiet", "--all", "--amend", "--no-edit")
        return root

    def listing(self) -> set[str]:
        """All that is there, besides the template."""
        return {
            path.relative_to(self.folder).as_posix()
            for path in self.folder.rglob("*")
            if not path.is_relative_to(self.template)
        }
