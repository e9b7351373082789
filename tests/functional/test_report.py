"""The task `report`, on histories of a temporary state folder."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path

import pytest

from rebake.cli import main
from rebake.errors import ProjectError, UsageError
from rebake.history.records import BuildRecord, FileDigest, ImageRecord, StepRecord
from rebake.history.store import History
from rebake.tasks import report_flow, report_words
from rebake.tasks.session import Session

EVIL = "<script>alert(1)</script>"


class Shop:
    """A project, its history, and the task run in it."""

    def __init__(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys
        self.root, self.state = folder / "a b,ü", folder / "state"
        self.root.mkdir()
        (self.root / "rebake.toml").write_text('[project]\nname = "shop"\n')
        self.project = Session("report", folder=self.root).project

    def builds(self, count: int, **rest: object) -> None:
        with History(self.state / "history.sqlite3") as history:
            for number in range(count):
                history.record(self.build(number, **rest))

    def build(self, number: int, **rest: object) -> BuildRecord:
        steps = tuple(
            StepRecord(f"d{n}", f"[api build {n}/12] RUN step {n} {EVIL}", "run", "build", "api",
                       float(n), n + 0.9, cached=n % 3 == 0, error="")
            for n in range(1, 13)
        )  # fmt: skip
        values: dict[str, object] = {
            "project": self.project.cache_id, "worktree": str(self.root), "mode": "prod",
            "targets": ("api", "ui"), "started_at": 1_790_000_000.0 + number * 600,
            "seconds": 31.0, "outcome": "done", "steps": steps,
            "images": (ImageRecord("api", "shop-api:prod", "sha256:1", 9_000_000, "3f9c"),),
            "inputs": {"backend": (FileDigest("Cargo.lock", "0" * 64, 98_213),)},
        }  # fmt: skip
        return BuildRecord(**(values | rest))  # type: ignore[arg-type]

    def benchmark(self, document: object) -> Path:
        file = self.project.state / "benchmark.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(document))
        return file

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run `rebake report` with these words; that a process does the same is tried elsewhere."""
        code: object = 0
        self._capsys.readouterr()
        with self._monkeypatch.context() as patch:
            patch.setenv("NO_COLOR", "1")
            patch.setenv("COLUMNS", "200")
            patch.chdir(self.root)
            patch.setattr("sys.argv", ["rebake", "report", *words])
            try:
                main()
            except SystemExit as error:
                code = error.code
        return subprocess.CompletedProcess(words, code, *self._capsys.readouterr())

    def gather(self, asked: str = "") -> report_flow.ReportView:
        return report_flow.gather(Session("report", folder=self.root), asked)


@pytest.fixture
def shop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Shop:
    monkeypatch.setenv("REBAKE_STATE_HOME", str(tmp_path / "state"))
    return Shop(tmp_path, monkeypatch, capsys)


RESULT = {
    "machine": {"cpu": "x"},
    "project": "shop",
    "results": [
        {"scenario": "cold", "subject": s, "services": 2, "runs_s": [t], "median_s": t}
        for s, t in (("rebake", 120.0), ("floor", 100.0))
    ],
    "limits": [{"name": "cold", "limit": 115, "measured": 120, "unit": "s", "ok": False}],
}


def test_five_hundred_builds_make_a_small_page_fast(shop: Shop) -> None:
    shop.builds(497)
    shop.builds(1, outcome="failed")
    shop.builds(2, steps=(), skipped="no input changed", seconds=0.2)
    shop.benchmark(RESULT)
    began = time.process_time()  # not the clock: other tests run beside this one
    report_flow.page_of(shop.gather())
    assert time.process_time() - began < 1.5
    done = shop.run()
    assert (done.returncode, done.stderr) == (0, "")
    page = shop.root / ".rebake" / "report.html"
    lines = done.stdout.splitlines()
    assert lines[0] == "build 500 (prod: api, ui) done in 0.2 s"
    assert lines[1] == "nothing was built: no input changed"
    assert lines[2] == "the steps below are those of build 498"
    assert lines[3].split() == ["slowest", "share", "step", "what"]
    assert lines[4] == f"  0.9 s  3%     build 1/12  step 1 {EVIL}"
    assert "98.2 kB  backend/Cargo.lock" in done.stdout
    assert lines[-4].startswith("trend: 500 builds; median 31.0 s; the last 20: 31.0 s")
    assert lines[-3:] == [
        "benchmark: 1 of 1 limits missed",
        "  cold: 120 s, allowed at most 115 s",
        f"report: {page}",
    ]
    html = page.read_text(encoding="utf-8")
    assert len(html.encode()) < 1_000_000
    assert "<script" not in html
    assert "step 2 &lt;script&gt;" in html
    assert [p.name for p in page.parent.iterdir()] == ["report.html"]


def test_an_empty_history_says_so_and_is_no_failure(shop: Shop) -> None:
    done = shop.run()
    page = shop.root / ".rebake" / "report.html"
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "no build of this project is recorded yet; invoke build makes one",
        "benchmark: no result yet; invoke benchmark makes one",
        f"report: {page}",
    ]
    assert "No build of this project is recorded yet" in page.read_text(encoding="utf-8")
    assert not (shop.state / "history.sqlite3").exists()


