"""The ids of each service's own part of the sources."""

from __future__ import annotations

from pathlib import Path

import pytest

from rebake.build.ids import expecting, others, own, with_lock
from rebake.build.inputs import build_id, manifest, read_inputs
from rebake.build.plan import Scope, plan_build
from rebake.history.records import FileDigest
from rebake.project.cargo import read_workspace
from rebake.project.project import open_project


def crate(root: Path, folder: str, manifest: str = "", *, binary: bool = True) -> None:
    place = root / folder
    (place / "src").mkdir(parents=True)
    (place / "Cargo.toml").write_text(f'[package]\nname = "{place.name}"\n{manifest}')
    (place / "src" / ("main.rs" if binary else "lib.rs")).write_text(f"// {folder}\n")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two services on a core; a crate that only tests need."""
    backend = tmp_path / "backend"
    backend.mkdir()
    (backend / "Cargo.toml").write_text(
        '[workspace]\nmembers = ["crates/*"]\n'
        '[workspace.dependencies]\nbase = { path = "crates/core", package = "core" }\n'
    )
    crate(backend, "crates/core", binary=False)
    crate(backend, "crates/testing", binary=False)
    tests = "[dev-dependencies]\ntesting.workspace = true\n"
    crate(backend, "crates/api", f"[dependencies]\nbase.workspace = true\n{tests}")
    by_target = '[target."cfg(unix)".build-dependencies]\ncore = { path = "../core" }\n'
    crate(backend, "crates/worker", by_target)
    (tmp_path / "rebake.toml").write_text('[backend]\nservices = ["api", "worker"]\n')
    return tmp_path


def test_what_a_binary_is_not_compiled_from_is_no_part_of_it(root: Path) -> None:
    assert others(read_workspace(root / "backend")) == {
        "api": Scope(("crates/testing", "crates/worker"), "api"),
        "worker": Scope(("crates/api", "crates/testing"), "worker"),
    }


def test_a_package_inside_of_another_one(root: Path) -> None:
    backend = root / "backend"
    text = (backend / "Cargo.toml").read_text()
    (backend / "Cargo.toml").write_text(text.replace('["crates/*"]', '["crates/*", "crates/*/*"]'))
    crate(backend, "crates/worker/inner", binary=False)
    manifest = backend / "crates" / "api" / "Cargo.toml"
    scopes = others(read_workspace(backend))
    assert scopes["worker"].folders == ("crates/api", "crates/testing", "crates/worker/inner")
    needed = "[dependencies]\ninner.path = '../worker/inner'"
    manifest.write_text(manifest.read_text().replace("[dependencies]", needed))
    # What it needs lies in the folder of what it does not need.
    assert others(read_workspace(backend))["api"].folders == ("crates/testing",)


def test_a_workspace_with_a_package_at_its_root(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "main.rs").write_text("")
    text = '[package]\nname = "top"\n[workspace]\nmembers = ["low"]\n'
    (tmp_path / "Cargo.toml").write_text(text)
    crate(tmp_path, "low")
    assert others(read_workspace(tmp_path)) == {"top": Scope(("low",), "top")}


def test_a_folder_whose_name_needs_quotes_means_one_id_for_all(root: Path) -> None:
    crate(root / "backend", "crates/my worker")
    assert others(read_workspace(root / "backend")) == {}


def test_an_edit_changes_the_ids_of_what_it_concerns(root: Path) -> None:
    project = open_project(root)
    plan = plan_build(project, "prod", ("api", "worker"), root)

    def ids() -> dict[str, str]:
        made = expecting(plan, project.workspace, read_inputs(plan))
        assert made.expected_ids(made.images[0]) == (
            made.service_ids["api"],
            made.build_ids["backend"],
        )
        return {"all": made.build_ids["backend"], **made.service_ids}

    def changed(path: str) -> set[str]:
        before = ids()
        file = root / "backend" / path
        file.write_text(f"{file.read_text() if file.exists() else ''}\n# {path}\n")
        after = ids()
        return {name for name in after if before[name] != after[name]}

    assert changed("crates/api/src/main.rs") == {"all", "api"}
    assert changed("crates/core/src/lib.rs") == {"all", "api", "worker"}
    assert changed("crates/testing/src/lib.rs") == {"all"}
    assert changed("Cargo.toml") == {"all", "api", "worker"}
    assert changed("migrations.sql") == {"all", "api", "worker"}


def test_bake_is_told_each_id_and_what_is_no_part_of_it(root: Path) -> None:
    project = open_project(root)
    plan = plan_build(project, "prod", ("api",), root)
    inputs = read_inputs(plan)
    told = expecting(plan, project.workspace, inputs).all_variables["SERVICE_BUILD_IDS"]
    api = build_id(own(inputs["backend"], [Scope(("crates/testing", "crates/worker"))]))
    first, second = told.split()
    assert first == f"api={api}:crates/testing,crates/worker"
    assert second.startswith("worker=")  # one cargo build makes both
    assert second.endswith(":crates/api,crates/testing")


def test_development_images_and_the_ui_alone_have_one_id(root: Path) -> None:
    project = open_project(root)
    plan = plan_build(project, "dev", ("api",), root)
    made = expecting(plan, project.workspace, read_inputs(plan))
    assert "SERVICE_BUILD_IDS" not in made.all_variables
    assert made.expected_ids(made.images[0]) == (made.build_ids["backend"],)


def test_only_whole_folders_are_left_out(tmp_path: Path) -> None:
    names = ("api/a", "api2/a", "b/api/a", "api.rs")
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    files = manifest(tmp_path, names)
    assert [file.path for file in own(files, [Scope(("api",))])] == ["api.rs", "api2/a", "b/api/a"]
    assert own(files, [Scope()]) == list(files)
    assert isinstance(files[0], FileDigest)


LOCKED = """version = 4

