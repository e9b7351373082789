from __future__ import annotations

import pytest

from rebake.report.steps import parse_step_name

TWO = ("api", "worker")


@pytest.mark.parametrize(
    ("name", "targets", "expected"),
    [
        ("[api builder  2/12] RUN make", TWO, ("run", "api", "builder", "2/12", "make")),
        ("[builder 2/5] RUN make", ("api",), ("run", "", "builder", "2/5", "make")),
        (
            "[api api 1/1] COPY --from=b --link /x /y",
            TWO,
            ("copy", "api", "api", "1/1", "COPY /x /y"),
        ),
        ("[linux/arm64 build 1/2] WORKDIR /a", (), ("meta", "", "build", "1/2", "WORKDIR /a")),
        ("[2/3] ADD a b", (), ("copy", "", "", "2/3", "ADD a b")),
        (
            "[api internal] load build context",
            TWO,
            ("internal", "api", "", "", "load build context"),
        ),
        ("[internal] load .dockerignore", (), ("internal", "", "", "", "load .dockerignore")),
        ("[auth] library/rust:pull token", (), ("internal", "", "", "", "library/rust:pull token")),
        ("[api] exporting to image", TWO, ("export", "api", "", "", "exporting to image")),
        ("exporting to image", (), ("export", "", "", "", "exporting to image")),
        (
            "importing cache manifest from x",
            (),
            ("cache", "", "", "", "importing cache manifest from x"),
        ),
        ("something else", (), ("other", "", "", "", "something else")),
        ("", (), ("other", "", "", "", "")),
    ],
)
def test_names(name: str, targets: tuple[str, ...], expected: tuple[str, ...]) -> None:
    step = parse_step_name(name, targets=targets)
    assert (step.kind, step.target, step.stage, step.index, step.title) == expected


def test_titles_are_short() -> None:
    name = "[b 1/2] FROM docker.io/library/rust:1.97-slim@sha256:" + "0" * 64
    assert parse_step_name(name).title == "FROM rust:1.97-slim"
    name = "[b 2/2] RUN --mount=type=cache,id=x,target=/c   --network=none cargo  build --locked"
    assert parse_step_name(name).title == "cargo build --locked"


def test_labels() -> None:
    assert parse_step_name("[api] exporting to image", targets=TWO).label == "api"
    assert parse_step_name("[api builder 2/5] RUN x", targets=TWO).label == "builder 2/5"
    assert parse_step_name("[internal] load x").internal
