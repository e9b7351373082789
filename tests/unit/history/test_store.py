from __future__ import annotations

import base64
import json
import os
import sqlite3
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from rebake.build.progress import ProgressReader
from rebake.history import database
from rebake.history.records import (
    BuildRecord,
    FileDigest,
    ImageRecord,
    LayerRecord,
    StepRecord,
)
from rebake.history.store import History
from rebake.history.trees import inputs_digest
from rebake.redact import Redactor
from rebake.results import StepUsage

OLD = Path(__file__).parent / "version-1.sql"
USAGE = StepUsage(1.5, 812_000_000, 4096, 3, 148, 140, 2)


def digest(text: str) -> str:
    import hashlib

    return hashlib.sha256(text.encode()).hexdigest()


def files(count: int = 200, salt: str = "") -> tuple[FileDigest, ...]:
    """A context: files in folders of ten; `salt` changes the first one."""
    return tuple(
        FileDigest(
            f"crates/c{i // 50}/src/m{i // 10}/f{i}.rs", digest(f"{i}{salt if i == 0 else ''}"), i
        )
        for i in range(count)
    )


def record(number: int = 0, **rest: object) -> BuildRecord:
    steps = tuple(
        StepRecord(
            digest=f"sha256:{digest(f'{number}-{i}')}",
            name=f"[builder {i + 1}/30] RUN step {i} with a name of some usual length",
            kind="run" if i else "from",
            stage="builder",
            target="api,worker",
            started_s=float(i),
            ended_s=i + 0.5,
            cached=i % 2 == 0,
            bytes=i,
            inputs=(f"sha256:{digest(f'{number}-{i - 1}')}", "sha256:" + "e" * 64) if i else (),
            usage={7: USAGE, 8: StepUsage(cpu_s=0.5, peak_bytes=1)}.get(i),
        )
        for i in range(30)
    )
    layers = (LayerRecord("sha256:" + "1" * 64, 5, "COPY x"), LayerRecord("sha256:" + "2" * 64, 6))
    images = tuple(
        ImageRecord(
            name,
            f"app-{name}:latest",
            f"sha256:{digest(name)}",
            20_000_000,
            "0123456789abcdef",
            seconds=1.5,
            layers=layers,
        )
        for name in ("api", "ui", "worker")
    )
    link = FileDigest("é/link", digest("x"), 3, "link")
    values: dict[str, object] = {
        "project": "app-1234", "worktree": "/src/app", "mode": "prod", "targets": ("api", "worker"),
        "started_at": 1_790_000_000.0 + number, "seconds": 5.5, "outcome": "done",
        "rebake_version": "0.1.0", "engine": {"engine": "28.5", "buildx": "0.29"},
        "git_head": "f" * 40, "git_dirty": True, "context_bytes": 81, "downloaded_bytes": 7,
        "steps": steps, "images": images,
        "inputs": {"backend": files(salt=str(number)), "ui": (link,)},
        "arguments": {"PROFILE": "release"}, "settings": {"linker": "mold"},
        "base_images": {"rust:1.97": "sha256:" + "9" * 64},
    }  # fmt: skip
    return BuildRecord(**(values | rest))  # type: ignore[arg-type]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "history.sqlite3"


def no_notes(text: str) -> None:
    raise AssertionError(text)


def test_what_goes_in_comes_out(path: Path) -> None:
    with History(path, on_note=no_notes, redactor=Redactor()) as history:
        number = history.record(record())
        assert history.persistent
    with History(path, on_note=no_notes) as history:
        stored = history.build(number)
    assert stored is not None
    expected = record()
    expected = replace(
        expected,
        inputs={
            k: tuple(sorted(v, key=lambda f: f.path.encode())) for k, v in expected.inputs.items()
        },
    )
    assert stored.record == expected
    assert stored.inputs_digest == inputs_digest(expected.inputs)
    image = stored.image("ui")
    assert image is not None
    assert image.layers[0].created_by == "COPY x"
    assert stored.image("nothing") is None


