"""Which images a project's builds have made, and when."""

from __future__ import annotations

from pathlib import Path

import pytest

from rebake.history.image_use import LastBuild
from rebake.history.records import BuildRecord, ImageRecord, StepRecord
from rebake.history.store import History


def build(at: float, **changes: object) -> BuildRecord:
    image = ImageRecord("api", "shop-w1-api:prod", f"sha256:{at:.0f}", 5, "id", built=True)
    export = StepRecord("sha256:e", "exporting to image", "export", started_s=1.0, ended_s=1.0 + at)
    fields: dict[str, object] = {
        "project": "shop-1", "worktree": "/w1", "mode": "prod", "targets": ("api",),
        "started_at": at, "seconds": 1.0, "outcome": "done", "images": (image,),
        "steps": (export,),
    }  # fmt: skip
    return BuildRecord(**(fields | changes))  # type: ignore[arg-type]


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path / "history.sqlite3")


def test_an_image_s_name_with_all_its_digests(history: History) -> None:
    kept = ImageRecord("api", "shop-w1-api:prod", "sha256:2", 5, "id", built=False)
    with history:
        for one in (build(1.0), build(2.0), build(3.0, images=(kept,), skipped="nothing changed")):
            history.record(one)
        history.record(build(9.0, project="other-2"))
        (use,) = history.image_uses("shop-1")
    assert (use.ref, use.service, use.mode, use.worktree) == (
        "shop-w1-api:prod", "api", "prod", "/w1",
    )  # fmt: skip
    assert use.digests == {"sha256:1", "sha256:2"}
    assert use.last_at == 3.0
    assert use.export_s == 2.0  # of the newest that was really written out


def test_the_last_build_that_built_something(history: History) -> None:
    with history:
        history.record(build(1.0))
        history.record(build(2.0, skipped="nothing changed"))
        history.record(build(3.0, outcome="failed"))
        history.record(build(4.0, worktree="/w2", mode="dev"))
        assert set(history.last_builds("shop-1")) == {
            LastBuild("/w1", "prod", 1.0),
            LastBuild("/w2", "dev", 4.0),
        }
        assert history.last_builds("other-2") == ()
        assert history.image_uses("other-2") == ()
