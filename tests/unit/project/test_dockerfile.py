"""Dockerfiles taken apart: lines, stages, variables, and what each step reads."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rebake.errors import ProjectError
from rebake.project.dockerfile import Read, cache_mounts, parse, read_dockerfile, reads

ROOT = Path(__file__).parents[3]
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


def only(text: str, values: dict[str, str] | None = None):
    (instruction,) = parse(f"FROM x\n{text}").stages[0].instructions
    return reads(instruction, values or {})


def test_the_dockerfiles_of_this_repository() -> None:
    file = parse((ROOT / "backend/Dockerfile").read_text(encoding="utf-8"))
    build = file.stage("build-online")
    assert build is not None
    assert (build.base, [i.word for i in build.steps]) == ("workspace", ["RUN"])
    run = build.steps[0]
    assert run.rest == "/tools/build-workspace release /out ${BINARIES}"
    assert [m["target"] for m in run.mounts() if m["type"] == "cache"] == [
        "/cargo", "/target", "/sccache",
    ]  # fmt: skip
    assert set(reads(run, {})) == {
        Read(""), Read("tools"), Read("step", ("step",)), Read("seed", ("target",)),
    }  # fmt: skip
    assert cache_mounts(run, {"CACHE_ID": "app", "RUST_IMAGE": "rust:1"}) == (
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


def test_instructions_with_their_lines_flags_and_stages() -> None:
    file = parse(TEXT)
    assert [(s.name, file.base(s), s.line) for s in file.stages] == [
        ("one", "debian:12", 3),
        ("stage-1", "one", 10),
    ]
    run = file.stages[0].instructions[0]
    assert (run.word, run.line, run.words) == ("RUN", 5, ["first", "&&", "second"])
    assert run.flag("network") == "none"
    assert run.mounts() == [{"type": "cache", "id": "x", "target": "/c"}]
    assert run.commands == [["first"], ["second"]]
    copy, check = file.stages[1].instructions
    assert (copy.rest, copy.body) == ("<<EOF /etc/motd", "hello\nRUN not an instruction")
    assert (copy.flag("from"), copy.flag("chmod"), copy.flag("parents")) == ("one", "755", None)
    assert (check.word, check.line) == ("HEALTHCHECK", 15)


def test_a_stage_is_made_of_those_that_it_stands_on() -> None:
    file = parse("FROM a AS x\nENV A=1\nFROM X AS y\nENV B=2\nFROM y\nENV C=3\n")
    last = file.stage("")
    assert last is not None
    assert [stage.name for stage in file.chain(last)] == ["stage-2", "y", "x"]
    assert [one.rest for one in file.all_instructions(last)] == ["A=1", "B=2", "C=3"]
    assert file.stage("nope") is None


def test_what_a_stage_starts_from_has_defaults_filled_in() -> None:
    file = parse("ARG A=x\nARG B\nFROM $A AS x\nFROM r:$B-${C}\nFROM ${A}\n")
    assert file.defaults == {"A": "x", "B": ""}
    assert [file.base(stage) for stage in file.stages] == ["x", "r:$B-${C}", "x"]
    assert [stage.base for stage in file.stages] == ["$A", "r:$B-${C}", "${A}"]
    assert [stage.name for stage in file.chain(file.stages[2])] == ["stage-2", "x"]


def test_a_file_is_read_from_disk(tmp_path: Path) -> None:
    file = read_dockerfile(ROOT / "backend" / "Dockerfile")
    prod = file.stage("prod")
    assert file.path == ROOT / "backend" / "Dockerfile"
    assert prod is not None
    assert [one.word for one in prod.instructions if one.word == "HEALTHCHECK"]
    (tmp_path / "Dockerfile").write_bytes(b"\xef\xbb\xbfFROM x\nENV A=\xff\n")
    (stage,) = read_dockerfile(tmp_path / "Dockerfile").stages
    assert stage.instructions[0].rest == "A=\ufffd"
    with pytest.raises(ProjectError, match="can't be read"):
        read_dockerfile(tmp_path / "none")


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


def test_what_is_no_here_document() -> None:
    text = "FROM x\nRUN cat <<< A\nRUN cat <<<A\nRUN cat << A\nRUN <<-B\nb\n\tB\nRUN last\n"
    (stage,) = parse(text).stages
    assert [(i.rest, i.body) for i in stage.instructions] == [
        ("cat <<< A", ""), ("cat <<<A", ""), ("cat << A", ""), ("<<-B", "b"), ("last", ""),
    ]  # fmt: skip


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
        ("COPY [ab].txt /dst", (Read("", ("[ab].txt",)),)),
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
    "text",
    ["", "\n", "RUN a", "FROM", "FROM x\nRUN \\", "FROM x\nRUN <<EOF\n", "FROM x\n\\"],
)
def test_what_makes_no_sense_is_no_error(text: str) -> None:
    parse(text)
