"""Lock-files against manifests: the template's own files, edited; and cargo itself as the judge."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from e2e.support import REPOSITORY
from rebake.doctor import cargo_lock, javascript_lock, lock_files
from rebake.doctor.requirement import satisfies
from rebake.errors import ProjectError
from rebake.project.cargo import read_workspace
from unit.doctor.conftest import MakeCase, bad, only


@pytest.fixture
def backend(tmp_path: Path) -> Path:
    """The manifests and the lock-file of the living template."""
    source = REPOSITORY / "backend"
    for file in [source / "Cargo.lock", source / "Cargo.toml", *source.glob("crates/*/Cargo.toml")]:
        place = tmp_path / file.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, place)
    return tmp_path


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), encoding="utf-8")


def cargo_faults(backend: Path) -> list[str]:
    lock = (backend / "Cargo.lock").read_text(encoding="utf-8")
    return list(cargo_lock.faults(read_workspace(backend), lock))


def test_the_template_s_own_lock_file_fits(backend: Path) -> None:
    assert cargo_faults(backend) == []


@pytest.mark.parametrize(
    ("file", "old", "new", "says"),
    [
        ("crates/api/Cargo.toml", "[dependencies]\n", "[dependencies]\nregex = '1'\n",
         "api depends on regex, which the lock-file does not know"),
        ("crates/api/Cargo.toml", "[dependencies]\n",
         "[target.'cfg(windows)'.dependencies]\nwinreg = '0.50'\n[dependencies]\n",
         "api depends on winreg, which the lock-file does not know"),
        ("crates/api/Cargo.toml", "serde_path_to_error.workspace = true\n", "",
         "api does not depend on serde_path_to_error any more"),
        ("Cargo.toml", 'axum = { version = "0.8.9"', 'axum = { version = "0.9.0"',
         "asks for axum 0.9.0, locked is 0.8.9"),
        ("Cargo.toml", 'version = "0.1.0"\nedition', 'version = "0.2.0"\nedition',
         "api is 0.2.0, and 0.1.0 in the lock-file"),
        ("crates/api/Cargo.toml", 'name = "api"', 'name = "http"',
         "crate http is not in the lock-file"),
    ],
)  # fmt: skip
def test_a_manifest_that_the_lock_file_does_not_fit(
    backend: Path, file: str, old: str, new: str, says: str
) -> None:
    edit(backend / file, old, new)
    assert any(says in fault for fault in cargo_faults(backend)), cargo_faults(backend)


def test_a_crate_that_went_away(backend: Path) -> None:
    shutil.rmtree(backend / "crates" / "worker")
    assert cargo_faults(backend) == [
        "worker is in the lock-file, and no crate of the workspace any more"
    ]


PACKAGE = '[package]\nname = "{}"\nversion = "0.1.0"\nedition = "2021"\n'
CASES: dict[str, dict[str, tuple[str, str]]] = {
    "nothing": {},
    "a version": {"a/Cargo.toml": ('version = "0.1.0"', 'version = "0.1.1"')},
    "a name": {"b/Cargo.toml": ('name = "b"', 'name = "c"')},
    "a dependency": {"a/Cargo.toml": ("[dependencies]\n", "[dependencies]\nd = {path='../d'}\n")},
    "a renamed one": {
        "a/Cargo.toml": ("[dependencies]\n", "[dependencies]\nx = {path='../d', package='d'}\n")
    },
    "a build dependency": {
        "a/Cargo.toml": ("[dependencies]\n", "[build-dependencies]\nd = {path='../d'}\n")
    },
    "one less": {"a/Cargo.toml": ("b = { path = '../b' }\n", "")},
    "a feature": {"b/Cargo.toml": ("[package]", "[features]\nx = []\n[package]")},
    "another edition": {"b/Cargo.toml": ('edition = "2021"', 'edition = "2018"')},
}


@pytest.mark.skipif(shutil.which("cargo") is None, reason="cargo is the judge")
@pytest.mark.parametrize("case", CASES)
def test_cargo_itself_agrees(tmp_path: Path, case: str) -> None:
    """Crates by path alone, so that cargo needs no network to judge."""
    for name in ("a", "b", "d"):
        (tmp_path / name / "src").mkdir(parents=True)
        (tmp_path / name / "src" / "lib.rs").write_text("")
        (tmp_path / name / "Cargo.toml").write_text(PACKAGE.format(name))
    with (tmp_path / "a" / "Cargo.toml").open("a") as file:
        file.write("[dependencies]\nb = { path = '../b' }\n")
    (tmp_path / "Cargo.toml").write_text('[workspace]\nmembers = ["a", "b", "d"]\n')
    (tmp_path / "Cargo.lock").write_text(
        'version = 3\n[[package]]\nname = "a"\nversion = "0.1.0"\ndependencies = [\n "b",\n]\n'
        '[[package]]\nname = "b"\nversion = "0.1.0"\n[[package]]\nname = "d"\nversion = "0.1.0"\n'
    )
    for file, (old, new) in CASES[case].items():
        edit(tmp_path / file, old, new)
    told = subprocess.run(
        ["cargo", "metadata", "--locked", "--offline", "--format-version", "1"],
        cwd=tmp_path, capture_output=True, check=False,
    )  # fmt: skip
    if case == "a name":  # cargo can't resolve it at all: b is not b any more
        assert told.returncode != 0
    assert (cargo_faults(tmp_path) == []) == (told.returncode == 0), told.stderr


@pytest.mark.parametrize(
    ("requirement", "version", "fits"),
    [
        ("1.2.3", "1.9.0", True), ("1.2.3", "1.2.2", False), ("1.2.3", "2.0.0", False),
        ("0.8.9", "0.8.10", True), ("0.8", "0.9.0", False), ("0.0.3", "0.0.4", False),
        ("^1", "1.0.0", True), ("~1.2", "1.2.9", True), ("~1.2.3", "1.3.0", False),
        ("1.*", "1.7.0", True), ("*", "3.0.0", True), ("=1.2.3", "1.2.3", True),
        ("=1.2", "1.3.0", False), (">=1.2, <1.5", "1.4.9", True), (">=1.2, <1.5", "1.5.0", False),
        (">1.2", "1.2.9", False), (">1.2", "1.3.0", True), ("<=1.2", "1.2.9", True),
        ("0", "0.5.0", True), ("1", "2.0.0", False), ("1.0.0-rc.1", "1.0.0", True),
        ("1.2", "1.2.0+build", True), ("nonsense", "1.0.0", True), ("2", "2.0.0-rc.1", True),
    ],
)  # fmt: skip
def test_requirements_as_cargo_reads_them(requirement: str, version: str, fits: bool) -> None:
    assert satisfies(requirement, version) is fits


# --- bun and npm ---


@pytest.fixture
def ui(tmp_path: Path) -> Path:
    for name in ("package.json", "bun.lock"):
        shutil.copy(REPOSITORY / "ui" / name, tmp_path)
    return tmp_path


def test_the_template_s_own_bun_lock_fits(ui: Path) -> None:
    assert list(javascript_lock.bun_faults(ui)) == []


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('"dependencies": {', '"dependencies": {\n    "zod": "4.1.0",',
         "package.json has zod 4.1.0, which the lock-file does not know"),
        ('"react": "19', '"react": "20', "package.json asks for react 20"),
        ('"@types/bun": "1.4.4",\n', "", "package.json has @types/bun no more"),
    ],
)  # fmt: skip
def test_a_package_json_that_bun_lock_does_not_fit(ui: Path, old: str, new: str, says: str) -> None:
    edit(ui / "package.json", old, new)
    (fault,) = javascript_lock.bun_faults(ui)
    assert fault.startswith(says)


def test_workspaces_of_bun(ui: Path) -> None:
    edit(ui / "package.json", '"private": true,', '"private": true,\n  "workspaces": ["pkgs/*"],')
    (ui / "pkgs" / "a").mkdir(parents=True)
    (ui / "pkgs" / "a" / "package.json").write_text('{"name": "a"}')
    assert list(javascript_lock.bun_faults(ui)) == ["pkgs/a/package.json is not in the lock-file"]
    edit(ui / "bun.lock", '"workspaces": {', '"workspaces": {\n "pkgs/a": {"name": "a",},')
    assert list(javascript_lock.bun_faults(ui)) == []
    shutil.rmtree(ui / "pkgs" / "a")
    assert list(javascript_lock.bun_faults(ui)) == [
        "pkgs/a/package.json is in the lock-file, and there no more"
    ]


def test_a_comma_in_a_text_stays(ui: Path) -> None:
    edit(ui / "package.json", '"react": "19', '"left": ",]", "react": "19')
    edit(ui / "bun.lock", '"react": "19', '"left": ",]", "react": "19')
    assert list(javascript_lock.bun_faults(ui)) == []


def npm_project(folder: Path, version: int = 3) -> Path:
    manifest = {"name": "x", "dependencies": {"react": "^19"}, "workspaces": ["a"]}
    (folder / "package.json").write_text(json.dumps(manifest))
    (folder / "a").mkdir()
    (folder / "a" / "package.json").write_text('{"name": "a", "devDependencies": {"b": "1"}}')
    packages = {
        "": manifest,
        "a": {"name": "a", "devDependencies": {"b": "1"}},
        "node_modules/react": {"version": "19.0.0"},
        "node_modules/a": {"resolved": "a", "link": True},
        "a/node_modules/b": {"version": "1.0.0"},
    }
    lock = {"lockfileVersion": version, "packages": packages}
    (folder / "package-lock.json").write_text(json.dumps(lock))
    return folder


def test_package_lock(tmp_path: Path) -> None:
    folder = npm_project(tmp_path)
    assert list(javascript_lock.npm_faults(folder)) == []
    (folder / "a" / "package.json").write_text('{"name": "a", "devDependencies": {"b": "2"}}')
    assert list(javascript_lock.npm_faults(folder)) == ["a/package.json asks for b 2, locked is 1"]


def test_a_lock_file_of_old_npm(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="npm 6 or older"):
        list(javascript_lock.npm_faults(npm_project(tmp_path, 1)))


# --- the check ---


def test_the_check_names_the_file_and_the_command(root: Path, make_case: MakeCase) -> None:
    assert bad(list(lock_files.check(make_case(root)))) == []
    edit(root / "ui" / "package.json", '"dependencies": {', '"dependencies": {"zod": "4",')
    one = only(list(lock_files.check(make_case(root))))
    assert one.level == "error"
    assert one.message == (
        "ui/bun.lock is out of date: package.json has zod 4, which the lock-file does not know"
    )
    assert one.fix == "bun install --lockfile-only, in ui, and commit it"


def test_lock_files_that_are_not_there_or_broken(root: Path, make_case: MakeCase) -> None:
    (root / "ui" / "bun.lock").unlink()
    (root / "backend" / "Cargo.lock").write_text("<<<<<<< ours\n")
    backend, ui = bad(list(lock_files.check(make_case(root))))
    assert backend.message.startswith("backend/Cargo.lock is not TOML")
    assert ui.message == "ui/bun.lock is not there"
    (root / "ui" / "bun.lockb").write_bytes(b"\0")
    (root / "backend" / "Cargo.lock").unlink()
    backend, ui = bad(list(lock_files.check(make_case(root))))
    assert backend.message == "backend/Cargo.lock is not there"
    assert ui.message == "ui/bun.lockb is Bun's old lock-file"


def test_a_lock_file_that_the_base_image_can_not_read(root: Path, make_case: MakeCase) -> None:
    (root / "rebake.toml").write_text('[base_images]\nrust = "rust:1.75-slim"\n')
    one = only(list(lock_files.check(make_case(root))))
    assert one.message == (
        "backend/Cargo.lock has version 4, which cargo of rust:1.75-slim does not know"
    )
    assert one.fix.startswith("rust 1.78 or newer")


def test_two_lock_files_for_one_ui(root: Path, make_case: MakeCase) -> None:
    manifest = json.loads((root / "ui" / "package.json").read_text())
    name, version = re.findall(r'"([a-z-]+)@([0-9][^"]*)"', (root / "ui" / "bun.lock").read_text())[
        0
    ]
    packages = {"": manifest, f"node_modules/{name}": {"version": version}}
    place = root / "ui" / "package-lock.json"
    place.write_text(json.dumps({"lockfileVersion": 3, "packages": packages}))
    words = "the two lock-files in ui name other versions of"
    found = bad(list(lock_files.check(make_case(root))))
    assert not [one for one in found if one.message.startswith(words)]
    packages[f"node_modules/{name}"] = {"version": "0.0.1"}
    place.write_text(json.dumps({"lockfileVersion": 3, "packages": packages}))
    found = bad(list(lock_files.check(make_case(root))))
    (one,) = [one for one in found if one.message.startswith(words)]
    assert (one.level, one.message) == ("warning", f"{words} {name}")
    assert one.fix == "delete package-lock.json, or make it again with npm"