def test_last(path: Path) -> None:
    with History(path) as history:
        assert history.last("app-1234", "prod") is None
        ids = [
            history.record(record(0)),
            history.record(record(1, outcome="failed", images=())),
            history.record(record(2, mode="dev")),
            history.record(record(3, project="other")),
        ]

        def last(*args: str, **rest: str) -> int | None:
            found = history.last(*args, **rest)  # type: ignore[arg-type]
            return None if found is None else found.id

        assert last("app-1234", "prod") == ids[1]
        assert last("app-1234", "prod", outcome="done") == ids[0]
        assert last("app-1234", "prod", "api") == ids[0]
        assert last("app-1234", "prod", "api", outcome="failed") is None
        assert last("app-1234", "dev", "ui", outcome="done") == ids[2]
        assert last("app-1234", "prod", "nothing") is None
        found = history.last("app-1234", "prod")
        assert found is not None
        assert found.record.inputs == {}  # only `build` reads the files
        assert len(found.record.steps) == 30


def test_settings_of_a_stored_build_change_and_go(path: Path) -> None:
    with History(path, redactor=Redactor(["s3cret-value"])) as history:
        kept = history.record(record(1, settings={"linker": "mold", "layer": "a", "due": "b"}))
        other = history.record(record(2, settings={"layer": "a"}))
        history.change_settings(kept, {"layer": "b", "due": "", "said": "s3cret-value"})
        history.change_settings(9999, {"layer": "c"})
        found, untouched = history.build(kept), history.build(other)
    assert found is not None
    assert untouched is not None
    assert found.record.settings == {"linker": "mold", "layer": "b", "said": "***"}
    assert found.record.engine == record(1).engine
    assert untouched.record.settings == {"layer": "a"}


def test_lists_count_the_dockerfiles_own_steps(path: Path) -> None:
    with History(path) as history:
        for number in range(5):
            history.record(record(number, mode="dev" if number == 4 else "prod"))
        history.record(record(9, project="other"))
        listed = history.builds("app-1234", limit=3)
        assert [build.id for build in listed] == [5, 4, 3]
        assert (listed[0].steps, listed[0].cached_steps) == (29, 14)
        assert (listed[0].cpu_s, listed[0].peak_bytes) == (2.0, 812_000_000)
        assert (listed[0].network_bytes, listed[0].crates_compiled) == (4096, 3)
        assert listed[0].crates_reused == 148
        assert len(history.builds(None)) == 6
        assert [build.mode for build in history.builds("app-1234", mode="dev")] == ["dev"]
        assert history.builds("nobody") == ()


def test_steps_of_several_bakes_come_out_with_their_attempt(path: Path) -> None:
    name, failed, done = "[build 1/2] COPY a b", "[build 2/2] RUN x", "[build 2/2] RUN y"
    steps = (
        StepRecord("a", name, "copy", "build", started_s=0.0, ended_s=1.0),
        StepRecord("b", failed, "run", "build", started_s=1.0, ended_s=2.0, inputs=("a",)),
        StepRecord("a", name, "copy", "build", started_s=3.0, ended_s=3.0, cached=True, attempt=2),
        StepRecord("c", done, "run", "build", started_s=3.0, ended_s=9.0, inputs=("a",), attempt=2),
        StepRecord("d", "[deps 1/1] RUN z", "run", "deps", "backend-deps", 9.0, 10.0, attempt=0),
    )
    with History(path) as history:
        stored = history.build(history.record(record(steps=steps)))
        assert stored is not None
        assert stored.record.steps == steps
        (listed,) = history.builds()
    assert (listed.steps, listed.cached_steps, listed.bakes) == (3, 0, 2)


def test_an_images_last_state(path: Path) -> None:
    with History(path, redactor=Redactor()) as history:
        assert history.last_image("app-1234", "prod", "ui") is None
        history.record(record(1))
        history.record(record(2, images=(replace(record().images[0], digest="sha256:new"),)))
        assert history.last_image("app-1234", "prod", "ui") == record(1).images[1]
        api = history.last_image("app-1234", "prod", "api")
        assert api is not None
        assert api.digest == "sha256:new"
        assert history.last_image("app-1234", "dev", "api") is None


