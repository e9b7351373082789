"""Dockerfiles, read as far as checks need them."""

from __future__ import annotations

from pathlib import Path

from e2e.support import REPOSITORY
from rebake.doctor.dockerfile import assignments, expand, parse, parse_text

PATH = Path("Dockerfile")
TEXT = r"""# escape=`
ARG BASE=debian
FROM ${BASE}:12 AS one
# a comment
RUN --mount=type=cache,id=x,dst=/c --network=none `
    # a comment inside
    first && `

    second
FROM one
COPY --from=one --chmod=755 <<EOF /etc/motd
hello
RUN not an instruction
EOF
HEALTHCHECK CMD ["a", "b c"]
"""


def test_instructions_with_their_lines_flags_and_stages() -> None:
    read = parse_text(TEXT, PATH)
    assert [(s.name, s.base, s.line) for s in read.stages] == [
        ("one", "debian:12", 3),
        ("1", "one", 10),
    ]
    run = read.stages[0].instructions[0]
    assert (run.name, run.line, run.text) == ("RUN", 5, "first && second")
    assert run.flag("network") == "none"
    assert run.mounts == [{"type": "cache", "id": "x", "target": "/c"}]
    assert run.commands == [["first"], ["second"]]
    copy, check = read.stages[1].instructions
    assert copy.text == "<<EOF /etc/motd\nhello\nRUN not an instruction"
    assert (copy.flag("from"), copy.flag("chmod"), copy.flag("parents")) == ("one", "755", None)
    assert (check.name, check.line) == ("HEALTHCHECK", 15)


def test_a_stage_is_made_of_those_that_it_stands_on() -> None:
    read = parse_text("FROM a AS x\nENV A=1\nFROM x AS y\nENV B=2\nFROM y\nENV C=3\n", PATH)
    last = read.stage("")
    assert last is not None
    assert [stage.name for stage in read.chain(last)] == ["2", "y", "x"]
    assert [step.text for step in read.steps(last)] == ["A=1", "B=2", "C=3"]
    assert read.stage("nope") is None


def test_variables() -> None:
    values = {"A": "1", "E": ""}
    assert expand("$A ${A} ${E:-x} ${N-y} ${A:+z} ${N:+z} $N", values) == "1 1 x y z  $N"
    assert assignments('A=1 B="x y"') == {"A": "1", "B": "x y"}
    assert assignments("A x y") == {"A": "x y"}


def test_the_template_s_own_files_are_read() -> None:
    backend = parse(REPOSITORY / "backend" / "Dockerfile")
    prod = backend.stage("prod")
    assert prod is not None
    assert [step.name for step in prod.instructions if step.name == "HEALTHCHECK"]
    build = backend.stage("build-online")
    assert build is not None
    run = next(step for step in build.instructions if step.name == "RUN")
    assert run.text == "/tools/build-workspace release /out ${BINARIES}"
    assert [m["target"] for m in run.mounts if m["type"] == "cache"] == [
        "/cargo", "/target", "/sccache",
    ]  # fmt: skip
