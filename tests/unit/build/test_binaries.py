"""Which binaries of the backend an image holds, and when that is not known."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from rebake.build.binaries import held
from rebake.build.outside import Recipe
from rebake.history.evidence import BakeTarget
from rebake.project.dockerfile import parse

BUILD = """\
FROM rust:1 AS build
RUN --mount=target=/src /tools/build-workspace release /out api web
"""
PROD = """\
FROM scratch AS prod
ARG SERVICE=api
COPY --from=build /out/root /
COPY --from=build /out/bin/${SERVICE} /bin/service
"""


def of(text: str, **arguments: str) -> frozenset[str] | None:
    target = BakeTarget("backend", "Dockerfile", "", arguments, {"tools": "docker/tools"})
    return among({"api": target}, {"backend/Dockerfile": text})


def among(
    targets: Mapping[str, BakeTarget], texts: Mapping[str, str], name: str = "api"
) -> frozenset[str] | None:
    files = {path: parse(text) for path, text in texts.items()}
    return held(Recipe(targets, files, {"backend", "ui", "docker/tools"}, ()), name, "backend")


def test_the_binary_that_an_argument_names() -> None:
    assert of(BUILD + PROD) == {"api"}
    assert of(BUILD + PROD, SERVICE="worker") == {"worker"}


def test_through_stages_that_stand_on_the_compiling_one() -> None:
    two = BUILD.replace("build\n", "build-online\n", 1) + BUILD.replace(
        "build\n", "build-offline\n", 1
    )
    text = "ARG NETWORK=online\n" + two + "FROM build-${NETWORK} AS build\n" + PROD
    assert of(text, NETWORK="offline") == {"api"}


def test_a_server_from_another_target() -> None:
    ui = """\
FROM scratch AS server
FROM bun:1 AS bundle
RUN --mount=target=/src --mount=from=tools,target=/tools /tools/build-ui /src /out
FROM server AS prod
COPY --from=bundle /out /srv/www
"""
    targets = {
        "web": BakeTarget("backend", "Dockerfile", "prod", {"SERVICE": "web"}),
        "ui": BakeTarget(
            "ui", "Dockerfile", "", {}, {"server": "target:web", "tools": "docker/tools"}
        ),
    }
    texts = {"ui/Dockerfile": ui, "backend/Dockerfile": BUILD + PROD}
    assert among(targets, texts, "ui") == {"web"}
    folder = {**targets, "ui": BakeTarget("ui", "Dockerfile", "", {}, {"server": "backend/crates"})}
    assert among(folder, texts, "ui") is None  # a part of the backend's files, as they are
    above = {**targets, "ui": BakeTarget("ui", "Dockerfile", "", {}, {"server": "."})}
    assert among(above, texts, "ui") is None
    del targets["web"]
    assert among(targets, texts, "ui") is None


@pytest.mark.parametrize(
    "text",
    [
        BUILD,  # the compiling step itself
        BUILD + "FROM build\nCOPY --from=build /out/bin/api /bin/api",
        BUILD + PROD + "COPY migrations /migrations",
        BUILD + PROD + "RUN --mount=target=/src cp /src/x /x",
        BUILD + PROD + "COPY --from=build /out /all",
        BUILD + PROD + "COPY --from=build /src/crates/worker/x /x",
        BUILD + PROD + "COPY --from=build . /all",
        BUILD + PROD + "ONBUILD COPY x /x",
        BUILD + PROD.replace("ARG SERVICE=api\n", ""),
        BUILD + PROD.replace("ARG SERVICE=api\n", "ARG SERVICE=api\nENV SERVICE=worker\n"),
        BUILD + PROD.replace("scratch", "debian:1"),  # its environment may hold a SERVICE
        BUILD.replace("/out api", "/elsewhere api") + PROD,
        BUILD + "FROM ${NOBODY}\nCOPY --from=build /out/bin/api /bin/api\nCOPY a /a",
    ],
)
def test_what_is_not_known(text: str) -> None:
    assert of(text) is None


def test_a_binary_on_an_image_from_outside() -> None:
    assert of(BUILD + "FROM debian:1\nCOPY --from=build /out/bin/api /bin/api") == {"api"}


def test_an_image_from_outside_holds_none() -> None:
    assert of(PROD) == frozenset()


def test_a_target_or_a_dockerfile_that_nobody_knows() -> None:
    assert among({}, {"backend/Dockerfile": BUILD + PROD}) is None
    assert among({"api": BakeTarget("backend", "Other")}, {"backend/Dockerfile": PROD}) is None
