"""What a Cargo.toml says of the order of compilation."""

from __future__ import annotations

from rebake.history.evidence import Manifest
from rebake.project.manifests import parse_manifest


def test_what_a_package_needs() -> None:
    text = """
        [package]
        name = "api"
        [dependencies]
        core = { path = "../core" }
        alias = { package = "real", version = "1" }
        serde.workspace = true
        [build-dependencies]
        cc = "1"
        [dev-dependencies]
        tempfile = "3"
        [target.'cfg(unix)'.dependencies]
        libc = "0.2"
    """
    assert parse_manifest(text) == Manifest(
        "api", ("cc", "core", "libc", "real", "serde"), ("tempfile",)
    )


def test_a_workspace_and_what_does_not_parse() -> None:
    assert parse_manifest('[workspace]\nmembers = ["crates/*"]\n') == Manifest("")
    assert parse_manifest("[package") is None
    assert parse_manifest("dependencies = 1\n") is None
