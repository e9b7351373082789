"""Reading the cargo workspace, and the words for one that can't be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from rebake.errors import ProjectError
from rebake.project.cargo import read_workspace


def crate(root: Path, name: str, *, binary: bool = True) -> None:
    folder = root / "crates" / name / "src"
    folder.mkdir(parents=True)
    (folder.parent / "Cargo.toml").write_text(f'[package]\nname = "{name}"\n')
    (folder / ("main.rs" if binary else "lib.rs")).write_text("")


def test_members_and_binaries(tmp_path: Path) -> None:
    (tmp_path / "Cargo.toml").write_text(
        '[workspace]\nmembers = ["crates/*"]\n[workspace.package]\nrust-version = "1.95"\n'
    )
    crate(tmp_path, "api")
    crate(tmp_path, "base", binary=False)
    workspace = read_workspace(tmp_path)
    assert [binary.name for binary in workspace.binaries] == ["api"]
    assert len(workspace.members) == 2
    assert workspace.rust_version == "1.95"
    assert workspace.binary("base") is None


def test_what_each_member_is_compiled_from(tmp_path: Path) -> None:
    (tmp_path / "Cargo.toml").write_text(
        '[workspace]\nmembers = ["crates/*"]\n'
        '[workspace.dependencies]\nbase = { path = "crates/core", package = "core" }\n'
    )
    for name in ("api", "core", "testing"):
        crate(tmp_path, name)
    manifest = tmp_path / "crates" / "api" / "Cargo.toml"
    manifest.write_text(
        '[package]\nname = "api"\n[dependencies]\nbase.workspace = true\nserde = "1"\n'
        '[dev-dependencies]\ntesting.path = "../testing"\n'
    )
    needs = read_workspace(tmp_path).needs
    place = tmp_path / "crates"
    assert needs[place / "api"] == {place / "core"}
    assert needs[place / "core"] == frozenset()


def test_a_manifest_that_does_not_parse(tmp_path: Path) -> None:
    manifest = tmp_path / "Cargo.toml"
    manifest.write_text("[workspace]\nmembers = [\n")
    with pytest.raises(ProjectError) as caught:
        read_workspace(tmp_path)
    assert caught.value.exit_code == 2
    assert str(caught.value).startswith(f"{manifest}:")
    assert "does not parse" in str(caught.value)


def test_no_manifest(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="is not there"):
        read_workspace(tmp_path)


def test_a_member_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "Cargo.toml").write_text('[workspace]\nmembers = ["crates/gone"]\n')
    with pytest.raises(ProjectError, match=r"workspace member 'crates/gone' has no Cargo\.toml"):
        read_workspace(tmp_path)
