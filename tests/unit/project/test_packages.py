"""Which package manager the UI has, and what its lock-file says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rebake.errors import ProjectError
from rebake.project.packages import (
    bun_versions,
    differing,
    install_words,
    lock_file,
    npm_versions,
    other,
    require_lock_file,
)

TEMPLATE = Path(__file__).parents[3] / "ui"


def write(folder: Path, **packages: str) -> Path:
    """A package-lock.json with these packages."""
    entries = {f"node_modules/{name}": {"version": version} for name, version in packages.items()}
    document = {"lockfileVersion": 3, "packages": {"": {}, **entries}}
    (folder / "package-lock.json").write_text(json.dumps(document))
    return folder


def test_the_words_that_install() -> None:
    assert install_words("bun") == ("install", "--frozen-lockfile")
    assert install_words("npm")[:2] == ("install", "--no-save")
    assert (other("bun"), other("npm")) == ("npm", "bun")


def test_its_own_lock_file_is_there(tmp_path: Path) -> None:
    require_lock_file(tmp_path, "npm")  # none at all: others say so
    write(tmp_path)
    require_lock_file(tmp_path, "npm")
    (tmp_path / "bun.lock").write_text("{}")
    require_lock_file(tmp_path, "bun")
    assert lock_file(tmp_path, "npm").name == "package-lock.json"


def test_the_other_managers_lock_file_is_one_clear_error(tmp_path: Path) -> None:
    write(tmp_path)
    with pytest.raises(ProjectError) as caught:
        require_lock_file(tmp_path, "bun")
    assert caught.value.what == (
        f"{tmp_path / 'bun.lock'}: is not there, but package-lock.json is, and ui.manager is bun"
    )
    assert caught.value.next_step == (
        f'set ui.manager = "npm" in rebake.toml, or run bun install in {tmp_path} '
        "and commit bun.lock"
    )
    (tmp_path / "package-lock.json").rename(tmp_path / "bun.lock")
    with pytest.raises(ProjectError, match=r"but bun\.lock is, and ui\.manager is npm"):
        require_lock_file(tmp_path, "npm")


def test_a_package_that_the_lock_file_lacks(tmp_path: Path) -> None:
    manifest = {
        "dependencies": {"react": "1", "clsx": "2"},
        "devDependencies": {"@types/bun": "1"},
        "optionalDependencies": {"fsevents": "1"},
    }
    (tmp_path / "package.json").write_text(json.dumps(manifest))
    write(tmp_path, react="1")
    with pytest.raises(ProjectError, match=r"lacks clsx, @types/bun, which package\.json names"):
        require_lock_file(tmp_path, "npm")
    write(tmp_path, **{"react": "1", "clsx": "2", "@types/bun": "1"})
    require_lock_file(tmp_path, "npm")


@pytest.mark.parametrize(
    ("text", "words", "line"),
    [
        ('{\n  "packages": x', "is not valid JSON", 2),
        ("[]", "is no lock-file of npm 7 or newer", None),
        ('{"lockfileVersion": 1, "dependencies": {}}', "is no lock-file of npm 7 or newer", None),
    ],
)
def test_a_lock_file_that_can_not_be_read(
    tmp_path: Path, text: str, words: str, line: int | None
) -> None:
    (tmp_path / "package-lock.json").write_text(text)
    with pytest.raises(ProjectError) as caught:
        require_lock_file(tmp_path, "npm")
    assert words in caught.value.what
    assert caught.value.line == line


def test_versions(tmp_path: Path) -> None:
    text = '  "packages": {\n    "a": ["a@1.0.0", "", {}],\n    "b/@x/a": ["@x/a@2.0.0", "", {}],\n'
    assert bun_versions(text) == {"a": {"1.0.0"}, "@x/a": {"2.0.0"}}
    entries = {
        "": {"version": "9"},
        "node_modules/a": {"version": "1.0.0"},
        "node_modules/b/node_modules/@x/a": {"version": "2.0.0"},
        "node_modules/c": {"name": "a", "version": "3.0.0"},
    }
    (tmp_path / "package-lock.json").write_text(json.dumps({"packages": entries}))
    found = npm_versions(tmp_path / "package-lock.json")
    assert found == {"a": {"1.0.0", "3.0.0"}, "@x/a": {"2.0.0"}}


def test_lock_files_that_differ(tmp_path: Path) -> None:
    assert differing(tmp_path) == ()
    write(tmp_path, a="1.0.0", b="1.0.0", only="1.0.0")
    assert differing(tmp_path) == ()
    (tmp_path / "bun.lock").write_text('    "a": ["a@1.0.0", "",\n    "b": ["b@2.0.0", "",\n')
    assert differing(tmp_path) == ("b",)


def test_the_templates_two_lock_files_name_the_same_versions_and_no_registry() -> None:
    assert differing(TEMPLATE) == ()
    bun = bun_versions((TEMPLATE / "bun.lock").read_text(encoding="utf-8"))
    npm = npm_versions(TEMPLATE / "package-lock.json")
    machines = {name for name in npm if name.startswith(("@biomejs/cli-", "@typescript/"))}
    assert bun.keys() - npm.keys() == set()
    assert npm.keys() - bun.keys() <= machines
    require_lock_file(TEMPLATE, "npm")
    require_lock_file(TEMPLATE, "bun")
    assert '"resolved"' not in (TEMPLATE / "package-lock.json").read_text(encoding="utf-8")
