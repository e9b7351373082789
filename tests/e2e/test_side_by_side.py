"""Two projects of one name and this repository, on one engine at a time: nothing is shared.

Their backends are exchanged for one that compiles in seconds; all else is what the template made.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import platformdirs
import pytest

from e2e.support import REPOSITORY, Docker, Ran, clean_environment
from e2e.tiny_project import write_tiny_project

pytestmark = pytest.mark.skipif(
    not os.environ.get("REBAKE_E2E_NEW"), reason="the long form: REBAKE_E2E_NEW=1"
)
FOLDER = platformdirs.user_cache_path("rebake") / "e2e-side-by-side"
KEPT = ("Dockerfile", ".dockerignore")  # of the backend


@dataclass(frozen=True)
class Project:
    """One of them, and the word that only its API says."""

    root: Path
    word: str

    @cached_property
    def name(self) -> str:
        # Not read in here: the variables of the tests would be settings that nobody knows.
        told: str = self.document("config")["name"]
        return told

    def run(self, *words: str, cwd: Path | None = None) -> Ran:
        started = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "rebake.cli", *words],
            cwd=cwd or self.root,
            env=clean_environment() | {"REBAKE_STATE_HOME": str(FOLDER / "state")},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        return Ran(done.returncode, done.stdout, done.stderr, time.monotonic() - started)

    def made(self, tiny: Path) -> None:
        """Make it of this repository, with the tiny backend."""
        shutil.rmtree(self.root, ignore_errors=True)
        self.root.parent.mkdir(parents=True, exist_ok=True)
        if self.root.name == "shop":
            words = ("new", str(self.root), "--defaults", "--source", str(REPOSITORY))
            self.run(*words, cwd=self.root.parent).ok()
        else:
            clone = ["git", "clone", "--quiet", str(REPOSITORY), str(self.root)]
            subprocess.run(clone, check=True)
        backend = self.root / "backend"
        kept = {name: (backend / name).read_text(encoding="utf-8") for name in KEPT}
        shutil.rmtree(backend)
        shutil.copytree(tiny / "backend", backend)
        for name, text in kept.items():
            (backend / name).write_text(text, encoding="utf-8")
        library = backend / "crates/core/src/lib.rs"
        library.write_text(library.read_text().replace("hello", f"hello, {self.word},"))

    def document(self, *words: str) -> Any:
        return self.run(*words, "--json").ok().document


@pytest.fixture(scope="module")
def projects() -> Iterator[tuple[Project, ...]]:
    """The three; what an earlier run left of their stacks is taken down."""
    found = tuple(
        Project(FOLDER / place, word)
        for place, word in (("one/shop", "one"), ("two/shop", "two"), ("rebake", "three"))
    )

    def down() -> None:
        there = [project for project in found if (project.root / "rebake.toml").is_file()]
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda one: one.run("down", "--volumes"), there))

    down()
    shutil.rmtree(FOLDER / "tiny", ignore_errors=True)
    tiny = write_tiny_project(FOLDER / "tiny")
    for project in found:
        project.made(tiny)
    yield found
    down()


@pytest.fixture(scope="module")
def urls(own_docker: Docker, projects: tuple[Project, ...]) -> list[dict[str, str]]:
    """Where each of them answers: their development stacks, started at once."""
    with ThreadPoolExecutor() as pool:
        done = pool.map(lambda one: one.document("dev", "--detach"), projects)
    return [document["urls"] for document in done]


def said(url: str) -> str:
    with urllib.request.urlopen(url, timeout=20) as answer:
        text: str = answer.read().decode()
    return text


def theirs(docker: Docker, name: str) -> dict[str, set[str]]:
    """Containers with their start, volumes, networks and images of a project."""
    label = f"label=com.docker.compose.project={name}-dev"
    containers = docker("ps", "--quiet", "--filter", label).split()
    started = "{{.Id}} {{.State.StartedAt}} {{.State.Running}}"
    return {
        "containers": set(docker("inspect", "--format", started, *containers).splitlines())
        if containers
        else set(),
        "volumes": set(docker("volume", "ls", "--quiet", "--filter", label).split()),
        "networks": set(docker("network", "ls", "--quiet", "--filter", label).split()),
        "images": set(docker("images", "--no-trunc", "--quiet", f"{name}*").split()),
    }


def test_each_has_addresses_volumes_and_containers_of_its_own(
    projects: tuple[Project, ...], urls: list[dict[str, str]], own_docker: Docker
) -> None:
    every = [url for each in urls for url in each.values()]
    assert len(every) == len(set(every)) == 9
    for project, each in zip(projects, urls, strict=True):
        for url in (each["api"], f"{each['ui']}/api/items"):
            assert said(url) == f"hello, {project.word}, from api"
        assert '<div id="root">' in said(each["ui"])
    found = [theirs(own_docker, project.name) for project in projects]
    for kind in ("containers", "volumes", "networks"):
        sets = [each[kind] for each in found]
        assert all(sets), kind
        assert sum(map(len, sets)) == len(set().union(*sets)), kind


def test_what_one_throws_away_is_only_its_own(
    projects: tuple[Project, ...], urls: list[dict[str, str]], own_docker: Docker
) -> None:
    one, two, three = projects
    with ThreadPoolExecutor() as pool:  # so that each has compiled in a mount of its own, too
        list(pool.map(lambda one: one.document("build", "api"), projects))
    before = [theirs(own_docker, project.name) for project in (two, three)]
    one.run("down", "--volumes").ok()
    removed = one.document("refresh-cache", "clean", "all", "--yes")["removed"]
    assert {"mount", "image"} <= {each["kind"] for each in removed}
    left = theirs(own_docker, one.name)
    assert {kind for kind, names in left.items() if names} == set()
    assert [theirs(own_docker, project.name) for project in (two, three)] == before
    for project, each in zip((two, three), urls[1:], strict=True):
        assert said(each["api"]) == f"hello, {project.word}, from api"
        library = project.root / "backend/crates/api/src/lib.rs"
        library.write_text(library.read_text() + f"// {time.time_ns()}\n")
        crates = project.document("build", "api")["caches"]["crates"]
        # The three binaries are compiled with their build ids; the library comes out of the mount.
        assert crates == {"compiled": 3, "reused": 1}
