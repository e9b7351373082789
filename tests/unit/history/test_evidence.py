"""Evidence in the history: what goes in comes out, is shared, is cleaned, goes with its build."""

from __future__ import annotations

import hashlib
import sqlite3
from pathlib import Path

import pytest
from msgspec.structs import replace

from rebake.history.evidence import (
    BakeTarget,
    Evidence,
    FileFacts,
    Manifest,
    Package,
    Removal,
)
from rebake.history.records import BuildRecord, FileDigest, ImageRecord, StepRecord
from rebake.history.store import History
from rebake.redact import Redactor
from rebake.results import StepUsage


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


FACTS = FileFacts(
    lines=b"abcdefgh",
    text="FROM x\n",
    lock=(Package("itoa", "1.0.0", "registry", ("a", "b")),),
    manifest=Manifest("api", ("core",), ("tempfile",)),
)
EVIDENCE = Evidence(
    settings={"build.compiler_cache": "none"},
    targets={"api": BakeTarget("backend", "Dockerfile", "prod", {"A": "1"}, {"tools": "docker"})},
    mounts=("app-cargo", "app-target"),
    crates=("core@0.1.0",),
    modes={"backend": {"*file": "0644", "odd": "0600"}},
    facts={sha("lib 0"): FACTS},
)


def record(number: int = 0, **rest: object) -> BuildRecord:
    values: dict[str, object] = {
        "project": "app", "worktree": "/src", "mode": "prod", "targets": ("api",),
        "started_at": 1000.0 + number, "seconds": 2.0, "outcome": "done",
        "inputs": {"backend": (FileDigest("lib.rs", sha(f"lib {number}"), 5),)},
        "images": (ImageRecord("api", "app-api:prod", sha(f"image {number}"), 1, "id"),),
        "steps": (
            StepRecord(
                f"sha256:{sha(str(number))}", "[build 1/1] RUN make", "run", "build",
                started_s=1.0, ended_s=1.5 + number, usage=StepUsage(crates_compiled=number),
            ),
        ),
        "evidence": replace(EVIDENCE, facts={sha(f"lib {number}"): FACTS}),
    }  # fmt: skip
    return BuildRecord(**(values | rest))  # type: ignore[arg-type]


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path / "history.sqlite3", redactor=Redactor(["canary-secret"]))


