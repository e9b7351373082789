"""What of a recipe can reach the compiling steps."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from rebake.build.packing import compiling_part, recipe_of_compiling
from rebake.history.records import FileDigest

ROOT = Path(__file__).parents[3]
COMPILES = """\
# syntax = a comment
ARG SEED=none
FROM rust AS compiler
RUN install
FROM compiler AS seed-none
WORKDIR /target
FROM compiler AS seed-deps
WORKDIR /target
FROM seed-${SEED} AS seed
FROM compiler AS files
COPY . /files
FROM compiler AS build
RUN --mount=type=bind,from=seed,target=/seed --mount=from=files,target=/files compile
"""
PACKS = """\
FROM scratch AS prod
COPY --from=build /out /
LABEL a=1
"""


def test_a_stage_that_only_packs_is_left_out() -> None:
    assert compiling_part(COMPILES + PACKS) == COMPILES


def test_so_is_one_that_only_such_stages_take_in() -> None:
    base = "FROM scratch AS user\nCOPY passwd /etc/\n"
    on_it = "FROM user AS prod\nCOPY --from=build /out /\n"
    assert compiling_part(COMPILES + base + on_it) == COMPILES


@pytest.mark.parametrize(
    "stage",
    [
        "FROM scratch AS prod\nRUN adduser app\n",
        "FROM debian AS prod\n  run  apt-get install ca-certificates\n",
        "FROM debian AS prod\nONBUILD COPY . .\n",
    ],
)
def test_one_that_runs_something_counts(stage: str) -> None:
    assert compiling_part(COMPILES + stage) == COMPILES + stage


@pytest.mark.parametrize(
    "takes",
    [
        "FROM extra AS build\nRUN compile\n",
        "FROM Extra AS build\nRUN compile\n",
        "FROM --platform=$BUILDPLATFORM extra AS build\nRUN compile\n",
        "FROM rust AS build\nCOPY --from=extra / /\nRUN compile\n",
        'FROM rust AS build\nCOPY --from="extra" / /\nRUN compile\n',
        "FROM rust AS build\nRUN --mount=type=bind,from=extra,target=/x compile\n",
        "FROM rust AS build\nRUN --mount=type=bind,target=/x,from=extra compile\n",
        "FROM rust AS build\nCOPY --from=0 / /\nRUN compile\n",
        "FROM ext${X:-ra} AS build\nRUN compile\n",
        "FROM $X AS build\nRUN compile\n",
    ],
)
def test_one_that_is_taken_in_counts(takes: str) -> None:
    text = "FROM scratch AS extra\nCOPY a /\n" + takes
    assert compiling_part(text) == text


def test_a_file_without_stages_is_all_there_is() -> None:
    assert compiling_part("") == ""
    assert compiling_part("ARG A\n") == "ARG A\n"


@pytest.mark.parametrize("half", ["backend", "ui"])
def test_this_projects_dockerfiles(half: str) -> None:
    text = (ROOT / half / "Dockerfile").read_text(encoding="utf-8")
    part = compiling_part(text)
    assert "AS prod" not in part
    assert ("cargo" if half == "backend" else "build-ui") in part
    assert compiling_part(text + '\nLABEL x="y"\n') == part
    assert compiling_part(text.replace("/tools/build-", "/tools/then-build-")) != part


def recipe(folder: Path, **texts: str) -> list[FileDigest]:
    found = []
    for name, text in texts.items():
        (folder / name).write_text(text)
        digest = hashlib.sha256(text.encode()).hexdigest()
        found.append(FileDigest(name, digest, len(text), "file"))
    return found


def test_the_digest_follows_what_compiles(tmp_path: Path) -> None:
    def of(dockerfile: str, tool: str = "x") -> str:
        files = recipe(tmp_path, Dockerfile=dockerfile, tool=tool)
        return recipe_of_compiling(tmp_path, files, [tmp_path / "Dockerfile"])

    first = of(COMPILES + PACKS)
    assert of(COMPILES + PACKS.replace("a=1", "a=2")) == first
    assert of(COMPILES.replace("install", "install more") + PACKS) != first
    assert of(COMPILES + PACKS, tool="y") != first


def test_a_file_that_was_edited_since_counts_as_it_was(tmp_path: Path) -> None:
    files = recipe(tmp_path, Dockerfile=COMPILES)
    places = [tmp_path / "Dockerfile"]
    whole = recipe_of_compiling(tmp_path, files, [])
    (tmp_path / "Dockerfile").write_text(COMPILES + PACKS)
    assert recipe_of_compiling(tmp_path, files, places) == whole
    (tmp_path / "Dockerfile").unlink()
    assert recipe_of_compiling(tmp_path, files, places) == whole
