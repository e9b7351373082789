"""The recipes' Dockerfiles and their bake file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rebake.benchmark import rendering
from rebake.benchmark.layout import Layout, read_layout
from rebake.benchmark.rendering import RecipeBuild
from rebake.benchmark.scenarios import RECIPES
from rebake.project.project import open_project

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def layout() -> Layout:
    return read_layout(open_project(ROOT))


def build(folder: Path, recipe: str = "naive", **more) -> RecipeBuild:
    values = {
        "recipe": recipe,
        "folder": folder / "copy",
        "rendered": folder / "rendered",
        "prefix": "bench-1-naive-1",
        "cache_id": "bench-1-naive-1",
        "rust_image": "rust:1",
        "bun_image": "bun:1",
        "runtime_image": "debian:1",
        "host_settings": Path("/settings"),
        "cold": "n1",
    }
    return RecipeBuild(**(values | more))


@pytest.mark.parametrize("recipe", [*RECIPES, "ui"])
def test_every_recipe_renders(layout: Layout, recipe: str) -> None:
    text = rendering.dockerfile(recipe, layout, cache_id="bench-x")
    assert "{{" not in text
    assert "{%" not in text
    # What downloads has the host's settings.
    for line in text.replace("\\\n", " ").splitlines():
        if line.startswith("RUN") and any(w in line for w in ("cargo build", "cook", "install")):
            assert "with-host-settings" in line
            assert "--mount=type=secret,id=ca" in line


def test_the_usual_image_of_a_ui_with_either_manager(layout: Layout, tmp_path: Path) -> None:
    bun = rendering.dockerfile("ui", layout, cache_id="c")
    assert "node" not in bun
    assert "COPY package.json bun.lock ./\n" in bun
    assert bun.endswith(
        "RUN bun run build\n\nFROM ${RUNTIME_IMAGE}\nCOPY --from=build /app/dist /srv/www\n"
    )
    npm = rendering.dockerfile("ui", layout, cache_id="c", ui_manager="npm")
    assert "FROM ${NODE_IMAGE} AS node\n" in npm
    assert "COPY package.json package-lock.json ./\n" in npm
    assert "    sh /tools/with-host-settings npm ci\n" in npm
    assert "RUN npm run build\n" in npm
    for manager, image in (("bun", None), ("npm", "node:1")):
        more = build(tmp_path, ui_manager=manager, node_image="node:1")
        targets = json.loads(json.dumps(rendering.bake_document(more, layout)))["target"]
        assert targets["ui"]["args"].get("NODE_IMAGE") == image


@pytest.mark.parametrize("recipe", RECIPES)
def test_no_recipe_borrows_what_makes_ours_fast(layout: Layout, recipe: str) -> None:
    text = rendering.dockerfile(recipe, layout, cache_id="bench-x").lower()
    assert "mold" not in text
    assert "incremental" not in text


def test_only_the_cache_mount_recipe_has_cache_mounts(layout: Layout) -> None:
    with_mounts = {
        recipe
        for recipe in RECIPES
        if "type=cache" in rendering.dockerfile(recipe, layout, cache_id="bench-x")
    }
    assert with_mounts == {"cache-mount"}
    text = rendering.dockerfile("cache-mount", layout, cache_id="bench-x")
    assert text.count("id=bench-x-") == text.count("type=cache") == 3


def test_the_label_stands_in_the_last_stage(layout: Layout) -> None:
    text = rendering.dockerfile("naive", layout, cache_id="c", label="edit-7")
    assert text.endswith('LABEL dev.rebake.benchmark.edit="edit-7"\n')


def test_dummy_main_has_a_source_for_every_target(layout: Layout) -> None:
    text = rendering.dockerfile("dummy-main", layout, cache_id="c")
    assert "COPY crates/testing/Cargo.toml crates/testing/Cargo.toml" in text
    assert "COPY .cargo .cargo" in text
    words = rendering.dummies(layout.crates)
    for crate in layout.crates:
        assert f"mkdir -p {crate.folder}/src" in words
    assert "echo 'fn main() {}' > crates/api/src/main.rs" in words
    assert "echo '' > crates/core/src/lib.rs" in words


def test_the_bake_file_builds_every_image_by_name(layout: Layout, tmp_path: Path) -> None:
    document = json.loads(json.dumps(rendering.bake_document(build(tmp_path), layout)))
    assert document["group"]["default"]["targets"] == ["api", "worker", "ui"]
    api = document["target"]["api"]
    assert api["context"] == str(tmp_path / "copy/backend")
    assert api["dockerfile"] == str(tmp_path / "rendered/naive.Dockerfile")
    assert api["tags"] == ["bench-1-naive-1-api:latest"]
    assert api["args"]["SERVICE"] == "api"
    assert api["args"]["COLD"] == "n1"
    ui = document["target"]["ui"]
    assert ui["dockerfile"] == str(tmp_path / "rendered/ui.Dockerfile")
    # An argument that differs between services would compile everything once a service.
    assert "SERVICE" not in ui["args"]
    assert 'id=ca,"src=/settings/ca.pem"' in api["secret"]
    assert "cache-from" not in api


def test_a_registry_cache_is_written_by_one_target_a_half(layout: Layout, tmp_path: Path) -> None:
    writing = rendering.bake_document(build(tmp_path, cache_to="r/naive"), layout)
    targets = json.loads(json.dumps(writing))["target"]
    assert targets["api"]["cache-to"] == ["type=registry,ref=r/naive-backend,mode=max"]
    assert "cache-to" not in targets["worker"]
    assert targets["ui"]["cache-to"] == ["type=registry,ref=r/naive-ui,mode=max"]
    reading = rendering.bake_document(build(tmp_path, cache_from="r/naive"), layout)
    targets = json.loads(json.dumps(reading))["target"]
    assert targets["worker"]["cache-from"] == ["type=registry,ref=r/naive-backend"]


def test_the_exact_command(tmp_path: Path) -> None:
    assert rendering.bake_words(Path("/r/bake.json")) == (
        "buildx", "bake", "--file", "/r/bake.json", "--progress", "rawjson", "--load",
        "--allow", "fs.read=*",
    )  # fmt: skip


def test_everything_is_written_beside_the_bake_file(layout: Layout, tmp_path: Path) -> None:
    file = rendering.write(build(tmp_path, "cargo-chef"), layout)
    assert {path.name for path in file.parent.iterdir()} == {
        "bake.json",
        "cargo-chef.Dockerfile",
        "ui.Dockerfile",
    }
