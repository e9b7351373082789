"""What is kept of a benchmark that was stopped."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from msgspec.structs import replace

from rebake.benchmark.journal import FILE, Asked, Journal, Part
from rebake.benchmark.repeats import Repeats
from rebake.benchmark.statistics import Result
from rebake.errors import UsageError

ASKED = Asked(
    ("cold", "code-change"), ("rebake", "floor"), Repeats(5, 2, 60.0, 3, 10.0), (1, 5),
    "unix:///a", "0.1.0",
)  # fmt: skip
RESULT = Result(
    "cold", "rebake", 3, (2.5, 1.25), correct=True, steps=9, cached_steps=4, cpu_s=1.5,
    peak_bytes=7, context_bytes=8, export_s=0.25, image_bytes={"api": 9}, error="",
)  # fmt: skip
PART = Part((RESULT,), (0.5,), (("cold", "floor", "why"),), ("a note",))


def kept(folder: Path) -> Journal:
    journal = Journal(folder / "state" / FILE, ASKED)
    journal.book(0, "digest").keep("cold", PART)
    return journal


def test_what_was_kept_is_read_again(tmp_path: Path) -> None:
    journal = Journal.resume(kept(tmp_path).file)
    assert journal.asked == ASKED
    assert (journal.sittings, journal.kept) == (2, 1)
    assert journal.book(0, "digest").part("cold") == PART
    assert journal.book(0, "digest").part("code-change") is None
    assert journal.book(5, "digest").part("cold") is None


def test_a_failed_subject_is_kept_with_its_reason(tmp_path: Path) -> None:
    failed = Result("cold", "naive", 3, error="it does not build")
    kept(tmp_path).book(0, "digest").keep("cold", Part((failed,)))
    part = Journal.resume(tmp_path / "state" / FILE).book(0, "digest").part("cold")
    assert part is not None
    assert part.results == (failed,)


def test_at_the_end_nothing_is_left(tmp_path: Path) -> None:
    journal = kept(tmp_path)
    journal.forget()
    journal.forget()
    assert list(journal.file.parent.iterdir()) == []


def test_without_a_benchmark_that_was_stopped_there_is_nothing_to_go_on_with(
    tmp_path: Path,
) -> None:
    with pytest.raises(UsageError, match="no benchmark of this project was stopped"):
        Journal.resume(tmp_path / FILE)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"asked": 1}', '{"asked": {}, "parts": {}}', "\udcff"]
)
def test_a_broken_file_is_one_clear_error(tmp_path: Path, text: str) -> None:
    file = tmp_path / FILE
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(UsageError, match="can't be read"):
        Journal.resume(file)


def test_a_file_that_lacks_a_part_is_broken(tmp_path: Path) -> None:
    file = kept(tmp_path).file
    document = json.loads(file.read_text())
    del document["parts"]["0"]["cold"]["results"][0]["runs_s"]
    file.write_text(json.dumps(document))
    with pytest.raises(UsageError, match="KeyError"):
        Journal.resume(file)


def test_other_sources_are_refused(tmp_path: Path) -> None:
    journal = Journal.resume(kept(tmp_path).file)
    with pytest.raises(UsageError, match="files have changed since"):
        journal.book(0, "another")


@pytest.mark.parametrize(
    ("asked", "named"),
    [(replace(ASKED, engine="unix:///b"), "engine"), (replace(ASKED, rebake="0.0.9"), "rebake")],
)
def test_another_engine_or_version_is_refused(tmp_path: Path, asked: Asked, named: str) -> None:
    journal = Journal(tmp_path / FILE, asked)
    with pytest.raises(UsageError, match=f"the {named} was "):
        journal.check_place(ASKED.engine, ASKED.rebake)
    Journal(tmp_path / FILE, ASKED).check_place(ASKED.engine, ASKED.rebake)
