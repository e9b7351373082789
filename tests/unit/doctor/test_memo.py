"""What is remembered of a check, and when it is found out anew."""

from __future__ import annotations

from pathlib import Path

from rebake.doctor.diagnosis import Diagnosis, error, ok
from rebake.doctor.memo import key_of, remembered
from rebake.remember import keep, recall


class Finder:
    def __init__(self, *found: Diagnosis) -> None:
        self.found = found
        self.calls = 0

    def __call__(self) -> tuple[Diagnosis, ...]:
        self.calls += 1
        return self.found


def test_what_was_found_is_remembered_for_the_same_key(tmp_path: Path) -> None:
    finder = Finder(ok("fine"), Diagnosis("warning", "m", "w", "f"))
    for key, calls in (("1", 1), ("1", 1), ("2", 2), ("2", 2), ("1", 3), ("", 4), ("", 5)):
        assert tuple(remembered(tmp_path, "x", key, finder, write=True)) == finder.found
        assert finder.calls == calls


def test_a_dry_run_writes_nothing_and_errors_are_not_remembered(tmp_path: Path) -> None:
    remembered(tmp_path / "a", "x", "1", Finder(ok("fine")), write=False)
    remembered(tmp_path / "a", "x", "1", Finder(error("m", why="w", fix="f")), write=True)
    assert not (tmp_path / "a").exists()


def test_a_broken_file_is_found_out_anew(tmp_path: Path) -> None:
    finder = Finder(ok("fine"))
    file = tmp_path / "doctor-x.json"
    for text in ("", "{", "[]", '{"key": "1", "found": []}', "1\n\n[]"):
        file.write_text(text)
        assert tuple(remembered(tmp_path, "x", "1", finder, write=True)) == finder.found
    for text in ("", "{", "1", '[{"x": 1}]', "[1]"):
        keep(file, "1", text)
        assert tuple(remembered(tmp_path, "x", "1", finder, write=True)) == finder.found
    assert finder.calls == 10
    assert recall(file, "1") is not None


def test_the_key_changes_with_all_that_counts_and_with_nothing_else(tmp_path: Path) -> None:
    file, client = tmp_path / "bake.hcl", tmp_path / "docker"
    file.write_text('variable "TAG" {}')
    client.write_text("x")

    def key(extra: object = 1, **environ: str) -> str:
        return key_of([file, tmp_path / "none"], environ, extra, client)

    first = key(TAG="1", _="a", TERM="x")
    assert key(TAG="1", _="b", TERM="y") == first
    others = [key(TAG="2"), key(TAG="1", DOCKER_HOST="x"), key(2, TAG="1")]
    file.write_text('variable "TAG" {} ')
    others.append(key(TAG="1"))
    (tmp_path / "none").write_text("")
    others.append(key(TAG="1"))
    assert len({first, *others}) == 6
