"""What `rebake adopt` reads of a compose file."""

from __future__ import annotations

from pathlib import Path

import pytest

from rebake.errors import ProjectError
from rebake.scaffold.adopt_compose import BuiltService, read_compose


def read(folder: Path, text: str, name: str = "compose.yaml") -> dict[str, BuiltService]:
    file = folder / name
    file.write_text(text)
    return {one.name: one for one in read_compose(file).built}


def test_both_forms_of_a_build(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        """\
x-build: &build
  context: ..
  args: { VERSION: 1, DEBUG: false }
services:
  api:
    build: ./api
  worker:
    build:
      <<: *build
      dockerfile: docker/worker.Dockerfile
      target: final
      labels: { team: shop }
      cache_from: [type=registry]
  other:
    build: { args: [A=b, "C=d=e"] }
  db:
    image: postgres:17
""",
    )
    assert found["api"] == BuiltService("api", context="./api")
    assert found["worker"] == BuiltService(
        "worker",
        context="..",
        dockerfile="docker/worker.Dockerfile",
        target="final",
        args={"VERSION": "1", "DEBUG": "false"},
        kept={"labels": {"team": "shop"}},
    )
    assert found["other"].args == {"A": "b", "C": "d=e"}
    assert set(found) == {"api", "worker", "other"}


@pytest.mark.parametrize(
    ("build", "fault"),
    [
        ("{context: ., args: {V: '${VERSION}'}}", "build.args.V is filled in from variables"),
        ("'${FOLDER}'", "build.context is filled in from variables: ${FOLDER}"),
        ("{args: [TOKEN]}", "build.args.TOKEN comes from the environment"),
        ("{args: {TOKEN: }}", "build.args.TOKEN comes from the environment"),
        ("{args: 3}", "build.args is neither a table nor a list"),
        ("{context: ., ssh: [default]}", "build.ssh can't be taken over"),
        ("{dockerfile_inline: FROM x}", "build.dockerfile_inline can't be taken over"),
        ("[a]", "its build: is no table"),
    ],
)
def test_what_can_t_be_taken_over_is_said(tmp_path: Path, build: str, fault: str) -> None:
    found = read(tmp_path, f"services:\n  api:\n    build: {build}\n")
    assert fault in found["api"].fault


def test_a_service_that_extends_another_one(tmp_path: Path) -> None:
    found = read(tmp_path, "services:\n  a:\n    extends: {service: b}\n    build: .\n")
    assert found["a"].fault == "it extends another service"


def test_tags_of_compose_are_no_fault(tmp_path: Path) -> None:
    found = read(
        tmp_path, "services:\n  a:\n    build: !override {context: a}\n    ports: !reset []\n"
    )
    assert found["a"].context == "a"


@pytest.mark.parametrize("text", ["a: [", "- a", "services: 3", "", "\x00"])
def test_what_is_no_compose_file(tmp_path: Path, text: str) -> None:
    with pytest.raises(ProjectError):
        read(tmp_path, text)


def test_no_code_of_a_compose_file_runs(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="is no YAML"):
        read(tmp_path, "services:\n  a:\n    build: !!python/object/apply:os.getcwd []\n")


def test_which_file_compose_takes_by_itself(tmp_path: Path) -> None:
    text = "services:\n  a:\n    build: .\n"
    read(tmp_path, text, "docker-compose.yml")
    assert read_compose(tmp_path / "docker-compose.yml").is_default
    read(tmp_path, text, "compose.yaml")
    assert not read_compose(tmp_path / "docker-compose.yml").is_default
    found = read_compose(tmp_path / "compose.yaml")
    assert found.is_default
    assert found.override is None
    (tmp_path / "docker-compose.override.yaml").write_text("services: {}\n")
    assert read_compose(tmp_path / "compose.yaml").override == (
        tmp_path / "docker-compose.override.yaml"
    )
