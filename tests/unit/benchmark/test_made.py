"""Which cache records can be a benchmark's own."""

from __future__ import annotations

import pytest

from rebake.benchmark.made import could_be_of, steps_of

KNOWN = steps_of(
    "FROM rust AS build\nWORKDIR /app\nCOPY . .\n"
    "RUN --mount=type=bind,from=tools,target=/tools \\\n    sh /tools/x cargo build --release\n"
    "FROM scratch\nCOPY --from=build /app/target/release/${SERVICE} /usr/local/bin/service\n"
    'ENTRYPOINT ["/usr/local/bin/service"]\n'
)


def test_the_steps_of_a_dockerfile() -> None:
    assert {
        ("WORKDIR", "/app"),
        ("COPY", "."),
        ("RUN", "--release"),
        ("COPY", "/usr/local/bin/service"),
    } == KNOWN


@pytest.mark.parametrize(
    "description",
    [
        "[build 2/4] WORKDIR /app",
        "[build 3/4] COPY . .",
        "[stage-1 1/1] COPY --from=build /app/target/release/api /usr/local/bin/service",
        "mount / from exec /bin/sh -c sh /tools/x cargo build --release",
        'cached mount /t from exec /bin/sh -c sh /tools/x cargo build --release with id "/bench-1"',
        "local source for context",
    ],
)
def test_records_of_its_steps_are_its_own(description: str) -> None:
    assert could_be_of(description, KNOWN)


@pytest.mark.parametrize(
    "description",
    [
        "",
        "[stage-1 1/1] COPY --from=0 /told /told",
        "mount / from exec /bin/sh -c apt-get update",
        "[build 1/2] WORKDIR /src",
        "pulled from docker.io/library/postgres:17",
    ],
)
def test_records_of_other_builds_are_not(description: str) -> None:
    assert not could_be_of(description, KNOWN)
