from __future__ import annotations

import json
import socketserver
import sys
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from rebake.engine import api
from rebake.engine.endpoint import Endpoint
from rebake.engine.image_layers import image_layers, parse_layers
from rebake.history.records import LayerRecord

# As engine 28.5 answers for a production image, shortened.
HISTORY = [
    {"CreatedBy": 'ENTRYPOINT ["/bin/service"]', "Size": 0},
    {"CreatedBy": "COPY /out/bin/api /bin/service # buildkit", "Size": 9797632},
    {"CreatedBy": "COPY /out/root / # buildkit", "Size": 4972544},
]
IMAGE = {"RootFS": {"Type": "layers", "Layers": ["sha256:a", "sha256:b"]}}
LAYERS = (
    LayerRecord("sha256:a", 4972544, "COPY /out/root / # buildkit"),
    LayerRecord("sha256:b", 9797632, "COPY /out/bin/api /bin/service # buildkit"),
)


def parsed(*lines: tuple[str, int], digests: int) -> list[tuple[str, int]]:
    history = [{"CreatedBy": words, "Size": size} for words, size in reversed(lines)]
    image = {"RootFS": {"Layers": [f"sha256:{n}" for n in range(digests)]}}
    layers = parse_layers(history, image)
    return [(layer.digest, layer.bytes) for layer in layers]


def test_lines_that_made_a_layer_have_its_digest() -> None:
    assert parse_layers(HISTORY, IMAGE) == LAYERS


def test_an_empty_layer_is_known_by_its_words() -> None:
    lines = ("rebake base-images", 7), ("ENV A=1", 0), ("WORKDIR /src", 0), ("USER 1", 0)
    assert parsed(*lines, digests=2) == [("sha256:0", 7), ("sha256:1", 0)]


def test_the_words_of_the_old_builder() -> None:
    lines = ("/bin/sh -c #(nop) ADD file:1 in /", 7), ('/bin/sh -c #(nop)  CMD ["sh"]', 0)
    more = ("/bin/sh -c true", 0)
    assert parsed(*lines, more, digests=2) == [("sha256:0", 7), ("sha256:1", 0)]


def test_where_lines_and_layers_do_not_match_no_digest_is_guessed() -> None:
    assert parsed(("RUN a", 1), ("RUN b", 2), digests=5) == [("", 1), ("", 2)]


@pytest.mark.parametrize(
    ("history", "image"),
    [(None, None), ([], None), (None, {}), ([1], {}), ({}, []), ([], {"RootFS": {"Layers": None}}),
     ([{"Size": "x"}], {"RootFS": {"Layers": []}})],
)  # fmt: skip
def test_other_answers_are_no_layers(history: object, image: object) -> None:
    assert parse_layers(history, image) == ()


class Engine(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    asked: list[str]

    def do_GET(self) -> None:
        type(self).asked.append(self.path)
        missing = "missing" in self.path
        found = HISTORY if self.path.endswith("/history") else IMAGE
        body = b"" if missing else json.dumps(found).encode()
        self.send_response(404 if missing else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self) -> str:
        return "socket"

    def log_message(self, *_words: object) -> None:
        return


@pytest.fixture
def endpoint(tmp_path: Path):
    """An engine on a socket, and a client that answers as `docker` does and writes its calls."""
    client = tmp_path / "docker"
    lines = "\n".join(
        json.dumps({"CreatedBy": line["CreatedBy"], "Size": str(line["Size"])}) for line in HISTORY
    )
    (tmp_path / "history").write_text(lines + "\n")
    (tmp_path / "inspect").write_text(json.dumps(IMAGE) + "\n")
    client.write_text(f'#!/bin/sh\necho "$*" >>"{tmp_path}/calls"\ncat "{tmp_path}/$2"\n')
    client.chmod(0o755)
    Engine.asked = []
    with socketserver.UnixStreamServer(str(tmp_path / "s"), Engine) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield Endpoint("default", f"unix://{tmp_path / 's'}", client)
        server.shutdown()


needs_posix = pytest.mark.skipif(sys.platform == "win32", reason="a Unix socket, a #! line")


@needs_posix
def test_a_local_engine_is_asked_itself(endpoint: Endpoint, tmp_path: Path) -> None:
    assert image_layers(endpoint, "app/api:prod") == LAYERS
    assert sorted(Engine.asked) == [  # both at once
        f"/{api.VERSION}/images/app%2Fapi%3Aprod/{what}" for what in ("history", "json")
    ]
    assert not (tmp_path / "calls").exists()


@needs_posix
@pytest.mark.parametrize(("host", "ref"), [("ssh://far", "api:prod"), ("", "missing:prod")])
def test_elsewhere_the_client_is_asked(
    endpoint: Endpoint, tmp_path: Path, host: str, ref: str
) -> None:
    other = Endpoint("default", host or endpoint.docker_host, endpoint.docker)
    assert image_layers(other, ref) == LAYERS
    assert (tmp_path / "calls").read_text().splitlines() == [
        f"image history --no-trunc --human=false --format json {ref}",
        "image inspect --format {{json .}} " + ref,
    ]
