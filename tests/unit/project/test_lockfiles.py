"""Lock files as lists of packages."""

from __future__ import annotations

from pathlib import Path

import pytest

from rebake.history.evidence import Package
from rebake.project.lockfiles import parse_lock

ROOT = Path(__file__).parents[3]


def test_cargo() -> None:
    text = (
        'version = 4\n[[package]]\nname = "api"\nversion = "0.1.0"\n'
        'dependencies = ["itoa 1.0.0", "serde 1.0.0 (registry+x)"]\n'
        '[[package]]\nname = "itoa"\nversion = "1.0.0"\nsource = "registry+x"\n'
    )
    assert parse_lock("Cargo.lock", text) == (
        Package("api", "0.1.0", "", ("itoa 1.0.0", "serde 1.0.0")),
        Package("itoa", "1.0.0", "registry+x"),
    )


def test_bun_with_comments_and_trailing_commas() -> None:
    text = """{
      // a "comment", with a comma
      "lockfileVersion": 1,
      "packages": {
        "@a/b": ["@a/b@1.0.0", "", {"dependencies": {"c": "^1", "d,}": "1 // 2"}}, "sha512-x"],
        "c": ["c@1.2.3", {"os": "linux"}, "sha512-y"], /* another */
        "ui": ["ui@workspace:."],
      },
    }"""
    assert parse_lock("bun.lock", text) == (
        Package("@a/b", "1.0.0", "registry", ("c", "d,}")),
        Package("c", "1.2.3", "registry"),
        Package("ui", "workspace:.", ""),
    )


def test_those_of_this_repository() -> None:
    for name in ("backend/Cargo.lock", "ui/bun.lock"):
        text = (ROOT / name).read_text(encoding="utf-8")
        found = parse_lock(name.rpartition("/")[2], text)
        assert found is not None
        assert len(found) > 20


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Cargo.lock", "not toml ["),
        ("Cargo.lock", "[[package]]\nversion = 1\n"),
        ("bun.lock", "{"),
        ("bun.lock", '{"packages": {"a": []}}'),
        ("bun.lock", '{"packages": {"a": 5}}'),
        ("package-lock.json", "{}"),
    ],
)
def test_what_is_none_or_broken(name: str, text: str) -> None:
    assert parse_lock(name, text) is None
