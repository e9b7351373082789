"""Where an engine is looked for, and which versions are good enough."""

import hashlib
import json
from pathlib import Path

import pytest
from msgspec.structs import asdict

from rebake.engine.detect import Candidate, Surroundings, candidates, context_host
from rebake.engine.home import Home
from rebake.engine.ping import parse
from rebake.engine.versions import (
    Versions,
    faults,
    numbers,
    parse_buildx,
    parse_compose,
    parse_version_json,
)


def around(tmp_path: Path, platform: str = "linux", **environ: str) -> Surroundings:
    return Surroundings(
        environ, tmp_path, Home.at(tmp_path / "engine"), tmp_path / "cache.json", platform
    )


def kinds(places: list[Candidate]) -> list[str]:
    unique: list[str] = []
    for place in places:
        if place.kind not in unique:
            unique.append(place.kind)
    return unique


def test_the_order_is_fixed(tmp_path):
    add_context(tmp_path / ".docker", "mine", "unix:///ctx.sock")
    (tmp_path / ".docker/config.json").write_text('{"currentContext": "mine"}')
    assert kinds(candidates(around(tmp_path, XDG_RUNTIME_DIR="/run/user/1"))) == [
        *("context", "default", "docker-desktop", "colima", "orbstack", "podman", "private")
    ]


def test_docker_host_is_the_only_place_when_it_is_set(tmp_path):
    assert candidates(around(tmp_path, DOCKER_HOST="tcp://h:1")) == [
        Candidate("host-env", "tcp://h:1", named=True)
    ]


def test_docker_host_of_our_own_engine_is_known_as_private(tmp_path):
    host = Home.at(tmp_path / "engine").docker_host
    assert candidates(around(tmp_path, DOCKER_HOST=host))[0].kind == "private"


def test_a_named_context_is_the_only_place(tmp_path):
    add_context(tmp_path / ".docker", "x", "ssh://u@h")
    assert candidates(around(tmp_path, DOCKER_CONTEXT="x")) == [
        Candidate("context", "ssh://u@h", named=True)
    ]
    (missing,) = candidates(around(tmp_path, DOCKER_CONTEXT="nope"))
    assert missing.named
    assert "not found" in missing.docker_host


def test_windows_has_pipes_and_no_private_engine(tmp_path):
    places = candidates(around(tmp_path, "win32"))
    assert kinds(places) == ["default", "docker-desktop", "podman"]
    assert all(place.docker_host.startswith("npipe:////./pipe/") for place in places)


def test_a_mac_has_no_private_engine(tmp_path):
    assert "private" not in kinds(candidates(around(tmp_path, "darwin")))


def add_context(folder: Path, name: str, host: str) -> None:
    meta = folder / "contexts/meta" / hashlib.sha256(name.encode()).hexdigest()
    meta.mkdir(parents=True)
    (meta / "meta.json").write_text(
        json.dumps({"Name": name, "Endpoints": {"docker": {"Host": host}}})
    )


def test_a_broken_context_has_no_host(tmp_path):
    assert context_host(tmp_path, "x") == ""


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("28.5.2+dfsg4", (28, 5, 2)),
        ("v0.29.1", (0, 29, 1)),
        ("2.20.2-desktop.1", (2, 20, 2)),
        ("", ()),
        ("dev", ()),
    ],
)
def test_version_numbers(text, found):
    assert numbers(text) == found


def test_versions_are_read_from_what_docker_prints():
    text = json.dumps(
        {
            "Client": {"Version": "28.2.2"},
            "Server": {
                "Version": "28.5.2",
                "ApiVersion": "1.51",
                "Components": [{"Name": "Engine"}],
            },
        }
    )
    assert parse_version_json(text) == Versions(engine="28.5.2", client="28.2.2", api="1.51")
    assert parse_version_json('{"Client": {"Version": "28"}, "Server": null}') is None
    assert parse_version_json("Cannot connect") is None
    assert parse_buildx("github.com/docker/buildx v0.29.1 abc") == "0.29.1"
    assert parse_buildx("docker: 'buildx' is not a docker command") == ""
    assert parse_compose("v2.40.3\n") == "2.40.3"
    assert parse_compose("docker: unknown command") == ""


GOOD = Versions(engine="23.0.0", client="20", buildx="0.12.0", compose="2.20.0", api="1.42")


def test_the_floors_themselves_are_good_enough():
    assert faults(GOOD) == []


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"engine": "20.10.24"}, "engine 20.10.24 is too old: at least 23 is needed"),
        ({"buildx": "0.11.2"}, "buildx 0.11.2 is too old: at least 0.12 is needed"),
        ({"compose": "2.19.9"}, "compose 2.19.9 is too old: at least 2.20 is needed"),
        ({"compose": "1.29.2"}, "compose 1.29.2 is too old"),
        ({"buildx": ""}, "the client's buildx plugin is missing: install docker-buildx-plugin"),
        ({"compose": ""}, "Compose v2 is missing: install docker-compose-plugin"),
    ],
)
def test_each_fault_says_what_is_needed(change, word):
    (line,) = faults(Versions(**{**asdict(GOOD), **change}))
    assert line.startswith(word)


def test_compose_v1_alone_is_refused_by_name():
    (line,) = faults(Versions(**{**asdict(GOOD), "compose": ""}), compose_v1=True)
    assert "Compose v1, `docker-compose`, is too old" in line


def test_podman_is_judged_by_its_api():
    podman = {**asdict(GOOD), "engine": "5.3.1", "podman": True}
    assert faults(Versions(**{**podman, "api": "1.41"})) == []
    assert faults(Versions(**{**podman, "api": "1.40"}))


def test_a_ping_is_read_from_its_headers():
    answer = b"HTTP/1.1 200 OK\r\nApi-Version: 1.51\r\nServer: Docker/28.5.2 (linux)\r\n\r\nOK"
    pong = parse(answer)
    assert pong is not None
    assert (pong.api, pong.server) == ("1.51", "Docker/28.5.2 (linux)")
    assert parse(b"HTTP/1.1 503 Busy\r\n\r\n") is None
    assert parse(b"") is None
