"""What `rebake adopt` takes over of a Dockerfile, and what it leaves alone."""

from __future__ import annotations

import pytest

from rebake.scaffold.adopt_carry import Carried, carry, kind_of
from rebake.scaffold.adopt_words import Unfit

BINARIES = ("api", "worker", "shop-jobs")


class Anywhere:
    """A build context that is ours, and has every file."""

    def place(self, path: str) -> str:
        return path

    def below(self, path: str) -> str | None:
        return "." if path in {".", "./"} else None


class Below(Anywhere):
    """One whose files lie in `backend/` of theirs."""

    def place(self, path: str) -> str:
        if not path.startswith("backend/"):
            raise Unfit(f"{path} is not in backend")
        return path.removeprefix("backend/")


def taken(text: str, target: str = "", context: Anywhere | None = None, **args: str) -> Carried:
    return carry(
        text,
        target=target,
        args=args,
        name="prod-api",
        binaries=BINARIES,
        context=context or Anywhere(),
    )


def why_not(text: str, target: str = "", **args: str) -> str:
    with pytest.raises(Unfit) as caught:
        taken(text, target, **args)
    return str(caught.value)


COMMON = """\
FROM rust:1.90-bookworm AS builder
WORKDIR /app
COPY . .
RUN cargo build --release
FROM debian:bookworm-slim
COPY --from=builder /app/target/release/api /usr/local/bin/
CMD ["api"]
"""


def test_the_stage_that_runs_stays_and_takes_the_program_from_our_build() -> None:
    found = taken(COMMON)
    assert (found.kind, found.binary, found.base) == ("backend", "api", "rust:1.90-bookworm")
    assert found.stages == (
        "FROM debian:bookworm-slim AS prod-api\n"
        "COPY --from=build /out/bin/api /usr/local/bin/\n"
        'CMD ["api"]\n'
    )
    assert (found.setup, dict(found.variables)) == ((), {})


def test_what_prepared_the_compiler_is_kept_in_its_order() -> None:
    found = taken(
        """\
FROM rust:1 AS base
ENV PROTOC_VERSION=25 \\
    CARGO_HOME=/elsewhere
RUN apt-get update \\
    && apt-get install -y protobuf-compiler  # for prost
FROM base AS builder
ARG SQLX_OFFLINE=true
ARG TARGETARCH
RUN curl -o /usr/bin/tool https://host/tool-${TARGETARCH}
COPY --from=tools.example/x:1 /x /usr/bin/x
COPY . .
RUN DATABASE=none cargo build -r --locked -p api -j2
RUN cp target/release/api /api
FROM scratch
COPY --from=builder /api /api
"""
    )
    assert found.setup == (
        "RUN apt-get update \\\n    && apt-get install -y protobuf-compiler  # for prost",
        "ARG TARGETARCH",
        "RUN curl -o /usr/bin/tool https://host/tool-${TARGETARCH}",
        "COPY --from=tools.example/x:1 /x /usr/bin/x",
    )
    assert found.variables == {
        "PROTOC_VERSION": "25",
        "SQLX_OFFLINE": "true",
        "DATABASE": "none",
    }
    assert found.stages.endswith("COPY --from=build /out/bin/api /api\n")


def test_the_recipe_of_cargo_chef() -> None:
    found = taken(
        """\
FROM lukemathwalker/cargo-chef:latest-rust-1 AS chef
WORKDIR /app
FROM chef AS planner
COPY . .
RUN cargo chef prepare --recipe-path recipe.json
FROM chef AS builder
COPY --from=planner /app/recipe.json recipe.json
RUN cargo chef cook --release --features fast --recipe-path recipe.json
COPY . .
RUN cargo build --release --bin api
FROM debian:bookworm-slim AS runtime
COPY --from=builder /app/target/release/api /usr/local/bin
"""
    )
    assert found.base == "lukemathwalker/cargo-chef:latest-rust-1"
    assert found.binary == "api"


