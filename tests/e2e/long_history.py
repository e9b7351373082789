"""Makes a history of thousands of builds out of one real build: what years of work leave.

    PYTHONPATH=tests python -m e2e.long_history STATE_FOLDER [BUILDS]

A few hundred builds are written as a build writes them, each with one file edited, as people work:
every twentieth fails, every third has nothing to do. Their rows are then copied. The newest build
stays the newest. Ten thousand take some ten seconds.
"""

from __future__ import annotations

import hashlib
import sqlite3
import sys
import time
from pathlib import Path

from msgspec.structs import replace

from rebake.history.cache_log import FILE_NAME, CacheLog, OwnedLayer, RanStep
from rebake.history.evidence import FileFacts, line_digests
from rebake.history.records import BuildRecord, FileDigest
from rebake.history.store import History

WRITTEN = 250  # builds that are written one by one
_TABLES = {
    "builds": "id",
    "steps": "build_id",
    "step_usage": "build_id",
    "images": "build_id",
    "evidence": "build_id",
}
_EACH_S = 1200.0  # from one build to the next
_DAYS = 90


def lengthen(state: Path, builds: int = 10_000) -> None:
    """Give every project of a history as many builds as that, made from its newest one.

    Args:
        state: the folder of `history.sqlite3`; a project in it was built there.
        builds: how many there are afterwards, of one project.
    """
    file = state / "history.sqlite3"
    with History(file) as history:
        (summary,) = history.builds(limit=1)
        newest = history.newest_build(summary.project, summary.worktree)
        assert newest is not None
        key = history.key
        written = [history.record(_variant(newest.record, n, key)) for n in range(WRITTEN)]
    _copy(file, written, builds - WRITTEN - newest.id - 1)
    with History(file) as history:
        last = history.record(newest.record)
    _date(file, newest.record.started_at, last)
    _fill_log(state / FILE_NAME, newest.record)


def _variant(record: BuildRecord, number: int, key: bytes) -> BuildRecord:
    """The same build with one file edited."""
    files = list(record.inputs["backend"])
    at = number % len(files)
    text = f"// edit {number}\n" * (1 + number % 7)
    files[at] = FileDigest(files[at].path, _sha(text), len(text), files[at].kind)
    inputs = {**record.inputs, "backend": tuple(files)}
    facts = {_sha(text): FileFacts(lines=line_digests(text.encode(), key))}
    settings = {
        name: _sha(f"{value} {number}") if name.startswith("made of") else value
        for name, value in record.settings.items()
    }
    images = tuple(
        replace(image, digest=f"sha256:{_sha(f'{image.ref} {number}')}", build_id=_sha(text)[:16])
        for image in record.images
    )
    made = replace(record, inputs=inputs, settings=settings, images=images)
    if record.evidence is not None:
        made = replace(made, evidence=replace(record.evidence, facts=facts))
    if number % 20 == 7:
        return replace(made, outcome="failed", images=())
    if number % 3 == 1:
        return replace(made, skipped="nothing changed", steps=(), evidence=None)
    return made


def _copy(file: Path, written: list[int], more: int) -> None:
    """Copy the rows of some builds until there are as many more."""
    with sqlite3.connect(file) as db:
        first, last = written[0], written[-1]
        for start in range(last + 1, last + 1 + more, len(written)):
            until = first + min(len(written), last + 1 + more - start)
            for table, name in _TABLES.items():
                columns = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
                others = ", ".join(column for column in columns if column != name)
                db.execute(
                    f"INSERT INTO {table}({name}, {others}) SELECT {name} + ?, {others}"
                    f" FROM {table} WHERE {name} >= ? AND {name} < ?",
                    (start - first, first, until),
                )
    db.close()


def _date(file: Path, now: float, last: int) -> None:
    with sqlite3.connect(file) as db:
        db.execute(
            "UPDATE builds SET started_at = ?1 - (?2 - id) * ?3 WHERE id < ?2", (now, last, _EACH_S)
        )
    db.close()


def _fill_log(file: Path, record: BuildRecord) -> None:
    """The list of caches after months: sizes by the hour, and layers that are gone."""
    now = time.time()
    names = ("target release", "cargo registry", "dependency layers", "build layers", "total")
    with CacheLog(file, "elsewhere") as log:
        step = RanStep(record.project, record.worktree, "[x 1/1] RUN x", "x", "api", now, now + 1)
        log.settle([OwnedLayer(f"gone{n}", step, n) for n in range(2000)], [])
        log.note_sizes(record.project, [("mount", name, 1) for name in names])
    with sqlite3.connect(file) as db:
        hours = [(record.project, now - 3600 * n, "mount", name, n)
                 for n in range(1, 24 * _DAYS) for name in names]  # fmt: skip
        db.executemany("INSERT INTO sizes VALUES(?,?,?,?,?)", hours)
        engines = [row[0] for row in db.execute("SELECT DISTINCT engine FROM layers")]
        for engine in engines:
            db.executemany(
                "INSERT OR IGNORE INTO layers SELECT ?, ?, project, worktree, name, stage, target,"
                " started_at, ended_at, bytes, parents FROM layers LIMIT 1",
                [(f"left{n}", engine) for n in range(2000)],
            )
    db.close()


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


if __name__ == "__main__":
    lengthen(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 10_000)
