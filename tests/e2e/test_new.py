"""A project from `rebake new`, with the repository that it was made from moved away.

The short form compiles nothing. The long form, with `REBAKE_E2E_NEW=1`, builds the project's images
and follows its README: everything is new to the engine then, and it takes many minutes.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import platformdirs
import pytest

from e2e.support import REPOSITORY, Clone, Docker, Ran, clean_environment
from rebake.checks.plan import Tree
from rebake.checks.plan_tests import parts_of_e2e

FOLDER = platformdirs.user_cache_path("rebake") / "e2e-new"
NEW_S = 3
PAGE_S = 240
SERVICES = {"api", "worker", "ui"}
whole = pytest.mark.skipif(
    not os.environ.get("REBAKE_E2E_NEW"), reason="the long form: REBAKE_E2E_NEW=1"
)


def make_project(folder: Path) -> tuple[Clone, Ran]:
    """Make a project of a copy of this repository, and move the copy away."""
    source, away = folder / "rebake", folder / "moved-away"
    root = folder / "shop"
    for path in (source, away, root):
        shutil.rmtree(path, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["git", "clone", "--quiet", str(REPOSITORY), str(source)], check=True)
    words = ("new", str(root), "--defaults", "--source", str(source), "--json")
    started = time.monotonic()
    made = subprocess.run(
        [sys.executable, "-m", "rebake.cli", *words],
        cwd=folder,
        env=clean_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    ran = Ran(made.returncode, made.stdout, made.stderr, time.monotonic() - started).ok()
    source.rename(away)
    return Clone(root), ran


def remove_images(docker: Docker, project: Clone) -> None:
    """Remove what a project's builds left under its name."""
    name = project.invoke("config", "--json").ok().document["name"]
    for service in SERVICES:
        docker("rmi", "--force", f"{name}-{service}:prod", check=False)


@pytest.fixture(scope="module")
def shop(own_docker: Docker) -> Iterator[Clone]:
    """A project with all defaults, and its own environment."""
    project, _ = make_project(FOLDER)
    project.bootstrap("config", "--json").ok()
    yield project
    remove_images(own_docker, project)


def test_its_toolkit_is_the_one_that_it_carries(shop: Clone) -> None:
    told = shop.invoke("config", "--json").ok().document
    assert (told["root"], told["values"]["project.name"]) == (str(shop.root), "shop")
    found = list((shop.root / ".venv").rglob("rebake-*.dist-info/direct_url.json"))
    assert [json.loads(file.read_text())["url"] for file in found] == [
        next(shop.root.glob("vendor/*.whl")).as_uri()
    ]
    texts = [path.read_text("utf-8", "replace") for path in (shop.root / ".venv").rglob("*.pth")]
    assert [
        text for text in texts if str(REPOSITORY) in text or str(FOLDER / "rebake") in text
    ] == []


def test_its_own_tests_can_be_run_as_its_session_runs_them(shop: Clone) -> None:
    [part] = parts_of_e2e(Tree(files=("tests/e2e/test_images.py",)))
    words = (*part.argv[1:], "--collect-only")
    found = shop.run(str(shop.program("python")), *words, timeout=60).ok()
    assert "test_every_service_has_an_image_of_these_sources" in found.stdout


# Each script, and make, as it is typed; and what stands in the commands of its dry run.
TYPED = {
    "docker/build.sh --prod --dry-run": "docker-compose.yml up --detach",
    "docker/build.sh all --no-cache --dry-run": "--no-cache api worker ui",
    "scripts/warm-cache.sh --for prod --dry-run": "buildx bake",
    "scripts/refresh-cache.sh clean build --older-than 7d --dry-run": "",
    "scripts/test-docker-build.sh --dry-run": "build --json",
    "scripts/benchmark-builds.sh --runs 3 --dry-run": "build --json",
    "scripts/docker_workflow_test.sh --dry-run": "prod --json",
    "make build ARGS='api --dry-run'": "buildx bake",
}


