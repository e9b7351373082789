"""What is in an image, by the lock files."""

from __future__ import annotations

import json

import pytest

from rebake.history.evidence import Package
from rebake.sign.parts import bun_packages, crates, npm_packages, purl

REGISTRY = "registry+https://example.invalid/index"
LOCK = (
    Package("api", "0.1.0", "", ("core", "rand 0.9.0")),
    Package("worker", "0.1.0", "", ("core", "rand 0.8.5")),
    Package("core", "0.1.0", "", ("serde",)),
    Package("serde", "1.0.2", REGISTRY, ()),
    Package("rand", "0.8.5", REGISTRY, ()),
    Package("rand", "0.9.0", REGISTRY, ("serde",)),
)


def test_a_service_has_what_it_needs_and_nothing_of_the_others() -> None:
    parts = {(part.name, part.version): part for part in crates(LOCK, "api")}
    assert set(parts) == {
        ("api", "0.1.0"), ("core", "0.1.0"), ("serde", "1.0.2"), ("rand", "0.9.0"),
    }  # fmt: skip
    assert parts["api", "0.1.0"].needs == ("pkg:cargo/core@0.1.0", "pkg:cargo/rand@0.9.0")
    assert parts["api", "0.1.0"].local
    assert not parts["serde", "1.0.2"].local


def test_two_crates_that_need_each_other_end() -> None:
    lock = (Package("a", "1", "", ("b",)), Package("b", "1", REGISTRY, ("a",)))
    assert [part.name for part in crates(lock, "a")] == ["a", "b"]


def test_packages_of_bun_have_their_own_names() -> None:
    lock = (
        Package("app", "workspace:", ""),
        Package("react", "19.0.0", "registry"),
        Package("react/loose", "1.0.0", "registry"),
        Package("left/@scope/name", "2.0.0", "registry"),
        Package("@scope/name", "2.0.0", "registry"),
    )
    assert [part.purl for part in bun_packages(lock)] == [
        "pkg:npm/%40scope/name@2.0.0", "pkg:npm/loose@1.0.0", "pkg:npm/react@19.0.0",
    ]  # fmt: skip


def test_packages_of_npm() -> None:
    lock = {
        "packages": {
            "": {"name": "app", "version": "0.0.0"},
            "node_modules/react": {"version": "19.0.0"},
            "node_modules/a/node_modules/@s/b": {"version": "1.0.0"},
            "node_modules/alias": {"version": "3.0.0", "name": "real"},
            "node_modules/linked": {"link": True},
        }
    }
    parts = [part.purl for part in npm_packages(json.dumps(lock))]
    assert parts == ["pkg:npm/%40s/b@1.0.0", "pkg:npm/react@19.0.0", "pkg:npm/real@3.0.0"]
    for text in ("{}", "[]", "no json"):
        with pytest.raises(ValueError, match=r"."):
            npm_packages(text)


def test_a_package_url_is_escaped() -> None:
    assert purl("cargo", "a", "1.0.0+x") == "pkg:cargo/a@1.0.0%2Bx"