def count(tmp_path: Path, table: str) -> int:
    with sqlite3.connect(tmp_path / "history.sqlite3") as db:
        return int(db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def test_what_goes_in_comes_out(history: History) -> None:
    number = history.record(record())
    stored = history.build(number)
    assert stored is not None
    assert stored.record.evidence == replace(EVIDENCE, facts={})
    assert history.facts([sha("lib 0"), sha("unknown")]) == {sha("lib 0"): FACTS}
    assert history.unknown_files([sha("lib 0"), sha("unknown")]) == {sha("unknown")}


def test_what_is_not_known_stays_not_known(history: History) -> None:
    bare = Evidence(facts={sha("binary"): FileFacts()})
    stored = history.build(history.record(record(evidence=bare)))
    assert stored is not None
    assert stored.record.evidence == Evidence()
    assert history.facts([sha("binary")]) == {sha("binary"): FileFacts()}
    assert history.unknown_files([sha("binary")]) == set()
    without = history.build(history.record(record(1, evidence=None)))
    assert without is not None
    assert without.record.evidence is None


def test_equal_parts_are_stored_once(history: History, tmp_path: Path) -> None:
    history.record(record(0))
    before = count(tmp_path, "objects")
    for number in range(1, 6):
        history.record(record(number))
    # A tree of two levels for each new content of the file, and its image's size.
    assert count(tmp_path, "objects") - before == 5 * 2
    assert count(tmp_path, "file_facts") == 6 * 4


def test_secrets_are_masked(history: History, tmp_path: Path) -> None:
    dirty = Evidence(
        settings={"cache.remote": "https://canary-secret@x", "api_token": "plain-token"},
        targets={"api": BakeTarget("b", "D", "", {"MY_PASSWORD": "plain-pass"})},
        facts={sha("lib 0"): FileFacts(text="ENV A=canary-secret\n")},
    )
    stored = history.build(history.record(record(evidence=dirty)))
    assert stored is not None
    history.close()
    kept = stored.record.evidence
    assert kept is not None
    assert kept.settings["api_token"].startswith("keyed:")
    assert kept.targets["api"].arguments["MY_PASSWORD"].startswith("keyed:")
    assert history.facts([sha("lib 0")])[sha("lib 0")].text == "ENV A=***\n"
    history.close()
    for file in tmp_path.iterdir():
        for word in (b"canary", b"plain-"):
            assert word not in file.read_bytes()


def test_it_goes_with_its_build(history: History, tmp_path: Path) -> None:
    for number in range(12):
        history.record(record(number))
        history.note_removal("app", Removal(1000.5 + number, "invoke x", ("a",)))
    assert history.prune(10) == 2
    assert count(tmp_path, "evidence") == 10 * 5
    assert count(tmp_path, "file_facts") == 10 * 4
    assert history.unknown_files([sha("lib 1"), sha("lib 2")]) == {sha("lib 1")}
    assert len(history.removals("app")) == 10
    kept = history.newest_build("app", "/src")
    assert kept is not None
    assert kept.record.evidence is not None


def test_removals_of_a_project_since_a_moment(history: History) -> None:
    first, second = Removal(10.0, "invoke a", ("x", "y")), Removal(20.0, "invoke b", ("z",))
    history.note_removal("app", first)
    history.note_removal("app", second)
    history.note_removal("other", Removal(30.0, "invoke c", ()))
    assert history.removals("app") == (second, first)
    assert history.removals("app", 15.0) == (second,)


def test_the_build_that_one_is_compared_with(history: History) -> None:
    done = history.record(record(0))
    history.record(record(1, outcome="failed"))
    history.record(record(2, skipped="nothing changed"))
    history.record(record(3, images=(ImageRecord("api", "other:prod", "d", 1, "id"),)))
    last = history.record(record(4))

    def before(ref: str | None, service: str = "api") -> int | None:
        return history.built_before("app", "prod", service, ref=ref, before=last)

    assert before("app-api:prod") == done
    assert before(None) == last - 1
    assert before(None, "worker") is None
    assert history.built_before("app", "dev", "api", ref=None, before=last) is None


def test_an_older_build_of_the_same_files(history: History) -> None:
    old = history.record(record(0))
    between = history.record(record(1))
    again = history.record(record(0, started_at=5000.0))
    assert history.same_files_before(again, "api", between) == old
    assert history.same_files_before(again, "api", old) is None
    assert history.same_files_before(between, "api", None) is None
    assert history.same_files_before(again, "worker", between) is None


def test_a_worktrees_newest_build(history: History) -> None:
    prod = history.record(record(0))
    dev = history.record(record(1, mode="dev", targets=("backend-dev",)))
    history.record(record(2, worktree="/elsewhere"))

    def newest(*words: object) -> int | None:
        found = history.newest_build("app", "/src", *words)  # type: ignore[arg-type]
        return found.id if found else None

    assert newest() == dev
    assert newest("prod") == prod
    assert newest("prod", "api") == prod
    assert newest("prod", "ap") is None


def test_what_a_step_took_before(history: History) -> None:
    for number in range(3):
        history.record(record(number))
    runs = history.step_runs("app", "prod", "build", "run")
    assert [(run.seconds, run.crates) for run in runs] == [(2.5, 2), (1.5, 1), (0.5, 0)]
    assert {run.name for run in runs} == {"[build 1/1] RUN make"}
    assert history.step_runs("app", "prod", "other", "run") == ()
    assert history.step_runs("app", "dev", "build", "run") == ()