def test_bytes_over_the_network() -> None:
    assert record().network_bytes == 7 + 4096
    assert record(steps=()).network_bytes == 7


def test_changed_inputs(path: Path) -> None:
    def with_files(*found: FileDigest) -> BuildRecord:
        return record(inputs={"backend": (*files(), *found)})

    a, b = FileDigest("new/a.rs", digest("a"), 1), FileDigest("new/a.rs", digest("b"), 2)
    into = FileDigest("new", digest("x"), 1)
    with History(path) as history:
        ids = [history.record(with_files(*x)) for x in ((), (a,), (b,), (into,))]
        only_ui = history.record(record(inputs={"ui": (a,)}))
        assert history.changed_inputs(ids[0], ids[0]) == []
        (added,) = history.changed_inputs(ids[0], ids[1])
        assert (added.context, added.path, added.before, added.after) == (
            "backend",
            "new/a.rs",
            None,
            a,
        )
        (edited,) = history.changed_inputs(ids[1], ids[2])
        assert (edited.before, edited.after) == (a, b)
        turned = history.changed_inputs(ids[2], ids[3])  # a folder became a file
        assert {(c.path, c.before, c.after) for c in turned} == {
            ("new/a.rs", b, None),
            ("new", None, into),
        }
        assert len(history.changed_inputs(ids[0], only_ui)) == 201
        assert history.changed_inputs(ids[0], 999) == []


def nowhere(word: str, path: Path) -> bool:
    """Whether neither the files nor what is packed in them hold a word."""
    raw = [file.read_bytes() for file in path.parent.iterdir()]
    with sqlite3.connect(path) as db:
        packed = [zlib.decompress(row[0]) for row in db.execute("SELECT data FROM objects")]
    db.close()
    assert packed
    return not any(word.encode() in data for data in (*raw, *packed))


def test_secrets_of_a_build_never_reach_the_file(path: Path) -> None:
    """The whole way: what BuildKit writes, its reader, the record, the file."""
    canary = "canary-0123456789"
    redactor = Redactor([canary])
    reader = ProgressReader(redactor=redactor)
    step, when = {"digest": "sha256:" + "a" * 64}, "2026-01-01T00:00:00Z"
    words = f'echo {canary}\nrebake-usage {{"cpu_s":1,"{canary}":2}}\n'.encode()
    for item in (
        {"vertexes": [{**step, "name": f"[{canary} 1/2] RUN curl {canary}", "started": when}]},
        {"logs": [{"vertex": step["digest"], "data": base64.b64encode(words).decode()}]},
        {"vertexes": [{**step, "started": when, "completed": when, "error": f"{canary} broke"}]},
    ):
        reader.feed(json.dumps(item))
    reader.feed(f"ERROR: failed to solve: {canary}")
    progress = reader.finish()
    with History(path, redactor=redactor) as history:
        steps = progress.records()
        number = history.record(record(steps=steps, arguments={"URL": f"https://{canary}/"}))
        stored = history.build(number)
        assert stored is not None
        assert stored.record.steps[0].error == "*** broke"
        assert nowhere(canary, path)
    assert nowhere(canary, path)


