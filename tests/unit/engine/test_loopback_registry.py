"""The registry on the loopback address."""

from __future__ import annotations

import json
import sys
import textwrap
import urllib.request
from pathlib import Path

import pytest

from rebake.engine import loopback_registry
from rebake.errors import CannotRun

FAKE = """\
    #!{python} -IS
    import http.server, json, sys
    address = json.load(open(sys.argv[2]))["http"]["addr"]
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if self.path == "/v2/" else 404)
            self.end_headers()
    host, _, port = address.partition(":")
    http.server.HTTPServer((host, int(port)), Handler).serve_forever()
"""


def fake(monkeypatch: pytest.MonkeyPatch, folder: Path, text: str) -> None:
    program = folder / "docker-registry"
    program.write_text(textwrap.dedent(text).format(python=sys.executable))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


def test_it_listens_on_the_loopback_alone_and_keeps_its_data_where_it_is_told() -> None:
    told = json.loads(loopback_registry.configuration(Path("/data"), 5001))
    assert told["http"] == {"addr": "127.0.0.1:5001"}
    assert told["storage"] == {"filesystem": {"rootdirectory": "/data"}}


@pytest.mark.skipif(sys.platform == "win32", reason="the fake program has a #! line")
def test_it_runs_as_long_as_the_block(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake(monkeypatch, tmp_path, FAKE)
    with loopback_registry.running(tmp_path / "registry", lambda _text: None) as address:
        with urllib.request.urlopen(f"http://{address}/v2/", timeout=5) as answer:
            assert answer.status == 200
        assert address.startswith("127.0.0.1:")
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"http://{address}/v2/", timeout=5)


@pytest.mark.skipif(sys.platform == "win32", reason="the fake program has a #! line")
def test_one_that_ends_at_once_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake(monkeypatch, tmp_path, "#!/bin/sh\necho no such storage\nexit 1\n")
    with (
        pytest.raises(CannotRun, match="did not start") as caught,
        loopback_registry.running(tmp_path / "registry", lambda _text: None),
    ):
        pass
    assert caught.value.tried == ("no such storage",)
