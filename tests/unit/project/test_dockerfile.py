"""Dockerfiles taken apart: lines, stages, variables, and what each step reads."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rebake.project.dockerfile import (
    Read,
    assignments,
    cache_mounts,
    expand,
    parse,
    reads,
)

ROOT = Path(__file__).parents[3]


def only(text: str, values: dict[str, str] | None = None):
    (instruction,) = parse(f"FROM x\n{text}").stages[0].instructions
    return reads(instruction, values or {})


def test_the_dockerfiles_of_this_repository() -> None:
    file = parse((ROOT / "backend/Dockerfile").read_text(encoding="utf-8"))
    build = file.stage("build-online")
    assert build is not None
    assert (build.base, [i.word for i in build.steps]) == ("workspace", ["RUN"])
    assert set(reads(build.steps[0], {})) == {
        Read(""), Read("tools"), Read("seed", ("target",)),
    }  # fmt: skip
    assert cache_mounts(build.steps[0], {"CACHE_ID": "app", "RUST_IMAGE": "rust:1"}) == (
        "app-cargo", "app-target-release--rust:1", "app-sccache",
    )  # fmt: skip
    assert file.global_values({"SEED": "deps"})["SEED"] == "deps"
    assert file.stage("") is file.stages[-1]


@pytest.mark.parametrize("half", ["backend", "ui"])
def test_the_step_without_a_network_is_the_one_with_it(half: str) -> None:
    file = parse((ROOT / half / "Dockerfile").read_text(encoding="utf-8"))
    online, offline = file.stage("build-online"), file.stage("build-offline")
    assert online is not None
    assert offline is not None
    assert online.base == offline.base
    (one,), (other,) = online.steps, offline.steps
    plain = re.sub(r"--network=none |(CARGO_NET_)?OFFLINE=true ", "", other.text)
    assert plain.split() == one.text.split()
    assert other.text != one.text


def test_lines_continuations_and_comments() -> None:
    text = (
        "# syntax=docker/dockerfile:1\n\nFROM alpine AS One\n# a comment\n"
        "RUN one \\\n    # within\n\n    && two\nCOPY a b\n"
    )
    (stage,) = parse(text).stages
    run, copy = stage.instructions
    assert (stage.name, stage.line) == ("one", 3)
    assert (run.line, run.text) == (5, "RUN one     && two")
    assert (copy.line, copy.text) == (9, "COPY a b")


def test_another_escape_character() -> None:
    (stage,) = parse("# escape=`\nFROM x\nRUN a `\n b\\\nCOPY c d\n").stages
    assert [i.text for i in stage.instructions] == ["RUN a  b\\", "COPY c d"]


def test_here_documents() -> None:
    text = 'FROM x\nRUN <<EOF cat\nFROM nothing\nEOF\nCOPY <<"A" <<B /etc/\na\nA\nb\nB\nRUN last\n'
    (stage,) = parse(text).stages
    assert [(i.word, i.body) for i in stage.instructions] == [
        ("RUN", "FROM nothing"), ("COPY", "a\nb"), ("RUN", ""),
    ]  # fmt: skip
    assert reads(stage.instructions[1], {}) == ()


def test_stages_without_a_name_have_a_number() -> None:
    file = parse("FROM a\nFROM --platform=linux/amd64 b AS two\nFROM c\n")
    assert [stage.name for stage in file.stages] == ["stage-0", "two", "stage-2"]
    assert file.stage("1") is file.stages[1]
    assert file.stage("TWO") is file.stages[1]
    assert file.stages[1].platform == "linux/amd64"
    assert file.stage("three") is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("COPY a.txt b/ /dst/", (Read("", ("a.txt", "b")),)),
        ("COPY . .", (Read(""),)),
        ("COPY ./src ./", (Read("", ("src",)),)),
        ('COPY ["a b", "/dst"]', (Read("", ("a b",)),)),
        ("COPY --from=build --chmod=755 /out/a /a", (Read("build", ("out/a",)),)),
        ("ADD https://example.org/x /x", ()),
        ("ADD local.tar /", (Read("", ("local.tar",)),)),
        ("RUN make", ()),
        ("RUN --mount=type=bind,source=p.json,target=p.json x", (Read("", ("p.json",)),)),
        ("RUN --mount=type=bind,from=tools,src=/a,target=/t x", (Read("tools", ("a",)),)),
        ("RUN --mount=type=secret,id=a --mount=type=cache,target=/c x", ()),
        ("RUN --mount=type=cache,from=deps,target=/c x", (Read("deps"),)),
        ("WORKDIR /src", ()),
    ],
)
def test_what_a_step_reads(text: str, expected: tuple[Read, ...]) -> None:
    assert only(text) == expected


def test_variables_in_what_it_reads() -> None:
    assert only("COPY --from=$STAGE /out/${NAME:-api} /", {"STAGE": "build"}) == (
        Read("build", ("out/api",)),
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$A-${A}", "1-1"), ("${B:-x$A}", "x1"), ("${E:-x}", "x"), ("${E-x}", ""), ("${A:+y}", "y"),
        ("${B:+y}", ""), (r"\$A", "$A"), ("$B.", "."), ("no", "no"),
    ],
)  # fmt: skip
def test_substitution(text: str, expected: str) -> None:
    assert expand(text, {"A": "1", "E": ""}) == expected


def test_assignments() -> None:
    (stage,) = parse("FROM x\nARG A B=1 C=\"2 3\"\nENV OLD form here\nENV X=a\\ b Y='c d'\n").stages
    assert [assignments(i) for i in stage.instructions] == [
        [("A", None), ("B", "1"), ("C", "2 3")],
        [("OLD", "form here")],
        [("X", "a b"), ("Y", "c d")],
    ]


@pytest.mark.parametrize(
    "text", ["", "\n", "RUN a", "FROM", "FROM x\nRUN \\", "FROM x\nRUN <<EOF\n"]
)
def test_what_makes_no_sense_is_no_error(text: str) -> None:
    parse(text)
