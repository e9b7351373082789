"""A project of which every step takes a moment: what runs again, and why, is all that it is for.

It has the lay-out of the template (two halves, a bake file, tools), but its steps only copy. All
steps hold a text that is new in each run, so no step comes from the cache of an earlier one.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from e2e.support import Docker
from rebake.engine import build_cache
from rebake.engine.endpoint import Endpoint
from rebake.explain.model import ExplainedBuild, ExplainedStep
from rebake.results import Mode
from rebake.tasks import image_flow, why_flow
from rebake.tasks.session import Session

BACKEND = """\
ARG RUST_IMAGE=none
ARG FLAVOUR=plain
ARG COMPILER_CACHE=none
FROM ${RUST_IMAGE} AS base
ENV STAMP=@STAMP@
RUN --mount=type=bind,from=tools,target=/tools cp /tools/one /one
FROM base AS compiler-none
FROM base AS compiler-sccache
RUN : with a compiler cache
FROM compiler-${COMPILER_CACHE} AS deps
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY crates/api/Cargo.toml crates/api/
RUN cp Cargo.lock /locked
FROM deps AS build
ARG GREETING=hello
ARG EXPECTED_BUILD_ID=
ARG REBUILD=
RUN --mount=type=bind,target=/src : @STAMP@ && mkdir -p /out && cp -r /src/crates /out/
FROM deps AS dev
RUN : dev
FROM scratch AS prod
ARG SERVICE=api
ARG EXPECTED_BUILD_ID=
COPY --from=build /out/crates/core /@STAMP@/core
COPY --from=build /out/crates/${SERVICE} /@STAMP@/service
LABEL rebake.build-id="${EXPECTED_BUILD_ID}"
"""
UI = """\
ARG BUN_IMAGE=none
FROM ${BUN_IMAGE} AS deps
ENV STAMP=@STAMP@
WORKDIR /app
COPY package.json bun.lock ./
RUN cp bun.lock /locked
FROM deps AS build
ARG EXPECTED_BUILD_ID=
COPY src src
FROM scratch AS prod
ARG EXPECTED_BUILD_ID=
COPY --from=build /app/src /@STAMP@
LABEL rebake.build-id="${EXPECTED_BUILD_ID}"
"""
BAKE = """\
variable "PROJECT" {}
variable "RUST_IMAGE" {}
variable "BUN_IMAGE" {}
variable "COMPILER_CACHE" {}
variable "BACKEND_BUILD_ID" { default = "" }
variable "UI_BUILD_ID" { default = "" }
variable "REBUILD" { default = "" }
variable "GREETING" { default = "hello" }
target "_backend" {
  context  = "backend"
  contexts = { tools = "docker/tools" }
  args = {
    COMPILER_CACHE    = COMPILER_CACHE
    EXPECTED_BUILD_ID = BACKEND_BUILD_ID
    GREETING          = GREETING
    REBUILD           = REBUILD
    RUST_IMAGE        = RUST_IMAGE
  }
  attest = ["type=provenance,disabled=true"]
}
target "api" {
  inherits = ["_backend"]
  target   = "prod"
  tags     = ["${PROJECT}-api:prod"]
}
target "worker" {
  inherits = ["_backend"]
  target   = "prod"
  args     = { SERVICE = "worker" }
  tags     = ["${PROJECT}-worker:prod"]
}
target "backend-dev" {
  inherits = ["_backend"]
  target   = "dev"
  tags     = ["${PROJECT}-dev-backend:dev"]
}
target "ui" {
  context = "ui"
  target  = "prod"
  args = {
    BUN_IMAGE         = BUN_IMAGE
    EXPECTED_BUILD_ID = UI_BUILD_ID
  }
  attest = ["type=provenance,disabled=true"]
  tags   = ["${PROJECT}-ui:prod"]
}
"""
LOCK = """\
version = 4

[[package]]
name = "api"
version = "0.1.0"