def test_secrets_never_reach_the_file(path: Path) -> None:
    canary = "canary-0123456789"
    secret = record(
        skipped=canary, worktree=f"/src/{canary}", targets=(canary,),
        steps=(
            StepRecord("sha256:" + "0" * 64, f"RUN {canary}", error=canary, stage=canary,
                       target=canary),
        ),
        images=(ImageRecord(canary, canary, "d", 1, "i", layers=(LayerRecord("l", 1, canary),)),),
        inputs={canary: (FileDigest(f"{canary}.rs", digest("x"), 1),)},
        arguments={"NPM_TOKEN": "a short-lived value", "URL": f"http://me:{canary}@h", "A": canary,
                   canary: "x"},
        settings={"PASSWORD": "abc"}, base_images={canary: canary}, engine={"engine": canary},
    )  # fmt: skip
    with History(path, redactor=Redactor([canary])) as history:
        number = history.record(secret)
        other = history.record(replace(secret, settings={"PASSWORD": "abd"}))
        stored = [history.build(i) for i in (number, other)]
    text = repr(stored)
    for word in (canary, "a short-lived value", "'abc'"):
        assert word not in text
    assert nowhere(canary, path)
    assert nowhere("a short-lived value", path)
    # That a secret changed can still be told.
    assert stored[0] is not None
    assert stored[1] is not None
    assert stored[0].record.settings != stored[1].record.settings
    assert stored[0].record.arguments == stored[1].record.arguments


def test_files_with_names_that_are_no_unicode(path: Path) -> None:
    odd = FileDigest("a\udcff.rs", digest("x"), 1)
    with History(path, on_note=no_notes) as history:
        stored = history.build(history.record(record(inputs={"backend": (odd,)})))
    assert stored is not None
    assert stored.record.inputs == {"backend": (odd,)}


def test_prune_leaves_the_newest_whole(path: Path) -> None:
    with History(path) as history:
        for number in range(30):
            history.record(record(number))
        assert history.prune(keep=29) == 0  # within the slack
        assert history.prune(keep=10) == 20
        assert history.count() == 10
        assert [build.id for build in history.builds(None)] == list(range(30, 20, -1))
        stored = history.build(25)
        assert stored is not None
        assert len(stored.record.inputs["backend"]) == 200
        rest = history.build(3)
        assert rest is None
    with sqlite3.connect(path) as db:
        objects = db.execute("SELECT count(*) FROM objects").fetchone()[0]
        steps = db.execute("SELECT count(*) FROM steps").fetchone()[0]
        usages = db.execute("SELECT count(*) FROM step_usage").fetchone()[0]
    db.close()
    assert (steps, usages) == (300, 20)
    assert objects < 10 * 6 + 40  # one path of folders a build, the rest shared


def test_prune_gives_new_builds_new_ids(path: Path) -> None:
    with History(path) as history:
        for number in range(3):
            history.record(record(number))
        history.prune(keep=0)
        assert history.record(record()) == 4


# damage


