"""Records of the history become what a report shows."""

from __future__ import annotations

from msgspec.structs import replace

from rebake.history.records import (
    BuildRecord,
    BuildSummary,
    FileDigest,
    ImageRecord,
    LayerRecord,
    StepRecord,
    StoredBuild,
)
from rebake.report.views import FileView, LayerView
from rebake.results import CacheCount, CacheUse, StepUsage
from rebake.tasks.report_views import build_view, trend_point


def test_a_build() -> None:
    steps = (
        StepRecord("d1", "[api build 2/3] RUN --mount=type=cache,target=/t cargo build", "run",
                   "build", "api,ui", 1.0, 4.5, error="", bytes=3,
                   usage=StepUsage(cpu_s=7.5, peak_bytes=50, network_bytes=30,
                                   crates_compiled=2, crates_reused=148)),
        StepRecord("d2", "[ui] exporting to image", "export", "", "ui", 5.0, 5.5),
        StepRecord("d3", "[ui internal] load .dockerignore", "internal", "", "ui"),
    )  # fmt: skip
    files = tuple(FileDigest(f"f{n:02}", "0" * 64, n % 25) for n in range(60))
    record = BuildRecord(
        project="p", worktree="/w", mode="dev", targets=("api", "ui"), started_at=5.0,
        seconds=6.0, outcome="failed", engine={"engine": "28", "compose": "", "buildx": "0.29"},
        git_head="abc", git_dirty=True, skipped="why", context_bytes=7, downloaded_bytes=8,
        steps=steps, inputs={"ui": (), "backend": files},
        images=(ImageRecord("api", "r:1", "sha256:x", 9, "id", built=False,
                            layers=(LayerRecord("l", 4, "COPY"),)),),
    )  # fmt: skip
    view = build_view(StoredBuild(12, record, ""))
    assert (view.id, view.mode, view.targets, view.outcome, view.skipped) == (
        12, "dev", ("api", "ui"), "failed", "why",
    )  # fmt: skip
    assert [(s.place, s.title, s.target, s.kind, s.seconds) for s in view.steps] == [
        ("build 2/3", "cargo build", "api,ui", "run", 3.5),
        ("ui", "exporting to image", "ui", "export", 0.5),
        ("ui", "load .dockerignore", "ui", "internal", 0.0),
    ]
    assert (view.network_bytes, view.cpu_s, view.peak_bytes) == (38, 7.5, 50)
    assert view.caches == CacheUse(CacheCount(0, 1), CacheCount(148, 2))
    assert view.facts == (("buildx", "0.29"), ("engine", "28"))
    assert view.images[0].layers == (LayerView("l", 4, "COPY"),)
    assert not view.images[0].built
    backend, ui = view.contexts
    assert (backend.name, backend.files, backend.bytes) == (
        "backend",
        60,
        sum(f.size for f in files),
    )
    assert len(backend.largest) == 20
    assert backend.largest[:3] == (FileView("f24", 24), FileView("f49", 24), FileView("f23", 23))
    assert (ui.files, ui.largest) == (0, ())


def test_what_another_build_began_earlier_does_not_stretch_this_one() -> None:
    steps = (
        StepRecord("d1", "[a 1/3] FROM x", started_s=0.0, ended_s=0.1),
        StepRecord("d2", "[a 2/3] RUN y", started_s=399.0, ended_s=401.0),
        StepRecord("d3", "[a 3/3] RUN z", started_s=401.0, ended_s=402.0),
        StepRecord("d4", "never"),
    )
    record = BuildRecord("p", "/w", "prod", ("api",), 5.0, 2.0, "done", steps=steps)
    times = [(s.started_s, s.ended_s) for s in build_view(StoredBuild(1, record, "")).steps]
    assert times == [(0.0, 0.0), (0.0, 1.0), (1.0, 2.0), (None, None)]
    record = replace(record, seconds=401.5)
    assert build_view(StoredBuild(1, record, "")).steps[2].started_s == 401.0


def test_a_point_of_the_trend() -> None:
    summary = BuildSummary(
        id=3, project="p", worktree="/w", mode="prod", targets=("api",), started_at=5.0,
        seconds=0.2, outcome="done", skipped="no input changed", steps=9, cached_steps=8,
        context_bytes=1, downloaded_bytes=2, git_head="abc", git_dirty=True, inputs_digest="",
    )  # fmt: skip
    point = trend_point(summary)
    assert (point.id, point.seconds, point.skipped, point.word) == (3, 0.2, True, "nothing to do")
    assert (point.steps, point.cached_steps, point.targets) == (9, 8, ("api",))
