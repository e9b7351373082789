"""The rules for Dockerfiles, and what breaking a compose rule is worth."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rebake.project.dockerfile import parse, read_dockerfile
from rebake.scan import compose_hardening, dockerfile_rules

ROOT = Path(__file__).parents[3]
DIGEST = "@sha256:" + "0" * 64


def unpinned(base: str) -> str:
    return f"{base} is not pinned by digest"


def broken(text: str, **arguments: str) -> list[tuple[str, str, int | None]]:
    found = dockerfile_rules.check(
        parse(text), "x/Dockerfile", unpinned, frozenset({"tools"}), arguments
    )
    return [(one.id, one.message, one.line) for one in found]


@pytest.mark.parametrize(
    "text",
    [
        "FROM scratch\nCOPY a /a\n",
        f"FROM debian:12{DIGEST} AS base\nFROM base\nFROM 0\n",
        "ARG MODE=one\nFROM scratch AS step-one\nFROM step-${MODE}\n",
        "FROM scratch AS a\nFROM scratch\nCOPY --from=a x /\nCOPY --from=tools y /\n",
        "FROM scratch\nRUN --mount=type=bind,from=tools,target=/t x\n",
        "FROM scratch\nARG TOKEN_FILE=/run/secrets/x\nENV TOKENS=1\n",
    ],
)
def test_sound(text: str) -> None:
    assert broken(text) == []


@pytest.mark.parametrize(
    ("text", "rule", "message", "line"),
    [
        ("FROM debian:12\n", "dockerfile-unpinned", unpinned("debian:12"), 1),
        ("ARG BASE=debian:12\nFROM ${BASE}\n", "dockerfile-unpinned", unpinned("debian:12"), 2),
        ("FROM scratch\nCOPY --from=busybox:1 /bin/sh /\n", "dockerfile-unpinned",
         unpinned("busybox:1"), 2),
        ("FROM scratch\nRUN --mount=type=bind,from=rust:1,target=/x y\n", "dockerfile-unpinned",
         unpinned("rust:1"), 2),
        ("FROM scratch\nADD https://example.org/x /x\n", "dockerfile-add",
         "ADD https://example.org/x /x", 2),
        ("FROM scratch\nARG NPM_TOKEN\n", "dockerfile-secret", "ARG NPM_TOKEN", 2),
        ("ARG API_KEY=1\nFROM scratch\n", "dockerfile-secret", "ARG API_KEY", 1),
        ("FROM scratch\nENV A=b DB_PASSWORD=x\n", "dockerfile-secret", "ENV DB_PASSWORD", 2),
    ],
)  # fmt: skip
def test_each_rule(text: str, rule: str, message: str, line: int) -> None:
    assert broken(text) == [(rule, message, line)]


def test_builds_arguments_count() -> None:
    text = "ARG BASE=scratch\nFROM ${BASE}\n"
    assert broken(text) == []
    assert broken(text, BASE="debian:13") == [("dockerfile-unpinned", unpinned("debian:13"), 2)]


def test_one_base_is_told_once() -> None:
    assert len(broken("FROM a:1\nFROM a:1\nFROM b:1\n")) == 2


@pytest.mark.parametrize("name", ["backend/Dockerfile", "ui/Dockerfile"])
def test_our_own_start_from_what_the_configuration_names(name: str) -> None:
    contexts = frozenset({"tools", "server"})
    found = list(dockerfile_rules.check(read_dockerfile(ROOT / name), name, unpinned, contexts))
    assert {one.id for one in found} <= {"dockerfile-unpinned"}
    bases = {one.message.partition(" ")[0] for one in found}
    assert bases <= {"rust:1.97-slim-trixie", "oven/bun:1.4.5-slim"}


@pytest.mark.parametrize(
    ("rule", "severity"),
    [
        ("compose-privileged", "critical"),
        ("compose-docker-sock", "critical"),
        ("compose-limits", "high"),
        ("compose-healthcheck", "medium"),
    ],
)
def test_what_a_rule_is_worth(rule: str, severity: str) -> None:
    assert compose_hardening.severity_of_rule(rule) == severity


def test_a_breach_as_a_finding() -> None:
    document = {"services": {"api": {"build": ".", "privileged": True}}}
    found = list(compose_hardening.check(document, "docker/compose.yml", lambda _name: True))
    first = found[0]
    assert (first.id, first.place, first.severity) == ("compose-privileged", "api", "critical")
    assert first.where == "docker/compose.yml, api"
    assert {one.id for one in found} == {
        "compose-privileged", "compose-cap-drop", "compose-no-new-privileges",
        "compose-read-only", "compose-limits",
    }  # fmt: skip


def test_each_rule_has_an_id_of_one_form() -> None:
    text = (ROOT / "src/rebake/scan/compose_rules.py").read_text(encoding="utf-8")
    assert text.count("yield Breach(") == len(re.findall(r'"compose-[a-z-]+",', text))