[[package]]
name = "api"
version = "0.1.0"
dependencies = [
 "core",
{}]

[[package]]
name = "core"
version = "0.1.0"

[[package]]
name = "hex"
version = "0.4.3"
source = "registry+somewhere"

[[package]]
name = "worker"
version = "0.1.0"
dependencies = [
 "core",
]
"""


def test_a_dependency_of_one_service_is_none_of_the_others(root: Path) -> None:
    lock = root / "backend" / "Cargo.lock"
    project = open_project(root)
    plan = plan_build(project, "prod", ("api", "worker"), root)

    def ids(text: str) -> dict[str, str]:
        lock.write_text(text)
        return dict(expecting(plan, project.workspace, read_inputs(plan)).service_ids)

    before, after = ids(LOCKED.format("")), ids(LOCKED.format(' "hex",\n'))
    assert before["api"] != after["api"]
    assert before["worker"] == after["worker"]
    version = LOCKED.format("").replace('"core"\nversion = "0.1.0"', '"core"\nversion = "0.2.0"')
    assert ids(version).keys() == {"api", "worker"}
    assert not set(ids(version).values()) & set(before.values())


def test_bake_is_told_whose_part_of_the_lock_counts(root: Path) -> None:
    (root / "backend" / "Cargo.lock").write_text(LOCKED.format(""))
    project = open_project(root)
    plan = plan_build(project, "prod", ("api",), root)
    made = expecting(plan, project.workspace, read_inputs(plan))
    first, second = made.all_variables["SERVICE_BUILD_IDS"].split()
    assert first == f"api={made.service_ids['api']}:crates/testing,crates/worker:api"
    assert second.endswith(":crates/api,crates/testing:worker")


@pytest.mark.parametrize("what", ["changed", "link", "odd", "gone"])
def test_in_doubt_all_of_the_lock_counts(root: Path, what: str) -> None:
    backend = root / "backend"
    lock = backend / "Cargo.lock"
    lock.write_text("no lock\n" if what == "odd" else LOCKED.format(""))
    if what == "link":
        lock.rename(backend / "locked")
        try:
            lock.symlink_to("locked")
        except OSError:
            pytest.skip("no links here")
    files = manifest(backend, ["Cargo.lock"])
    if what == "changed":
        lock.write_text(LOCKED.format(' "hex",\n'))
    if what == "gone":
        lock.unlink()
    scopes = others(read_workspace(backend))
    assert with_lock(scopes, files, backend) == scopes
    assert own(files, [scopes["api"]]) == list(files)


def test_what_several_binaries_are_made_from(tmp_path: Path) -> None:
    for name in ("Cargo.lock", "a/x", "b/x", "c/x"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    files = manifest(tmp_path, ["Cargo.lock", "a/x", "b/x", "c/x"])
    one, two = Scope(("b", "c"), "a", "11"), Scope(("a", "c"), "b", "22")
    found = own(files, [two, one])
    assert [file.path for file in found] == ["Cargo.lock", "a/x", "b/x"]
    assert found[0].sha256 == "11+22"
    assert own(files, [one, Scope(("c",))])[0] == files[0]  # all of it counts for one of them