def damage(path: Path, kind: str) -> None:
    data = bytearray(path.read_bytes())
    if kind == "text":
        data = bytearray(b"this is no database\n" * 300)
    elif kind == "cut":
        data = data[: len(data) // 2]
    elif kind == "zeros":
        data[:100] = bytes(100)
    elif kind == "middle":
        data[4096 : len(data) - 4096] = os.urandom(len(data) - 8192)
    path.write_bytes(data)


@pytest.mark.parametrize("kind", ["text", "cut", "zeros", "middle"])
def test_a_damaged_file_is_set_aside(path: Path, kind: str) -> None:
    with History(path) as history:
        for number in range(20):
            history.record(record(number))
    damage(path, kind)
    bad = path.read_bytes()
    notes: list[str] = []
    with History(path, on_note=notes.append) as history:
        number = history.record(record())
        assert number > 0
        assert history.build(number) is not None
        assert history.persistent
    assert len(notes) == 1
    assert "damaged" in notes[0]
    kept = list(path.parent.glob("history.sqlite3.*.bad"))
    assert [file.read_bytes() for file in kept] == [bad]
    with History(path, on_note=no_notes) as history:
        assert history.count() == 1


def test_an_empty_file_is_a_new_history(path: Path) -> None:
    path.parent.mkdir()
    path.touch()
    with History(path, on_note=no_notes) as history:
        assert history.record(record()) == 1


def test_a_newer_file_is_left_alone(path: Path) -> None:
    with History(path) as history:
        history.record(record())
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    notes: list[str] = []
    with History(path, on_note=notes.append) as history:
        assert not history.persistent
        history.record(record())
        assert history.count() == 1
    assert len(notes) == 1
    assert "newer" in notes[0]
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT count(*) FROM builds").fetchone()[0] == 1
    db.close()


def test_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    notes: list[str] = []
    with History(tmp_path / "file" / "history.sqlite3", on_note=notes.append) as history:
        assert history.record(record()) == 1
        assert not history.persistent
    assert "not recorded" in notes[0]


def test_migrations_run_one_after_the_other(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with History(path) as history:
        history.record(record())
    later = ("ALTER TABLE builds ADD COLUMN extra TEXT NOT NULL DEFAULT 'x'",)
    monkeypatch.setattr(database, "MIGRATIONS", (*database.MIGRATIONS, later))
    with History(path, on_note=no_notes) as history:
        assert history.count() == 1
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT extra FROM builds").fetchone() == ("x",)
        assert db.execute("PRAGMA user_version").fetchone() == (len(database.MIGRATIONS),)
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    db.close()


def test_a_file_of_the_first_version_is_brought_up(path: Path) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as db:
        db.executescript(OLD.read_text(encoding="utf-8"))
        assert db.execute("PRAGMA user_version").fetchone() == (1,)
    db.close()
    with History(path, on_note=no_notes, redactor=Redactor()) as history:
        before = history.build(2)
        assert before is not None
        assert [step.usage for step in before.record.steps] == [None, None]
        assert before.record.steps[1].inputs == (before.record.steps[0].digest,)
        assert before.record.images[0].build_id == "0123456789abcdef"
        assert before.record.evidence is None
        assert [change.path for change in history.changed_inputs(1, 2)] == ["src/main.rs"]
        (_, listed) = history.builds("app-1234")
        assert (listed.seconds, listed.cpu_s, listed.crates_compiled) == (5.5, None, None)
        work = [s for s in before.record.steps if s.kind in {"run", "copy", "meta"}]
        assert (listed.steps, listed.bakes) == (len(work), 1)
        assert listed.cached_steps == sum(s.cached for s in work)
        assert history.record(record()) == 3
        after = history.build(3)
        assert after is not None
        assert after.record.steps == record().steps
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (len(database.MIGRATIONS),)
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    db.close()


def test_two_who_bring_a_file_up_at_once(path: Path) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as db:
        db.executescript(OLD.read_text(encoding="utf-8"))
    db.close()
    write_at_once(path, writers=2)
    with History(path, on_note=no_notes) as history:
        assert history.count() == 2 + 2 * 8


@pytest.mark.skipif(os.name == "nt", reason="POSIX modes")
def test_others_can_not_read_it(path: Path) -> None:
    with History(path) as history:
        history.record(record())
        assert {oct(file.stat().st_mode & 0o077) for file in path.parent.iterdir()} == {"0o0"}


# several at once


WRITER = """
import sys
from pathlib import Path
from rebake.history.records import BuildRecord
from rebake.history.store import History
print("ready", flush=True)
sys.stdin.read()  # all begin when the test closes this
for number in range(8):
    with History(Path(sys.argv[1]), on_note=lambda text: print(text, file=sys.stderr)) as history:
        assert history.record(BuildRecord("p", "/w", "prod", (), number, 1.0, "done")) > 0
"""


def write_at_once(path: Path, writers: int) -> str:
    """Let processes that are all ready write eight builds each; return what they complained of."""
    running = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for _ in range(writers)
    ]  # fmt: skip
    for writer in running:
        assert writer.stdout is not None
        assert writer.stdout.readline().strip() == b"ready"
    for writer in running:
        assert writer.stdin is not None
        writer.stdin.close()
        writer.stdin = None
    errors = "".join(writer.communicate(timeout=60)[1].decode() for writer in running)
    assert [writer.returncode for writer in running] == [0] * writers, errors
    return errors


@pytest.mark.parametrize("damaged", [False, True])
def test_several_writers_at_once(path: Path, damaged: bool) -> None:
    if damaged:
        path.parent.mkdir()
        path.write_text("no database" * 100)
    errors = write_at_once(path, writers=3)
    assert errors.count("damaged") == damaged
    with History(path, on_note=no_notes) as history:
        assert history.count() == 24
    assert len(list(path.parent.glob("*.bad"))) == damaged


def test_a_writer_waits_for_another(path: Path) -> None:
    with History(path) as history:
        history.record(record())
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    db.execute("BEGIN IMMEDIATE")
    threading.Timer(0.3, lambda: db.execute("ROLLBACK")).start()
    with History(path, on_note=no_notes) as history:
        assert history.last("app-1234", "prod") is not None  # readers do not wait
        assert history.record(record()) == 2
    db.close()


def test_a_writer_that_waits_too_long_gives_up_with_a_note(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with History(path) as history:
        history.record(record())
    monkeypatch.setattr(database, "BUSY_S", 0.1)
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("BEGIN IMMEDIATE")
    notes: list[str] = []
    with History(path, on_note=notes.append) as history:
        assert history.record(record()) == 0
    db.close()
    assert "not in the history" in notes[0]


def test_a_hundred_builds_of_one_project_stay_small_and_quick(path: Path) -> None:
    with History(path) as history:
        for number in range(100):
            history.record(record(number))
    assert path.stat().st_size < 2_000_000
    started = time.thread_time()  # CPU seconds: others use this machine too
    with History(path) as history:
        history.record(record(100))
    assert time.thread_time() - started < 0.5  # about 0.01 s on an idle machine


def copies(path: Path, count: int) -> None:
    """Make a history of `count` builds by copying the tables' rows of one."""
    with History(path) as history:
        history.record(record())
    with sqlite3.connect(path) as db:
        rows = "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
        for table, key in (
            ("builds", "id"), ("steps", "build_id"), ("step_usage", "build_id"),
            ("images", "build_id"),
        ):  # fmt: skip
            columns = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
            others = ", ".join(name for name in columns if name != key)
            db.execute(
                f"INSERT INTO {table}({key}, {others}) {rows}"
                f" SELECT i, {others} FROM n, {table} WHERE {key} = 1",
                (count,),
            )
        # Not all of one project: a rare one is looked for in all of them.
        db.execute("UPDATE builds SET project = 'rare' WHERE id = 1")
        db.execute("UPDATE images SET project = 'rare' WHERE build_id = 1")
    db.close()


def test_ten_thousand_builds_are_as_quick(path: Path) -> None:
    copies(path, 10_000)

    def quickest(action: Callable[[], object]) -> float:
        spent = []
        for _ in range(3):  # others use this machine too
            started = time.thread_time()
            action()
            spent.append(time.thread_time() - started)
        return min(spent)

    def open_it() -> None:
        with History(path, on_note=no_notes) as opened:
            assert opened.persistent

    assert quickest(open_it) < 0.1
    with History(path, on_note=no_notes) as history:
        assert history.count() == 10_000
        assert len(history.builds("app-1234", limit=50)) == 50
        last = history.last("app-1234", "prod", "api", outcome="done")
        assert last is not None
        assert last.id == 10_000
        for action in (
            lambda: history.last("app-1234", "prod"),
            lambda: history.last("app-1234", "prod", "api", outcome="done"),
            lambda: history.last("app-1234", "prod", "api", outcome="failed"),
            lambda: history.last("rare", "prod", "ui"),
            lambda: history.last_image("rare", "prod", "ui"),
            lambda: history.builds("app-1234", limit=50),
            lambda: history.builds("rare", limit=50),
            lambda: history.builds(None, limit=50),
        ):
            assert quickest(action) < 0.1


def test_builds_are_counted_by_project(path: Path) -> None:
    with History(path, on_note=no_notes) as history:
        for project in ("one", "one", "two"):
            history.record(record(project=project))
        assert (history.count(), history.count("one"), history.count("none")) == (3, 2, 0)
