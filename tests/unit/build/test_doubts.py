"""What decides an image and is no file that a build digests."""

from __future__ import annotations

from pathlib import Path

import pytest

from rebake.build.doubts import doubt, variables_of

ROOT = Path(__file__).parents[3]
KNOWN = ("backend", "ui", "docker/tools")


def test_this_project_leaves_no_doubt() -> None:
    bake = (ROOT / "docker/docker-bake.hcl").read_text(encoding="utf-8")
    files = [(ROOT / h / "Dockerfile").read_text(encoding="utf-8") for h in ("backend", "ui")]
    assert doubt(bake, files, KNOWN) == ""


@pytest.mark.parametrize(
    ("bake", "reason"),
    [
        ('contexts = { proto = "proto" }', "the bake file takes proto as a context"),
        ('contexts = { a = "docker-image://x", b = "../b" }', "the bake file takes ../b as a"),
        ('contexts = { a = "${WHERE}" }', "the bake file takes ${WHERE} as a context"),
        ('{"target": {"x": {"contexts": {"p": "proto"}}}}', "the bake file takes proto as a"),
        ('contexts = {\n  tools = "docker/tools"\n  p = "proto"\n}', "takes proto as a context"),
    ],
)
def test_another_folder(bake: str, reason: str) -> None:
    assert reason in doubt(bake, (), KNOWN)


def test_what_has_a_digest_of_its_own_is_no_doubt() -> None:
    bake = 'contexts = { tools = "./docker/tools/", s = "target:web", i = "docker-image://a" }'
    assert doubt(bake, (), KNOWN) == ""


@pytest.mark.parametrize(
    "line",
    [
        *("ADD https://example.test/x /x", "  add --chown=1:1 http://a.test/b /b"),
        *("ADD git@h:o/r /r", "ADD \\\n  https://a.test/x /x", "ADD ${WHERE} /x"),
    ],
)
def test_a_download_in_a_dockerfile(line: str) -> None:
    told = doubt("", [f"FROM scratch\n{line}\n"], KNOWN)
    line = line.replace("\\\n", "")
    assert told == f"a Dockerfile downloads: {' '.join(line.split()[:-1]).replace('add', 'ADD')}"
    assert doubt("", ["FROM scratch\n# ADD https://x /x\nADD files /x\n"], KNOWN) == ""


def test_a_dockerfile_within_the_bake_file() -> None:
    told = doubt('target "x" {\n  dockerfile-inline = "FROM scratch"\n}', (), KNOWN)
    assert told == "a Dockerfile stands in the bake file"


def test_variables_from_the_environment() -> None:
    hcl = 'variable "TAG" {\n}\nvariable "FEATURES" { default = "" }\n'
    environ = {"TAG": "prod", "FEATURES": "big", "HOME": "/root"}
    assert variables_of(hcl, environ, ["TAG"]) == {"FEATURES": "big"}
    document = '{"variable": {"FEATURES": {"default": ""}}}'
    assert variables_of(document, environ, []) == {"FEATURES": "big"}
    assert variables_of(hcl, {}, []) == {}
