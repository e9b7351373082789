"""A build's plan: the exact words of bake."""

from __future__ import annotations

from pathlib import Path

import pytest

from rebake.build.inputs import read_inputs
from rebake.build.plan import EXPORTS, bake_words, dependency_words, plan_build
from rebake.errors import ProjectError
from rebake.project.project import open_project


def project_in(folder: Path):
    (folder / "rebake.toml").write_text('[project]\nname = "shop"\n')
    return open_project(folder)


def test_prod_builds_one_target_a_service(tmp_path: Path) -> None:
    project = project_in(tmp_path)
    settings = tmp_path / "host settings, with a comma"
    plan = plan_build(project, "prod", ("api", "ui"), settings)
    assert bake_words(plan, tmp_path / "meta.json") == (
        "buildx", "bake",
        "--file", str(tmp_path / "docker" / "docker-bake.hcl"),
        "--progress", "rawjson",
        "--metadata-file", str(tmp_path / "meta.json"),
        "--allow", f"fs.read={settings}",
        "--set", f"api.output={EXPORTS['none']}",
        "--set", f"ui.output={EXPORTS['none']}",
        "api", "ui",
    )  # fmt: skip
    assert [image.ref for image in plan.images] == [
        f"{project.name}-api:prod",
        f"{project.name}-ui:prod",
    ]
    assert plan.variables["PROJECT"] == project.name
    assert plan.variables["CACHE_ID"] == project.cache_id


def test_npm_and_where_it_comes_from_are_told_and_of_bun_nothing(tmp_path: Path) -> None:
    told = plan_build(project_in(tmp_path), "prod", ("ui",), tmp_path).variables
    assert not {"UI_MANAGER", "NODE_IMAGE"} & told.keys()
    text = '[ui]\nmanager = "npm"\n[base_images]\nnode = "node:26.1.0-slim"\n'
    (tmp_path / "rebake.toml").write_text(text)
    told = plan_build(open_project(tmp_path), "prod", ("ui",), tmp_path).variables
    assert (told["UI_MANAGER"], told["NODE_IMAGE"]) == ("npm", "node:26.1.0-slim")


def test_nginx_and_where_it_comes_from_are_told_and_of_the_own_server_nothing(
    tmp_path: Path,
) -> None:
    told = plan_build(project_in(tmp_path), "prod", ("ui",), tmp_path).variables
    assert not {"UI_RUNTIME", "NGINX_IMAGE"} & told.keys()
    text = '[ui]\nruntime = "nginx"\n[base_images]\nnginx = "debian:14-slim"\n'
    (tmp_path / "rebake.toml").write_text(text)
    told = plan_build(open_project(tmp_path), "prod", ("ui",), tmp_path).variables
    assert (told["UI_RUNTIME"], told["NGINX_IMAGE"]) == ("nginx", "debian:14-slim")
    assert not {"UI_MANAGER", "NODE_IMAGE"} & told.keys()


def test_dev_builds_one_target_a_half(tmp_path: Path) -> None:
    project = project_in(tmp_path)
    plan = plan_build(project, "dev", project.services(), tmp_path, no_cache=True)
    assert plan.targets == ("backend-dev", "ui-dev")
    assert {image.ref for image in plan.images} == {
        f"{project.name}-dev-backend:dev",
        f"{project.name}-dev-ui:dev",
    }
    assert bake_words(plan, tmp_path / "m")[-3:] == ("--no-cache", "backend-dev", "ui-dev")


def test_the_ui_is_made_from_both_halves(tmp_path: Path) -> None:
    project = project_in(tmp_path)
    assert plan_build(project, "prod", ("ui",), tmp_path).halves == ("ui", "backend")
    assert plan_build(project, "dev", ("ui",), tmp_path).halves == ("ui",)


def test_bake_is_given_the_seed_and_the_ids_of_the_sources(tmp_path: Path) -> None:
    plan = plan_build(project_in(tmp_path), "prod", ("api",), tmp_path)
    told = plan.seeded("deps", "why").expecting({"backend": "b1", "ui": "u1"}).all_variables
    assert (told["SEED"], told["BACKEND_BUILD_ID"], told["UI_BUILD_ID"]) == ("deps", "b1", "u1")


def remote_plan(folder: Path, monkeypatch: pytest.MonkeyPatch, export: str):
    monkeypatch.setenv("REBAKE_CACHE_REMOTE", "registry.example:5000/shop/cache")
    monkeypatch.setenv("REBAKE_CACHE_EXPORT", export)
    return plan_build(project_in(folder), "prod", ("api", "ui"), folder)


