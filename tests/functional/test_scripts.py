"""The scripts with well-known names: what their words and flags come to, down to the tasks."""

from __future__ import annotations

from pathlib import Path

import pytest

from command_line import Bench
from script_calls import BUILD, OTHERS, load_shim

SHIM = load_shim()
CALLS = [("docker/build.sh", line) for line in BUILD]
CALLS += [call for call in OTHERS if call[0] != "scripts/run_tests.ps1"]  # Nox has no dry run
ENDS = {
    "dev": ("docker/docker-compose.dev.yml' up --detach --no-build",),
    "prod": ("docker/docker-compose.yml' up --detach --no-build",),
    "build": ("docker buildx bake --file ",),
    "rebuild": ("docker buildx bake --file ", "REBUILD="),
    "warm-cache": ("docker buildx bake --file ",),
    "benchmark": ("build --json",),
}
NO_ENGINE = 69


@pytest.fixture
def bench(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Bench:
    return Bench(tmp_path, monkeypatch, capsys)


def expected(words: list[str], tasks: list[str]) -> set[str]:
    """What stands in the commands of tasks."""
    found = {text for task in tasks for text in ENDS.get(task, ())}
    if "--native" in words:
        found = found - set(ENDS["dev"]) | {"cargo build --locked --bin api --bin worker"}
    if "--no-cache" in words:
        found.add(" --no-cache ")
    if "--dev" in words:
        found.add(" backend-dev ui-dev")
    for task in {"build", "rebuild"} & set(tasks):
        services = [word for word in words[words.index(task) :] if word in {"api", "worker", "ui"}]
        found |= {f" {' '.join(services)}"} if services and "--json" not in words else set()
    return found


@pytest.mark.parametrize("call", CALLS, ids=" ".join)
def test_the_tasks_can_do_what_a_script_tells_them(bench: Bench, call: tuple[str, str]) -> None:
    script, line = call
    told, named = BUILD[line] if script.startswith("docker/") else OTHERS[call]
    tasks = [named] if isinstance(named, str) else named
    done = bench.run(*SHIM.words_of(script, [*line.split(), "--dry-run"]))
    if tasks == ["refresh-cache"] and told[1:] not in ([], ["show"]):
        # What would go, only an engine can tell; its words were read before it was looked for.
        assert (done.returncode, "so nothing can be told of its caches" in done.stderr) == (
            NO_ENGINE,
            True,
        )
        return
    assert done.returncode == 0, done.stderr
    if "--json" not in line:
        missing = {text for text in expected(told, tasks) if text not in done.stdout}
        assert missing == set(), done.stdout
    assert '"dry_run": true' in done.stdout or "--json" not in line


@pytest.mark.parametrize(
    ("script", "line", "says"),
    [
        ("docker/build.sh", "wroker", "did you mean worker?"),
        ("docker/build.sh", "--dry-rnu", "no flag of dev named '--dry-rnu'"),
        ("docker/build.sh", "prune --max-size lots", "lots"),
        ("scripts/refresh-cache.sh", "clean imges", "did you mean images?"),
        ("scripts/warm-cache.sh", "--for prd", "did you mean prod?"),
        ("scripts/benchmark-builds.sh", "--scenarios colt", "did you mean cold?"),
        ("scripts/test-docker-build.sh", "--subjects naiv", "did you mean naive?"),
    ],
)
def test_a_wrong_word_is_one_error_of_its_task(
    bench: Bench, script: str, line: str, says: str
) -> None:
    done = bench.run(*SHIM.words_of(script, line.split()))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("error: ") == 1
    assert says in done.stderr
