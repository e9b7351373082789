"""The benchmark on a real engine, with a project that compiles in seconds."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import platformdirs
import pytest

from e2e.support import REPOSITORY, Docker, clean_environment
from e2e.tiny_project import write_tiny_project

pytestmark = pytest.mark.engine

INVOKE = Path(sys.executable).with_name("invoke.exe" if os.name == "nt" else "invoke")
HOME = platformdirs.user_cache_path("rebake") / "benchmark"
LIMIT_S = 1200


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_project(tmp_path_factory.mktemp("tiny"))


def invoke(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [INVOKE, *words],
        cwd=REPOSITORY,
        env=clean_environment() | environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )


def left_over(docker: Docker) -> set[str]:
    """What of any benchmark is in the engine or on the disk; a test compares before and after."""
    listed = [
        *docker("ps", "--all", "--format", "{{.Names}}").split(),
        *docker("volume", "ls", "--format", "{{.Name}}").split(),
        *docker("image", "ls", "--format", "{{.Repository}}").split(),
    ]
    mounts = [
        entry["Description"]
        for entry in map(json.loads, docker("buildx", "du", "--format", "json").splitlines())
        if entry["Type"] == "exec.cachemount"
    ]
    found = [name for name in listed if name.startswith("bench-")]
    found += [text for text in mounts if 'with id "/bench-' in text]
    return {*found, *(str(path) for path in HOME.glob("*") if path.is_dir())}


def document_of(done: subprocess.CompletedProcess[str]) -> Any:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_real_edits_real_results_and_nothing_left(own_docker: Docker, project: Path) -> None:
    there = left_over(own_docker)
    before = {file: file.read_bytes() for file in project.rglob("*") if file.is_file()}
    own_docker("volume", "create", "users-own")
    try:
        told = document_of(
            invoke(
                *("benchmark", "--project", str(project), "--runs", "1", "--json"),
                *("--subjects", "rebake,naive,cache-mount,floor"),
                *("--scenarios", "no-change,code-change,ui-change,dockerfile-change"),
                # Before each sample it waits for a quiet machine, which this one is not.
                REBAKE_BENCHMARK_QUICK_TIMES="1",
            )
        )
        assert "users-own" in own_docker("volume", "ls", "--format", "{{.Name}}").split()
    finally:
        own_docker("volume", "rm", "users-own")
    results = {(one["scenario"], one["subject"]): one for one in told["results"]}
    assert len(results) == 4 * 4 - 1  # the floor has no Dockerfile
    assert {key for key, one in results.items() if one["correct"] is not True} == set()
    for one in results.values():
        assert len(one["runs_s"]) == 1, one
        assert one["median_s"] > 0
    assert results["code-change", "naive"]["steps"] > 0
    assert results["code-change", "rebake"]["context_bytes"] > 0
    assert set(results["code-change", "rebake"]["image_bytes"]) == {"api", "worker", "ui"}
    assert results["code-change", "floor"]["steps"] is None
    assert told["references"][0]["median_s"] > 0
    assert left_over(own_docker) <= there
    assert {f: f.read_bytes() for f in project.rglob("*") if f.is_file()} == before


def test_ctrl_c_leaves_nothing(own_docker: Docker, project: Path) -> None:
    there = left_over(own_docker)
    words = ("benchmark", "--project", str(project), "--scenarios", "cold", "--runs", "1")
    with subprocess.Popen(
        [INVOKE, *words, "--subjects", "naive,floor"],
        cwd=REPOSITORY,
        env=clean_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stderr is not None
        for line in running.stderr:
            if "to go" in line:  # everything is prepared: the first sample begins
                break
        time.sleep(1.0)
        running.send_signal(signal.SIGINT)
        rest = running.stderr.read()
        assert running.wait(timeout=300) == 130, rest
    assert left_over(own_docker) <= there, rest


def workflow_test(project: Path, **limits: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [INVOKE.with_name(INVOKE.name.replace("invoke", "rebake")), "workflow-test", "--json"],
        cwd=project,
        env=clean_environment() | limits,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )


def test_the_everyday_test_holds_its_limits(own_docker: Docker, project: Path) -> None:
    there = left_over(own_docker)
    before = {file: file.read_bytes() for file in project.rglob("*") if file.is_file()}
    done = workflow_test(project, HOT_MAX_S="0.1", HEALTH_MAX_S="120")
    assert done.returncode == 1, done.stderr
    told = json.loads(done.stdout)
    assert [(step["name"], step["ok"]) for step in told["steps"]] == [
        ("cold build", True),
        ("hot rebuild", False),
        ("/healthz", True),
    ]
    assert {step["fault"] for step in told["steps"]} == {""}
    assert "1 of 3 limits are not kept" in done.stderr
    assert left_over(own_docker) <= there
    assert {f: f.read_bytes() for f in project.rglob("*") if f.is_file()} == before


def test_a_limit_that_is_no_number_is_told_before_anything_is_done(project: Path) -> None:
    done = workflow_test(project, COLD_MAX_S="soon")
    assert done.returncode == 2
    assert "COLD_MAX_S='soon' is not a number" in done.stderr


def test_unknown_words_are_told_before_anything_is_done() -> None:
    done = invoke("benchmark", "--subjects", "rebake,cargo-chf")
    assert done.returncode == 2
    assert "no subject named 'cargo-chf'" in done.stderr
    assert "did you mean cargo-chef?" in done.stderr
    done = invoke("benchmark", "--runs", "0")
    assert done.returncode == 2