def test_the_document(shop: Shop) -> None:
    shop.builds(3)
    shop.benchmark(RESULT)
    output = shop.root / "out" / "r.html"
    done = shop.run("--json", "--output", str(output), "--build", "2")
    document = json.loads(done.stdout)
    assert document.pop("seconds") < 30
    assert document.pop("bytes") == output.stat().st_size
    build = document.pop("build")
    assert document == {
        "schema_version": 1,
        "path": str(output),
        "project": "shop",
        "trend": {"builds": 3, "shown": 3, "done": 3, "failed": 0, "interrupted": 0, "skipped": 0},
        "benchmark": {
            "scenarios": 1, "subjects": ["floor", "rebake"], "limits": 1, "missed": ["cold"],
        },
    }  # fmt: skip
    assert (build["id"], build["outcome"], build["steps"], build["cached_steps"]) == (
        2, "done", 12, 4,
    )  # fmt: skip
    assert build["images"] == {"api": 9_000_000}
    assert build["largest_files"] == [{"context": "backend", "path": "Cargo.lock", "bytes": 98_213}]
    assert len(build["slowest"]) == 5


def test_a_dry_run_writes_nothing(shop: Shop) -> None:
    shop.builds(1)
    done = shop.run("--dry-run")
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == f"would write: {shop.root / '.rebake' / 'report.html'}"
    assert not (shop.root / ".rebake").exists()


@pytest.mark.parametrize(
    ("asked", "says"),
    [("7", "--build 7: this project has no such build"), ("x", "--build 'x' is not a whole number"),
     ("0", "--build 0: at least 1")],
)  # fmt: skip
def test_a_build_that_is_not_there(shop: Shop, asked: str, says: str) -> None:
    shop.builds(2)
    with pytest.raises(UsageError) as caught:
        shop.gather(asked)
    assert caught.value.what == says
    assert asked != "7" or caught.value.hint == "the newest is 2"


def test_a_build_of_another_project_is_not_shown(shop: Shop) -> None:
    shop.builds(1, project="other-1")
    assert (shop.gather().build, shop.gather().total) == (None, 0)
    with pytest.raises(UsageError, match="no such build"):
        shop.gather("1")


def test_a_damaged_benchmark_is_told_and_the_rest_is_shown(shop: Shop) -> None:
    shop.builds(1)
    file = shop.benchmark({"results": 3})
    view = shop.gather()
    assert view.build is not None
    assert view.benchmark is None
    assert view.benchmark_problem == (
        f"{file} is no result of a benchmark: results: a list is expected"
    )
    file.write_bytes(b"\xff{")
    assert "is no result of a benchmark" in shop.gather().benchmark_problem
    file.write_text("[" * 100_000)
    assert "is no result of a benchmark" in shop.gather().benchmark_problem


def test_only_an_earlier_report_is_written_over(shop: Shop) -> None:
    session = Session("report", folder=shop.root)
    page = report_flow.target(session, "")
    report_flow.write(page, report_flow.page_of(shop.gather()))
    assert report_flow.target(session, "") == page
    with pytest.raises(UsageError, match="is not a report: it is left as it is"):
        report_flow.target(session, str(shop.root / "rebake.toml"))
    with pytest.raises(UsageError, match="is a folder"):
        report_flow.target(session, str(shop.root))
    with pytest.raises(UsageError, match="is not a report"):
        report_flow.target(session, os.devnull)


def test_a_page_that_can_not_be_written_leaves_nothing_behind(shop: Shop) -> None:
    (shop.root / "file").write_text("x")
    with pytest.raises(ProjectError) as caught:
        report_flow.write(shop.root / "file" / "r.html", "x")
    assert "can't be written" in caught.value.what
    (shop.root / "taken").mkdir()
    with pytest.raises(ProjectError):
        report_flow.write(shop.root / "taken", "x")
    assert sorted(p.name for p in shop.root.iterdir()) == ["file", "rebake.toml", "taken"]


@pytest.mark.parametrize("opened", [True, False])
def test_open(shop: Shop, monkeypatch: pytest.MonkeyPatch, opened: bool) -> None:
    asked: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda url: asked.append(url) or opened)
    session = Session("report", progress="quiet", folder=shop.root)
    report_flow.open_in_browser(session, shop.root / "r.html")
    assert asked == [(shop.root / "r.html").as_uri()]
    assert session.notes == (
        [] if opened else [f"no browser could be started: open {shop.root / 'r.html'} in one"]
    )


def test_secrets_of_the_environment_are_masked(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.benchmark(RESULT | {"machine": {"cpu": "canary-4711"}})
    monkeypatch.setenv("SOME_TOKEN", "canary-4711")
    assert "canary-4711" not in report_flow.page_of(shop.gather())


def test_limits_and_failures_in_words(shop: Shop) -> None:
    step = StepRecord("d", "[api build 1/1] RUN x", "run", "build", "api", 0.0, 1.0, error="exit 1")
    shop.builds(1, steps=(step,), outcome="failed")
    assert report_words.build_lines(shop.gather()) == [
        "build 1 (prod: api, ui) failed in 31.0 s, 0 of 1 steps cached",
        "failed: build 1/1 x: exit 1",
    ]
    limit = {"name": "a", "limit": 1, "measured": 1, "ok": True}
    shop.benchmark(RESULT | {"limits": [limit]})
    assert report_words.benchmark_lines(shop.gather().benchmark) == ["benchmark: all 1 limits kept"]
    shop.benchmark(RESULT | {"limits": [limit | {"ok": None}]})
    assert report_words.benchmark_lines(shop.gather().benchmark) == [
        "benchmark: no limit missed, 1 of 1 not measured"
    ]
