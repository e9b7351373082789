"""The licences of what the UI ships: expressions, who needs whom, and what is allowed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rebake.checks import ui_licences
from rebake.checks.ui_licences import allowed_by, permits, shipped

ROOT = Path(__file__).parents[3]
ALLOWED = frozenset({"MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception"})


@pytest.mark.parametrize(
    "expression",
    [
        "MIT",
        "(MIT)",
        "GPL-3.0-only OR MIT",
        "(GPL-3.0-only OR MIT) AND Apache-2.0",
        "MIT and Apache-2.0",
        "Apache-2.0 WITH LLVM-exception",
        "(CC0-1.0 OR (MIT AND Apache-2.0))",
        "GPL-2.0-only AND MIT OR MIT",
        "mit",
        "Apache-2.0 with llvm-exception",
        "MIT OR (GPL-2.0-only AND (Apache-2.0 OR 0BSD))",
    ],
)
def test_a_licence_that_is_allowed(expression: str) -> None:
    assert permits(ALLOWED, expression)


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "GPL-3.0-only",
        "MIT AND GPL-3.0-only",
        "MIT OR",
        "(MIT",
        "MIT)",
        "MIT Apache-2.0",
        "OR",
        "MIT WITH LLVM-exception",
        "Apache-2.0 WITH",
        "SEE LICENSE IN LICENSE.md",
        "UNLICENSED",
        "MIT*",
        "MIT OR )",
        "MIT OR AND",
        "MIT OR GPL-2.0-only AND",
        "MIT AND MIT AND",
        "MIT OR ()",
        "MIT OR No-Such-Licence",
        "MIT OR MIT WITH MIT",
        "LicenseRef-MIT-TC",
        "MIT AND (GPL-2.0-only OR 0BSD)",
        "(" * 500 + "MIT" + ")" * 500,
    ],
)
def test_a_licence_that_is_not(expression: str) -> None:
    assert not permits(ALLOWED, expression)


def test_what_spdx_does_not_know_is_met_by_the_very_words() -> None:
    for words in ("Our-Own-Licence", "SEE LICENSE IN LICENSE.md", "LicenseRef-Ours"):
        assert permits(frozenset({words}), words)
        assert not permits(frozenset({words}), f"{words} AND MIT")
    assert permits(frozenset({"LicenseRef-Ours", "MIT"}), "LicenseRef-Ours AND MIT")


def package(folder: Path, **fields: Any) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "package.json").write_text(json.dumps(fields))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A UI with one dependency, which has one, and a tool for its development."""
    package(tmp_path / "ui", dependencies={"a": "1"}, devDependencies={"tool": "1"})
    modules = tmp_path / "ui" / "node_modules"
    package(modules / "a", version="1.0.0", license="MIT", dependencies={"@s/b": "2"})
    package(modules / "@s" / "b", version="2.0.0", license="Apache-2.0")
    package(modules / "tool", version="1.0.0", license="GPL-3.0-only")
    (tmp_path / "backend").mkdir()
    write_rules(tmp_path, '[licenses]\nallow = ["MIT", "Apache-2.0"]\n')
    return tmp_path


def write_rules(root: Path, text: str) -> None:
    (root / "backend" / "deny.toml").write_text(text)


def lines(root: Path, *more: str) -> list[str]:
    done = ui_licences.check(root, "ui", "backend/deny.toml", *more)
    assert done.returncode == int(bool(done.stdout))
    return done.stdout.splitlines()


def test_what_is_for_development_alone_is_not_shipped(project: Path) -> None:
    assert lines(project) == []
    names = {(one.name, one.version) for one in shipped(project / "ui")}
    assert names == {("a", "1.0.0"), ("@s/b", "2.0.0")}


def test_a_licence_that_is_not_allowed_is_named(project: Path) -> None:
    package(project / "ui/node_modules/@s/b", version="2.0.0", license="GPL-3.0-only")
    assert lines(project) == [
        "ui: @s/b@2.0.0: its licence (GPL-3.0-only) is not in licenses.allow of backend/deny.toml, "
        "nor in ui.licences"
    ]
    assert lines(project, "GPL-3.0-only") == []
    assert lines(project, "@s/b@2.0.0") == []
    assert len(lines(project, "@s/b@2.0.1", "@s/b")) == 1


@pytest.mark.parametrize("fields", [{}, {"license": ""}, {"license": {}}, {"licenses": []}])
def test_none_at_all_is_not_allowed(project: Path, fields: dict[str, Any]) -> None:
    package(project / "ui/node_modules/a", version="1.0.0", **fields)
    (line,) = lines(project)
    assert line.startswith("ui: a@1.0.0: its licence (none) is not in")


def test_the_forms_of_old_packages(project: Path) -> None:
    package(project / "ui/node_modules/a", license={"type": "MIT"}, dependencies={"@s/b": "2"})
    package(project / "ui/node_modules/@s/b", licenses=[{"type": "GPL-2.0-only"}, {"type": "MIT"}])
    assert lines(project) == []


def test_the_nearest_one_counts(project: Path) -> None:
    inner = project / "ui/node_modules/a/node_modules/@s/b"
    package(inner, version="1.0.0", license="WTFPL")
    (line,) = lines(project)
    assert line.startswith("ui: @s/b@1.0.0: its licence (WTFPL)")


def test_what_is_not_installed(project: Path) -> None:
    package(
        project / "ui/node_modules/a", version="1.0.0", license="MIT",
        dependencies={"gone": "1", "other-system": "1"},
        optionalDependencies={"other-system": "1"}, peerDependencies={"maybe": "1"},
    )  # fmt: skip
    assert lines(project) == ["ui: gone is not installed"]


def test_a_package_of_the_repository_itself_needs_none(project: Path) -> None:
    package(
        project / "ui/node_modules/a", version="1.0.0", private=True, dependencies={"@s/b": "2"}
    )
    package(project / "ui/node_modules/@s/b", version="2.0.0", license="WTFPL")
    (line,) = lines(project)
    assert "@s/b@2.0.0" in line


@pytest.mark.parametrize("text", ["[licenses", "licenses = 1\n"])
def test_rules_that_can_not_be_read(project: Path, text: str) -> None:
    write_rules(project, text)
    (line,) = lines(project)
    assert line.startswith("backend/deny.toml: can't be read: ")


def test_our_own_rules_allow_what_our_ui_ships() -> None:
    assert permits(allowed_by((ROOT / "backend/deny.toml").read_text()), "MIT")
