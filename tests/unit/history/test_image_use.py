"""Which images a project's builds have made, and when."""

from __future__ import annotations

import time
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


def test_ten_thousand_builds_are_no_burden(history: History) -> None:
    with history:
        history.record(build(1.0))
        db = history._db
        names = [row[1] for row in db.execute("PRAGMA table_info(builds)")]
        others = ", ".join(name for name in names if name not in {"id", "started_at"})
        db.execute("BEGIN")
        db.execute(
            "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)"
            f" INSERT INTO builds(id, started_at, {others}) SELECT i, i, {others}"
            " FROM n, builds WHERE id = 1"
        )
        db.execute(
            "INSERT INTO images SELECT b.id, s.value, i.project, i.mode, 'shop-w1-' || s.value ||"
            " ':prod', i.digest || b.id, i.bytes, i.input_id, i.built, i.seconds, i.layers"
            ' FROM builds b, images i, json_each(\'["ui", "worker", "web"]\') s'
            " WHERE i.build_id = 1"
        )
        db.execute("COMMIT")
        started = time.thread_time()  # CPU seconds: others use this machine too
        uses, last = history.image_uses("shop-1"), history.last_builds("shop-1")
        seconds = time.thread_time() - started
    assert sorted(use.service for use in uses) == ["api", "ui", "web", "worker"]
    assert [one.started_at for one in last] == [10_000.0]
    assert seconds < 1.0, seconds
