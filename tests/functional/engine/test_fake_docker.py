"""Detection and pulls against a faked docker program and a faked engine socket."""

import ast
import json
import socketserver
import sys
import threading
from pathlib import Path

import pytest
from msgspec.structs import replace

from rebake.engine import base_images
from rebake.engine.base_images import Action, BaseImage
from rebake.engine.detect import Surroundings, detect
from rebake.engine.endpoint import Endpoint
from rebake.engine.home import Home
from rebake.errors import CommandFailed, NoEngine

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="unix sockets and scripts")

# It imports next to nothing: that would cost more than all that it does.
PROGRAM = """\
#!{python} -IS
import os, sys
here = os.path.dirname(os.path.abspath(__file__))
words = " ".join(sys.argv[1:])
with open(here + "/calls", "a") as log:
    log.write(repr(sys.argv[1:]) + "\\n")
with open(here + "/answers") as file:
    answers = eval(file.read())
for start, replies in answers.items():
    if words.startswith(start):
        counter = here + "/count-" + start.replace(" ", "-").replace("/", "-")
        turn = os.path.getsize(counter) if os.path.exists(counter) else 0
        with open(counter, "a") as file:
            file.write("x")
        out, err, code = replies[min(turn, len(replies) - 1)]
        sys.stdout.write(out)
        sys.stderr.write(err)
        sys.exit(code)
sys.stderr.write("unknown: " + words)
sys.exit(1)
"""
VERSION = json.dumps(
    {"Client": {"Version": "28.2"}, "Server": {"Version": "28.5.2", "ApiVersion": "1.51"}}
)
GOOD = {
    "version": [[VERSION, "", 0]],
    "buildx version": [["github.com/docker/buildx v0.29.1 x", "", 0]],
    "compose version": [["2.40.3", "", 0]],
    "system info": [["overlayfs", "", 0]],
}