@pytest.mark.skipif(os.name == "nt", reason="shell scripts")
@pytest.mark.parametrize("line", TYPED)
def test_the_scripts_are_there_and_work(shop: Clone, line: str) -> None:
    words = shlex.split(line)
    if words[0] == "make" and shutil.which("make") is None:
        pytest.skip("no make here")
    ran = shop.run(*words, timeout=120).ok()
    assert TYPED[line] in ran.stdout


@whole
def test_its_own_test_of_the_images_passes(shop: Clone) -> None:
    done = shop.run(
        str(shop.program("python")), "-P", "-m", "pytest", "-q", "tests/e2e", timeout=900
    ).ok()
    assert re.search(r"\b1 passed\b", done.stdout), done.stdout
    status = shop.run("git", "status", "--porcelain", timeout=60).ok()
    assert status.stdout == ""


@whole
def test_a_service_more_is_built_and_goes_without_a_trace(shop: Clone, own_docker: Docker) -> None:
    shop.invoke("add-service", "mailer").ok()
    [image] = shop.invoke("build", "mailer", "--json").ok().document["images"].values()
    try:
        told = own_docker("run", "--rm", "--network=none", image["ref"], "--version")
        assert told == f"mailer 0.1.0 (build {image['build_id']})\n"
    finally:
        own_docker("rmi", "--force", image["ref"], check=False)
    shop.invoke("add-service", "mailer", "--remove", "--yes").ok()
    assert shop.run("git", "status", "--porcelain", timeout=60).ok().stdout == ""


def test_an_update_needs_the_template_and_finds_nothing_new(shop: Clone) -> None:
    refused = shop.invoke("update")
    assert (refused.returncode, refused.stderr.count("error: ")) == (2, 1)
    assert str(FOLDER / "rebake") in refused.stderr
    told = shop.invoke("update", "--source", str(FOLDER / "moved-away"), "--json").ok().document
    assert (told["changes"], told["conflicts"]) == ({}, [])


@pytest.fixture(scope="module")
def fresh(own_docker: Docker) -> Iterator[tuple[Clone, Ran]]:
    """A project in a folder of its own: no cache on this engine knows it."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="whole-", dir=FOLDER))
    project, ran = make_project(folder)
    yield project, ran
    if project.program("invoke").is_file():
        project.invoke("down", "--volumes")
        remove_images(own_docker, project)
        project.invoke("refresh-cache", "clean", "all", "--yes")
    shutil.rmtree(folder, ignore_errors=True)


@whole
def test_the_first_command_brings_a_page_up(shop: Clone, fresh: tuple[Clone, Ran]) -> None:
    project, made = fresh
    shop.invoke("build", "--dev").ok()  # another project of this machine's
    ran = project.bootstrap("dev", "--detach", "--json").ok()
    url = ran.document["urls"]["ui"]
    with urllib.request.urlopen(url, timeout=10) as answer:
        assert answer.status == 200
        assert b'<div id="root">' in answer.read()
    with urllib.request.urlopen(f"{url}/api/items", timeout=10) as answer:
        assert json.load(answer)["total"] == 0
    [build] = project.invoke("history", "--json").ok().document["builds"]
    assert build["cached_steps"] == build["steps"] > 0
    # On a machine that does nothing else.
    times = {"new": made.seconds, "dev": ran.seconds}
    assert times["new"] <= NEW_S, times
    assert times["dev"] <= PAGE_S, times


@whole
def test_the_second_command_passes(fresh: tuple[Clone, Ran]) -> None:
    project, _ = fresh
    ran = project.bootstrap("test", timeout=2400).ok()
    rows = re.findall(
        r"^((lint|test|e2e): .+) (ok|failed|missing|skipped) +\S+ +[\d.]+",
        ran.stdout + ran.stderr,
        re.MULTILINE,
    )
    assert {session for _, session, _ in rows} == {"lint", "test", "e2e"}, ran.stdout
    assert {part: state for part, _, state in rows if state != "ok"} == {}
    assert project.run("git", "status", "--porcelain", timeout=60).ok().stdout == ""
