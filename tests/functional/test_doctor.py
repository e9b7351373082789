"""`invoke doctor` as a whole: its document, its exit code, what `--fix` does and leaves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from e2e.tiny_project import write_tiny_project
from rebake.cli import main

FAST = "context,secrets,line-ends,lock-files,settings,files,workspace"


class Bench:
    def __init__(self, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.root = root
        self.capsys = capsys

    def run(self, monkeypatch: pytest.MonkeyPatch, *words: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["rebake", "doctor", *words])
        code: object = 0
        self.capsys.readouterr()
        try:
            main()
        except SystemExit as error:
            code = error.code or 0
        assert isinstance(code, int)
        return code, *self.capsys.readouterr()

    def crlf(self) -> Path:
        script = self.root / "docker" / "tools" / "build-ui"
        script.write_bytes(script.read_bytes().replace(b"\n", b"\r\n"))
        return script


@pytest.fixture
def bench(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Bench:
    root = write_tiny_project(tmp_path / "a b,ü")
    for name in list(os.environ):
        if name.startswith(("REBAKE_", "DOCKER_", "BUILDX_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("REBAKE_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    monkeypatch.chdir(root)
    return Bench(root, capsys)


def test_the_document_and_exit_code_0(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, err = bench.run(monkeypatch, "--json", "--check", FAST)
    document: dict[str, Any] = json.loads(out)
    assert (code, set(document)) == (0, {"schema_version", "findings"}), err
    for finding in document["findings"]:
        assert set(finding) == {"check", "level", "message", "fix", "fixable"}
        assert finding["level"] == "ok"
    assert {f["check"] for f in document["findings"]} == set(FAST.split(","))


def test_warnings_end_with_0_and_errors_with_1(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    (bench.root / "ui" / ".dockerignore").unlink()
    code, out, _ = bench.run(monkeypatch, "--check", "context")
    assert (code, "warning   context: ui has no .dockerignore" in out) == (0, True), out
    assert "          why: everything in it is sent" in out
    assert "          mend it: write ui/.dockerignore" in out
    bench.crlf()
    code, out, err = bench.run(monkeypatch, "--json", "--check", "context,line-ends")
    levels = [finding["level"] for finding in json.loads(out)["findings"]]
    assert code == 1
    assert levels == sorted(levels, key=["error", "warning", "ok"].index)
    assert "error: doctor found 1 error" in err


def test_fix_mends_what_is_safe_and_looks_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = bench.crlf()
    before = script.read_bytes()
    (bench.root / "ui" / "package.json").write_text('{"dependencies": {"zod": "4"}}')
    code, out, err = bench.run(monkeypatch, "--check", "line-ends", "--fix", "--dry-run", "--json")
    assert code == 1
    assert json.loads(out)["fixed"] == ["write docker/tools/build-ui with LF line ends"]
    assert "would write" in err
    assert script.read_bytes() == before
    code, out, err = bench.run(monkeypatch, "--check", "line-ends,lock-files", "--fix")
    assert script.read_bytes() == before.replace(b"\r\n", b"\n")
    assert "ok        line-ends: " in out
    # A lock-file is written by its own tool alone.
    assert code == 1
    assert "error     lock-files: ui/bun.lock is out of date" in out
    assert "0 warnings" in err


def test_an_unknown_check_is_a_usage_error(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, err = bench.run(monkeypatch, "--check", "secret")
    assert (code, out) == (2, "")
    assert "no check named 'secret'" in err
    assert "did you mean secrets?" in err


def test_without_an_engine_the_same_words_are_said_once(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, _ = bench.run(monkeypatch, "--check", "engine,gc,cpu,clock,memory")
    assert code == 1  # DOCKER_HOST names one that does not answer
    assert out.count("not checked") == 1
    assert "warning   gc, cpu, clock, memory: not checked: the engine can't be used" in out


def test_a_secret_is_never_printed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    token = "ghp_" + "a1B2" * 9
    (bench.root / "ui" / "src" / "a.ts").write_text(f'"{token}"')
    (bench.root / "ui" / ".env").write_text(f"TOKEN={token}")
    (bench.root / "ui" / ".dockerignore").write_text("")
    code, out, err = bench.run(monkeypatch, "--check", "secrets", "--fix")
    assert code == 1  # the one in a source file is left to the user
    assert token not in out + err
    assert (bench.root / "ui" / ".dockerignore").read_text() == ".env\n"


@pytest.mark.skipif(sys.platform == "win32", reason="signals and scripts")
def test_ctrl_c_stops_what_the_checks_had_started(bench: Bench, tmp_path: Path) -> None:
    program = tmp_path / "bin" / "docker"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\necho $$ >>{tmp_path}/pids\nexec sleep 60\n")
    program.chmod(0o755)
    running = subprocess.Popen(
        [sys.executable, "-m", "rebake.cli", "doctor", "--check", "compose,cache-exports"],
        env=os.environ | {"PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    pids = tmp_path / "pids"
    deadline = time.monotonic() + 30
    while (len(pids.read_text().split()) if pids.exists() else 0) < 3:  # two stacks and bake
        assert time.monotonic() < deadline
        time.sleep(0.02)
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=30)
    assert (running.returncode, "interrupted during doctor" in err) == (130, True), err
    assert [pid for pid in map(int, pids.read_text().split()) if psutil.pid_exists(pid)] == []
