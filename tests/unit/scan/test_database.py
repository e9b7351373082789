"""Broken vulnerability databases are told from good ones before the scanner sees them."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bbolt import SIZE, Bucket, bytes_of, tiny, write_database
from rebake.errors import DatabaseUnusable
from rebake.scan.database import examine


def test_a_good_one(tmp_path: Path) -> None:
    write_database(tmp_path, age=timedelta(days=3))
    found = examine(tmp_path)
    assert found.tables == 5
    now = datetime.now(UTC)
    assert not found.old(timedelta(days=4), now)
    assert found.old(timedelta(days=2), now)


def test_one_with_many_tables_has_pages_over_pages(tmp_path: Path) -> None:
    tables = {f"debian {number}": Bucket({"x" * 300: 1}) for number in range(100, 160)}
    write_database(tmp_path, Bucket({**tiny(), **tables}))
    assert examine(tmp_path).tables == 65


def test_one_with_branches(tmp_path: Path) -> None:
    write_database(tmp_path).write_bytes(bytes_of(tiny(), branched=True))
    assert examine(tmp_path).tables == 5


def _fault(cache: Path) -> str:
    with pytest.raises(DatabaseUnusable) as caught:
        examine(cache)
    assert "nothing is known to be clean" in str(caught.value)
    assert "scan.db_repository" in caught.value.hint
    return caught.value.message


def _remove(file: Path) -> None:
    file.unlink()


def _no_description(file: Path) -> None:
    (file.parent / "metadata.json").unlink()


def _empty(file: Path) -> None:
    file.write_bytes(b"")


def _text(file: Path) -> None:
    file.write_bytes(b"<html>" * 5000)


def _cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-SIZE])


def _half_a_page(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: SIZE // 2])


def _flipped(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[3 * SIZE + 8] = 0x40  # the kind of the root page
    file.write_bytes(data)


def _beyond(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[3 * SIZE + 10 : 3 * SIZE + 12] = b"\xff\xff"  # more entries than a page can hold
    file.write_bytes(data)


def _garbled(file: Path) -> None:
    (file.parent / "metadata.json").write_text("{")


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (_remove, "is not there"),
        (_no_description, "is not there"),
        (_empty, "can't be read"),
        (_text, "does not begin like a database"),
        (_cut, "is cut off: it has 12288 bytes, and says that it has 16384"),
        (_half_a_page, "is cut off"),
        (_flipped, "a page of it makes no sense"),
        (_beyond, "a page of it makes no sense"),
        (_garbled, "does not describe a database"),
    ],
)
def test_a_broken_one(tmp_path: Path, harm: Callable[[Path], None], message: str) -> None:
    harm(write_database(tmp_path))
    assert message in _fault(tmp_path)


def test_another_schema(tmp_path: Path) -> None:
    write_database(tmp_path, schema=1)
    assert _fault(tmp_path) == "is of schema 1, and this Trivy reads 2"


def test_a_bbolt_file_that_is_none_of_trivys(tmp_path: Path) -> None:
    write_database(tmp_path, Bucket({"data-source": Bucket({"a": 1}), "x": Bucket({"b": 2})}))
    assert _fault(tmp_path).startswith("has no table vulnerability")


def test_a_description_without_a_time(tmp_path: Path) -> None:
    file = write_database(tmp_path)
    (file.parent / "metadata.json").write_text(json.dumps({"Version": 2}))
    assert "does not describe a database" in _fault(tmp_path)
