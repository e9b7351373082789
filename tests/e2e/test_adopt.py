"""`rebake adopt` on a project as people have them: plain Compose takes the fast build.

The project's programs tell no build id, and know no flags: whatever starts one gets a server.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import platformdirs
import pytest

from e2e.old_project import write, write_old_project
from e2e.support import REPOSITORY, Docker, Ran, _free_ports, clean_environment

pytestmark = pytest.mark.engine

FOLDER = platformdirs.user_cache_path("rebake") / "e2e-adopt"
NAME = "adopted-e2e"


@dataclass(frozen=True)
class Old:
    """The project, and the engine."""

    root: Path
    docker: Docker
    ports: dict[str, str]

    def rebake(self, *words: str, **env: str) -> Ran:
        started = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-P", "-m", "rebake.cli", *words],
            cwd=self.root,
            env=clean_environment() | {"REBAKE_STATE_HOME": str(self.root.parent / "state")} | env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        return Ran(done.returncode, done.stdout, done.stderr, time.monotonic() - started)

    def compose(self, *words: str) -> str:
        return self.docker("compose", *words, cwd=self.root, **self.ports)

    def git(self, *words: str) -> str:
        identity = ("-c", "user.name=test", "-c", "user.email=test@localhost")
        done = subprocess.run(
            ["git", *identity, *words], cwd=self.root, check=True, capture_output=True, text=True
        )
        return done.stdout

    def says(self, port: str, *, wanted: str) -> None:
        """Wait until a service answers with a text."""
        said = ""
        for _ in range(400):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[port]}") as answer:
                    said = answer.read().decode()
            except OSError as error:
                said = str(error)
            if wanted in said:
                return
            time.sleep(0.05)
        raise AssertionError(f"{said!r} is not {wanted!r}")


@pytest.fixture(scope="module")
def old(own_docker: Docker) -> Iterator[Old]:
    shutil.rmtree(FOLDER, ignore_errors=True)
    root = write_old_project(FOLDER / NAME)
    # No step of this run may come from the cache of another one.
    write(root / "crates/core/run.txt", str(time.time_ns()))
    names = ("API_PORT", "JOBS_PORT", "WEB_PORT")
    project = Old(root, own_docker, _free_ports(*(name.removesuffix("_PORT") for name in names)))
    project.ports.update({name: project.ports.pop(name.removesuffix("_PORT")) for name in names})
    project.git("init", "--quiet")
    project.git("add", "--all")
    project.git("commit", "--quiet", "--message", "first")
    yield project
    project.compose("down", "--volumes", "--rmi", "local", "--timeout", "2")


@pytest.fixture(scope="module")
def adopted(old: Old) -> Old:
    done = old.rebake("adopt", "--data", "toolkit=no", "--source", str(REPOSITORY), "--json").ok()
    document = done.document
    assert document["services"]["backend"]["service"] == "api"
    assert document["services"]["jobs"]["service"] == "worker"
    assert document["services"]["web"]["service"] == "ui"
    assert document["left"] == {}
    assert document["override"] == "docker-compose.override.yml"
    told = [f"?? {name}" for name in document["files"]]
    assert sorted(old.git("status", "--porcelain", "-uall").splitlines()) == sorted(told)
    return old


def test_compose_builds_by_the_new_dockerfiles_and_keeps_all_else(adopted: Old) -> None:
    before = json.loads(adopted.compose("-f", "docker-compose.yml", "config", "--format", "json"))
    after = json.loads(adopted.compose("config", "--format", "json"))
    for name, service in after["services"].items():
        assert service["build"]["dockerfile"] == "Dockerfile.rebake"
        assert service["build"] != before["services"][name].pop("build")
        service.pop("build")
    assert after["services"] == before["services"]
    assert after["volumes"] == before["volumes"]


def test_the_stack_serves_and_an_edit_is_in_it(adopted: Old) -> None:
    adopted.compose("up", "--build", "--detach")
    adopted.says("API_PORT", wanted="hello from api and its words first")
    adopted.says("JOBS_PORT", wanted="hello from worker and its words first")
    adopted.says("WEB_PORT", wanted='"the shop"')
    core = adopted.root / "crates/core/src/lib.rs"
    old = core.stat().st_mtime_ns - 3 * 86_400_000_000_000
    core.write_text(core.read_text().replace("hello from", "hi from"))
    os.utime(core, ns=(old, old))  # cargo alone would take it for built already
    page = adopted.root / "frontend/src/main.ts"
    page.write_text(page.read_text().replace("made with", "made again with"))
    words = adopted.root / "words.txt"
    words.write_text("with other words\n")
    adopted.compose("up", "--build", "--detach", "--timeout", "2")
    adopted.says("API_PORT", wanted="hi from api with other words first")
    adopted.says("JOBS_PORT", wanted="hi from worker with other words first")
    adopted.says("WEB_PORT", wanted="made again with")


def test_the_images_of_rebake_build_are_made_from_what_is_here(adopted: Old) -> None:
    first = adopted.rebake("build", "--json").ok().document["images"]
    assert set(first) == {"api", "worker", "ui"}
    again = adopted.rebake("build", "--json").ok().document
    assert again["skipped"]
    main = adopted.root / "crates/worker/src/main.rs"
    main.write_text(main.read_text().replace('"{} {} {}"', '"{} {} {} made anew"'))
    why = adopted.rebake("why", "worker", "--next").ok()
    assert "crates/worker/src/main.rs" in why.stdout
    third = adopted.rebake("build", "--json").ok().document["images"]
    assert {name for name in third if third[name]["digest"] != first[name]["digest"]} == {"worker"}
    ref, api = third["worker"]["ref"], third["api"]["ref"]
    labels = adopted.docker.json("image", "inspect", "--format", "{{json .Config.Labels}}", ref)
    assert labels["rebake.build-id"] == third["worker"]["build_id"]
    look = ("run", "--rm", "--network", "none", "--entrypoint", "grep")
    adopted.docker(*look, ref, "--count", "made anew", "/usr/local/bin/worker-server")
    key = {
        "COSIGN_PASSWORD": "secret-enough",
        "REBAKE_SIGN_KEY": str(adopted.root.parent / "keys" / "old.key"),
    }
    adopted.rebake("sign", "--make-key", **key).ok()
    adopted.rebake("verify", **key).ok()
    adopted.docker("tag", api, ref)
    assert f"{ref} is not the image that was signed" in adopted.rebake("verify", **key).stderr
    adopted.docker("image", "rm", "--force", ref, api, third["ui"]["ref"])


def test_what_is_the_projects_own_affair_is_said(adopted: Old) -> None:
    done = adopted.rebake("prod")
    assert done.returncode == 2
    assert "runs its stack itself" in done.stderr
    assert "docker compose up --build" in done.stderr
    doctor = adopted.rebake("doctor")
    assert doctor.returncode == 0, doctor.stdout


def test_without_the_new_files_all_is_as_it_was(adopted: Old) -> None:
    adopted.git("clean", "--quiet", "--force", "-d")
    resolved = json.loads(adopted.compose("config", "--format", "json"))
    assert resolved["services"]["backend"]["build"]["dockerfile"] == "Dockerfile"
