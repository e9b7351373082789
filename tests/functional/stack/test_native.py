"""The life of a native stack, with fake cargo and bun and real processes."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from rebake.errors import BuildFailed, Busy, CommandFailed, ServiceUnhealthy
from rebake.process_id import ProcessId
from rebake.stack import native


def test_up_detached_runs_everything_and_down_ends_it(stack, get) -> None:
    result = stack.up()
    assert result.engine == "native"
    assert set(result.urls) == {"ui", "api", "worker"}
    assert all(service.ready for service in result.services)
    assert get(result.urls["api"]) == "api one"
    assert get(result.urls["worker"]) == "worker one"
    assert get(result.urls["ui"]) == result.urls["api"]
    assert "compiling api, worker, installing the UI's packages" in stack.said
    assert "api starts: api one" in stack.log("api")
    assert stack.down() is True
    assert stack.processes() == []
    assert native.state(stack.project) is None
    assert stack.down() is False


def test_up_again_changes_nothing_and_is_fast(stack) -> None:
    first = stack.up()
    pid = stack.pid(first.urls["api"])
    started = time.monotonic()
    second = stack.up()
    assert time.monotonic() - started < 1.5
    assert second.urls == first.urls
    assert stack.pid(second.urls["api"]) == pid
    assert "the native stack runs already" in stack.said


def test_data_outlives_down(stack, get) -> None:
    get(stack.up().urls["api"] + "/write")
    stack.down()
    assert get(stack.up().urls["worker"] + "/read") == "kept"


def test_a_crash_is_followed_by_a_new_start(stack, get, eventually) -> None:
    url = stack.up().urls["api"]
    before = stack.pid(url)
    with pytest.raises(http.client.RemoteDisconnected):
        get(url + "/crash")
    assert eventually(lambda: stack.pid(url) != before)
    assert "rebake: api ended with 4; starting it again" in stack.log("api")


def test_an_edit_is_swapped_in_and_no_request_is_refused(stack, get, eventually) -> None:
    result = stack.up()
    url, worker = result.urls["api"], stack.pid(result.urls["worker"])
    answers: list[str] = []
    failures: list[Exception] = []
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            try:
                answers.append(get(url))
            except Exception as error:  # noqa: BLE001 - every kind counts
                failures.append(error)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for text in ("api two", "api three"):
            stack.source("api").write_text(text)
            assert eventually(lambda text=text: answers[-1:] == [text]), stack.log("build")
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert failures == []
    assert stack.pid(result.urls["worker"]) == worker  # its binary did not change
    assert "changed: crates/api/src/main.rs; compiling" in stack.log("build")


def test_a_failed_rebuild_leaves_the_old_one_and_is_in_the_log(stack, get, eventually) -> None:
    url = stack.up().urls["api"]
    pid = stack.pid(url)
    stack.source("api").write_text("error")
    assert eventually(lambda: "waiting for a change" in stack.log("build"))
    assert "error[E0425]: cannot find value `x`" in stack.log("build")
    assert get(url) == "api one"
    assert stack.pid(url) == pid
    stack.source("api").write_text("api mended")
    assert eventually(lambda: get(url) == "api mended")


def test_an_edit_during_a_build_starts_it_anew(stack, get, eventually) -> None:
    url = stack.up().urls["api"]
    stack.source("api").write_text("very slow")
    assert eventually(lambda: "changed:" in stack.log("build"))
    stack.source("api").write_text("api two")
    assert eventually(lambda: get(url) == "api two")


def test_services_without_sockets_are_restarted(stack, get, eventually) -> None:
    stack.lock_free()
    url = stack.up().urls["api"]
    stack.source("api").write_text("api two")
    assert eventually(lambda: get(url) == "api two")


def test_a_new_lock_file_installs_packages_and_restarts_the_ui(stack, get, eventually) -> None:
    url = stack.up().urls["ui"]
    installs = stack.root / "ui" / "installs"
    assert installs.read_text().count("install") == 1
    (stack.root / "ui" / "bun.lock").write_text('{"new": 1}')
    assert eventually(lambda: installs.read_text().count("install") == 2)
    assert eventually(lambda: stack.log("ui").count("UI starts") == 2)
    assert eventually(lambda: get(url))


def test_npm_installs_and_does_so_again_for_a_new_lock_file(stack, get, eventually) -> None:
    stack.use_npm()
    url = stack.up().urls["ui"]
    installs = stack.root / "ui" / "installs"
    assert installs.read_text() == "npm install\n"
    (stack.root / "ui" / "package-lock.json").write_text('{"new": 1}')
    assert eventually(lambda: installs.read_text() == "npm install\n" * 2)
    assert eventually(lambda: stack.log("ui").count("UI starts") == 2)
    assert eventually(lambda: get(url))
    assert "changed: package-lock.json" in stack.log("build")


def test_polling_notices_edits_too(stack, get, eventually) -> None:
    settings = stack.root / "rebake.toml"
    settings.write_text(settings.read_text().replace("[dev]\n", '[dev]\nwatch = "polling"\n'))
    url = stack.up().urls["api"]
    stack.source("api").write_text("api two")
    assert eventually(lambda: get(url) == "api two")


def test_an_older_file_with_another_content_is_touched_before_cargo_runs(stack) -> None:
    stack.up()
    stack.down()
    source = stack.source("api")
    source.write_text("api restored")
    old = time.time() - 3 * 24 * 3600
    os.utime(source, (old, old))
    stack.up()
    assert source.stat().st_mtime > old + 1000


def test_a_compile_error_at_the_start_is_shown_whole_and_leaves_nothing(stack) -> None:
    stack.source("worker").write_text("error")
    with pytest.raises(BuildFailed) as caught:
        stack.up()
    assert "error[E0425]: cannot find value `x`" in caught.value.details
    assert " --> crates/worker/src/main.rs:1:1" in caught.value.details
    assert not any("Compiling" in line for line in caught.value.details)
    assert stack.processes() == []
    assert native.state(stack.project) is None


def test_a_failed_install_stops_the_compiler_at_once(stack) -> None:
    (stack.root / "ui" / "bun.lock").write_text("broken")
    stack.source("api").write_text("very slow")
    started = time.monotonic()
    with pytest.raises(CommandFailed) as caught:
        stack.up()
    assert time.monotonic() - started < 10
    assert "lockfile is frozen" in str(caught.value)
    assert stack.processes() == []


def test_a_service_that_never_comes_up(stack) -> None:
    stack.source("worker").write_text("crash")
    with pytest.raises(ServiceUnhealthy) as caught:
        stack.up()
    assert caught.value.service == "worker"
    assert "with exit code 3" in caught.value.what
    assert "worker starts: crash" in caught.value.details
    assert stack.processes() == []


def test_a_taken_port_is_replaced_and_kept_by_the_next_up(stack, get) -> None:
    port = stack.project.config.dev.ports["api"]
    with socket.create_server(("127.0.0.1", port)):
        first = stack.up()
        assert first.urls["api"] != f"http://127.0.0.1:{port}"
        assert get(first.urls["ui"]) == first.urls["api"]
        assert any(f"port {port} of api is in use, taking " in line for line in stack.said)
        assert stack.up().urls == first.urls


def test_what_a_killed_supervisor_left_is_cleaned_up(stack) -> None:
    result = stack.up()
    record = stack.home.read_run()
    os.kill(record.supervisor.pid, signal.SIGKILL)
    psutil.Process(record.supervisor.pid).wait(5)
    left = ProcessId.of(stack.pid(result.urls["api"]))
    assert native.state(stack.project) is None
    again = stack.up()
    assert "stopped what was left of an earlier native stack" in stack.said
    assert again.urls == result.urls
    assert not left.alive
    os.kill(stack.home.read_run().supervisor.pid, signal.SIGKILL)
    assert stack.down() is True
    assert stack.processes() == []


def test_leftovers_are_found_even_when_the_record_is_lost(stack) -> None:
    stack.up()
    os.kill(stack.home.read_run().supervisor.pid, signal.SIGKILL)
    stack.home.run_file.write_text("{ half a rec")
    assert stack.down() is True
    assert stack.processes() == []
    assert stack.home.run_file.with_name("run.json.bad").exists()


def test_a_foreign_process_with_a_recorded_id_is_not_touched(stack) -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as foreign:
        try:
            real = ProcessId.of(foreign.pid)
            stale = {"pid": foreign.pid, "started": real.started - 5000}
            stack.home.folder.mkdir(parents=True)
            stack.home.run_file.write_text(
                json.dumps(
                    {
                        "supervisor": stale,
                        "services": {"api": {"process": stale, "restarts": 0, "last_exit": None}},
                        "others": [stale],
                        "failure": "",
                    }
                )
            )
            assert native.state(stack.project) is None
            assert stack.down() is False
            stack.up()
            stack.down()
            assert foreign.poll() is None
        finally:
            foreign.kill()


def test_a_changed_configuration_replaces_the_stack(stack, get, free_ports) -> None:
    old = stack.up().urls["api"]
    settings = stack.root / "rebake.toml"
    port = stack.project.config.dev.ports["api"]
    (other,) = free_ports(1)  # not the next one: that may be another program's
    settings.write_text(settings.read_text().replace(f"api = {port}", f"api = {other}"))
    new = stack.up().urls["api"]
    assert new == old.replace(str(port), str(other))
    assert get(new) == "api one"
    with pytest.raises(ConnectionRefusedError):
        get(old)


def test_two_ups_at_once(stack) -> None:
    with stack.home.lock("dev --native"), pytest.raises(Busy) as caught:
        stack.up()
    assert f"pid {os.getpid()}" in caught.value.holder


FOREGROUND = """
import json, pathlib, sys
from rebake.project.project import open_project
from rebake.errors import Interrupted
from rebake.stack import native
from rebake.stack.native_plan import Tools
root, cargo, bun = map(pathlib.Path, sys.argv[1:4])
try:
    native.up(
        open_project(root),
        detach=False,
        say=lambda line: print("say:", line, flush=True),
        on_log=lambda service, line: print(f"{service}:", line, flush=True),
        on_ready=lambda result: print("ready", json.dumps(dict(result.urls)), flush=True),
        find=lambda *_, **__: Tools(cargo, bun),
    )
