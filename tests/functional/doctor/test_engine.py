"""Checks that ask an engine, with a real socket that answers what engines answer."""

from __future__ import annotations

import json
import socketserver
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from e2e.tiny_project import write_tiny_project
from rebake.doctor.case import Case
from rebake.doctor.diagnosis import Diagnosis
from rebake.doctor.run import CHECKS, look
from rebake.engine.detect import Detected, Surroundings
from rebake.engine.endpoint import Endpoint
from rebake.engine.home import Home
from rebake.engine.versions import Versions
from rebake.project.project import open_project

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="unix sockets and scripts")

GB = 1_000_000_000


class Engine:
    """Answers `/info` and a request for a container; `ahead_s` is what its clock is ahead."""

    def __init__(self, folder: Path) -> None:
        self.address = f"unix://{folder}/docker.sock"
        self.folder = folder
        self.info: dict[str, Any] = {
            "MemTotal": 16 * GB, "NCPU": 2, "OperatingSystem": "Debian", "Architecture": "x86_64",
            "DockerRootDir": str(folder),
        }  # fmt: skip
        self.ahead_s = 0.0
        self.created: tuple[int, str] = (404, "No such image: x")
        self.asked: list[Any] = []
        outer = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                line = self.rfile.readline().decode()
                length = 0
                while (header := self.rfile.readline().strip()) != b"":
                    if header.lower().startswith(b"content-length:"):
                        length = int(header.split(b":")[1])
                body = self.rfile.read(length)
                status, answer = outer.answer(line, body)
                text = json.dumps(answer).encode()
                head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(text)}\r\n\r\n"
                self.wfile.write(head.encode() + text)

        self.server = socketserver.ThreadingUnixStreamServer(str(folder / "docker.sock"), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def answer(self, line: str, body: bytes) -> tuple[int, object]:
        if "/containers/create" in line:
            self.asked.append(json.loads(body))
            return self.created[0], {"message": self.created[1]}
        moment = datetime.fromtimestamp(time.time() + self.ahead_s, UTC)
        return 200, {**self.info, "SystemTime": moment.isoformat().replace("+00:00", "123Z")}


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    one = Engine(tmp_path)
    yield one
    one.server.shutdown()
    one.server.server_close()


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REBAKE_STATE_HOME", str(tmp_path / "state"))
    return write_tiny_project(tmp_path / "project")


def told(engine: Engine, root: Path, name: str, **environ: str) -> list[Diagnosis]:
    """What a check says of this engine."""
    docker = engine.folder / "docker"
    endpoint = Endpoint("default", engine.address, docker)
    versions = Versions("28.5.2", "28.5.2", "0.29.1", "2.40.3", "1.51")
    around = Surroundings(
        environ, engine.folder, Home.at(engine.folder / "engine"), engine.folder / "engine.json"
    )

    class Known(Case):
        found = Detected(endpoint, versions)  # type: ignore[assignment]

    check = next(check for check in CHECKS if check.name == name)
    return look(check, Known(open_project(root), around=around))


@pytest.mark.parametrize(
    ("ahead_s", "level", "says"),
    [
        (0.0, "ok", "agree"),
        (-3600.0, "error", "3600.0 s behind"),
        (-5.0, "warning", "behind"),
        (20.0, "warning", "ahead"),
    ],
)
def test_a_clock_that_goes_wrong(
    engine: Engine, root: Path, ahead_s: float, level: str, says: str
) -> None:
    engine.ahead_s = ahead_s
    (one,) = told(engine, root, "clock")
    assert one.level == level
    if ahead_s != -3600.0:
        assert says in one.message
    else:
        assert abs(float(one.message.split()[4]) - 3600) < 10


def test_an_engine_that_does_not_see_the_project(engine: Engine, root: Path) -> None:
    (one,) = told(engine, root, "file-sharing")
    assert (one.level, one.message) == ("ok", f"the engine sees {root}")
    mount = engine.asked[0]["HostConfig"]["Mounts"][0]
    assert (mount["Type"], mount["Source"]) == ("bind", str(root))
    said = f"bind source path does not exist: {root}"
    engine.created = (400, said)
    (one,) = told(engine, root, "file-sharing")
    assert (one.level, one.message) == ("error", f"the engine does not see {root}: {said}")
    engine.created = (500, "something else")
    (one,) = told(engine, root, "file-sharing")
    assert (one.level, one.message) == (
        "warning",
        "not checked: the engine can't be asked for a mount: something else",
    )


def test_docker_desktop_that_does_not_share_the_folder(engine: Engine, root: Path) -> None:
    engine.info["OperatingSystem"] = "Docker Desktop"
    settings = engine.folder / ".docker" / "desktop" / "settings-store.json"
    settings.parent.mkdir(parents=True)
    settings.write_text(json.dumps({"FilesharingDirectories": ["/home/somebody"]}))
    (one,) = told(engine, root, "file-sharing")
    assert (one.level, one.message) == ("error", f"Docker Desktop does not share {root}")
    settings.write_text(json.dumps({"FilesharingDirectories": [str(engine.folder)]}))
    assert told(engine, root, "file-sharing")[0].level == "ok"


def test_what_docker_desktop_was_given(engine: Engine, root: Path) -> None:
    engine.info |= {"OperatingSystem": "Docker Desktop", "MemTotal": 1 * GB}
    (one,) = told(engine, root, "memory")
    assert (one.level, "Docker Desktop" in one.fix) == ("error", True)


def test_a_platform_that_is_emulated(engine: Engine, root: Path) -> None:
    found = told(engine, root, "engine", DOCKER_DEFAULT_PLATFORM="linux/arm64")
    assert [d.level for d in found] == ["ok", "warning"]
    assert found[1].message == (
        "DOCKER_DEFAULT_PLATFORM is linux/arm64, but the engine runs on amd64"
    )
    same = told(engine, root, "engine", DOCKER_DEFAULT_PLATFORM="linux/amd64")
    assert [d.level for d in same] == ["ok"]


def docker_program(engine: Engine, answers: dict[str, object]) -> None:
    """A docker program that answers by the words it is called with."""
    texts = {w: t if isinstance(t, str) else json.dumps(t) for w, t in answers.items()}
    cases = "".join(
        f"  *'{words}'*) cat <<'END'\n{text}\nEND\n  ;;\n" for words, text in texts.items()
    )
    program = engine.folder / "docker"
    program.write_text(
        f'#!/bin/sh\necho "$*" >>{engine.folder}/calls\ncase "$*" in\n{cases}'
        "  *) echo unknown >&2; exit 1 ;;\nesac\n"
    )
    program.chmod(0o755)


BUILDERS = (
    Path(__file__).parents[2] / "unit" / "doctor" / "builders" / "engine-28-default.json"
).read_text()


def test_the_builder_and_its_policy_are_asked_for_once(engine: Engine, root: Path) -> None:
    docker_program(engine, {"buildx ls": json.dumps(json.loads(BUILDERS))})
    found = told(engine, root, "gc")
    assert found[0].message.startswith("the builder deletes cache mounts that no build used")
    assert '"maxUsedSpace": "50GB"' in found[0].fix
    (builder,) = told(engine, root, "buildkit")
    assert (builder.level, builder.message) == ("ok", "builder default, driver docker")
    lost = told(engine, root, "buildkit", BUILDX_BUILDER="gone", DOCKER_BUILDKIT="0")
    assert [d.level for d in lost] == ["warning", "error"]


def test_a_buildx_that_does_not_tell(engine: Engine, root: Path) -> None:
    docker_program(engine, {"buildx ls": "NAME DRIVER"})
    (one,) = told(engine, root, "gc")
    assert (one.level, one.message) == (
        "warning",
        "not checked: this buildx does not list its builders as JSON",
    )


def test_a_bake_file_is_read_by_buildx_and_remembered(engine: Engine, root: Path) -> None:
    shared = {"cache-to": [{"type": "gha"}]}
    docker_program(engine, {"--print": {"target": {"api": {}, "ui": {}}}})
    for _ in range(2):
        (one,) = told(engine, root, "cache-exports")
        assert one.level == "ok"
    calls = (engine.folder / "calls").read_text().splitlines()
    assert len(calls) == 1
    assert calls[0].startswith(f"buildx bake --file {root}/docker/docker-bake.hcl --print _common")
    bake = root / "docker" / "docker-bake.hcl"
    bake.write_text(bake.read_text() + "\n")
    docker_program(engine, {"--print": {"target": {"api": shared, "ui": shared}}})
    (one,) = told(engine, root, "cache-exports")
    assert (one.level, one.message) == ("error", "api, ui write their cache to gha buildkit")


def test_files_that_the_programs_refuse(engine: Engine, root: Path) -> None:
    docker_program(engine, {})
    (bake,) = told(engine, root, "cache-exports")
    assert (bake.level, bake.message) == (
        "error", "docker/docker-bake.hcl can't be read by buildx: unknown"
    )  # fmt: skip
    found = told(engine, root, "compose")
    assert [d.message for d in found] == [
        "docker/docker-compose.yml can't be read by Compose: unknown",
        "docker/docker-compose.dev.yml can't be read by Compose: unknown",
    ]


def test_compose_files_are_read_by_compose_with_our_variables(engine: Engine, root: Path) -> None:
    docker_program(engine, {"config": {"services": {"api": {"image": "nginx"}}}})
    found = told(engine, root, "compose")
    assert "docker/docker-compose.yml: api: image nginx has no version" in {
        d.message for d in found
    }
    name = open_project(root).name
    calls = sorted((engine.folder / "calls").read_text().splitlines())
    assert calls == [
        f"compose --project-name {name} --file {root}/docker/docker-compose.yml"
        " --profile * config --format json",
        f"compose --project-name {name}-dev --file {root}/docker/docker-compose.dev.yml"
        " --profile * config --format json",
    ]
    (root / ".env").write_text("SECRET=a$b\n")
    found = told(engine, root, "compose")
    assert any(d.message == ".env:1: the value of SECRET has a $" for d in found)
