"""The smoke tests, on services of this very process behind a client that only pretends."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from filelock import FileLock

from rebake.errors import Busy, CommandFailed
from rebake.process import Command
from rebake.stack import smoke
from rebake.stack.smoke_requests import HalfSent, ask, round_trip

BODY = '{"title": "smoke test"}'
PATH = "/api/items"

# `docker`, as far as these tests need it: it writes down how it was called.
CLIENT = """
import os, sys, time
folder, words = sys.argv[1] + "/", sys.argv[2:]
with open(folder + "answers") as file:
    state = eval(file.read())
with open(folder + "calls", "a") as file:
    file.write(" ".join(words) + "\\n")
if words[0] == "run":
    print(f"{words[-2]} 0.1.0 (build {state['version']})")
elif "up" in words:
    if state["up"]:
        print("api is unhealthy", file=sys.stderr)
    sys.exit(state["up"])
elif "ps" in words:
    import json  # it takes as long as all the rest
    stopped = os.path.exists(folder + "stopped")
    entry = {"Service": "api", "State": "exited" if stopped else "running",
             "ExitCode": state["exit"] if stopped else 0,
             "Publishers": [] if stopped else [{"PublishedPort": state["port"]}]}
    print(json.dumps(entry))
elif "stop" in words:
    open(folder + "stop", "w").close()
    while not os.path.exists(folder + "stopped"):
        time.sleep(0.01)
