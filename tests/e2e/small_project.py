"""A small project with the template's own Dockerfile, bake file and tools: compiles in seconds."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from e2e.support import REPOSITORY, Docker, Ran, clean_environment
from rebake.build.ids import others, own, with_lock
from rebake.build.inputs import build_id, manifest
from rebake.project.cargo import read_workspace
from rebake.project.ignore import IgnoreMatcher, ignore_file, walk
from rebake.project.project import open_project

SOURCES = Path(__file__).parent / "small"


@dataclass(frozen=True)
class Told:
    """What the image of a service says of itself: its sources' id, and what its libraries hold."""

    build_id: str
    text: str
    migration: str
    chosen: str
    words: str
    number: str
    toolchain: str


@dataclass(frozen=True)
class Small:
    """A checkout of the small project."""

    root: Path
    state: Path

    @property
    def backend(self) -> Path:
        return self.root / "backend"

    @property
    def cache_id(self) -> str:
        return open_project(self.root).cache_id

    def write(self, name: str, text: str, *, at_ns: int | None = None) -> None:
        """Write a file of the backend, dated `at_ns`."""
        file = self.backend / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        if at_ns is not None:
            os.utime(file, ns=(at_ns, at_ns))

    def write_text(self, text: str, *, at_ns: int | None = None) -> None:
        """Change what the library crate tells."""
        self.write("crates/core/src/text.rs", f'pub const TEXT: &str = "{text}";\n', at_ns=at_ns)

    def git(self, *words: str) -> None:
        identity = ("-c", "user.name=test", "-c", "user.email=test@localhost")
        subprocess.run(["git", *identity, *words], cwd=self.root, check=True, capture_output=True)

    def invoke(self, *words: str, **env: str) -> Ran:
        started = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "invoke", *words],
            cwd=self.root,
            env=clean_environment() | {"REBAKE_STATE_HOME": str(self.state)} | env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        return Ran(done.returncode, done.stdout, done.stderr, time.monotonic() - started)

    @property
    def id(self) -> str:
        """The build id of the sources of `api` that are on the disk now."""
        matcher = IgnoreMatcher.load(ignore_file(self.backend))
        files = manifest(self.backend, walk(self.backend, matcher))
        scopes = with_lock(others(read_workspace(self.backend)), files, self.backend)
        return build_id(own(files, [scopes["api"]]))


@dataclass(frozen=True)
class Bench:
    """The small project, its worktree, and the engine."""

    one: Small
    two: Small
    docker: Docker

    def built(self, small: Small | None = None, *words: str, **env: str) -> Told:
        """Build `api`, and ask the image; the build id must be the sources'."""
        small = small or self.one
        document = small.invoke("build", "api", "--json", *words, **env).ok().document
        told = self.ask(document["images"]["api"]["ref"])
        assert told.build_id == small.id
        return told

    def ask(self, ref: str) -> Told:
        version, *about = self.docker("run", "--rm", "--network", "none", ref).splitlines()
        return Told(version.split("(build ")[1].split(")")[0], *about)

    def in_mounts(self, script: str) -> str:
        """Run a shell script with the cache mounts of the build in /target and /cargo."""
        rust = open_project(self.one.root).config.base_images.rust
        target = f"{self.one.cache_id}-target-release-{self.arch}-{rust}"
        dockerfile = (
            f"FROM {rust}\nARG SCRIPT\n"
            f"RUN --mount=type=cache,id={target},target=/target,sharing=locked"
            f" --mount=type=cache,id={self.one.cache_id}-cargo,target=/cargo"
            f' --network=none set -eu; : {time.time_ns()}; eval "$SCRIPT" >/told\n'
            "FROM scratch\nCOPY --from=0 /told /told\n"
        )
        out = self.one.root.parent / "told"
        shutil.rmtree(out, ignore_errors=True)
        folder = self.one.root.parent / "in-mounts"
        folder.mkdir(exist_ok=True)
        (folder / "Dockerfile").write_text(dockerfile)
        self.docker(
            "buildx", "build", "--provenance=false", "--build-arg", f"SCRIPT={script}",
            "--output", "type=local,dest=told", "in-mounts", cwd=out.parent,

        )  # fmt: skip
        return (out / "told").read_text()

    @cached_property
    def arch(self) -> str:
        return self.docker("version", "--format", "{{.Server.Arch}}").strip()


def make(folder: Path) -> Bench:
    """Lay the project and a second worktree out in `folder`; find the engine."""
    shutil.rmtree(folder, ignore_errors=True)
    root = folder / "one"
    shutil.copytree(SOURCES, root, symlinks=True)
    for name in ("docker", "backend/Dockerfile"):
        source = REPOSITORY / name
        if source.is_dir():
            shutil.copytree(source, root / name)
        else:
            shutil.copy2(source, root / name)
    one = Small(root, folder / "state")
    # No step of this run may come from the cache of another one.
    one.write("crates/core/run.txt", str(time.time_ns()))
    one.git("init", "--quiet", "--initial-branch", "main")
    one.git("add", "--all")
    one.git("commit", "--quiet", "--message", "first")
    one.git("worktree", "add", "--quiet", "-b", "second", str(folder / "two"))
    status: dict[str, Any] = json.loads(one.invoke("engine", "status", "--json").ok().stdout)
    return Bench(
        one, Small(folder / "two", folder / "state"), Docker(status["docker"], {**status["env"]})
    )
