"""A project from `rebake new`, with nothing of this repository in reach, on the real engine.

It stands in the same folder each time, so that a second run finds its caches warm.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import platformdirs
import pytest

from e2e.support import REPOSITORY, Clone, Docker, clean_environment

FOLDER = platformdirs.user_cache_path("rebake") / "e2e-new"
SERVICES = {"api", "worker", "ui"}


@pytest.fixture(scope="module")
def shop(docker: Docker) -> Iterator[Clone]:
    """A project with all defaults, and its own environment."""
    root = FOLDER / "shop"
    shutil.rmtree(root, ignore_errors=True)
    FOLDER.mkdir(parents=True, exist_ok=True)
    words = ("new", str(root), "--defaults", "--source", str(REPOSITORY), "--json")
    made = subprocess.run(
        [sys.executable, "-m", "rebake.cli", *words],
        cwd=FOLDER,
        env=clean_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout)["root"] == str(root)
    yield Clone(root)
    for service in SERVICES:
        for ref in docker("images", "-q", f"shop-*-{service}:prod").split():
            docker("rmi", "--force", ref, check=False)


def test_its_toolkit_comes_from_its_own_folder(shop: Clone) -> None:
    told = shop.bootstrap("config", "--json").ok().document
    assert (told["root"], told["values"]["project.name"]) == (str(shop.root), "shop")
    found = list((shop.root / ".venv").rglob("rebake-*.dist-info/direct_url.json"))
    assert [json.loads(file.read_text())["url"] for file in found] == [
        next(shop.root.glob("vendor/*.whl")).as_uri()
    ]
    linked = [
        file
        for file in (shop.root / ".venv").rglob("*.pth")
        if str(REPOSITORY) in file.read_text(encoding="utf-8", errors="replace")
    ]
    assert linked == []


def test_its_own_test_of_the_images_passes(shop: Clone) -> None:
    done = shop.run(
        str(shop.program("python")), "-P", "-m", "pytest", "-q", "tests/e2e", timeout=900
    ).ok()
    assert re.search(r"\b1 passed\b", done.stdout), done.stdout


def test_nothing_is_left_to_commit(shop: Clone) -> None:
    status = subprocess.run(
        ["git", "status", "--porcelain"], cwd=shop.root, capture_output=True, text=True, check=True
    )
    assert status.stdout == ""


def test_it_is_linted(shop: Clone) -> None:
    shop.run(str(shop.program("nox")), "-s", "lint(python)", "lint(shell)", timeout=300).ok()


def test_an_update_from_here_finds_nothing_new(shop: Clone) -> None:
    told = shop.invoke("update", "--json").ok().document
    assert (told["changes"], told["conflicts"]) == ({}, [])
    assert Path(told["template"]) == REPOSITORY.resolve()
