"""Builds as values, for tests of explanations: files as texts, a Dockerfile, bake targets."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from msgspec.structs import replace

from rebake.build.evidence import file_facts
from rebake.explain.side import Side
from rebake.history.evidence import BakeTarget, Evidence
from rebake.history.records import FileDigest, StepRecord

DOCKERFILE = """\
ARG RUST_IMAGE=rust:1
ARG SEED=none
FROM ${RUST_IMAGE} AS rust
ENV HOME=/home
RUN --mount=type=bind,from=tools,target=/tools /tools/packages

FROM rust AS deps
COPY Cargo.toml Cargo.lock ./
RUN compile dependencies

FROM rust AS seed-none
WORKDIR /target
FROM deps AS seed-deps
FROM seed-${SEED} AS seed

FROM rust AS build
ARG GREETING=hello
ARG EXPECTED_BUILD_ID=
ARG REBUILD=
RUN --mount=type=bind,target=/src \\
    --mount=type=bind,from=seed,source=/target,target=/seed \\
    --mount=type=cache,id=shop-target-release--rust,target=/target \\
    compile

FROM scratch AS prod
ARG SERVICE=api
COPY --from=build /out/${SERVICE} /bin/service
LABEL rebake.build-id="${EXPECTED_BUILD_ID}"
"""
ARGUMENTS = {
    "RUST_IMAGE": "rust:1",
    "EXPECTED_BUILD_ID": "$BACKEND_BUILD_ID",
    "GREETING": "hello",
    "REBUILD": "$REBUILD",
    "SEED": "$SEED",
}
FILES: Mapping[str, str] = {
    "docker/bake.hcl": "# the bake file\n",
    "docker/tools/packages": "apt-get\n",
    "backend/Dockerfile": DOCKERFILE,
    "backend/.dockerignore": "Dockerfile\n.dockerignore\n*.log\n",
    "backend/Cargo.toml": '[workspace]\nmembers = ["crates/*"]\n',
    "backend/Cargo.lock": (
        'version = 4\n[[package]]\nname = "api"\nversion = "0.1.0"\ndependencies = ["core"]\n'
        '[[package]]\nname = "core"\nversion = "0.1.0"\ndependencies = ["itoa"]\n'
        '[[package]]\nname = "itoa"\nversion = "1.0.18"\nsource = "registry+x"\n'
        '[[package]]\nname = "ryu"\nversion = "1.0.0"\nsource = "registry+x"\n'
        '[[package]]\nname = "web"\nversion = "0.1.0"\ndependencies = ["ryu"]\n'
    ),
    "backend/crates/api/Cargo.toml": '[package]\nname = "api"\n[dependencies]\ncore = "*"\n',
    "backend/crates/api/src/main.rs": "fn main() {}\n",
    "backend/crates/core/Cargo.toml": '[package]\nname = "core"\n[dependencies]\nitoa = "1"\n',
    "backend/crates/core/src/lib.rs": "pub fn one() {}\npub fn two() {}\n",
    "backend/crates/web/Cargo.toml": '[package]\nname = "web"\n[dependencies]\nryu = "1"\n',
    "backend/crates/web/src/main.rs": "fn main() {}\n",
    "backend/migrations/1.sql": "select 1;\n",
}
RECIPE = ("docker/", "backend/Dockerfile", "backend/.dockerignore")
IGNORED = ("backend/Dockerfile", "backend/.dockerignore")
VARIABLES = {"BACKEND_BUILD_ID": "one", "SEED": "none"}
SETTINGS = {"backend.path": "backend", "base_images.rust": "rust:1", "engine.address": "unix://a"}
BASES = {"rust:1": "sha256:" + "1" * 64}


def digest(path: str, text: str) -> FileDigest:
    data = text.encode()
    return FileDigest(path, hashlib.sha256(data).hexdigest(), len(data))


def side(files: Mapping[str, str] = FILES, **rest: object) -> Side:
    """A build of the project, with `rest` in place of what it is made of usually."""
    target = BakeTarget("backend", "Dockerfile", "prod", ARGUMENTS, {"tools": "docker/tools"})
    context = {
        path.removeprefix("backend/"): digest(path.removeprefix("backend/"), text)
        for path, text in files.items()
        if path.startswith("backend/") and path not in IGNORED and not path.endswith(".log")
    }
    recipe = {p: digest(p, text) for p, text in files.items() if p.startswith(RECIPE)}
    facts = {
        digest(path, text).sha256: file_facts(path, text.encode(), b"key")
        for path, text in files.items()
    }
    evidence = Evidence(
        settings=SETTINGS,
        targets={
            "api": target,
            "web": replace(target, arguments={**ARGUMENTS, "SERVICE": "web"}),
        },
        mounts=("shop-target-release-amd64-rust",),
    )
    made = Side(
        folders={"backend": context},
        recipe=recipe,
        facts=facts,
        evidence=evidence,
        variables=VARIABLES,
        base_images=BASES,
    )
    return replace(made, **rest)  # type: ignore[arg-type]


def with_text(path: str, text: str) -> dict[str, str]:
    """The project's files with one more or another one."""
    return dict(FILES) | {path: text}


def without(path: str) -> dict[str, str]:
    """The project's files without one."""
    return {name: text for name, text in FILES.items() if name != path}


def swapped(path: str, old: str, new: str) -> dict[str, str]:
    """The project's files with one text in one of them replaced."""
    assert old in FILES[path]
    return with_text(path, FILES[path].replace(old, new))


def ran(name: str, *, cached: bool = False, target: str = "") -> StepRecord:
    """A step as the builder told it."""
    kind = {"RUN": "run", "COPY": "copy"}.get(name.partition("] ")[2].split(" ")[0], "meta")
    return StepRecord(
        digest=f"sha256:{hashlib.sha256(name.encode()).hexdigest()}",
        name=name,
        kind=kind,
        stage=name.removeprefix("[").partition("]")[0].split(" ")[-2],
        target=target,
        started_s=0.0,
        ended_s=1.0,
        cached=cached,
    )
