"""Native mode with the real cargo and bun, on a copy of this repository.

The first run compiles everything; where this repository was compiled already, the copy starts
from what is in its `backend/target`.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import shutil
import socket
import sys
import threading
import time
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pytest

from rebake.process import Command, run
from rebake.project.project import Project, open_project
from rebake.stack import native
from rebake.stack.native_state import marked

REPOSITORY = Path(__file__).resolve().parents[2]
LEFT_OUT = {"target", "node_modules", "dist", "__pycache__"}

pytestmark = pytest.mark.skipif(
    shutil.which("cargo") is None or (shutil.which("bun") is None and shutil.which("npm") is None),
    reason="needs cargo, and bun or npm",
)


def ask(url: str, method: str = "GET", document: object = None) -> tuple[int, bytes]:
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
    try:
        body = None if document is None else json.dumps(document)
        headers = {"content-type": "application/json", "connection": "close"}
        connection.request(method, parts.path, body, headers)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [
            stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)
        ]
        return [one.getsockname()[1] for one in sockets]


def copy_target(source: Path, target: Path) -> None:
    """Copy compiled dependencies, while no cargo writes them."""
    lock = source / "debug" / ".cargo-lock"
    if sys.platform == "win32" or not lock.is_file():
        return
    import fcntl

    with lock.open() as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        for name in ("deps", "build", ".fingerprint"):
            run(
                Command.of("cp", "-a", "--reflink=auto", source / "debug" / name, target / "debug")
            ).check()


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    folder = tmp_path_factory.mktemp("native")
    root = folder / "a b,ü"
    root.mkdir()
    for name in ("backend", "ui"):
        shutil.copytree(
            REPOSITORY / name, root / name, ignore=lambda _place, names: LEFT_OUT & set(names)
        )
    (root / "backend" / "target" / "debug").mkdir(parents=True)
    copy_target(REPOSITORY / "backend" / "target", root / "backend" / "target")
    ui, api, worker = free_ports(3)
    (root / "rebake.toml").write_text(
        f"[dev]\nstart_timeout_s = 120\n[dev.ports]\nui = {ui}\napi = {api}\nworker = {worker}\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REBAKE_STATE_HOME", str(folder / "state"))
        made = open_project(root)
        try:
            yield made
        finally:
            native.down(made)
        assert list(marked(native.home_of(made).mark)) == []


def up(project: Project) -> dict[str, str]:
    result = native.up(project, detach=True)
    assert all(service.ready for service in result.services)
    return dict(result.urls)


def test_an_item_outlives_down(project: Project) -> None:
    urls = up(project)
    status, page = ask(urls["ui"])
    assert status == 200
    assert b"<html" in page
    status, body = ask(urls["ui"] + "/api/items", "POST", {"title": "kept"})
    assert status == 201, body
    item = json.loads(body)["id"]
    for name in ("api", "worker"):
        for path in ("/healthz", "/readyz", "/version", "/metrics"):
            assert ask(urls[name] + path)[0] == 200, (name, path)

    assert native.down(project) is True
    assert native.state(project) is None
    with pytest.raises(ConnectionRefusedError):
        ask(urls["ui"])

    began = time.monotonic()
    again = up(project)
    assert time.monotonic() - began < 15
    assert again == urls
    status, body = ask(again["ui"] + f"/api/items/{item}")
    assert (status, json.loads(body)["title"]) == (200, "kept")
    began = time.monotonic()
    up(project)
    assert time.monotonic() - began < 3


def test_an_edit_is_served_and_no_request_is_refused(project: Project) -> None:
    urls = up(project)
    source = project.backend / "crates" / "api" / "src" / "main.rs"
    before = source.read_text()
    assert 'option_env!("REBAKE_BUILD_ID_API")' in before
    failures: list[object] = []
    asked = [0]
    stop = threading.Event()

    def hammer(url: str) -> None:
        while not stop.is_set():
            try:
                status, body = ask(url + "/api/items")
                if status != 200:
                    failures.append((url, status, body))
            except (OSError, http.client.HTTPException) as error:
                failures.append((url, error))
            asked[0] += 1
            time.sleep(0.002)

    threads = [threading.Thread(target=hammer, args=(urls[name],)) for name in ("api", "api", "ui")]
    for thread in threads:
        thread.start()
    try:
        for build_id in ("first-swap", "second-swap"):
            began = time.monotonic()
            source.write_text(
                before.replace('option_env!("REBAKE_BUILD_ID_API")', f'Some("{build_id}")')
            )
            while build_id not in ask(urls["api"] + "/version")[1].decode():
                assert time.monotonic() - began < 120, "the edit is not served"
                time.sleep(0.02)
        time.sleep(0.5)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert failures == []
    assert asked[0] > 100


def test_an_edit_that_does_not_compile_changes_nothing(project: Project) -> None:
    urls = up(project)
    source = project.backend / "crates" / "api" / "src" / "main.rs"
    before = source.read_text()
    lines: list[str] = []
    try:
        source.write_text(before + '\nfn broken() -> u8 { "no" }\n')
        deadline = time.monotonic() + 120
        while not any("waiting for a change" in line for line in lines):
            assert time.monotonic() < deadline, lines
            lines.clear()
            native.logs(project, on_log=lambda _service, line: lines.append(line), tail=60)
            time.sleep(0.05)
        assert any("error[E0308]" in line for line in lines)
        assert ask(urls["api"] + "/healthz")[0] == 200
    finally:
        source.write_text(before)
    assert (native.home_of(project).data / "app.db").exists()
