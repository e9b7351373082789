"""The limits of the everyday test, and its steps."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from rebake.benchmark import workflow
from rebake.benchmark.workflow import LIMITS, Step, limits_from
from rebake.errors import UsageError

SCRIPT = Path(__file__).parents[3] / "scripts" / "docker_workflow_test.sh"


def test_the_environment_sets_the_limits() -> None:
    assert limits_from({}) == LIMITS
    assert limits_from({"HOT_MAX_S": "7.5", "COLD_MAX_S": ""}) == LIMITS | {"HOT_MAX_S": 7.5}


@pytest.mark.parametrize("text", ["soon", "0", "-3", "nan"])
def test_a_limit_that_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="COLD_MAX_S="):
        limits_from({"COLD_MAX_S": text})


def test_the_script_has_the_same_limits_at_its_top() -> None:
    found = re.findall(r'(?m)^: "\$\{(\w+):=(\d+)\}"', SCRIPT.read_text(encoding="utf-8"))
    assert {name: float(value) for name, value in found} == LIMITS


@pytest.mark.skipif(sys.platform == "win32", reason="a shell script")
def test_the_script_names_the_task_that_it_stands_for() -> None:
    told = subprocess.run([SCRIPT, "--help"], capture_output=True, text=True, check=True).stdout
    assert "The same as: invoke workflow-test" in told
    assert all(name in told for name in LIMITS)


def test_a_step_is_kept_when_it_is_quick_and_right() -> None:
    assert Step("hot", 30.0, 30.0).ok
    assert not Step("hot", 30.1, 30.0).ok
    wrong = Step("hot", 1.0, 30.0, "api: x is not in /bin/service")
    assert not wrong.ok
    assert workflow.rows([wrong])[0][3] == "NO: api: x is not in /bin/service"
    assert workflow.document([Step("a", 1.0, 2.0), wrong], 3.0)["ok"] is False


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/healthz" and self.server.healthy else 503)
        self.end_headers()

    def log_message(self, *_words: object) -> None:
        return


@pytest.fixture
def server() -> Iterator[HTTPServer]:
    one = HTTPServer(("127.0.0.1", 0), _Handler)
    one.healthy = True  # type: ignore[attr-defined]
    thread = threading.Thread(target=one.serve_forever, daemon=True)
    thread.start()
    yield one
    one.shutdown()
    one.server_close()
    thread.join()


def test_health_is_what_the_service_answers(server: HTTPServer) -> None:
    url = f"http://127.0.0.1:{server.server_port}"
    assert workflow._fault_of("api", url) == ""
    server.healthy = False  # type: ignore[attr-defined]
    assert workflow._fault_of("api", url) == f"api: {url}/healthz answers 503"


def test_nobody_there_is_a_fault() -> None:
    assert workflow._fault_of("api", "http://127.0.0.1:1").startswith("api: ")