[[package]]
name = "itoa"
version = "1.0.18"
source = "registry+https://github.com/rust-lang/crates.io-index"
"""
BUN_LOCK = """\
{
  "lockfileVersion": 1, // as bun writes it
  "packages": {
    "react": ["react@19.0.0", "", {}, "sha512-0"],
  },
}
"""
PACKAGE = '[package]\nname = "{}"\nversion = "0.1.0"\n'


@dataclass
class Runner:
    """The tasks in a project, run in this very process: one for each would take as long again.

    Attributes:
        root: the project; its state is kept beside it.
        environment: variables that hold for all that is run.
    """

    root: Path
    environment: dict[str, str] = field(default_factory=dict)

    @contextlib.contextmanager
    def session(self, task: str) -> Iterator[Session]:
        with pytest.MonkeyPatch.context() as patch:
            for name in [name for name in os.environ if name.startswith("REBAKE_E2E_")]:
                patch.delenv(name)
            patch.setenv("REBAKE_STATE_HOME", str(self.root.parent / "state"))
            for name, value in self.environment.items():
                patch.setenv(name, value)
            with Session(task, progress="quiet", folder=self.root) as session:
                yield session

    def build(self, *services: str, mode: Mode = "prod", **flags: bool) -> None:
        with self.session("build") as session:
            image_flow.build(session, mode, session.services(services), **flags)

    def why(self, service: str) -> ExplainedBuild:
        with self.session("why") as session:
            (found,) = why_flow.past(session, (service,), "", None)
        return found

    def next(self, service: str) -> ExplainedBuild:
        with self.session("why") as session:
            (found,) = why_flow.coming(session, (service,), "prod")
        return found


@dataclass(kw_only=True)
class Why(Runner):
    """The project and the engine that builds it."""

    docker: Docker
    stamp: str

    def path(self, name: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def write(self, name: str, text: str) -> None:
        self.path(name).write_text(text)

    def replace(self, name: str, old: str, new: str) -> None:
        text = self.path(name).read_text()
        assert old in text, f"{old!r} is not in {name}"
        self.write(name, text.replace(old, new))

    def lose_layer(self, words: str) -> None:
        """Take the cached layer of the step with these words (and the stamp) away."""
        endpoint = Endpoint("private", self.docker.env["DOCKER_HOST"], Path(self.docker.program))
        records = build_cache.records(endpoint) or ()
        found = [r.id for r in records if self.stamp in r.description and words in r.description]
        assert found
        build_cache.remove(endpoint, found)

    def image(self, ref: str, text: str) -> None:
        """Make an image with another content under a name that can be a base image's."""
        folder = self.root.parent / "base"
        folder.mkdir(exist_ok=True)
        with self.session("build") as session:
            bun = session.project.config.base_images.bun  # the cases change the other one
        (folder / "Dockerfile").write_text(f"FROM {bun}\nENV T={text}\n")
        self.docker("buildx", "build", "--provenance=false", "--load", "--tag", ref, str(folder))


def step(build: ExplainedBuild, label: str) -> ExplainedStep:
    """A step of a build by its label: `build 1/1`."""
    found = [one for one in build.steps if one.name.startswith(label + " ")]
    assert len(found) == 1, [one.name for one in build.steps]
    return found[0]


def files(stamp: str) -> Mapping[str, str]:
    """All files of the project."""
    return {
        "rebake.toml": '[project]\nname = "why"\n[build]\ndependency_layer = false\n',
        "tasks.py": "from rebake.tasks import namespace\n",
        "docker/docker-bake.hcl": BAKE,
        "docker/tools/one": "one\n",
        "backend/Dockerfile": BACKEND.replace("@STAMP@", stamp),
        "backend/.dockerignore": "Dockerfile\n.dockerignore\n**/*.log\n",
        "backend/Cargo.toml": '[workspace]\nmembers = ["crates/*"]\n',
        "backend/Cargo.lock": LOCK,
        "backend/crates/api/Cargo.toml": PACKAGE.format("api"),
        "backend/crates/api/src/main.rs": "fn main() {}\n",
        "backend/crates/api/run.log": "a log\n",
        "backend/crates/worker/Cargo.toml": PACKAGE.format("worker"),
        "backend/crates/worker/src/main.rs": "fn main() {}\n",
        "backend/crates/core/Cargo.toml": PACKAGE.format("core"),
        "backend/crates/core/src/lib.rs": "pub fn a() {}\npub fn b() {}\n",
        "backend/crates/core/src/old.rs": "// old\n",
        "backend/crates/core/script": "#!/bin/sh\n",
        "ui/Dockerfile": UI.replace("@STAMP@", stamp),
        "ui/.dockerignore": "Dockerfile\n.dockerignore\n",
        "ui/package.json": '{"name": "why"}\n',
        "ui/bun.lock": BUN_LOCK,
        "ui/src/main.ts": "1;\n",
    }


def make(folder: Path, docker: Docker) -> Why:
    """Lay the project out in `folder`."""
    shutil.rmtree(folder, ignore_errors=True)
    one = Why(folder / "why, ü", docker=docker, stamp=f"s{time.time_ns()}")
    for name, text in files(one.stamp).items():
        one.write(name, text)
    core = one.path("backend/crates/core/src/lib.rs").parent.parent
    (core / "logo.bin").write_bytes(b"\0\1\2")
    (core / "chosen").symlink_to("script")
    return one
