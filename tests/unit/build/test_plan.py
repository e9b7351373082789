"""A build's plan: the exact words of bake."""

from __future__ import annotations

from pathlib import Path

from rebake.build.plan import bake_words, plan_build
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
        "--load",
        "--allow", f"fs.read={settings}",
        "api", "ui",
    )  # fmt: skip
    assert [image.ref for image in plan.images] == [
        f"{project.name}-api:prod",
        f"{project.name}-ui:prod",
    ]
    assert plan.variables["PROJECT"] == project.name
    assert plan.variables["CACHE_ID"] == project.cache_id


def test_dev_builds_one_target_a_half(tmp_path: Path) -> None:
    project = project_in(tmp_path)
    plan = plan_build(project, "dev", project.services(), tmp_path, no_cache=True)
    assert plan.targets == ("backend-dev", "ui-dev")
    assert {image.ref for image in plan.images} == {
        f"{project.name}-dev-backend:dev",
        f"{project.name}-dev-ui:dev",
    }
    assert bake_words(plan, tmp_path / "m")[-3:] == ("--no-cache", "backend-dev", "ui-dev")