class Docker:
    """A docker program that answers from a file and notes how it was called."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self.program = folder / "docker"
        self.program.write_text(PROGRAM.format(python=sys.executable))
        self.program.chmod(0o755)
        self.answer({})

    def answer(self, answers: dict[str, list[list[object]]]) -> None:
        (self.folder / "answers").write_text(repr(answers))

    @property
    def calls(self) -> list[list[str]]:
        log = self.folder / "calls"
        if not log.exists():
            return []
        return [ast.literal_eval(line) for line in log.read_text().splitlines()]


class _Pong(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        while self.rfile.readline().strip():
            pass
        self.wfile.write(b"HTTP/1.1 200 OK\r\nApi-Version: 1.51\r\nServer: Docker/28\r\n\r\nOK")


@pytest.fixture
def docker(tmp_path):
    return Docker(tmp_path / "bin")


@pytest.fixture
def engine(tmp_path):
    """A socket that answers pings where Docker Desktop has its own; gives its address."""
    path = tmp_path / ".docker/desktop/docker.sock"
    path.parent.mkdir(parents=True)
    with socketserver.UnixStreamServer(str(path), _Pong) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"unix://{path}"
        server.shutdown()
        thread.join()


@pytest.fixture
def around(tmp_path, docker):
    return Surroundings(
        {"PATH": str(docker.folder)},
        tmp_path,
        Home.at(tmp_path / "engine"),
        tmp_path / "cache/engine.json",
        "linux",
    )


@pytest.fixture(autouse=True)
def _no_other_engine(monkeypatch, tmp_path):
    """Leave out the places that this machine may really have an engine at."""
    from rebake.engine import detect as module

    real = module._usual_places
    monkeypatch.setattr(
        module,
        "_usual_places",
        lambda around: [place for place in real(around) if str(tmp_path) in place[1]],
    )


def test_the_first_engine_that_answers_is_used_and_remembered(engine, docker, around):
    docker.answer(GOOD)
    found = detect(around)
    assert found.endpoint == Endpoint("docker-desktop", engine, docker.program)
    assert (found.versions.engine, found.versions.compose) == ("28.5.2", "2.40.3")
    assert found.driver == "overlayfs"
    asked = len(docker.calls)
    assert asked == 4
    again = detect(around)
    assert (again.endpoint, again.versions) == (found.endpoint, found.versions)
    assert len(docker.calls) == asked  # the second time, a ping is enough


def test_a_changed_client_or_a_broken_memory_is_asked_again(engine, docker, around):
    docker.answer(GOOD)
    detect(around)
    docker.program.write_text(docker.program.read_text() + "\n")
    detect(around)
    assert len(docker.calls) == 8
    around.cache.write_text('{"fingerprint": 1')
    detect(around)
    assert len(docker.calls) == 12


def test_shells_with_another_path_take_turns_and_ask_once_each(engine, docker, around):
    docker.answer(GOOD)
    other = replace(around, environ={**around.environ, "PATH": around.environ["PATH"] + ":/other"})
    for _ in range(3):
        assert detect(around).endpoint == detect(other).endpoint
    assert len(docker.calls) == 8
    for number in range(9):  # more than are kept: the oldest is forgotten
        path = f"{around.environ['PATH']}:/{number}"
        detect(replace(around, environ={**around.environ, "PATH": path}))
    asked = len(docker.calls)
    detect(replace(around, environ={**around.environ, "PATH": path}))
    assert len(docker.calls) == asked
    detect(around)
    assert len(docker.calls) == asked + 4
    assert len(json.loads(around.cache.read_text())["entries"]) == 8


@pytest.mark.parametrize("text", ["", "[]", '{"format": 3}', '{"format": 3, "entries": [1, {}]}'])
def test_a_memory_of_another_form_is_none(engine, docker, around, text):
    docker.answer(GOOD)
    around.cache.parent.mkdir(exist_ok=True)
    around.cache.write_text(text)
    assert detect(around).endpoint.docker_host == engine
    assert len(docker.calls) == 4


@pytest.mark.parametrize(
    ("answers", "word"),
    [
        ({"buildx version": [["", "unknown command", 1]]}, "buildx plugin is missing"),
        ({"compose version": [["", "unknown command", 1]]}, "Compose v2 is missing"),
        ({"compose version": [["1.29.2", "", 0]]}, "compose 1.29.2 is too old"),
        ({"version": [[VERSION.replace("28.5.2", "20.10.24"), "", 0]]}, "20.10.24 is too old"),
    ],
)
def test_an_engine_that_is_not_good_enough_says_what_to_install(
    engine, docker, around, answers, word
):
    docker.answer({**GOOD, **answers})
    with pytest.raises(NoEngine) as caught:
        detect(around)
    assert word in caught.value.what
    assert any(line.startswith(f"docker-desktop: {engine}: ") for line in caught.value.tried)


def test_no_engine_lists_what_was_tried_and_what_to_do(around):
    with pytest.raises(NoEngine) as caught:
        detect(around)
    assert caught.value.exit_code == 69
    assert any(line.startswith("colima: ") for line in caught.value.tried)
    assert any(line.startswith("private: ") for line in caught.value.tried)


def test_a_named_host_that_is_silent_is_not_replaced_by_another(engine, docker, around, tmp_path):
    docker.answer(GOOD)
    named = Surroundings(
        {**around.environ, "DOCKER_HOST": f"unix://{tmp_path}/none.sock"},
        *(around.user_home, around.home, around.cache, around.platform),
    )
    with pytest.raises(NoEngine, match="DOCKER_HOST or DOCKER_CONTEXT names does not answer"):
        detect(named)


def pull(docker, **options):
    lines: list[str] = []
    action = Action(BaseImage("rust", "rust:1.97"), "pull", "", options.pop("digest", ""))
    endpoint = Endpoint("default", "unix:///x", docker.program)
    base_images.pull(endpoint, action, retries=3, say=lines.append)
    return lines


@pytest.fixture(autouse=True)
def pauses(monkeypatch):
    found: list[float] = []
    monkeypatch.setattr("rebake.engine.base_images._sleep", found.append)
    return found


def test_a_pull_goes_by_digest_and_gives_the_name(docker):
    docker.answer(
        {
            "buildx imagetools inspect": [['{"digest": "sha256:ab"}', "", 0]],
            "pull": [["", "", 0]],
            "tag": [["", "", 0]],
        }
    )
    pull(docker)
    name = "docker.io/library/rust@sha256:ab"
    assert docker.calls == [
        ["buildx", "imagetools", "inspect", "rust:1.97", "--format", "{{json .Manifest}}"],
        ["pull", "--quiet", name],
        ["tag", name, "docker.io/library/rust:1.97"],
    ]


def test_a_pinned_digest_is_not_asked_for(docker):
    docker.answer({"pull": [["", "", 0]], "tag": [["", "", 0]]})
    pull(docker, digest="sha256:cd")
    assert docker.calls[0] == ["pull", "--quiet", "docker.io/library/rust@sha256:cd"]


def test_a_broken_off_pull_is_tried_again_with_longer_pauses(docker, pauses):
    broken = ["", "unexpected EOF", 1]
    docker.answer({"pull": [broken, broken, ["", "", 0]], "tag": [["", "", 0]]})
    lines = pull(docker, digest="sha256:cd")
    assert [call[0] for call in docker.calls] == ["pull", "pull", "pull", "tag"]
    assert len(pauses) == 2
    assert pauses[0] < pauses[1]
    assert sum("broken off" in line for line in lines) == 2


@pytest.mark.parametrize(("error", "tries"), [("manifest unknown", 1), ("unexpected EOF", 4)])
def test_a_pull_that_stays_wrong_fails_with_its_words(docker, error, tries):
    docker.answer({"pull": [["", error, 1]]})
    with pytest.raises(CommandFailed, match=error):
        pull(docker, digest="sha256:cd")
    assert len(docker.calls) == tries