def test_the_recipe_of_a_dummy_main() -> None:
    found = taken(
        """\
FROM rust:1 AS builder
COPY Cargo.toml Cargo.lock ./
RUN mkdir src && echo "fn main() {}" > src/main.rs && cargo build --release && rm -rf src
COPY src src
RUN touch src/main.rs && cargo build --release
FROM debian:12-slim
COPY --from=builder /target/release/api /api
"""
    )
    assert found.setup == ()


def test_an_argument_that_chooses_the_program_does_not_reach_the_compiler() -> None:
    text = """\
FROM rust:1 AS builder
ARG SERVICE
COPY . .
RUN --mount=type=cache,target=/app/target cargo build --release --bin ${SERVICE} \\
    && cp target/release/${SERVICE} /usr/local/bin/
FROM debian:12-slim
ARG SERVICE
COPY --from=builder /usr/local/bin/${SERVICE} /app
"""
    found = taken(text, SERVICE="worker")
    assert found.binary == "worker"
    assert found.variables == {}
    assert found.setup == ()


def test_stages_between_get_names_of_their_own() -> None:
    found = taken(
        """\
ARG DEBIAN=12
FROM debian:${DEBIAN} AS base
ARG DEBIAN
RUN apt-get update
FROM base AS files
COPY assets /assets
FROM rust:1 AS builder
RUN cargo build --release
FROM base AS final
# A comment.
COPY --from=files --chown=1:1 /assets /assets
COPY --from=builder --chmod=755 /target/release/api /api
FROM final AS debug
RUN apt-get install gdb
""",
        target="final",
        DEBIAN="13",
    )
    assert found.stages == (
        "FROM debian:13 AS prod-api-base\nARG DEBIAN=13\nRUN apt-get update\n\n"
        "FROM prod-api-base AS prod-api-files\nCOPY assets /assets\n\n"
        "FROM prod-api-base AS prod-api\n"
        "COPY --from=prod-api-files --chown=1:1 /assets /assets\n"
        "COPY --from=build --chmod=755 /out/bin/api /api\n"
    )


def test_files_of_a_wider_context_are_found_in_ours() -> None:
    text = COMMON.replace("CMD", "COPY backend/words.txt /etc/words.txt\nCMD")
    assert "COPY words.txt /etc/words.txt\n" in taken(text, context=Below()).stages
    with pytest.raises(Unfit, match="line 7: other is not in backend"):
        taken(COMMON.replace("CMD", "COPY other /etc/\nCMD"), context=Below())


class Above(Anywhere):
    """One whose folder `services` is ours."""

    def below(self, path: str) -> str | None:
        return {".": "services", "services": "."}.get(path.rstrip("/"))


@pytest.mark.parametrize(
    ("copy", "place"),
    [
        ("COPY . .", "/app/services"),
        ("COPY services/ .", "/app"),
        ("COPY services /work/here", "/work/here"),
        ("WORKDIR down\nCOPY services .", "/app/down"),
        ("COPY Cargo.toml Cargo.lock ./", "/app"),
    ],
)
def test_the_sources_lie_where_they_lay(copy: str, place: str) -> None:
    assert taken(COMMON.replace("COPY . .", copy), context=Above()).sources == place


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("--release", "", "compiles for development"),
        ("--release", "--release --features fast", "--features can't be taken over"),
        ("--release", "--release --target x86_64-unknown-linux-musl", "--target can't"),
        ("--release", "--profile dist", "only the profile release"),
        ("--release", "--release && sed -i s/a/b/ src/main.rs", "what 'sed -i"),
        ("--release", "--release && mv a.rs src/main.rs", "what 'mv a.rs"),
        ("--release", "--release && echo x > src/made.rs", "what 'echo x > src/made.rs'"),
        ("--release", "--release && apt-get install x", "one RUN installs packages and compiles"),
        ("--release", "--release && echo $(date)", "a command inside of a command"),
        ("cargo build", "cargo +nightly build", "only cargo build, install and chef"),
        ("COPY . .", "COPY Cargo.docker.toml Cargo.toml", "is renamed to Cargo.toml"),
        ("COPY . .", "COPY --from=ui /out /app/out", "takes in ui"),
        ("COPY . .", "USER build", "as another user than root"),
        ("COPY . .", "ENV CARGO_BUILD_TARGET=x", "CARGO_BUILD_TARGET can't"),
        ("COPY . .", "ADD https://host/x /x", "a file that it makes itself"),
        ("release/api /usr", "release/other /usr", "is no program of the cargo workspace"),
        ("/app/target/release/api /usr", "/app/crates/api /usr", "is no program"),
        ("CMD", "COPY --from=builder /app/target/release/worker /w\nCMD", "api, worker, not just"),
        ("CMD", "RUN --mount=type=secret,id=x cat /run/secrets/x\nCMD", "with a secret"),
        ("CMD", "RUN --mount=type=bind,target=/x cp /x/y /y\nCMD", "that mounts files"),
        ("CMD", "ONBUILD RUN x\nCMD", "ONBUILD"),
        ("FROM debian", "FROM --platform=linux/amd64 debian", "--platform=linux/amd64"),
        ("debian:bookworm-slim", "$WHAT", "FROM $WHAT is not known"),
    ],
)
def test_what_may_change_the_program_makes_a_service_unfit(old: str, new: str, reason: str) -> None:
    assert old in COMMON
    text = "FROM busybox AS ui\nRUN touch /out\n" + COMMON.replace(old, new)
    assert reason in why_not(text)