def test_a_remote_cache_is_read_by_a_tag_each_target(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = remote_plan(tmp_path, monkeypatch, "false")
    place = "type=registry,ref=registry.example:5000/shop/cache"
    assert bake_words(plan, tmp_path / "m")[14:] == (
        "--set", f"api.cache-from={place}:api",
        "--set", f"ui.cache-from={place}:ui",
        "api", "ui",
    )  # fmt: skip
    assert bake_words(plan.seeded("deps", ""), tmp_path / "m")[18:] == (
        "--set", f"*.cache-from+={place}:backend-deps",
        "api", "ui",
    )  # fmt: skip


def test_a_remote_cache_is_written_when_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = remote_plan(tmp_path, monkeypatch, "true")
    how = "mode=max,compression=zstd,ignore-error=true"
    place = "type=registry,ref=registry.example:5000/shop/cache:backend-deps"
    assert dependency_words(plan) == (
        "buildx", "bake",
        "--file", str(tmp_path / "docker" / "docker-bake.hcl"),
        "--progress", "rawjson",
        "--allow", f"fs.read={tmp_path}",
        "--set", f"backend-deps.cache-from={place}",
        "--set", f"backend-deps.cache-to={place},{how}",
        "backend-deps",
    )  # fmt: skip


def test_secrets_go_to_every_target_by_name_and_place(tmp_path: Path) -> None:
    text = '[secrets.build]\nnpm-token = { env = "NPM" }\nkey = { file = "a, \\"b\\".pem" }\n'
    (tmp_path / "rebake.toml").write_text(text)
    plan = plan_build(open_project(tmp_path), "prod", ("api",), tmp_path)
    words = (
        "--set", "*.secrets+=id=npm-token,env=NPM",
        "--allow", f'fs.read={tmp_path}/a, "b".pem',
        "--set", f'*.secrets+=id=key,"src={tmp_path}/a, ""b"".pem"',
    )  # fmt: skip
    assert bake_words(plan, tmp_path / "m")[-7:] == (*words, "api")
    assert dependency_words(plan)[-7:] == (*words, "backend-deps")


@pytest.mark.parametrize(
    "setting", ["[build]\nprovenance = true\n", '[sign]\nattestations = ["provenance"]\n']
)
def test_a_provenance_is_asked_for_in_prod_alone(tmp_path: Path, setting: str) -> None:
    (tmp_path / "rebake.toml").write_text(setting)
    project = open_project(tmp_path)
    words = bake_words(plan_build(project, "prod", ("api",), tmp_path), tmp_path / "m")
    assert words[-3:] == ("--set", "api.attest=type=provenance,mode=min", "api")
    words = bake_words(plan_build(project, "dev", ("api",), tmp_path), tmp_path / "m")
    assert not any(".attest=" in word for word in words)


def test_nothing_is_attested_unless_it_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "rebake.toml").write_text('[sign]\nattestations = ["sbom"]\n')
    plan = plan_build(open_project(tmp_path), "prod", ("api",), tmp_path)
    assert not any(".attest=" in word for word in bake_words(plan, tmp_path / "m"))


def test_other_dockerfiles_and_a_ui_with_a_server_of_its_own(tmp_path: Path) -> None:
    for folder in ("backend", "ui"):
        (tmp_path / folder).mkdir()
        for name in ("Dockerfile", "Dockerfile.rebake", "Dockerfile.rebake.dockerignore"):
            (tmp_path / folder / name).write_text("")
    (tmp_path / "backend/Dockerfile.rebake.dockerignore").write_text("left-out\nDockerfile*\n")
    (tmp_path / "backend/left-out").write_text("x")
    (tmp_path / "backend/kept").write_text("x")
    name = 'dockerfile = "Dockerfile.rebake"'
    (tmp_path / "rebake.toml").write_text(f'[backend]\n{name}\n[ui]\n{name}\nruntime = "own"\n')
    plan = plan_build(open_project(tmp_path), "prod", ("api", "ui"), tmp_path)
    assert {image.service: image.needs for image in plan.images} == {
        "api": ("backend",),
        "ui": ("ui",),
    }
    assert {file.relative_to(tmp_path).as_posix() for file in plan.recipe} == {
        f"{folder}/{name}"
        for folder in ("backend", "ui")
        for name in ("Dockerfile.rebake", "Dockerfile.rebake.dockerignore")
    }
    assert [file.path for file in read_inputs(plan)["backend"]] == ["kept"]


def test_a_half_without_a_folder_is_told_apart_from_one_that_cant_be_read(tmp_path: Path) -> None:
    (tmp_path / "backend").mkdir()
    (tmp_path / "rebake.toml").write_text('[backend]\nservices = ["api"]\n')
    plan = plan_build(open_project(tmp_path), "prod", ("ui",), tmp_path)
    with pytest.raises(ProjectError) as raised:
        read_inputs(plan)
    assert raised.value.what == f"{tmp_path / 'ui'}: there is no such folder"
    wanted = 'say where the ui is: ui.path in rebake.toml ("" where there is no UI)'
    assert raised.value.next_step == wanted