"""


class Items(BaseHTTPRequestHandler):
    """A service with a collection."""

    protocol_version = "HTTP/1.1"
    kept: ClassVar[dict[str, Any]] = {}
    faults: ClassVar[set[str]] = set()

    def log_message(self, *_: object) -> None:
        """Nothing."""

    def _send(self, status: int, document: object = None, **headers: str) -> None:
        data = b"" if document is None else json.dumps(document).encode()
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self) -> None:
        if self.path == "/healthz":
            self._send(503 if "healthz" in self.faults else 200)
        elif self.path == PATH:
            self._send(404 if "no resource" in self.faults else 200, {"items": []})
        elif self.path in self.kept:
            self._send(200, self.kept[self.path])
        else:
            self._send(404)

    def do_POST(self) -> None:
        document = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if "cut off" in self.faults and self.headers["Expect"]:
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        place = f"{PATH}/{len(self.kept) + 1}"
        if "forgets" in self.faults:
            document = dict.fromkeys(document, "")
        self.kept[place] = document | {"id": len(self.kept) + 1}
        location = {} if "no location" in self.faults else {"Location": place}
        self._send(201, self.kept[place], **location)

    def do_DELETE(self) -> None:
        if "keeps" not in self.faults:
            del self.kept[self.path]
        self._send(204)


@dataclass
class Bench:
    """A service, the fake client, and what it was called with."""

    folder: Path
    server: ThreadingHTTPServer
    state: dict[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.state |= {"port": self.server.server_port, "up": 0, "exit": 0, "version": "b1"}
        (self.folder / "client.py").write_text(CLIENT)
        threading.Thread(target=self._end_when_told, daemon=True).start()

    def _end_when_told(self) -> None:
        while not (self.folder / "stop").exists():
            if not self.folder.exists():  # the test is over
                return
            time.sleep(0.01)
        if "goes on" not in Items.faults:
            self.server.shutdown()
            self.server.socket.close()
        time.sleep(0.5)  # what is under way ends meanwhile
        with contextlib.suppress(FileNotFoundError):
            (self.folder / "stopped").touch()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def command(self, *words: str | Path, **options: object) -> Command:
        client = self.folder / "client.py"
        return Command.of(sys.executable, "-IS", client, self.folder, *words, **options)

    @property
    def calls(self) -> list[str]:
        return (self.folder / "calls").read_text().splitlines()

    def project(self) -> SimpleNamespace:
        (self.folder / "compose.yml").write_text("services: {}\n")
        config = SimpleNamespace(
            services=("api",),
            prod=SimpleNamespace(start_timeout_s=60),
            smoke=SimpleNamespace(resource=PATH, body=BODY),
        )
        return SimpleNamespace(
            root=self.folder,
            state=self.folder / "state",
            name="shop-1",
            config=config,
            compose_file=lambda _: self.folder / "compose.yml",
        )

    def run(self, monkeypatch: pytest.MonkeyPatch, **state: object) -> tuple[int, list[str]]:
        (self.folder / "answers").write_text(repr(self.state | state))
        images = {"api": {"ref": "shop-1-api:prod", "build_id": "b1"}}
        monkeypatch.setattr(smoke, "_build", lambda _: images)
        monkeypatch.setattr(smoke, "_NOTICED_S", 1.0)
        done = smoke.run_smoke(self.project(), self)  # type: ignore[arg-type]
        return done.returncode, done.stdout.splitlines()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    Items.kept, Items.faults = {}, set()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Items)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield Bench(tmp_path, server)
    (tmp_path / "stop").touch()


def test_all_is_well(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    code, lines = bench.run(monkeypatch)
    assert (code, lines) == (
        0,
        [
            "ok: api --version tells its build id",
            "ok: all services become healthy",
            "ok: api answers /healthz",
            "ok: api: create, read, delete of /api/items",
            "ok: api stops, and answers the request under way",
            "ok: api ends with 0 on SIGTERM",
        ],
    )
    assert len(Items.kept) == 1  # the request that was under way
    stack = f"compose --project-name shop-1-smoke --file {bench.folder / 'compose.yml'}"
    version, before, up, *_, after = bench.calls
    assert version == (
        "run --rm --network none --read-only --cap-drop ALL "
        "--security-opt no-new-privileges:true shop-1-api:prod --version"
    )
    assert before == after == f"{stack} down --remove-orphans --volumes"
    assert up.startswith(f"{stack} --file ")
    assert up.endswith("up --detach --no-build --pull never --wait --wait-timeout 60 api")
    assert list((bench.folder / ".rebake").iterdir()) == []


@pytest.mark.parametrize(
    ("fault", "line"),
    [
        ("healthz", "FAILED: api answers /healthz: URL/healthz answers 503"),
        (
            "forgets",
            "FAILED: api: create, read, delete of /api/items: GET /api/items/1 has "
            '{"title": ""}, expected {"title": "smoke test"}',
        ),
        (
            "keeps",
            "FAILED: api: create, read, delete of /api/items: "
            "GET /api/items/1 answers 200 after the delete, expected 404",
        ),
        ("no resource", "FAILED: create, read, delete: no service answers GET /api/items"),
        (
            "goes on",
            "FAILED: api stops, and answers the request under way: "
            "it goes on taking new requests after SIGTERM",
        ),
    ],
)
def test_each_fault_is_named(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, fault: str, line: str
) -> None:
    Items.faults = {fault}
    code, lines = bench.run(monkeypatch)
    assert code == 1
    assert [text for text in lines if text.startswith("FAILED")] == [line.replace("URL", bench.url)]
    assert bench.calls[-1].endswith("down --remove-orphans --volumes")


def test_a_request_that_is_cut_off(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    Items.faults = {"cut off"}
    code, lines = bench.run(monkeypatch)
    assert code == 1
    (line,) = [text for text in lines if text.startswith("FAILED")]
    assert line.startswith(
        "FAILED: api stops, and answers the request under way: POST /api/items answers "
    )


def test_a_wrong_build_id_and_a_kill(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    code, lines = bench.run(monkeypatch, version="old", exit=137)
    assert code == 1
    assert [line for line in lines if line.startswith("FAILED")] == [
        "FAILED: api --version tells its build id: shop-1-api:prod 0.1.0 (build old), not b1",
        "FAILED: api ends with 0 on SIGTERM: exit code 137",
    ]


def test_a_stack_that_does_not_start_is_removed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(CommandFailed, match="api is unhealthy"):
        bench.run(monkeypatch, up=1)
    assert bench.calls[-1].endswith("down --remove-orphans --volumes")


def test_two_runs_do_not_take_each_others_stack_away(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    (bench.folder / "state").mkdir()
    with FileLock(bench.folder / "state" / "smoke.lock"), pytest.raises(Busy):
        bench.run(monkeypatch)
    assert not (bench.folder / "calls").exists()


def test_a_place_without_a_location(bench: Bench) -> None:
    Items.faults = {"no location"}
    assert round_trip(bench.url, PATH, BODY) == ""


def test_no_server_is_an_answer_too(bench: Bench) -> None:
    answer = ask("GET", "http://127.0.0.1:1/healthz")
    assert (answer.status, answer.good) == (0, False)
    assert "refused" in str(answer)
    assert "expected 201" in round_trip(bench.url, "/nothing", "[1]")


def test_a_request_is_taken_in_before_its_body_is_there(bench: Bench) -> None:
    with HalfSent(bench.url, PATH, BODY) as request:
        assert Items.kept == {}
        assert request.finish().status == 201
    assert len(Items.kept) == 1


def test_what_compose_says() -> None:
    lines = [
        {"Service": "api", "State": "running", "Publishers": [{"PublishedPort": 0}]},
        {"Service": "ui", "State": "exited", "ExitCode": 137, "Publishers": None},
        {"Service": "worker", "State": "running", "Publishers": [{"PublishedPort": 32768}]},
    ]
    text = "\n".join(json.dumps(line) for line in lines) + "\n"
    assert smoke.ports_of(text) == {"worker": 32768}
    assert smoke.exit_codes_of(text) == {"ui": 137}
    assert json.loads(smoke.override_document({"api": "a:prod"})) == {
        "services": {"api": {"image": "a:prod"}}
    }


def test_the_images_are_built_by_rebake_itself(tmp_path: Path) -> None:
    environment = dict(os.environ)
    with pytest.raises(CommandFailed) as failed:
        smoke._build(SimpleNamespace(root=tmp_path))  # type: ignore[arg-type]
    assert "build" in failed.value.argv
    assert dict(os.environ) == environment