def test_a_single_stage_says_what_to_do() -> None:
    text = 'FROM rust:1\nCOPY . .\nRUN cargo build --release\nCMD ["target/release/api"]\n'
    assert "line 3: it compiles in the stage that runs" in why_not(text)


def test_a_stage_that_is_not_there() -> None:
    assert why_not(COMMON, target="prod") == "it has no stage 'prod'"


def test_another_reader_of_dockerfiles() -> None:
    assert "another reader" in why_not("# syntax=docker/dockerfile:1-labs\n" + COMMON)
    assert "another reader" in why_not("# escape=`\n" + COMMON)


UI = """\
FROM node:22-alpine AS build
WORKDIR /app
ARG VITE_API=/api
COPY package*.json ./
RUN npm ci --no-audit
COPY . .
ENV MODE=shop
RUN npm run build
FROM nginx:alpine
COPY nginx.conf /etc/nginx/conf.d/default.conf
COPY --from=build /app/dist /usr/share/nginx/html
"""


def test_a_ui_keeps_its_server() -> None:
    found = taken(UI, VITE_API="/v2")
    assert (found.kind, found.base, found.output) == ("ui", "node:22-alpine", "dist")
    assert found.variables == {"VITE_API": "/v2", "MODE": "shop"}
    assert not found.production
    assert found.stages == (
        "FROM nginx:alpine AS prod-api\n"
        "COPY nginx.conf /etc/nginx/conf.d/default.conf\n"
        "COPY --from=build /out/www /usr/share/nginx/html\n"
    )


def test_a_ui_that_is_built_without_packages_for_development() -> None:
    assert taken(UI.replace("npm ci", "npm ci --omit=dev")).production
    assert taken(UI.replace("WORKDIR", "ENV NODE_ENV=production\nWORKDIR")).production


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("npm run build", "npm run build:prod", "only npm run build and bun run build"),
        ("npm run build", "yarn build", "only npm run build and bun run build"),
        ("npm ci --no-audit", "npm ci --legacy-peer-deps", "--legacy-peer-deps is not known"),
        ("npm ci --no-audit", "npx patch-package", "what 'npx patch-package'"),
        ("/app/dist", "/app/dist/*", "is not the folder"),
        ("/app/dist", "/elsewhere", "is not the folder"),
    ],
)
def test_a_ui_that_is_built_otherwise_is_unfit(old: str, new: str, reason: str) -> None:
    assert reason in why_not(UI.replace(old, new))


def test_what_an_image_is_compiled_from() -> None:
    assert kind_of(COMMON, "") == "backend"
    assert kind_of(UI, "") == "ui"
    assert kind_of("FROM postgres:17\nCOPY x /x\n", "") is None
    assert kind_of(COMMON, "gone") is None