except Interrupted:
    sys.exit(130)
print("returned", flush=True)
"""


class Foreground:
    """A foreground `up` in a process of its own."""

    def __init__(self, stack, tmp_path: Path) -> None:
        self.output = tmp_path / "foreground.txt"
        with self.output.open("wb") as sink:
            self.process = subprocess.Popen(
                [
                    sys.executable, "-c", FOREGROUND,
                    str(stack.root), str(stack.tools.cargo), str(stack.tools.bun),
                ],
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )  # fmt: skip

    @property
    def text(self) -> str:
        return self.output.read_text()

    def __enter__(self):
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_in_the_foreground_stops_all_and_is_no_error(
    stack, tmp_path, eventually, number
) -> None:
    with Foreground(stack, tmp_path) as up:
        assert eventually(lambda: "ready {" in up.text), up.text
        stack.source("api").write_text("api two")
        assert eventually(lambda: "api: api starts: api two" in up.text), up.text
        up.process.send_signal(number)
        assert up.process.wait(15) == 0, up.text
        assert up.text.rstrip().endswith("returned")
    assert stack.processes() == []
    assert native.state(stack.project) is None


def test_ctrl_c_during_the_first_compile(stack, tmp_path, eventually) -> None:
    stack.source("api").write_text("very slow")
    with Foreground(stack, tmp_path) as up:
        assert eventually((stack.root / "backend" / "cargo.calls.tmp").exists), up.text
        started = time.monotonic()
        up.process.send_signal(signal.SIGINT)
        assert up.process.wait(10) == 130, up.text
        assert time.monotonic() - started < 8
    assert stack.processes() == []
    stack.source("api").write_text("api one")
    stack.up()


def test_a_killed_foreground_leaves_nothing(stack, tmp_path, eventually) -> None:
    with Foreground(stack, tmp_path) as up:
        assert eventually(lambda: "ready {" in up.text), up.text
        up.process.kill()
        up.process.wait()
        assert eventually(lambda: not stack.processes()), stack.processes()


def test_the_foreground_ends_when_another_command_stops_the_stack(
    stack, tmp_path, eventually
) -> None:
    with Foreground(stack, tmp_path) as up:
        assert eventually(lambda: "ready {" in up.text), up.text
        assert stack.down() is True
        assert up.process.wait(10) == 0, up.text
        assert "stopped by another command" in up.text


def test_ctrl_c_leaves_a_stack_that_ran_before(stack, tmp_path, eventually, get) -> None:
    result = stack.up()
    with Foreground(stack, tmp_path) as up:
        assert eventually(lambda: "ready {" in up.text), up.text
        up.process.send_signal(signal.SIGINT)
        assert up.process.wait(10) == 0, up.text
    assert get(result.urls["api"]) == "api one"


def test_logs(stack) -> None:
    stack.up()
    seen: list[tuple[str, str]] = []
    native.logs(stack.project, on_log=lambda service, line: seen.append((service, line)))
    assert ("api", "api starts: api one") in seen
    assert ("ui", "UI starts") in seen
    seen.clear()
    native.logs(stack.project, ["worker"], tail=1, on_log=lambda *words: seen.append(words))
    assert seen == [("worker", "worker starts: worker one")]
