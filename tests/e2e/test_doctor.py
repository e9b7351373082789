"""What doctor and history tell of a real engine, its real builder, and real bake and compose."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import platformdirs
import pytest

from e2e import small_project
from e2e.small_project import Bench

pytestmark = pytest.mark.engine

FOLDER = Path(os.environ.get("REBAKE_E2E_FOLDER") or platformdirs.user_cache_path("rebake"))


@pytest.fixture(scope="module")
def bench() -> Bench:
    """The small project in a folder of its own: other tests' mounts stay as they are."""
    return small_project.make(FOLDER / "e2e-doctor")


def findings(bench: Bench, *names: str, **env: str) -> list[dict[str, Any]]:
    done = bench.one.invoke("doctor", "--json", "--check", ",".join(names), **env)
    found: list[dict[str, Any]] = json.loads(done.stdout)["findings"]
    errors = any(finding["level"] == "error" for finding in found)
    assert done.returncode == (1 if errors else 0), done.stderr
    return found


def the_one(found: list[dict[str, Any]], level: str) -> dict[str, Any]:
    chosen = [finding for finding in found if finding["level"] == level]
    assert len(chosen) == 1, found
    return chosen[0]


def containers(bench: Bench) -> set[str]:
    return set(bench.docker("ps", "--all", "--quiet").split())


def test_the_engine_s_own_checks_tell_of_the_engine_and_leave_nothing(bench: Bench) -> None:
    before = containers(bench)
    names = ("engine", "versions", "buildkit", "gc", "memory", "cpu", "clock", "file-sharing")
    found = findings(bench, *names)
    assert {finding["check"] for finding in found} == set(names)
    assert [f for f in found if f["message"].startswith(("not checked", "the check broke"))] == []
    shared = next(f for f in found if f["check"] == "file-sharing")
    assert shared["level"] == "ok"
    assert str(bench.one.root) in shared["message"]
    if next(f for f in found if f["check"] == "engine")["message"].startswith("private"):
        # The policy of our own engine keeps cache mounts: it looks at size alone.
        policy = next(f for f in found if f["check"] == "gc")
        assert (policy["level"], "by size alone" in policy["message"]) == ("ok", True)
    assert containers(bench) <= before


def test_a_builder_that_is_not_there_is_an_error(bench: Bench) -> None:
    found = findings(bench, "buildkit", BUILDX_BUILDER="rebake-no-such-builder")
    assert "no such builder" in the_one(found, "error")["message"]


def test_two_targets_of_the_bake_file_with_one_cache_export(bench: Bench) -> None:
    bake = bench.one.root / "docker" / "docker-bake.hcl"
    before = bake.read_text(encoding="utf-8")
    assert {f["level"] for f in findings(bench, "cache-exports")} == {"ok"}
    place = '\n  cache-to = ["type=local,dest=/tmp/one"]\n'
    text = before
    for name in ("api", "ui"):
        text = text.replace(f'target "{name}" {{', f'target "{name}" {{{place}')
    # A target in a comment is none.
    bake.write_text(text + '/*\ntarget "ghost" {\n}\n*/\n', encoding="utf-8")
    try:
        message = the_one(findings(bench, "cache-exports"), "error")["message"]
        assert message.startswith("api, ui write their cache to local /tmp/one")
    finally:
        bake.write_text(before, encoding="utf-8")


def test_compose_files_as_compose_itself_reads_them(bench: Bench) -> None:
    file = bench.one.root / "docker" / "docker-compose.yml"
    before = file.read_text(encoding="utf-8")
    (bench.one.root / "ui").mkdir(exist_ok=True)
    good = {finding["message"] for finding in findings(bench, "compose")}
    assert "docker/docker-compose.yml: 4 services" in good
    text = before.replace("  worker:\n", "  worker:\n    privileged: true\n", 1)
    text = text.replace('"${BIND_ADDRESS:-127.0.0.1}:${API_PORT:-8001}:8080"', '"8001:8080"')
    file.write_text(text, encoding="utf-8")
    try:
        found = findings(bench, "compose")
        assert "worker: privileged: true" in the_one(found, "error")["message"]
        assert any("api: port 8001 is published on every address" in f["message"] for f in found)
        file.write_text("services: [", encoding="utf-8")
        found = findings(bench, "compose")
        assert "can't be read by Compose" in the_one(found, "error")["message"]
    finally:
        file.write_text(before, encoding="utf-8")


def test_history_tells_what_each_build_was_for(bench: Bench) -> None:
    bench.one.invoke("build", "api").ok()
    bench.one.write_text(f"edit {time.time_ns()}")
    bench.one.invoke("build", "api").ok()
    bench.one.invoke("build", "api").ok()
    document = bench.one.invoke("history", "--json").ok().document
    skipped, edited, *_ = document["builds"]
    assert skipped["cause"]["kind"] == "nothing-changed"
    assert edited["cause"] == {
        "kind": "file", "name": "backend/crates/core/src/text.rs", "detail": "", "more": 0,
    }  # fmt: skip
    assert 0 < edited["cached_share"] < 1
    assert skipped["cached_share"] is None
    compared = bench.one.invoke("history", "--compare", "--json").ok().document
    assert compared["after"]["id"] == skipped["id"]
    assert compared["files"] == []
