"""Questions to the engine's API, on a real socket."""

from __future__ import annotations

import json
import socketserver
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from rebake.engine import api, build_cache
from rebake.engine.endpoint import Endpoint

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="unix sockets")


class Server:
    """Answers each request with what was set, and keeps what was asked."""

    def __init__(self, path: Path) -> None:
        self.address = f"unix://{path}"
        self.asked: list[str] = []
        self.status, self.body = "200 OK", b"{}"
        outer = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                outer.asked.append(self.rfile.readline().decode().strip())
                while self.rfile.readline().strip():
                    pass
                head = f"HTTP/1.1 {outer.status}\r\nContent-Length: {len(outer.body)}\r\n\r\n"
                self.wfile.write(head.encode() + outer.body)

        self.server = socketserver.UnixStreamServer(str(path), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    one = Server(tmp_path / "docker.sock")
    yield one
    one.server.shutdown()
    one.server.server_close()


def test_a_question_and_its_answer(server: Server) -> None:
    server.body = b'{"a": 1}'
    answer = api.ask(server.address, "/info", {"x": "1 2"})
    assert answer == api.Answer(200, {"a": 1})
    assert server.asked == ["GET /v1.44/info?x=1+2 HTTP/1.1"]


def test_a_refusal_is_an_answer(server: Server) -> None:
    server.status, server.body = "404 Not Found", b'{"message": "no such image"}'
    answer = api.ask(server.address, "/images/x/json")
    assert answer is not None
    assert (answer.ok, answer.status) == (False, 404)


def test_an_answer_without_json(server: Server) -> None:
    server.body = b"nonsense"
    assert api.ask(server.address, "/x") == api.Answer(200, None)


@pytest.mark.parametrize("address", ["ssh://host", "unix:///none/docker.sock", "tcp://x", ""])
def test_what_can_not_be_asked(address: str) -> None:
    assert api.ask(address, "/info") is None


def asked_for(line: str) -> list[str]:
    """The ids that a line of a prune asks for."""
    query = parse_qs(urlsplit(line.split(" ")[1]).query)
    assert query["all"] == ["true"]
    return json.loads(query["filters"][0])["id"]


def test_records_are_removed_by_one_pattern_that_matches_nothing_else(server: Server) -> None:
    endpoint = Endpoint("default", server.address, Path("docker"))
    server.body = json.dumps({"CachesDeleted": ["a1", "b2"], "SpaceReclaimed": 5}).encode()
    assert build_cache.remove(endpoint, ["a1", "b2"]) == 5
    (line,) = server.asked
    assert line.startswith("POST /v1.44/build/prune?all=true&filters=")
    assert asked_for(line) == ["/^(a1|b2)$/"]
    server.asked.clear()
    assert build_cache.remove(endpoint, ["a1"]) == 5
    assert asked_for(server.asked[0]) == ["a1"]


def test_an_engine_that_takes_no_pattern_is_told_each_id(server: Server) -> None:
    endpoint = Endpoint("default", server.address, Path("docker"))
    there = {"BuildCache": [{"ID": "a1"}, {"ID": "b2", "InUse": True}, {"ID": "c3"}]}
    server.body = json.dumps({"CachesDeleted": None, "SpaceReclaimed": 0, **there}).encode()
    assert build_cache.remove(endpoint, ["a1", "b2", "gone", "c3"]) == 0
    pruned = [asked_for(line) for line in server.asked if line.startswith("POST")]
    assert pruned == [["/^(a1|b2|gone|c3)$/"], ["a1"], ["c3"]]


@pytest.mark.parametrize("name", [".*", "a|b", "a1)$/", "", "a b", "a1\n"])
def test_what_is_no_id_is_never_asked_for(server: Server, name: str) -> None:
    endpoint = Endpoint("default", server.address, Path("docker"))
    assert build_cache.remove(endpoint, [name]) == 0
    assert server.asked == []


def test_many_records_are_asked_for_in_parts(server: Server) -> None:
    endpoint = Endpoint("default", server.address, Path("docker"))
    server.body = json.dumps({"CachesDeleted": ["x"], "SpaceReclaimed": 1}).encode()
    names = [f"record{n}" for n in range(450)]
    assert build_cache.remove(endpoint, names) == 3
    found = "|".join(
        p[0].removeprefix("/^(").removesuffix(")$/") for p in map(asked_for, server.asked)
    )
    assert found.split("|") == names


def test_no_mounts_are_known_where_the_engine_is_silent() -> None:
    assert build_cache.mounts(Endpoint("host-env", "ssh://host", Path("docker"))) is None
