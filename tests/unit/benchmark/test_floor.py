"""The floor takes over what the build stage says to cargo."""

from __future__ import annotations

from pathlib import Path

from rebake.benchmark.floor_subject import build_environment, ui_script

ROOT = Path(__file__).parents[3]

DOCKERFILE = """\
ARG RUST_IMAGE=rust:1
FROM ${RUST_IMAGE} AS rust
ENV CARGO_HOME=/cargo \\
    CARGO_TERM_COLOR=never

FROM rust AS compiler
ENV CARGO_PROFILE_RELEASE_INCREMENTAL=true \\
    CARGO_TARGET_DIR=/target \\
    RUSTFLAGS="-Clink-arg=-fuse-ld=mold -Copt-level=2"

FROM rust AS other
ENV RUSTFLAGS=-Cother

FROM compiler AS build
ARG X=1
ENV CARGO_PROFILE_RELEASE_CODEGEN_UNITS=8
RUN cargo build
"""


def test_the_stages_below_count_and_others_do_not() -> None:
    assert build_environment(DOCKERFILE) == {
        "CARGO_PROFILE_RELEASE_INCREMENTAL": "true",
        "RUSTFLAGS": "-Clink-arg=-fuse-ld=mold -Copt-level=2",
        "CARGO_PROFILE_RELEASE_CODEGEN_UNITS": "8",
    }


def test_a_dockerfile_without_the_stage_says_nothing() -> None:
    assert build_environment("FROM rust AS builder\nENV RUSTFLAGS=-Cx\n") == {}


def test_this_projects_own_build_is_incremental_and_links_with_mold() -> None:
    found = build_environment((ROOT / "backend/Dockerfile").read_text(encoding="utf-8"))
    assert found["CARGO_PROFILE_RELEASE_INCREMENTAL"] == "true"
    assert "mold" in found["RUSTFLAGS"]


def test_the_ui_is_built_by_its_manager() -> None:
    start = "sh /tools/with-host-settings"
    assert ui_script("bun") == f"{start} bun install --frozen-lockfile && bun run build"
    assert ui_script("npm") == (
        f"{start} npm install --no-save --prefer-offline --no-audit --no-fund && npm run build"
    )


def test_the_stage_of_the_ui_that_it_stands_on_is_there() -> None:
    text = (ROOT / "ui/Dockerfile").read_text(encoding="utf-8")
    assert "FROM ${UI_MANAGER} AS manager\n" in text
    assert "FROM manager AS build\n" in text
