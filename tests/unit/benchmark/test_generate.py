"""Generated workspaces: the same each time, and complete."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from rebake.benchmark.generate import bake_file, project_files, service_names, workspace_files
from rebake.benchmark.layout import read_layout
from rebake.project.project import open_project

ROOT = Path(__file__).parents[3]
DONOR = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in [
        ROOT / "backend/Dockerfile",
        ROOT / "backend/.dockerignore",
        *(p for p in (ROOT / "docker").rglob("*") if p.is_file()),
    ]
}


def test_it_is_the_same_each_time() -> None:
    assert project_files(5, DONOR) == project_files(5, DONOR)


@pytest.mark.parametrize("count", [1, 5, 20])
def test_the_toolkit_reads_it(count: int, tmp_path: Path) -> None:
    for name, text in project_files(count, DONOR).items():
        place = tmp_path / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")
    layout = read_layout(open_project(tmp_path))
    assert layout.services == service_names(count)
    assert set(layout.binaries) == set(service_names(count))
    assert layout.shared_file == "crates/core/src/lib.rs"
    assert layout.code_file == "crates/svc-01/src/lib.rs"
    assert layout.ui == ""


def test_every_manifest_is_toml() -> None:
    for name, text in workspace_files(3).items():
        if name.endswith(".toml"):
            tomllib.loads(text)


def test_the_bake_file_has_the_new_services_and_no_others() -> None:
    made = bake_file(DONOR["docker/docker-bake.hcl"], ("svc-01", "svc-02"))
    targets = re.findall(r'(?m)^target "([^"]+)"', made)
    assert [t for t in targets if t.startswith("svc")] == ["svc-01", "svc-02"]
    assert not {"api", "worker", "web", "ui"} & set(targets)
    assert {"_common", "_backend", "backend-deps"} <= set(targets)
    assert 'group "default" {\n  targets = ["svc-01", "svc-02"]\n}' in made
    assert '{ SERVICE = "svc-02", SERVICE_BUILD_ID = build_id_of("svc-02") }' in made
    assert 'tags     = ["${PROJECT}-svc-02:${TAG}"]' in made
    assert 'BINARIES   = "svc-01 svc-02"' in made
    assert made.count("{") == made.count("}")
